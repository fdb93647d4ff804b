"""Applying: never more than the plan, less where things have changed, and not at all with a plan that cannot be used."""

import dataclasses
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta

import pytest

from retentiond.app.house import House, read_clock
from retentiond.app.planning import make_plan
from tests.acceptance.shop import LETTERS, NEW, SALES, Shop, ordinary
from tests.world import CHILD

COUNTS = ["disposed", "inferred", "gone", "changed", "held", "locked", "failed", "unknown"]


def counts(value):
    return {name: n for name, n in value["counts"].items() if n}


def unusable(shop, plan, *args):
    """Applying fails with 4, says why, and nothing has gone; its words."""
    files, ids = shop.left(), shop.ids()
    (error,) = shop.json("apply", plan, *args, code=4)["errors"]
    assert (shop.left(), shop.ids()) == (files, ids)
    assert error["code"] == "plan"
    return error["what"]


def test_what_is_due_goes_and_everything_else_stays(busy):
    plan = busy.plan()
    value = busy.json("apply", plan)
    assert list(value["counts"]) == COUNTS
    assert counts(value) == {"disposed": 20}
    assert value["plan"] == plan
    assert re.fullmatch("[0-9a-f]{8,32}", value["run"])
    assert value["checkpoint"].keys() == {"size", "root"}
    assert busy.left() == {f"letters/{i:05}.txt" for i in range(100, 105)}
    assert busy.ids() == set(range(100, 105))
    (run,) = busy.json("runs")["runs"]
    assert (run["run"], run["plan"], run["allowed_by"], run["counts"]) == (value["run"], plan, "person", {"disposed": 20})
    busy.told("audit", "verify")


def test_applying_again_changes_nothing(busy):
    plan = busy.plan()
    first = busy.json("apply", plan)
    before = busy.traces()
    again = busy.json("apply", plan)
    assert counts(again) == {}
    assert again["checkpoint"] == first["checkpoint"], "not even an entry"
    assert busy.traces() == before
    assert busy.json("plan")["rules"][0]["due"] == 0


def test_what_came_after_the_plan_is_not_in_it(busy):
    plan = busy.plan()
    busy.letters(3, first=500)
    busy.sales(3, first=500)
    assert counts(busy.json("apply", plan)) == {"disposed": 20}
    assert {f"letters/{i:05}.txt" for i in range(500, 503)} <= busy.left()
    assert {500, 501, 502} <= busy.ids()


def test_what_has_changed_or_gone_since_is_left_alone_and_said(busy):
    plan = busy.plan()
    busy.file("letters/00001.txt", text=b"changed")
    (busy.folder / "desk/letters/00002.txt").unlink()
    busy.sql("UPDATE sales SET note = 'new' WHERE id = 1")
    busy.sql("UPDATE sales SET at = '2999-01-01' WHERE id = 2")
    busy.sql("DELETE FROM sales WHERE id = 3")
    value = busy.json("apply", plan)
    assert counts(value) == {"disposed": 15, "changed": 3, "gone": 2}
    assert "letters/00001.txt" in busy.left()
    assert {1, 2} <= busy.ids()
    busy.told("audit", "verify")


def test_a_file_replaced_by_a_link_or_a_folder_is_left_alone(busy):
    plan = busy.plan("post")
    treasure = busy.folder / "treasure"
    treasure.write_text("mine")
    for name in ("letters/00001.txt", "letters/00002.txt"):
        (busy.folder / "desk" / name).unlink()
    (busy.folder / "desk/letters/00001.txt").symlink_to(treasure)
    (busy.folder / "desk/letters/00002.txt").mkdir()
    value = busy.json("apply", plan)
    assert value["counts"]["disposed"] == 8
    assert treasure.read_text() == "mine"
    assert (busy.folder / "desk/letters/00001.txt").is_symlink()
    assert (busy.folder / "desk/letters/00002.txt").is_dir()


@pytest.mark.parametrize("where", ["plans/", "out"])
def test_an_edited_plan_is_refused(busy, where):
    out = busy.folder / "out.jsonl"
    plan = busy.plan("post", "--out", str(out))
    path = busy.plan_file(plan) if where == "plans/" else out
    whole = path.read_text()
    word = plan if where == "plans/" else str(out)
    for edited in (
        whole.replace("letters/00001.txt", "letters/00100.txt"),
        whole.replace('"total":10', '"total":9'),
        whole.replace('"expires":"2', '"expires":"3'),
        whole.replace('"plan":', '"plan": '),
        whole.rpartition("\n")[0].rpartition("\n")[0] + "\n",
        whole.replace('"forecast":false', '"forecast":false,"more":1'),
        "{}\n",
        "",
        "not json\n",
    ):
        assert edited != whole
        path.write_text(edited)
        unusable(busy, word)
    path.write_text(whole)
    assert counts(busy.json("apply", word)) == {"disposed": 10}


