"""SQL, no faster than others can follow: transactions that take long become smaller, and replicas are waited for."""

import threading
from contextlib import closing

import pytest

from retentiond.engine import failpoints
from retentiond.engine.ports import PAGE
from retentiond.errors import RetentiondError, StoreUnavailable
from retentiond.stores.sql import SqlType
from retentiond.stores.sql.pace import LEAST, Pace, Replica
from retentiond.stores.sql.store import SqlStore
from tests.servers.databases import Database, connected, made
from tests.servers.own import Own, Standby
from tests.stores.served import act
from tests.stores.tables import DISPOSED, everything, fates, scope


def test_a_transaction_that_takes_long_makes_the_next_one_smaller_and_quick_ones_let_it_grow():
    pace = Pace()
    assert PAGE == pace.rows()
    pace.took(PAGE, 4.0)
    assert PAGE // 4 == pace.rows()
    pace.took(PAGE // 4, 0.7)
    assert PAGE // 4 == pace.rows(), "a second is what one may take"
    pace.took(10, 0.1)
    assert PAGE // 4 == pace.rows(), "a batch that was small anyway tells nothing"
    for _ in range(3):
        pace.took(pace.rows(), 0.1)
    assert PAGE == pace.rows()
    pace.took(1, 3600.0)
    assert LEAST == pace.rows()


def test_slow_rows_go_in_smaller_transactions(postgres):
    postgres.sql(
        "CREATE TABLE calls (id INT PRIMARY KEY, at TIMESTAMP)",
        "INSERT INTO calls SELECT n, '2020-01-01' FROM generate_series(1, 600) n",
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.005); RETURN old; END'",
        "CREATE TRIGGER slow BEFORE DELETE ON calls FOR EACH ROW EXECUTE FUNCTION slow()",
    )
    with act(postgres) as store:
        plan = list(everything(store, scope("calls")).items())
        assert {DISPOSED} == set(fates(store, scope("calls"), dict(plan[:400])).values())
        reached = []
        failpoints.watch(reached.append)
        try:
            assert {DISPOSED} == set(fates(store, scope("calls"), dict(plan[400:])).values())
        finally:
            failpoints.watch(None)
    assert reached.count("settled") > 1


PROBLEMS = {
    "is no list": "no address",
    "names none": [],
    "another kind": ["mysql+pymysql://u@h/d"],
    "a file": ["sqlite:////x.db"],
    "a password": ["postgresql://u:secret@h/d"],
    "a key": {"urls": ["postgresql://u@h/d"], "delay": "5 s"},
    "a lag": {"urls": ["postgresql://u@h/d"], "lag": "soon"},
}


@pytest.mark.parametrize("said", PROBLEMS.values(), ids=PROBLEMS.keys())
def test_replicas_that_cannot_be_meant_are_refused(said):
    assert [("replicas", said)] != list(SqlType().problems({"url": "postgresql://u@h/d"}))
    found = list(SqlType().problems({"url": "postgresql://u@h/d", "replicas": said}))
    assert ["replicas"] == [option for option, _ in found]
    assert "secret" not in str(found)


def test_replicas_are_a_list_or_say_how_far_they_may_be_behind():
    for said in (["postgresql://u@h/d"], {"urls": ["postgresql://u@h/d"], "lag": "500 ms"}):
        assert [] == list(SqlType().problems({"url": "postgresql://u@h/d", "replicas": said}))


def test_a_server_that_follows_nobody_is_a_replica_of_unknown_lag(served):
    served.sql("CREATE TABLE calls (id INT PRIMARY KEY, at TIMESTAMP NULL)", "INSERT INTO calls VALUES (1, '2020-01-01')")
    with closing(paced(served, [served.url], patience=0.2)) as store:
        plan = everything(store, scope("calls"))
        with pytest.raises(StoreUnavailable, match="not known"):
            fates(store, scope("calls"), plan)
    assert [(1,)] == served.sql("SELECT id FROM calls")


def paced(database, urls, patience, most=0.0):
    """A store that waits for replicas no longer than a test does."""
    replicas = [Replica(lambda url=url: SqlType().look({"url": url}).database) for url in urls]
    return SqlStore(SqlType().act({"url": database.url}).database, Pace(replicas, most, patience))


@pytest.fixture(scope="module")
def pair():
    """A server and one that follows it."""
    primary = Own("postgres", ("--wal_level=replica",))
    try:
        with made("postgres", primary.start().address) as database:
            standby = Standby(primary)
            try:
                yield database, standby.start()
            finally:
                standby.close()
    finally:
        primary.close()


def test_a_replica_is_waited_for(pair):
    database, standby = pair
    database.sql(
        "CREATE TABLE calls (id INT PRIMARY KEY, at TIMESTAMP)",
        "INSERT INTO calls SELECT n, '2020-01-01' FROM generate_series(1, 30) n",
    )
    follower = Database("postgres", standby.address, database.name)
    with (
        closing(connected("postgres", standby.address, "postgres")) as there,
        closing(SqlType().look({"url": follower.url})) as look,
    ):
        plan = list(everything(look, scope("calls")).items())
        with closing(paced(database, [follower.url], patience=60)) as store:
            assert {DISPOSED} == set(fates(store, scope("calls"), dict(plan[:10])).values())
        there.execute("SELECT pg_wal_replay_pause()")
        database.sql("UPDATE calls SET at = at")
        with closing(paced(database, [follower.url], patience=1)) as store:
            plan = list(everything(store, scope("calls")).items())
            with pytest.raises(StoreUnavailable, match="behind"):
                fates(store, scope("calls"), dict(plan))
        assert 20 == database.sql("SELECT count(*) FROM calls")[0][0], "nothing goes meanwhile"
        said = {}
        with closing(paced(database, [follower.url], patience=60)) as store:
            thread = threading.Thread(target=lambda: said.update(fates(store, scope("calls"), dict(plan))))
            thread.start()
            there.execute("SELECT pg_wal_replay_resume()")
            thread.join(60)
    assert {DISPOSED} == set(said.values())


def test_a_replica_that_is_down_is_of_unknown_lag(pair):
    database, standby = pair
    standby.stop()
    replica = Replica(lambda: SqlType().look({"url": Database("postgres", standby.address, database.name).url}).database)
    assert replica.lag() is None
    with closing(SqlType().act({"url": database.url})) as store, pytest.raises(RetentiondError):
        SqlStore(store.database, Pace([replica], patience=0.1))._pace.rows()
