"""Rows on a server: the program killed, its session killed, the server killed and started again, and holds that race it."""

import json
import subprocess
import sys
from contextlib import closing, contextmanager, suppress

import pymysql
import pytest

from retentiond.app.house import House
from tests.crash.rows import Rows
from tests.crash.test_race import PLACER
from tests.servers.databases import Database, connected
from tests.servers.own import Own
from tests.world import check_invariants, verified

KEEPS = {"postgres": ("--fsync=on", "--full_page_writes=on"), "mariadb": ("--innodb-flush-log-at-trx-commit=1",)}
"""What makes a server keep each commit when it is killed."""
ARROWS = ("intent-committed", "claimed", "compared", "destroyed", "settled", "outcome-committed")


def finish(world, plan):
    assert world.here("apply", plan) == 0
    check_invariants(world, finished=True)
    before = verified(world).totals.entries
    assert world.here("apply", plan) == 0
    assert verified(world).totals.entries == before, "running again changes nothing"


def planned(world):
    world.hold()
    return world.run("plan")["plan"]


@pytest.fixture(params=[False, True], ids=["rows", "partitions"])
def world(request, served, tmp_path):
    return Rows(tmp_path / "world", served, partitioned=request.param)


@pytest.mark.parametrize("arrow", ARROWS)
def test_killed_at_an_arrow(world, arrow):
    """At the second batch of the rows: the first one is that of the files."""
    plan = planned(world)
    assert world.killed_at(arrow, 2, "apply", plan) == -9
    assert world.here("clock") == 0
    check_invariants(world, finished=False)
    finish(world, plan)


@pytest.mark.parametrize("arrow", ["intent-committed", "claimed", "compared", "destroyed", "settled"])
def test_the_session_is_killed_under_it(world, arrow):
    plan = planned(world)
    code = world.disturbed(arrow, world.cut_off, "apply", plan, nth=2)
    assert code in (0, 1, 5), "what becomes of a batch is told: done, failed, or not known yet"
    check_invariants(world, finished=False)
    finish(world, plan)


def test_a_partition_goes_as_a_whole_with_the_evidence_of_its_rows(served, tmp_path):
    world = Rows(tmp_path / "world", served, partitioned=True)
    counts = world.run("apply", planned(world))["counts"]
    assert 2520 == counts["disposed"]
    assert ["p3"] == world.parts()
    check_invariants(world, finished=True)
    entries = bodies(world)
    assert [1200, 1200, 100] == [b["count"] for b in entries if b["type"] == "intent" and b["store"] == "pbx"]


@pytest.mark.parametrize("odd", ["changed", "came", "hold", "held in the store", "referred", "trigger"])
def test_a_partition_with_an_odd_row_is_emptied_row_by_row(served, tmp_path, odd):
    world = Rows(tmp_path / "world", served, partitioned=True)
    plan = planned(world)
    if odd == "changed":
        served.sql("UPDATE calls SET caller = 'y' WHERE id = 600")
    elif odd == "came":
        served.sql("DELETE FROM calls WHERE id = 600", "INSERT INTO calls VALUES (600, NULL, 'new')")
    elif odd == "hold":
        world.run("hold", "place", "H", "--reason", "r", "--mandate", "m", "--store", "pbx", "--path", "calls/600")
    elif odd == "held in the store":
        world.run("hold", "place", "H", "--reason", "r", "--mandate", "m", "--store", "pbx", "--where", "id = 600")
    elif odd == "referred":
        if served.kind == "mariadb":
            pytest.skip("nothing can refer to a partitioned table of MariaDB")
        served.sql("CREATE TABLE notes (call_id BIGINT REFERENCES calls (id))", "INSERT INTO notes VALUES (600)")
    else:
        body = "EXECUTE FUNCTION seen()" if world.is_postgres else "SET @seen = 1"
        if world.is_postgres:
            served.sql("CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN old; END'")
        served.sql(f"CREATE TRIGGER seen AFTER DELETE ON calls FOR EACH ROW {body}")
    world.run("apply", plan)
    left = {*world.kept_rows, world.held_row} | ({600} if odd != "trigger" else set())
    assert left == world.rows_left()
    whole = [] if odd in ("referred", "trigger") else ["p2"]
    assert [name for name in ("p1", "p2", "p3") if name not in whole] == world.parts()


def bodies(world):
    with House(str(world.folder / "retentiond.yaml")) as house:
        return [json.loads(body) for body in house.ledger.entries(0, house.ledger.size())]


# Holds that race


def test_holds_race_a_running_apply_on_a_server(served, tmp_path):
    """Each hold is read by an intent, or commits after it; and what a hold was in time for is still there."""
    world = Rows(tmp_path / "world", served, rows=12_000)
    plan = planned(world)
    command = [sys.executable, str(PLACER), str(world.folder / "retentiond.yaml"), "A", "pbx", "calls/{}", "1", "12001", "12"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as placer:
        assert placer.stdout.readline() == "begun\n"
        done = world.run("apply", plan)
        assert placer.wait(timeout=120) == 0
    with House(str(world.folder / "retentiond.yaml")) as house:
        holds = {h.path: h.entry for h in house.holds.all()}
        year, category = house.memory.reference_scopes()[0]
        references = house.references(year)(category, "pbx")
        named = {references.of(f"calls/{i}"): f"calls/{i}" for i in world.due_rows}
        ranges = [r for _, _, r in house.ledger.refs(0, house.ledger.size())]
    entries = bodies(world)
    intents = [i for i, b in enumerate(entries) if b["type"] in ("intent", "spared")]
    for index, refs in zip(intents, ranges, strict=True):
        if entries[index]["type"] == "intent" and entries[index]["store"] == "pbx":
            keys = (named.get(refs[at : at + 16]) for at in range(0, len(refs), 16))
            assert all(holds.get(key, index) >= index for key in keys), "an intent follows a hold that covers its item"
    left = world.rows_left()
    assert {key for key, entry in holds.items() if key and key.startswith("calls/") and entry < min(intents)} <= {
        f"calls/{i}" for i in left
    }
    assert 0 < done["counts"]["held"] <= len(left)
    verified(world)


# The server itself


@contextmanager
def alone(kind):
    """A server with one database, whose commits are kept; everything goes with it."""
    server = Own(kind, KEEPS[kind])
    try:
        first = "postgres" if kind == "postgres" else "mysql"
        with closing(connected(kind, server.start().address, first)) as con, closing(con.cursor()) as cursor:
            cursor.execute("CREATE DATABASE calls")
        yield server, Database(kind, server.address, "calls", connected(kind, server.address, "calls"))
    finally:
        server.close()


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_the_server_dies_and_is_started_again(kind, tmp_path):
    """Between intent and outcome, in the transaction and after it; the same plan goes on each time, and finishes."""
    with alone(kind) as (server, database):
        world = Rows(tmp_path / "world", database, rows=4500)
        plan = planned(world)

        def restart():
            with suppress(pymysql.Error):  # it knows that the server has gone
                database.con.close()
            server.restart()
            database.con = database.connect()

        for arrow in ("intent-committed", "destroyed", "settled"):
            code = world.disturbed(arrow, restart, "apply", plan, nth=2)
            assert code in (0, 1, 5)
            check_invariants(world, finished=False)
        finish(world, plan)
        database.con.close()