def test_steps_behind_the_seal_are_never_steps(busy):
    plan = busy.plan("post")
    path = busy.plan_file(plan)
    extra = busy.lines(plan)[-1].replace('"n":10', '"n":11').replace("letters/00009.txt", "letters/00100.txt")
    path.write_text(path.read_text() + extra + "\n")
    assert counts(busy.json("apply", plan)) == {"disposed": 10}
    assert "letters/00100.txt" in busy.left()


def test_an_edited_copy_in_plans_is_not_carried_out_in_place_of_a_whole_one(busy):
    out = busy.folder / "out.jsonl"
    plan = busy.plan("post", "--out", str(out))
    kept = busy.plan_file(plan)
    new = os.stat(busy.folder / "desk/letters/00100.txt")
    lines = kept.read_text().splitlines()
    step = json.loads(lines[1]) | {"key": "letters/00100.txt", "revision": f"{new.st_ino}:{new.st_size}:{new.st_mtime_ns}"}
    kept.write_text("\n".join([lines[0], json.dumps(step), *lines[2:]]) + "\n")
    unusable(busy, str(out))
    assert "letters/00100.txt" in busy.left()


def test_a_plan_of_another_house_is_refused(busy, tmp_path):
    other = Shop(tmp_path / "other")
    for policy in (busy.folder / "policies.d").iterdir():
        shutil.copy(policy, other.folder / "policies.d")
    other.letters(10)
    plan = other.plan("post")
    assert "not made here" in unusable(busy, str(other.plan_file(plan)))
    unusable(busy, plan)


def test_a_plan_is_unknown_where_nothing_was_ever_planned(busy):
    for word in ("0" * 64, "0" * 12, "no/such/file", "short"):
        unusable(busy, word)


def test_the_first_twelve_characters_of_a_plan_are_enough_and_fewer_are_not(busy):
    plan = busy.plan("post")
    unusable(busy, plan[:11])
    assert counts(busy.json("apply", plan[:12])) == {"disposed": 10}


def earlier(hours):
    """A clock that was right so many hours ago."""
    now = read_clock()
    gone = hours * 3_600_000_000
    return lambda: dataclasses.replace(now, wall=now.wall - gone, uptime=now.uptime - gone)


@pytest.mark.parametrize(("hours", "code"), [(23, 0), (25, 4)])
def test_a_plan_is_good_for_a_day(busy, hours, code):
    with House(str(busy.config), clock=earlier(hours)) as house:
        plan = make_plan(house, ["post"]).name
    assert busy.json("apply", plan, code=code).get("run" if code == 0 else "errors")
    assert len(busy.left()) == (5 if code == 0 else 15)
    if code:
        assert busy.json("apply", plan, code=4)["errors"][0]["what"] == "the plan has expired"


def test_a_plan_for_another_place_is_refused(busy):
    plan = busy.plan("post")
    (busy.folder / "desk").rename(busy.folder / "elsewhere")
    shutil.copytree(busy.folder / "elsewhere", busy.folder / "desk2", copy_function=shutil.copy2)
    (busy.folder / "desk").symlink_to("desk2")
    told = busy.told("apply", plan, code=None)
    assert told.code in (4, 5), "a root that became a link is another place, or no store at all"
    (busy.folder / "desk").unlink()
    busy.settings(text=busy.config.read_text().replace("path: desk", "path: desk2"))
    unusable(busy, plan)
    assert len(busy.left("desk2")) == 15


def test_a_store_that_is_down_does_not_stop_the_others(busy):
    plan = busy.plan()
    (busy.folder / "till.db").rename(busy.folder / "away.db")
    value = busy.json("apply", plan, code=5)
    assert value["counts"]["disposed"] == 10
    assert value["errors"][0]["code"] == "store-unavailable"
    assert len(busy.left()) == 5
    assert not (busy.folder / "till.db").exists()
    (busy.folder / "away.db").rename(busy.folder / "till.db")
    assert counts(busy.json("apply", plan)) == {"disposed": 10}
    assert busy.ids() == set(range(100, 105))


