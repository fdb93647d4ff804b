"""Holds by subject and by predicate, placed while rows go: no intent that follows a hold lets its row go."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from retentiond.app.house import House
from tests.servers.databases import made
from tests.world import World, verified

PLACER = Path(__file__).with_name("placer_of_people.py")
ROWS = 8_000


@pytest.fixture
def another(postgres_server):
    """A database beside that of the state: a store may not lie in it."""
    with made("postgres", postgres_server) as database:
        yield database


def disposals(house):
    """(reference, index of its intent) of everything that went, by the evidence."""
    bodies = [json.loads(b) for b in house.ledger.entries(0, house.ledger.size())]
    outcomes = {b["intent"]: b for b in bodies if b["type"] == "outcome"}
    entries = [i for i, b in enumerate(bodies) if b["type"] in ("intent", "spared")]
    for index, (_run, _offset, refs) in zip(entries, house.ledger.refs(0, len(bodies)), strict=True):
        if index in outcomes:
            stayed = {at for positions in outcomes[index]["otherwise"].values() for at in positions}
            yield from ((refs[16 * at : 16 * at + 16], index) for at in range(len(refs) // 16) if at not in stayed)


def placer(world, kind, first, last, step):
    numbers = [str(number) for number in (first, last, step)]
    command = [sys.executable, str(PLACER), str(world.folder / "retentiond.yaml"), kind, *numbers]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert started.stdout.readline() == "begun\n"
    return started


@pytest.fixture(params=["sqlite", "postgres"])
def rows(request, tmp_path):
    """A world of many rows about one call each: state and store in files, or both in PostgreSQL."""
    state, on_server = "state", request.param == "postgres"
    if on_server:
        state = f"{{directory: state, database: '{request.getfixturevalue('postgres').url}'}}"
    world = World(tmp_path / "world", files=1, rows=ROWS, state=state)
    category = world.folder / "policies.d" / "calls.yaml"
    category.write_text(f"{category.read_text()}    subject: {{call: id}}\n")
    if on_server:
        database = request.getfixturevalue("another")
        database.sql("CREATE TABLE calls(id INTEGER PRIMARY KEY, at TIMESTAMP NOT NULL, caller TEXT)")
        with closing(sqlite3.connect(world.folder / "pbx.db")) as db:
            database.many("INSERT INTO calls VALUES(%s, %s, %s)", db.execute("SELECT id, at, caller FROM calls").fetchall())
        settings = world.folder / "retentiond.yaml"
        settings.write_text(settings.read_text().replace("sqlite:///pbx.db", database.url))
        world.rows_left = lambda: {i for (i,) in database.sql("SELECT id FROM calls")}
    return world


def test_holds_by_subject_and_by_predicate_race_a_running_apply(rows):
    """No row goes by an intent that follows a hold on it, however the hold means it."""
    plan = rows.run("plan")["plan"]
    placers = [placer(rows, "subject", 1, ROWS, 16), placer(rows, "where", ROWS - 1, 0, -400)]
    done = rows.run("apply", plan)
    for one in placers:
        assert one.wait(timeout=120) == 0
        one.stdout.close()
    with House(str(rows.folder / "retentiond.yaml")) as house:
        holds = {int(h.id.split("-")[-1]): h.entry for h in house.holds.all()}
        year, category = house.memory.reference_scopes()[0]
        references = house.references(year)(category, "pbx")
        named = {references.of(f"calls/{i}"): i for i in rows.due_rows}
        gone = [(named[reference], intent) for reference, intent in disposals(house) if reference in named]
    assert all(intent < holds.get(row, intent + 1) for row, intent in gone), "an intent that follows a hold let its row go"
    left = rows.rows_left()
    assert {row for row, _ in gone} | left >= set(rows.due_rows), "gone without evidence"
    assert done["counts"]["held"] > 0, "the race was one"
    verified(rows)
