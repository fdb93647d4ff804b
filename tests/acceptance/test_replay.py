"""After a restore: what was erased or disposed of goes again, and newcomers are left alone."""

import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.shop import LETTERS, NEW, NOW, OLD, SALES
from tests.acceptance.town import WHO, erase, people

SINCE = ("--since", f"{NOW:%Y-%m-%d}")


@pytest.fixture
def restored(busy):
    """Ten old letters and sales were disposed of; then both stores came back as they had been before."""
    shutil.copytree(busy.folder / "desk", busy.folder / "desk.bak")
    shutil.copy(busy.folder / "till.db", busy.folder / "till.bak")
    busy.told("apply", busy.plan())
    busy.told("audit", "verify")
    shutil.rmtree(busy.folder / "desk")
    shutil.copytree(busy.folder / "desk.bak", busy.folder / "desk")
    os.replace(busy.folder / "till.bak", busy.folder / "till.db")
    return busy


def test_what_is_back_is_found_and_goes_again_and_nothing_else(restored):
    restored.file("letters/newly-due.txt", OLD)
    restored.file("letters/00001.txt", NOW)
    restored.file("letters/00002.txt", OLD - timedelta(days=1))
    value = restored.json("replay", *SINCE)
    assert (value["back"], {r["rule"]: r["due"] for r in value["rules"]}) == (18, {"letters": 8, "sales": 10})
    newcomers = {"letters/00001.txt", "letters/00002.txt"}
    assert newcomers.isdisjoint(restored.steps(value["plan"])), "one of them is due by now, and was under no other rule"
    assert value["newcomers"] == len(newcomers)
    assert restored.entries("replayed")[0]["steps"] == 18
    assert len(restored.left()) == 16, "a replay plans, and destroys nothing by itself"
    restored.told("apply", value["plan"])
    assert restored.left() == {f"letters/{i:05}.txt" for i in (1, 2, *range(100, 105))} | {"letters/newly-due.txt"}
    assert len(restored.ids()) == 5
    assert restored.json("replay", *SINCE)["back"] == 0
    restored.told("audit", "verify")


def test_a_backup_that_keeps_whole_seconds_only_is_known_again(restored):
    for path in (restored.folder / "desk" / "letters").iterdir():
        os.utime(path, (int(path.stat().st_mtime), int(path.stat().st_mtime)))
    assert restored.json("replay", *SINCE)["back"] == 20


def test_what_went_before_starts_were_kept_is_known_by_what_was_due_then(restored):
    with closing(sqlite3.connect(restored.folder / "state" / "state.db")) as db, db:
        db.execute("UPDATE batch SET starts = NULL")
    restored.file("letters/00001.txt", NOW)
    restored.file("letters/00002.txt", OLD - timedelta(days=1))
    value = restored.json("replay", *SINCE)
    assert (value["back"], value["newcomers"]) == (19, 1)


def test_the_state_holds_no_start_of_what_went(restored):
    with closing(sqlite3.connect(restored.folder / "state" / "state.db")) as db:
        starts = db.execute("SELECT starts FROM batch").fetchall()
    assert all(len(known) == 16 + 80 for (known,) in starts)
    assert not any(int(OLD.timestamp()).to_bytes(8, "big") in known for (known,) in starts)


def test_what_went_before_the_backup_was_made_is_no_business_of_a_replay(restored):
    assert restored.json("replay", "--since", datetime.now(UTC).isoformat())["back"] == 0


def test_holds_of_today_win_over_a_replay(restored):
    restored.told("hold", "place", "H", "--reason", "r", "--mandate", "m", "--store", "till")
    value = restored.json("replay", *SINCE, "--yes")
    assert {r["rule"]: (r["due"], r["held"]) for r in value["rules"]} == {"letters": (10, 0), "sales": (0, 10)}
    assert len(restored.ids()) == 15


def test_a_store_that_is_down_is_said_and_the_others_are_replayed(restored):
    (restored.folder / "desk").rename(restored.folder / "away")
    value = restored.json("replay", *SINCE, code=5)
    (error,) = value["errors"]
    assert (error["rule"], error["code"]) == ("post/letters", "store-unavailable")
    assert value["back"] == 10
    restored.told("apply", value["plan"])
    (restored.folder / "away").rename(restored.folder / "desk")
    assert restored.json("replay", *SINCE, "--yes")["applied"]["counts"]["disposed"] == 10


def test_people_are_known_again_by_every_identifier_whatever_the_start(town):
    erase(town, "--yes")
    people(town)
    town.sql("UPDATE sales SET at = NULL WHERE id = 1")
    town.sale((60, "2999-01-01 00:00:00", "7", "x"))
    assert town.rule("sales")["erased"] == 1, "what has no date may be a newcomer's"
    value = town.json("replay", *SINCE, "--yes")
    assert {r["rule"]: r["due"] for r in value["rules"]} == {"sales": 2, "tickets": 2}
    assert town.ids() == {3, 60}
    assert town.json("erase", WHO, "--request", "R-1", "--reason", "r", "--plan")["rules"][0]["due"] >= 0
    town.told("audit", "verify")


def test_what_was_refused_and_never_went_is_not_back(town):
    town.told("hold", "place", "H", "--reason", "r", "--mandate", "m", "--subject", "customer=7", "--store", "till")
    erase(town, "--yes")
    value = town.json("replay", *SINCE)
    assert (value["back"], value["stayed"]) == (0, 2)
    assert "0 items had gone and are back" in town.told("replay", *SINCE).out
    town.file("tickets/7/a.txt", NEW)
    value = town.json("replay", *SINCE)
    assert (value["back"], value["stayed"]) == (1, 2), "what did go and came back is"


def test_a_row_that_came_back_in_clear_is_anonymised_again(bare):
    bare.category("trade", SALES.replace("action: delete", "action: {anonymise: {email: null}}"))
    bare.sales(3)
    bare.told("apply", bare.plan())
    assert bare.json("replay", *SINCE)["back"] == 0, "what is anonymised is not back"
    bare.sql("UPDATE sales SET email = 'c1@example.org' WHERE id = 1")
    assert bare.json("replay", *SINCE, "--yes")["applied"]["counts"]["disposed"] == 1
    assert bare.sql("SELECT count(*) FROM sales WHERE email IS NULL") == [(3,)]


def test_nothing_was_ever_written(bare):
    bare.category("post", LETTERS)
    bare.told("replay", *SINCE, code=5)


@pytest.mark.parametrize("when", ["yesterday", "", "2999-01-01"])
def test_a_time_that_is_none_or_is_still_to_come(busy, when):
    busy.plan()
    busy.told("replay", "--since", when, code=2)


def test_what_a_plan_has_seen_again_is_back_all_the_same(town):
    erase(town, "--yes")
    people(town)
    town.told("plan")
    value = town.json("replay", *SINCE)
    assert (value["back"], value["stayed"]) == (4, 0)
    assert town.json("replay", *SINCE)["back"] == 4, "the same question has the same answer"