def test_a_locked_database_is_said_and_the_same_command_goes_on_later(busy):
    busy.settings(text=busy.config.read_text().replace("zone: UTC, location", "zone: UTC, lock_timeout: 100 ms, location"))
    plan = busy.plan("trade")
    with closing(sqlite3.connect(busy.folder / "till.db", isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        value = busy.json("apply", plan, code=5)
        assert "lock" in json.dumps(value["errors"])
        busy.told("plan", "trade", code=5)
    assert busy.json("apply", plan)["counts"]["disposed"] == 10
    busy.told("audit", "verify")


def test_steps_that_fail_make_the_exit_code_1(busy):
    """The folder may be read and not written."""
    plan = busy.plan("post")
    (busy.folder / "desk/letters").chmod(0o555)
    told = busy.apart("--json", "apply", plan, before=ordinary(), code=1)
    assert counts(told.json) == {"failed": 10}
    assert len(busy.left()) == 15
    (busy.folder / "desk/letters").chmod(0o755)
    assert counts(busy.json("apply", plan)) == {"disposed": 10}
    assert [r["counts"] for r in busy.json("runs")["runs"]] == [{"disposed": 10}, {"failed": 10}]


def test_a_run_that_is_told_to_stop_ends_its_batch_and_the_same_command_goes_on(shop):
    shop.letters(6000)
    plan = shop.plan("post")
    run = shop.begun("--json", "apply", plan)
    run.send_signal(signal.SIGTERM)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    value = json.loads(out)
    left = len(shop.left())
    assert value["counts"]["disposed"] == 6000 - left
    assert value["stopped"] is None or 0 < left
    again = shop.json("apply", plan)
    assert again["counts"]["disposed"] == left
    assert shop.left() == set()
    shop.told("audit", "verify")


def test_a_second_apply_is_told_who_holds_the_lock(shop):
    shop.letters(6000)
    plan = shop.plan("post")
    run = shop.begun("--json", "apply", plan)
    (error,) = shop.json("apply", plan, code=5)["errors"]
    assert run.poll() is None, "the first one was still at work"
    assert error["code"] == "locked"
    assert str(run.pid) in error["why"]
    assert json.loads(run.communicate(timeout=60)[0])["counts"]["disposed"] == 6000


def test_a_run_that_was_killed_at_another_place_says_unknown_and_not_disposed(busy):
    """After a crash the store is not the one of the plan: what is absent there has not been disposed of."""
    plan = busy.plan("post")
    command = [sys.executable, str(CHILD), "intent-committed", "1", "--", "--config", str(busy.config), "apply", plan]
    assert subprocess.run(command, capture_output=True, check=False).returncode == -9
    right = busy.config.read_text()
    (busy.folder / "empty").mkdir()
    busy.settings(text=right.replace("path: desk", "path: empty"))
    busy.json("apply", plan, code=4)
    fates = busy.json("audit", "lookup", "desk", "letters/00000.txt")["evidence"]
    assert [e["outcome"] for e in fates] == ["unknown"]
    busy.settings(text=right)
    value = busy.json("apply", plan)
    assert (value["counts"]["disposed"], value["recovered"]) == (10, {"failed": 10})
    busy.told("audit", "verify")


def test_a_category_that_is_refused_stops_no_other(busy):
    busy.category("trade", SALES, head="limits: {items: 3}")
    plan = busy.plan()
    value = busy.json("apply", plan, code=3)
    assert value["counts"]["disposed"] == 10
    assert value["errors"][0]["code"] == "limit"
    assert (len(busy.left()), len(busy.ids())) == (5, 15)


def test_new_items_wait(shop):
    shop.letters(3, at=NEW)
    shop.category("post", LETTERS)
    assert counts(shop.json("apply", shop.plan("post"))) == {}
    assert len(shop.left()) == 3


def test_apply_wants_a_plan_or_categories_and_not_both(busy):
    plan = busy.plan()
    busy.told("apply", code=2)
    busy.told("apply", plan, "--category", "post", code=2)
    assert len(busy.left()) == 15


def test_periods_end_with_the_day_of_the_organisation(shop):
    """Due at the next midnight after the last day, counted in civil days."""
    day = NEW.replace(hour=12, minute=0)
    shop.category("post", LETTERS.replace("3 months", "2 days"))
    shop.file("letters/a.txt", day)
    (rule,) = shop.json("explain", "desk", "letters/a.txt")["rules"]
    assert rule["due"] == f"{day + timedelta(days=3):%Y-%m-%d}T00:00:00Z"
