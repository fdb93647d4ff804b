"""SQL, no faster than others can follow: transactions that take long become smaller, and replicas are waited for."""

import os
import threading
from contextlib import closing

import psycopg
import pymysql
import pytest

from retentiond.core.policy import Action
from retentiond.engine import failpoints
from retentiond.engine.ports import PAGE, Batch
from retentiond.errors import RetentiondError, StoreUnavailable
from retentiond.stores.sql import SqlType
from retentiond.stores.sql.pace import LEAST, MOST, Pace
from retentiond.stores.sql.pace import Replica as Follower
from retentiond.stores.sql.store import SqlStore
from tests.servers.databases import Database, made
from tests.servers.keeper import free_port
from tests.servers.own import LOGGING, Own, Replica, Standby
from tests.stores.served import act, look
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
    for _ in range(6):
        pace.took(pace.rows(), 0.1)
    assert MOST == pace.rows()
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


def troubles(database, url):
    """What `check` is told of a replica."""
    with look(database, replicas=[url]) as view:
        told = [text for text in view.warnings(scope("calls")) if "replica" in text]
        assert told == [text for text in view.warnings(scope("calls")) if "replica" in text], "it is asked once"
        return told


def test_check_tells_of_a_replica_that_cannot_say_how_far_it_is_behind(served):
    served.sql("CREATE TABLE calls (id INT PRIMARY KEY, at TIMESTAMP NULL)")
    (told,) = troubles(served, served.url)
    assert f"/{served.name} is behind or cannot say: it follows nobody" in told
    nowhere = served.url.replace(served.url.rpartition(":")[2].partition("/")[0], str(free_port()))
    (told,) = troubles(served, nowhere)
    assert "the database cannot be reached" in told


def test_check_names_the_privilege_that_asking_a_replica_takes(mariadb):
    mariadb.sql("CREATE TABLE calls (id INT PRIMARY KEY, at TIMESTAMP NULL)")
    user = f"follower_{os.getpid()}"
    mariadb.sql(f"CREATE USER {user}", f"GRANT SELECT ON {mariadb.name}.* TO {user}")
    try:
        (told,) = troubles(mariadb, mariadb.as_user(user))
        assert (
            f"the account may not ask how far it is behind; a privilege is missing; grant SLAVE MONITOR on *.* to '{user}'"
            in told
        )
    finally:
        mariadb.sql(f"DROP USER {user}")


def test_check_says_nothing_of_a_replica_that_keeps_up_and_by_how_much_one_is_behind(pair):
    database, follower = pair
    there = filled(database, follower)
    with closing(there.con):
        until(lambda: not troubles(database, there.url))
        there.sql(HALT[database.kind])
        database.sql("UPDATE calls SET at = '2020-01-02'")
        until(lambda: troubles(database, there.url))
        there.sql(GO_ON[database.kind])


def paced(database, urls, patience, most=0.0):
    """A store that waits for replicas no longer than a test does."""
    replicas = [Follower(lambda url=url: SqlType().look({"url": url}).database) for url in urls]
    return SqlStore(SqlType().act({"url": database.url}).database, Pace(replicas, most, patience))


@pytest.fixture(scope="module", params=["postgres", "mariadb"])
def pair(request):
    """A server and one that follows it."""
    kind = request.param
    primary = Own(kind, LOGGING[kind])
    try:
        primary.start()
        follower = Standby(primary) if kind == "postgres" else Replica(primary)
        try:
            if kind == "mariadb":
                follower.start()
            with made(kind, primary.address) as database:
                yield database, follower.start() if kind == "postgres" else follower
        finally:
            follower.close()
    finally:
        primary.close()


HALT = {"postgres": "SELECT pg_wal_replay_pause()", "mariadb": "STOP SLAVE SQL_THREAD"}
GO_ON = {"postgres": "SELECT pg_wal_replay_resume()", "mariadb": "START SLAVE SQL_THREAD"}
WHY = {"postgres": "behind", "mariadb": "not known"}
"""A PostgreSQL that is paused says how far it is behind; a MariaDB whose thread is stopped does not know."""


def filled(database, follower):
    """The address of the follower's database, and a connection to it, once it has got 30 rows of `calls`."""
    many = "generate_series(1, 30) n" if database.kind == "postgres" else "(SELECT seq AS n FROM seq_1_to_30) AS x"
    database.sql(
        "DROP TABLE IF EXISTS calls",
        "CREATE TABLE calls (id INT PRIMARY KEY, at TIMESTAMP NULL)",
        f"INSERT INTO calls SELECT n, '2020-01-01' FROM {many}",
    )
    there = Database(database.kind, follower.address, database.name)
    until(lambda: rows_there(there) == 30)
    there.con = there.connect()
    return there


