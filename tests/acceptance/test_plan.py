"""Planning: it changes nothing, seals a file in the form of the contract, and counts what stays."""

import hashlib
import json
import re
import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
import rfc8785

from retentiond.app.house import House
from retentiond.ledger.clock import micros
from tests.acceptance.shop import LETTERS, NEW, OLD, SALES

COUNTS = [
    "category", "rule", "store", "action", "scanned", "due", "waiting", "kept",
    "held", "locked", "undetermined", "overdue", "bytes_due", "oldest",
]  # fmt: skip
HEADER = {"format", "plan", "salt", "at", "expires", "categories", "rulebook", "holds", "places", "counts", "refused", "steps"}
STEP = ["n", "category", "rule", "store", "key", "revision", "start", "due", "action", "reasons", "size"]


def sealed(shop, plan):
    """The header of a plan and its step lines, as bytes."""
    lines = shop.plan_file(plan).read_bytes().splitlines(keepends=True)
    header = json.loads(lines[0])
    steps = [line for line in lines[1:] if b'"action"' in line]
    return header, steps, lines[1 + len(steps) :]


def test_planning_and_checking_leave_no_trace_in_the_stores(busy):
    before = busy.traces()
    for command in (
        ["check"],
        ["plan"],
        ["plan", "--all"],
        ["plan", "--at", "2040-01-01"],
        ["explain", "desk", "letters/00001.txt"],
    ):
        busy.told(*command)
        assert busy.traces() == before, command
    assert not list(busy.folder.glob("till.db-*"))


def test_a_database_in_wal_mode_stays_as_it_is(busy):
    with closing(sqlite3.connect(busy.folder / "till.db")) as db:
        db.execute("PRAGMA journal_mode=WAL")
    before = (busy.folder / "till.db").read_bytes()
    assert busy.rule("sales", "trade")["due"] == 10
    assert (busy.folder / "till.db").read_bytes() == before


def test_check_and_explain_and_lists_need_no_state_and_make_none(busy):
    for command in (
        ["check"], ["check", "--offline"], ["plans"], ["runs"], ["hold", "list"], ["hold", "list", "--covers", "desk", "a"],
        ["event", "list"], ["explain", "desk", "letters/00001.txt"],
        ["hold", "place", "H", "--reason", "r", "--mandate", "m", "--store", "desk", "--dry-run"],
    ):  # fmt: skip
        busy.told(*command)
        assert not (busy.folder / "state").exists(), command


def test_plan_json_has_the_shape_of_the_contract(busy):
    value = busy.json("plan")
    assert {"plan", "at", "rules", "refused", "violations"} <= value.keys()
    assert re.fullmatch("[0-9a-f]{64}", value["plan"])
    assert [r["category"] for r in value["rules"]] == ["post", "trade"]
    assert [list(r) for r in value["rules"]] == [COUNTS, COUNTS]
    letters = value["rules"][0]
    assert (letters["scanned"], letters["due"], letters["waiting"], letters["overdue"], letters["bytes_due"]) == (
        15,
        10,
        5,
        10,
        40,
    )
    assert abs(datetime.fromisoformat(letters["oldest"]) - OLD) < timedelta(seconds=1)
    assert (value["refused"], value["violations"]) == ([], [])


def test_a_plan_file_is_sealed_as_the_contract_says(busy):
    plan = busy.plan()
    header, steps, rest = sealed(busy, plan)
    assert stat.S_IMODE(busy.plan_file(plan).stat().st_mode) == 0o600
    assert header.keys() >= HEADER
    assert rest == []
    assert header["steps"] == hashlib.sha256(b"".join(steps)).hexdigest()
    unnamed = {k: v for k, v in header.items() if k != "plan"}
    assert header["plan"] == plan == hashlib.sha256(rfc8785.dumps(unnamed)).hexdigest()
    read = [json.loads(line) for line in steps]
    assert [list(step) for step in read] == [STEP] * 20
    assert [step["n"] for step in read] == list(range(1, 21))
    assert {step["key"] for step in read if step["store"] == "till"} == {f"sales/{i}" for i in range(1, 11)}
    assert datetime.fromisoformat(header["expires"]) - datetime.fromisoformat(header["at"]) == timedelta(hours=24)
    assert header["categories"] == ["post", "trade"]
    assert header["places"].keys() == {"desk", "till"}


def test_two_plans_of_the_same_things_have_other_names(busy):
    one, other = busy.plan(), busy.plan()
    assert one != other
    assert sealed(busy, one)[0]["salt"] != sealed(busy, other)[0]["salt"]
    assert sealed(busy, one)[0]["steps"] == sealed(busy, other)[0]["steps"]


def test_the_items_that_stay_stand_after_the_steps_and_outside_the_digest(busy):
    busy.file("letters/future.txt", datetime.now(UTC) + timedelta(days=9))
    plan = busy.plan("--all")
    header, steps, rest = sealed(busy, plan)
    assert header["steps"] == hashlib.sha256(b"".join(steps)).hexdigest()
    stays = [json.loads(line) for line in rest]
    assert len(stays) == 11
    assert all("action" not in s and s["reasons"] and s["verdict"] in ("waiting", "undetermined") for s in stays)
    assert [s["key"] for s in stays if s["verdict"] == "undetermined"] == ["letters/future.txt"]
    busy.told("apply", plan)
    assert len(busy.left()) == 6


