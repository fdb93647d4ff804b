"""The ledger keeps its promises in either database: order, one moment for readers, nothing after a lost connection."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import pytest

from retentiond.errors import StateUnavailable
from retentiond.ledger.clock import Reading
from retentiond.ledger.ledger import Ledger
from retentiond.ledger.postgres import Postgres
from retentiond.ledger.snapshot import snapshot
from tests.engine.office import Office
from tests.servers.databases import CUT_OFF, made

NOW = 1_795_000_000_000_000


def clock():
    return Reading(NOW, NOW, "boot")


def opened(database):
    return closing(Ledger(database, clock))


def bodies(ledger):
    return [json.loads(body) for body in ledger.entries(0, ledger.size())]


def in_one(ledger, act):
    """A transaction in which something happens between two entries."""
    with ledger.transaction() as change:
        change.write("heartbeat")
        act()
        change.write("heartbeat")


def test_entries_of_many_writers_are_numbered_without_a_gap(database):
    """What each transaction read is still so when it commits: they count a fact up together, and none is lost."""
    together = Barrier(4)

    def work(_):
        with opened(database) as ledger:
            together.wait()
            for _ in range(25):
                with ledger.transaction() as change:
                    seen = int(change.fact("count") or 0)
                    index = change.write("heartbeat")
                    assert index == seen, "an entry's number is its place in the order of commits"
                    change.set_fact("count", str(seen + 1))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    with opened(database) as ledger:
        assert [body["type"] for body in bodies(ledger)] == ["heartbeat"] * 100


def test_a_run_with_holds_and_a_crash_goes_the_same_way(database, tmp_path):
    office = Office(tmp_path, database=database)
    with closing(office.ledger):
        office.hold("H", path="item-03")
        assert office.run() == {"disposed": 24, "held": 1}
        assert {key for key, fates in office.fates().items() if fates == ["held"]} == {"item-03"}
        assert [run["ended"] for run in office.runs.all()] == [None]
        assert office.runs.open_intents() == []
        reference = office.journal()._references("c", "memory").of("item-24")
        (found,) = office.runs.batches_with("c", reference)
        assert (found.position, found.outcome is not None) == (4, True)


def test_a_transaction_that_raises_never_happened(database):
    with opened(database) as ledger:
        ledger.begin_log()
        with pytest.raises(ZeroDivisionError):
            in_one(ledger, lambda: 1 // 0)
        assert [body["type"] for body in bodies(ledger)] == ["log-started"]


def test_a_reader_sees_one_moment_waits_for_nobody_and_changes_nothing(database):
    with opened(database) as ledger, opened(database) as other:
        ledger.begin_log()
        with other.transaction() as change:
            change.write("heartbeat")
            with snapshot(database, clock) as seen:
                assert seen.size() == 1
                assert seen.bytes() > 0
        with snapshot(database, clock) as seen:
            assert seen.size() == 2
            ledger.accept_clock("0" * 32)
            assert seen.size() == 2, "it stays at its moment"
            with pytest.raises(StateUnavailable):
                seen.beat() or seen.accept_clock("0" * 32)
        assert ledger.size() == 3


def test_looking_at_a_state_that_is_not_there_makes_none(database):
    assert not database.exists()
    with pytest.raises(StateUnavailable), snapshot(database, clock):
        raise AssertionError
    assert not database.exists()
    with opened(database):
        assert database.exists()


# What is PostgreSQL's alone


@pytest.fixture
def at(postgres):
    return Postgres(postgres.url)


def test_a_killed_connection_loses_its_transaction_and_no_other(at, postgres):
    with opened(at) as ledger:
        ledger.begin_log()
        with pytest.raises(StateUnavailable, match="state cannot be used"):
            in_one(ledger, lambda: kill(postgres))
        assert ledger.size() == 1, "the next transaction has a connection of its own"
        kill(postgres)
        with pytest.raises(StateUnavailable) as told:
            ledger.size()
        assert "connection" in told.value.why
        assert ledger.size() == 1


def kill(postgres):
    assert postgres.sql(CUT_OFF)


def test_habits_of_the_server_or_the_role_do_not_weaken_a_commit(at, postgres):
    habits = {
        "synchronous_commit": "off",
        "default_transaction_isolation": "repeatable read",
        "default_transaction_read_only": "on",
        "lock_timeout": "0",
    }
    for name, value in habits.items():
        postgres.sql(f"ALTER DATABASE {postgres.name} SET {name} = '{value}'")
    try:
        with opened(at) as ledger, ledger.transaction() as change:
            change.write("heartbeat")
            ask = change.connection.exec_driver_sql
            found = {name: ask(f"SHOW {name}").scalar() for name in (*habits, "transaction_isolation")}
    finally:
        postgres.sql(f"ALTER DATABASE {postgres.name} RESET ALL")
    assert found == {
        "synchronous_commit": "on",
        "default_transaction_isolation": "read committed",
        "default_transaction_read_only": "off",
        "lock_timeout": "30s",
        "transaction_isolation": "read committed",
    }


def test_the_password_is_asked_for_and_stands_in_no_message(postgres):
    at = Postgres(postgres.url, lambda: "swordfish")
    with opened(at) as ledger, ledger.transaction() as change:
        assert change.connection.connection.driver_connection.info.password == "swordfish"
    away = Postgres(postgres.url.replace(postgres.name, "nowhere"), lambda: "swordfish")
    with pytest.raises(StateUnavailable) as told, opened(away):
        raise AssertionError
    assert not {"swordfish", "nowhere", "127.0.0.1"} & set(
        f"{told.value} {told.value.why} {told.value.do}".replace(":", " ").split()
    )


def test_a_database_that_cannot_hold_the_state_is_refused(postgres, postgres_server):
    with made("postgres", postgres_server) as other:
        other.sql(f"ALTER DATABASE {other.name} SET search_path = 'nowhere'")
        with pytest.raises(StateUnavailable, match="cannot hold the state") as told, opened(Postgres(other.url)):
            raise AssertionError
        assert "search_path" in told.value.why


def test_an_account_that_may_not_make_tables_is_told_so(postgres):
    role = f"{postgres.name}_role"
    postgres.sql("REVOKE CREATE ON SCHEMA public FROM public", f"CREATE ROLE {role} LOGIN")
    try:
        with pytest.raises(StateUnavailable) as told, opened(Postgres(postgres.as_user(role))):
            raise AssertionError
        assert "may not do this" in told.value.why
    finally:
        postgres.sql(f"DROP ROLE {role}")


def test_a_schema_with_tables_of_another_program_is_left_alone(at, postgres):
    postgres.sql("CREATE TABLE plan (something integer)")
    with pytest.raises(StateUnavailable) as told, opened(at):
        raise AssertionError
    assert "tables of another program" in told.value.why
    assert postgres.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == [("plan",)]