def rows_there(database):
    try:
        with closing(database.connect()) as con, closing(con.cursor()) as cursor:
            cursor.execute("SELECT count(*) FROM calls")
            return cursor.fetchone()[0]
    except (psycopg.Error, pymysql.Error):
        return None


def until(what):
    """Waits until something is so; each look asks a server, and the runner of the tests ends what never is."""
    while not what():
        pass


def test_a_replica_is_waited_for(pair):
    database, follower = pair
    there = filled(database, follower)
    with closing(there.con), closing(SqlType().look({"url": there.url})) as look:
        plan = list(everything(look, scope("calls")).items())
        with closing(paced(database, [there.url], patience=60)) as store:
            assert {DISPOSED} == set(fates(store, scope("calls"), dict(plan[:10])).values())
        there.sql(HALT[database.kind])
        database.sql("UPDATE calls SET at = '2020-01-02'")
        with closing(paced(database, [there.url], patience=1)) as store:
            plan = list(everything(store, scope("calls")).items())
            with pytest.raises(StoreUnavailable, match=WHY[database.kind]):
                fates(store, scope("calls"), dict(plan))
        assert 20 == database.sql("SELECT count(*) FROM calls")[0][0], "nothing goes meanwhile"
        said, asked = {}, threading.Event()
        with closing(paced(database, [there.url], patience=60)) as store:
            store.heed(asked.set)  # gives no reason to stop; it is asked while the store waits
            thread = threading.Thread(target=lambda: said.update(fates(store, scope("calls"), dict(plan))))
            thread.start()
            assert asked.wait(30), "it waits"
            assert 20 == database.sql("SELECT count(*) FROM calls")[0][0]
            there.sql(GO_ON[database.kind])
            thread.join(60)
        assert {DISPOSED} == set(said.values())
        until(lambda: rows_there(there) == 0)


def test_a_mariadb_that_lags_says_by_how_much(pair):
    """Its thread runs, and waits for a table that somebody has locked there."""
    database, follower = pair
    if database.kind != "mariadb":
        pytest.skip("a paused PostgreSQL says it as well, in the test before")
    there = filled(database, follower)
    with closing(there.con):
        there.sql("LOCK TABLES calls WRITE")
        database.sql("UPDATE calls SET at = '2020-01-02'")
        replica = Follower(lambda: SqlType().look({"url": there.url}).database)
        with closing(replica):
            until(lambda: (replica.lag() or 0) >= 1)
        with closing(paced(database, [there.url], patience=1, most=0.5)) as store:
            plan = everything(store, scope("calls"))
            with pytest.raises(StoreUnavailable, match="too far behind"):
                fates(store, scope("calls"), plan)
        there.sql("UNLOCK TABLES")
        with closing(paced(database, [there.url], patience=60, most=0.5)) as store:
            assert {DISPOSED} == set(fates(store, scope("calls"), plan).values())


@pytest.mark.parametrize("stopped", [1, 2])
def test_a_reason_to_stop_is_heard_while_a_replica_is_waited_for(served, stopped):
    """Nothing is said of what is left of the batch, and nothing of it is gone."""
    served.sql("CREATE TABLE calls (id INT PRIMARY KEY, at TIMESTAMP NULL)", "INSERT INTO calls VALUES (1, '2020-01-01')")
    asked = []

    def stop():
        asked.append(1)
        return "enough" if len(asked) >= stopped else None

    with closing(paced(served, [served.url], patience=300)) as store:
        store.heed(stop)
        assert store.is_behind()
        plan = everything(store, scope("calls"))
        batch = Batch(1, scope("calls"), Action("delete"), list(plan), list(plan.values()), store="till")
        assert [] == list(store.dispose(batch))
        store.catch_up()
    assert [(1,)] == served.sql("SELECT id FROM calls")


def test_a_replica_that_is_down_is_of_unknown_lag(pair):
    database, standby = pair
    standby.stop()
    replica = Follower(lambda: SqlType().look({"url": Database(database.kind, standby.address, database.name).url}).database)
    assert replica.lag() is None
    with closing(SqlType().act({"url": database.url})) as store, pytest.raises(RetentiondError):
        SqlStore(store.database, Pace([replica], patience=0.1))._pace.rows()
