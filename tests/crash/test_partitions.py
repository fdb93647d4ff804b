"""Partitions of more rows than an intent has: one act with several intents, cut short or come upon by others."""

import threading
from contextlib import closing

import psycopg
import pytest

from tests.crash.rows import Rows
from tests.crash.test_rows import bodies, finish, planned
from tests.world import check_invariants

MANY = 11_000


@pytest.fixture
def world(served, tmp_path):
    """The first partition has rows for three intents, the second one for one."""
    return Rows(tmp_path / "world", served, rows=MANY + 600, partitioned=True, ends=(MANY + 1, MANY + 501))


def intents(world):
    return [entry["count"] for entry in bodies(world) if entry["type"] == "intent" and entry["store"] == "pbx"]


def test_all_intents_of_a_partition_commit_before_it_goes(world):
    counts = world.run("apply", planned(world))["counts"]
    assert {"disposed": MANY + 620} == {name: n for name, n in counts.items() if n}
    assert ["p3"] == world.parts()
    assert [5000, 5000, 1000, 500, 100] == intents(world)
    check_invariants(world, finished=True)


@pytest.mark.parametrize(("arrow", "nth"), [("intent-committed", 2), ("destroyed", 2), ("outcome-committed", 3)])
def test_killed_in_the_act_it_is_looked_at_part_by_part(world, arrow, nth):
    """The outcome of a partition that went unheard names each position as inferred, and still fits into an entry."""
    plan = planned(world)
    assert world.killed_at(arrow, nth, "apply", plan) == -9
    check_invariants(world, finished=False)
    finish(world, plan)
    assert ["p3"] == world.parts()


@pytest.mark.parametrize("arrow", ["claimed", "intent-written", "intent-committed"])
def test_the_session_is_killed_under_it(world, arrow):
    plan = planned(world)
    assert world.disturbed(arrow, world.cut_off, "apply", plan, nth=2) in (0, 1, 5)
    check_invariants(world, finished=False)
    finish(world, plan)


def test_a_partition_with_a_held_row_does_not_keep_the_next_one_from_going_whole(world):
    world.run("hold", "place", "H", "--reason", "r", "--mandate", "m", "--store", "pbx", "--path", "calls/600")
    counts = world.run("apply", planned(world))["counts"]
    assert {"disposed": MANY + 619} == {name: n for name, n in counts.items() if n}, "each of the others once"
    assert ["p1", "p3"] == world.parts()
    assert {600, *world.kept_rows, world.held_row} == world.rows_left()


def test_a_hold_that_comes_while_a_partition_is_compared_is_obeyed(world):
    """It was not looked at, so nothing goes in one act; and each batch of the rows reads the holds anew."""
    plan = planned(world)

    def hold():
        assert 0 == world.here("hold", "place", "H", "--reason", "r", "--mandate", "m", "--store", "pbx", "--path", "calls/600")

    assert 0 == world.disturbed("compared", hold, "apply", plan, nth=2)
    assert ["p1", "p3"] == world.parts()
    assert {600, *world.kept_rows, world.held_row} == world.rows_left()


def test_who_reads_the_table_waits_for_no_comparison(postgres, tmp_path):
    world = Rows(tmp_path / "world", postgres, partitioned=True)
    plan, seen = planned(world), []
    with closing(postgres.connect()) as reader:
        reader.execute("SET statement_timeout = '5s'")
        world.disturbed("compared", lambda: seen.extend(reader.execute("SELECT count(*) FROM calls")), "apply", plan, nth=2)
    assert [(2521,)] == seen
    assert ["p3"] == world.parts()


def test_who_waits_to_write_is_not_driven_into_a_deadlock(postgres, tmp_path):
    """A writer has locked the table before it waits for the partition, which then goes row by row."""
    world = Rows(tmp_path / "world", postgres, partitioned=True)
    plan, said = planned(world), []
    writer = threading.Thread(target=lambda: said.append(_written(postgres)))

    def begin():
        writer.start()
        while not postgres.sql("SELECT 1 FROM pg_locks WHERE NOT granted"):
            pass

    assert 0 == world.disturbed("compared", begin, "apply", plan, nth=2)
    writer.join(30)
    assert ["written"] == said
    assert ["p1", "p3"] == world.parts()
    assert {0, *world.kept_rows, world.held_row} == world.rows_left()


def _written(database):
    with closing(database.connect()) as con:
        try:
            con.execute("INSERT INTO calls VALUES (0, NULL, 'late')")
        except psycopg.Error as error:
            return error.sqlstate
    return "written"


def test_what_the_server_refuses_in_the_end_goes_row_by_row(mariadb, tmp_path):
    """An account that may lock and not drop: its intents stand already, and its rows go under them."""
    world = Rows(tmp_path / "world", mariadb, partitioned=True)
    mariadb.sql(
        "CREATE OR REPLACE USER keeper@'127.0.0.1'",
        f"GRANT SELECT, DELETE, LOCK TABLES ON {mariadb.name}.* TO keeper@'127.0.0.1'",
    )
    world.tell("//test@", "//keeper@")  # the address and its user belong to what a plan names
    world.run("apply", planned(world))
    assert ["p1", "p2", "p3"] == world.parts()
    check_invariants(world, finished=True)