def test_out_writes_a_private_copy_that_can_be_applied(busy):
    out = busy.folder / "out.jsonl"
    out.write_text("old")
    out.chmod(0o644)
    plan = busy.plan("--out", str(out))
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert out.read_bytes() == busy.plan_file(plan).read_bytes()
    busy.told("apply", str(out))
    assert len(busy.left()) == 5


def test_html_is_a_page_for_people_that_holds_counts_and_no_key(busy):
    page = busy.folder / "plan.html"
    busy.category("post", LETTERS, head="limits: {items: 3, share: 100%}")
    text = busy.config.read_text().replace("till.db", "away.db")
    busy.settings(text=re.sub("organisation: .*", "organisation: A <b>& B", text))
    value = busy.json("plan", "--html", str(page), code=5)
    text = page.read_text()
    assert value["plan"] in text
    refused, unseen = "10 items are due, 3 are allowed", "the database file is not there"
    for told in ("10 items due", "post/letters", refused, "trade/sales", unseen, "A &lt;b&gt;&amp; B"):
        assert told in text, told
    busy.told("hold", "place", "H", "--reason", "r", "--mandate", "m", "--store", "desk")
    busy.told("plan", "--html", str(page), code=5)
    assert "hold H covers it" in page.read_text()
    assert not [path for path in busy.left() if path in text], "no key"
    assert "<script" not in text
    assert "http" not in text, "nothing from elsewhere"


@pytest.mark.parametrize("option", ["--out", "--html"])
def test_a_file_into_a_missing_folder_is_said_before_anything_is_planned(busy, option):
    told = busy.told("plan", option, str(busy.folder / "no" / "out"), code=2)
    assert option in told.err
    assert busy.json("plans")["plans"] == []


def test_a_plan_of_one_category_looks_at_no_other(busy):
    plan = busy.plan("post")
    header, steps, _ = sealed(busy, plan)
    assert header["categories"] == ["post"]
    assert {json.loads(s)["store"] for s in steps} == {"desk"}
    assert header["places"].keys() == {"desk"}


def test_a_change_in_another_category_makes_no_plan_stale(busy):
    plan = busy.plan("post")
    busy.category("trade", SALES.replace("3 months", "4 months"))
    busy.settings(more="  spare: {type: files, path: spare, location: GB}")
    busy.told("apply", plan)
    assert len(busy.left()) == 5


def test_a_comment_and_a_title_make_no_plan_stale(busy):
    plan = busy.plan("post")
    path = busy.category("post", LETTERS, title="Another title")
    path.write_text("# a comment\n" + path.read_text())
    busy.told("apply", plan)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("3 months", "2 months"),
        ("letters/**", "*/**"),
        ("start: modified", "start: {path: d}"),
        ("items: 100000", "items: 99999"),
    ],
)
def test_a_change_of_a_rule_or_limit_makes_a_plan_stale(busy, old, new):
    plan = busy.plan("post")
    path = busy.category("post", LETTERS)
    text = path.read_text().replace(old, new)
    path.write_text(text.replace("letters/**", "letters/{d:%Y-%m}/**") if "path: d" in new else text)
    told = busy.json("apply", plan, code=4)
    assert "stale" in told["errors"][0]["what"]
    assert len(busy.left()) == 15


def test_a_change_of_a_store_of_its_own_makes_a_plan_stale(busy):
    plan = busy.plan("trade")
    busy.settings(text=busy.config.read_text().replace("zone: UTC", "zone: Europe/London"))
    busy.told("apply", plan, code=4)
    assert len(busy.ids()) == 15


def test_a_forecast_says_what_would_be_due_and_cannot_be_applied(busy):
    value = busy.json("plan", "--at", "2040-01-01")
    assert value["at"] == "2040-01-01T00:00:00Z"
    assert value["rules"][0]["due"] == 15
    told = busy.json("apply", value["plan"], code=4)
    assert told["errors"][0]["code"] == "plan"
    assert len(busy.left()) == 15


def test_a_bare_date_is_midnight_where_the_organisation_is(shop):
    shop.settings(zone="Asia/Tokyo")
    assert shop.json("plan", "--at", "2040-01-01")["at"] == "2039-12-31T15:00:00Z"
    assert shop.json("plan", "--at", "2040-01-01T00:00:00Z")["at"] == "2040-01-01T00:00:00Z"
    shop.told("plan", "--at", "soon", code=2)


def test_a_forecast_in_the_past_shows_what_was_due_then(busy):
    assert busy.rule("letters", "--at", f"{OLD + timedelta(days=10):%Y-%m-%d}")["due"] == 0


def test_plans_and_plan_show_list_what_there_is(busy):
    plan = busy.plan("post")
    (listed,) = busy.json("plans")["plans"]
    assert (listed["plan"], listed["steps"], listed["done"]) == (plan, 10, False)
    shown = busy.json("plan", "show", plan[:12], "--limit", "0")
    assert shown["plan"] == plan
    assert len(shown["lines"]) == 10
    assert plan[:12] in busy.told("plans").out
    assert "letters/00000.txt" in busy.told("plan", "show", plan).out
    for unknown in ("0" * 64, "123", "no/such/file", "nothing.jsonl"):
        busy.told("plan", "show", unknown, code=4)


def test_an_unknown_category_is_a_usage_error_with_a_suggestion(busy):
    (error,) = busy.json("plan", "pots", code=2)["errors"]
    assert "post" in error["do"]


def test_a_store_that_is_not_seen_leaves_the_other_categories_planned(busy):
    (busy.folder / "till.db").rename(busy.folder / "away.db")
    value = busy.json("plan", code=5)
    assert [r["rule"] for r in value["rules"]] == ["letters"]
    (error,) = value["errors"]
    assert error.keys() >= {"code", "file", "line", "column", "what", "why", "do"}
    assert (error["rule"], error["code"]) == ("trade/sales", "store-unavailable")
    assert not (busy.folder / "till.db").exists()
    busy.told("apply", value["plan"])
    assert len(busy.left()) == 5
    again = busy.told("plan", code=5)
    assert "not seen: trade/sales" in again.out
    assert "Nothing is due." not in again.out, "an unseen store never looks like nothing to do"


def test_refused_children_leave_the_exit_code_0_and_stay(busy):
    busy.sql("CREATE TABLE items(id INTEGER PRIMARY KEY, sale REFERENCES sales(id) ON DELETE CASCADE)")
    busy.sql("INSERT INTO items VALUES(1, 3)")
    value = busy.json("plan", "trade")
    assert [(r["limit"], r["value"]) for r in value["refused"]] == [("children", 1)]
    assert value["rules"][0]["due"] == 9
    busy.told("apply", value["plan"])
    assert busy.ids() == {3, *range(100, 105)}
    assert busy.sql("SELECT id FROM items") == [(1,)]


def test_keep_never_makes_anything_due(busy):
    busy.category("post", LETTERS.replace("action: delete", "action: keep"))
    letters = busy.rule("letters", "post")
    assert (letters["kept"], letters["due"], letters["action"]) == (15, 0, "keep")


def test_a_minimum_makes_an_item_wait(busy):
    minimum = '    minimum: {period: 6 years, mandate: "tax law"}\n    deletion_period: 7 years\n'
    busy.category("post", LETTERS + minimum)
    letters = busy.rule("letters", "post")
    assert (letters["waiting"], letters["due"]) == (15, 0)
    told = busy.json("explain", "desk", "letters/00000.txt")
    assert "tax law" in json.dumps(told)


def test_overdue_is_what_is_there_after_the_deletion_period(busy):
    busy.category("post", LETTERS + "    deletion_period: 2 years\n")
    letters = busy.rule("letters", "post")
    assert (letters["due"], letters["overdue"]) == (10, 0)


def test_explain_climbs_every_rung(busy):
    value = busy.json("explain", "desk", "letters/00000.txt")
    (rule,) = value["rules"]
    assert (rule["verdict"], rule["present"], rule["overdue"]) == ("due", True, True)
    assert next(r["rung"] for r in rule["rungs"]) == "hold"
    assert next(r["rung"] for r in rule["rungs"] if r["matches"]) == "due"
    new = busy.json("explain", "desk", "letters/00100.txt")["rules"][0]
    assert new["verdict"] == "waiting"
    assert abs(datetime.fromisoformat(new["start"]) - NEW) < timedelta(seconds=1)
    assert busy.json("explain", "desk", "nothing.txt")["rules"][0]["verdict"] == "absent"
    busy.told("explain", "nowhere", "x", code=2)


def test_explain_knows_what_has_gone(busy):
    busy.told("apply", busy.plan())
    value = busy.json("explain", "desk", "letters/00000.txt")
    assert [e["outcome"] for e in value["evidence"]] == ["disposed"]
    assert "disposed" in busy.told("explain", "till", "sales/1").out


def test_explain_goes_on_where_another_rule_cannot_look(busy):
    """A rule about a table that is not there does not hide what the others say."""
    busy.category("odd", SALES.replace("sales:", "odd:").replace("table: sales", "table: missing"))
    rules = {r["rule"]: r["verdict"] for r in busy.json("explain", "till", "sales/1")["rules"]}
    assert rules == {"sales": "due", "odd": "unseen"}


def test_expired_plans_are_forgotten_those_without_a_step_at_once(busy):
    idle, waiting, done = busy.plan("--at", "2020-01-01"), busy.plan("trade"), busy.plan("post")
    busy.told("apply", done)

    def known(after):
        with House(str(busy.config)) as house:
            house.plans.clear_old(micros(house.now + after))
        return {plan["plan"] for plan in busy.json("plans")["plans"]}

    assert known(timedelta(hours=23)) == {idle, waiting, done}
    assert known(timedelta(hours=25)) == {waiting, done}
    assert known(timedelta(days=32)) == {done}
    assert len(busy.entries("plan-made")) == 3, "the trail forgets nothing"
    assert not busy.plan_file(waiting).exists()
