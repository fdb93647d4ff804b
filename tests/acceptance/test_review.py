"""`action: review`: what is due waits for a person, who lets exactly that go, or puts it off."""

import json
import os
from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.shop import LETTERS, NEW, OLD, SALES

REVIEWED = LETTERS.replace("action: delete", "action: review")
WHY = ("--reason", "looked at", "--by", "Ada")
ONE, TWO = "letters/00001.txt", "letters/00002.txt"
SOON = f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}"


@pytest.fixture
def desk(shop):
    """Five old letters and two new ones, which a person reviews."""
    shop.category("post", REVIEWED)
    shop.letters(5)
    shop.letters(2, first=100, at=NEW)
    return shop


def waiting(shop, *args):
    return [one["key"] for one in shop.json("review", "list", *args)["waiting"]]


def approve(shop, *keys, code=0):
    return shop.json("review", "approve", "desk", *keys, *WHY, "--yes", code=code)


def extend(shop, *keys, until=SOON, code=0):
    return shop.json("review", "extend", "desk", *keys, "--until", until, *WHY, code=code)


def explained(shop, key, store="desk"):
    (rule,) = shop.json("explain", store, key)["rules"]
    return rule


def test_what_is_due_waits_and_nothing_goes_by_itself(desk):
    assert "retentiond review list" in desk.told("plan").out
    letters = desk.rule("letters")
    assert (letters["action"], letters["due"], letters["kept"], letters["waiting"]) == ("review", 0, 5, 2)
    assert desk.json("apply", desk.plan())["counts"]["disposed"] == 0
    assert len(desk.left()) == 7
    assert waiting(desk) == waiting(desk, "post") == [f"letters/{i:05}.txt" for i in range(5)]
    assert waiting(desk, "trade") == []
    told = explained(desk, ONE)
    assert (told["verdict"], told["reason"]) == ("kept", "waits for review")
    assert explained(desk, "letters/00100.txt")["verdict"] == "waiting"


def test_what_waits_longer_than_was_promised_is_overdue_whatever_a_review_says_and_a_hold_excuses_it(desk):
    extend(desk, TWO)
    desk.told("hold", "place", "H", "--reason", "r", "--mandate", "m", "--path", "letters/00003.txt")
    assert desk.rule("letters")["overdue"] == 4
    told = {key: explained(desk, key)["overdue"] for key in sorted(desk.left())}
    assert [f"letters/{i:05}.txt" for i in (0, 1, 2, 4)] == [key for key, overdue in told.items() if overdue]


def test_a_list_says_what_a_person_needs(desk):
    first = desk.json("review", "list")["waiting"][0]
    assert {**first, "start": ""} == {
        "category": "post",
        "rule": "letters",
        "store": "desk",
        "key": "letters/00000.txt",
        "start": "",
        "size": 4,
        "overdue": True,
    }
    assert first["start"].startswith(f"{OLD:%Y-%m-%d}")
    assert ONE in desk.told("review", "list").out


def test_what_was_approved_goes_with_the_next_plan_and_nothing_else(desk):
    approve(desk, ONE)
    plan = desk.plan("post")
    (step,) = [json.loads(line) for line in desk.lines(plan)[1:]]
    assert (step["key"], step["action"]) == (ONE, "delete")
    assert any("review" in reason for reason in step["reasons"])
    assert explained(desk, ONE)["verdict"] == "due"
    assert desk.json("apply", plan)["counts"]["disposed"] == 1
    assert ONE not in desk.left()
    assert len(desk.left()) == 6
    assert len(waiting(desk)) == 4
    desk.told("audit", "verify")
    desk.told("audit", "lookup", "desk", ONE)


def test_an_approval_is_for_the_revision_that_was_looked_at(desk):
    approve(desk, ONE, TWO)
    desk.file(ONE, OLD, b"another text")
    assert ONE in waiting(desk)
    plan = desk.plan("post")
    assert desk.steps(plan) == [TWO]
    desk.file(TWO, OLD - timedelta(days=1), b"another text")
    assert desk.json("apply", plan)["counts"]["changed"] == 1
    assert {ONE, TWO} <= desk.left()


def test_an_item_that_comes_back_waits_again(desk):
    approve(desk, ONE)
    desk.told("apply", desk.plan("post"))
    desk.file(ONE, OLD - timedelta(days=1))
    assert ONE in waiting(desk)


def test_what_was_extended_stays_and_is_listed_no_more(desk):
    value = extend(desk, ONE)
    assert value["until"].startswith(SOON)
    told = explained(desk, ONE)
    assert (told["verdict"], told["reason"]) == ("kept", f"a review extended it until {SOON} 00:00")
    assert len(waiting(desk)) == 4
    assert desk.rule("letters")["kept"] == 5


def test_an_extension_that_is_over_waits_for_review_again(desk):
    approve(desk, ONE)
    extend(desk, ONE)
    later = f"{datetime.now(UTC) + timedelta(days=31):%Y-%m-%d}"
    stays = desk.stays("--at", later)
    assert stays[ONE]["reasons"] == stays[TWO]["reasons"] == ["waits for review"]


def test_the_last_word_counts(desk):
    extend(desk, ONE)
    approve(desk, ONE)
    assert desk.rule("letters")["due"] == 1
    extend(desk, ONE)
    assert desk.rule("letters")["due"] == 0


def test_an_approval_that_is_taken_back_after_the_plan_wins(desk):
    approve(desk, ONE, TWO)
    plan = desk.plan("post")
    extend(desk, ONE)
    value = desk.json("apply", plan)
    assert (value["counts"]["disposed"], value["counts"]["changed"]) == (1, 1)
    assert ONE in desk.left()
    assert TWO not in desk.left()
    (spared,) = [e for e in desk.entries() if "review" in e.get("why", {})]
    assert spared["type"] in ("spared", "outcome")
    desk.told("audit", "verify")


def test_an_extension_wins_over_a_running_apply_from_the_moment_it_returns(desk):
    desk.letters(6000, first=1000)
    desk.json("review", "approve", "--all", "--category", "post", *WHY, "--yes")
    last = "letters/06999.txt"
    run = desk.begun("--json", "apply", desk.plan("post"))
    extend(desk, last)
    there = last in desk.left()
    out, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    assert there == (last in desk.left())
    counts = json.loads(out)["counts"]
    assert counts["changed"] == int(there)
    assert counts["disposed"] == 6005 - int(there)
    desk.told("audit", "verify")


def test_everything_of_a_category_may_be_approved_at_once(desk):
    extend(desk, ONE)
    value = desk.json("review", "approve", "--all", "--category", "post", *WHY, "--yes")
    assert len(value["items"]) == 4
    plan = desk.plan("post")
    assert ONE not in desk.steps(plan)
    assert desk.json("apply", plan)["counts"]["disposed"] == 4
    assert desk.json("review", "approve", "--all", "--category", "trade", *WHY, "--yes")["items"] == []


def test_a_hold_and_a_minimum_win(desk):
    approve(desk, ONE, TWO)
    desk.told("hold", "place", "H", "--reason", "r", "--mandate", "m", "--path", ONE)
    letters = desk.rule("letters")
    assert (letters["due"], letters["held"]) == (1, 1)
    assert explained(desk, ONE)["verdict"] == "held"
    assert ONE in approve(desk, ONE, code=2)["not_waiting"]
    floor = '    minimum: {period: 6 years, mandate: "a law"}\n    deletion_period: 7 years\n'
    desk.category("post", REVIEWED + floor)
    letters = desk.rule("letters")
    assert (letters["due"], letters["kept"]) == (0, 0)
    assert waiting(desk) == []


STRANGERS = [["letters/00100.txt"], ["letters/none.txt"], [ONE, "letters/none.txt"], [""]]


@pytest.mark.parametrize("keys", STRANGERS, ids=["not due", "not there", "one of two", "no key"])
@pytest.mark.parametrize("decide", [approve, extend])
def test_what_does_not_wait_cannot_be_decided_about(desk, decide, keys):
    value = decide(desk, *keys, code=2)
    assert value["not_waiting"] == [key for key in keys if key != ONE]
    assert value["errors"][0]["code"] == "usage"
    assert desk.rule("letters")["due"] == 0


def test_no_key_stands_on_standard_error(desk):
    told = desk.told("review", "approve", "desk", "letters/none.txt", *WHY, "--yes", code=2)
    assert "none.txt" not in told.err + told.out
    assert "do not wait for review" in told.err


WRONG = [
    ["approve", "desk", ONE, *WHY],
    ["approve", "desk", ONE, "--yes"],
    ["approve", "desk", ONE, "--reason", " ", "--yes"],
    ["approve", "desk", *WHY, "--yes"],
    ["approve", *WHY, "--yes"],
    ["approve", "--all", *WHY, "--yes"],
    ["approve", "--category", "post", *WHY, "--yes"],
    ["approve", "desk", ONE, "--all", "--category", "post", *WHY, "--yes"],
    ["approve", "--all", "--category", "nothing", *WHY, "--yes"],
    ["approve", "till", "sales/1", *WHY, "--yes"],
    ["approve", "nowhere", ONE, *WHY, "--yes"],
    ["extend", "desk", ONE, *WHY],
    ["extend", "desk", ONE, "--until", "2020-01-01", *WHY],
    ["extend", "desk", ONE, "--until", "soon", *WHY],
    ["extend", "desk", ONE, "--until", SOON],
    ["extend", "desk", "--until", SOON, *WHY],
    ["list", "nothing"],
]


@pytest.mark.parametrize("args", WRONG, ids=[" ".join(args) for args in WRONG])
def test_a_decision_that_is_not_meant_so_is_refused(desk, args):
    desk.json("review", *args, code=2)
    assert len(waiting(desk)) == 5
    assert desk.rule("letters")["due"] == 0


def test_the_trail_says_who_decided_how_much_and_nothing_of_an_item_stays(desk):
    approve(desk, ONE, TWO)
    extend(desk, TWO)
    (approved,), (extended,) = desk.entries("review-approved"), desk.entries("review-extended")
    assert (approved["category"], approved["rule"], approved["count"], extended["count"]) == ("post", "letters", 2, 1)
    assert approved["by"] == extended["by"] != "Ada"
    for path in (desk.folder / "state").rglob("*"):
        if path.is_file() and path.parent.name != "plans":
            assert b"00001.txt" not in path.read_bytes(), path
    desk.told("audit", "verify")


def test_rows_are_reviewed_too(shop):
    shop.category("trade", SALES.replace("action: delete", "action: review"))
    shop.sales(3)
    assert waiting(shop) == ["sales/1", "sales/2", "sales/3"]
    shop.json("review", "approve", "till", "sales/1", "sales/2", *WHY, "--yes")
    shop.sql("UPDATE sales SET note = 'changed' WHERE id = 2")
    assert shop.json("apply", shop.plan("trade"))["counts"]["disposed"] == 1
    assert shop.ids() == {2, 3}
    shop.told("audit", "verify")


def test_generations_are_reviewed_too(shop):
    shop.category("post", REVIEWED.replace("retention_period: 3 months", "generations: {last: 2}"))
    for i in range(5):
        shop.file(f"letters/{i}.txt", OLD + timedelta(days=i))
    assert sorted(waiting(shop)) == ["letters/0.txt", "letters/1.txt", "letters/2.txt"]
    assert explained(shop, "letters/0.txt")["reason"] == "waits for review"
    assert explained(shop, "letters/4.txt")["reason"] != "waits for review"
    approve(shop, "letters/0.txt", "letters/1.txt")
    assert approve(shop, "letters/4.txt", code=2)["not_waiting"] == ["letters/4.txt"]
    plan = shop.plan("post")
    assert sorted(shop.steps(plan)) == ["letters/0.txt", "letters/1.txt"]
    extend(shop, "letters/1.txt")
    assert shop.json("apply", plan)["counts"]["disposed"] == 1
    assert shop.left() == {f"letters/{i}.txt" for i in range(1, 5)}


def test_items_that_must_not_exist_are_reviewed_too(shop):
    head = "events:\n  consent: {recorded: yes}"
    rule = REVIEWED.replace("    start: modified\n", "").replace("letters/**", "letters/{call}.txt")
    forbid = "forbid: {unless: {event: consent, by: call}}"
    shop.category("post", rule.replace("retention_period: 3 months", forbid), head=head)
    shop.letters(2)
    shop.json("event", "record", "consent", "00001", "--at", "2026-01-01")
    assert waiting(shop) == ["letters/00000.txt"]
    approve(shop, "letters/00000.txt")
    assert shop.json("apply", shop.plan("post"))["counts"]["disposed"] == 1


def test_a_rule_that_asks_nobody_any_more_needs_an_approval(desk):
    desk.told("approve", "post", "--yes")
    desk.told("apply", "--category", "post")
    desk.category("post", LETTERS)
    desk.told("apply", "--category", "post", code=3)
    assert len(desk.left()) == 7
    (change,) = desk.json("approve", "post", "--yes")["changes"]
    assert change["newly_due"]["items"] == 5


def test_what_stops_waiting_for_a_person_cools_off(desk):
    desk.plan("post")
    desk.category("post", LETTERS + "    cooling_off: 7 days\n")
    letters = desk.rule("letters")
    assert (letters["due"], letters["waiting"]) == (0, 7)


def test_looking_leaves_no_trace_where_nothing_was_ever_written(desk):
    before = desk.traces()
    assert len(waiting(desk)) == 5
    assert desk.traces() == before
    assert not os.path.exists(desk.folder / "state" / "state.db")


def test_a_lost_key_of_references_lets_nothing_go(desk):
    approve(desk, ONE)
    for path in (desk.folder / "state" / "keys").glob("reference-*"):
        path.unlink()
    assert ONE in waiting(desk)


def test_a_filter_chooses_among_all_that_waits(desk):
    names = sorted(w["key"] for w in desk.json("review", "list")["waiting"])
    chosen = ("review", "approve", "--all", "--category", "post", "--reason", "looked at", "--yes")
    assert desk.json(*chosen, "--before", "1999-01-01")["items"] == []
    one = desk.json(*chosen, "--path", names[0], "--before", "2999-01-01")["items"]
    assert [item["key"] for item in one] == names[:1]
    assert sorted(w["key"] for w in desk.json("review", "list")["waiting"]) == names[1:]
    for wrong in (("--path", "a/../b"), ("--before", "soon")):
        desk.told(*chosen, *wrong, code=2)
    desk.told("review", "approve", "desk", names[1], "--path", "x", "--reason", "r", "--yes", code=2)


def test_all_that_a_filter_chooses_is_put_off(desk):
    names = sorted(w["key"] for w in desk.json("review", "list")["waiting"])
    chosen = ("review", "extend", "--all", "--category", "post", "--reason", "asked", "--until", "2999-01-01")
    assert desk.json(*chosen, "--before", "1999-01-01")["items"] == []
    assert [item["key"] for item in desk.json(*chosen, "--path", names[0])["items"]] == names[:1]
    assert waiting(desk) == names[1:]
    assert len(desk.json(*chosen)["items"]) == len(names) - 1
    assert waiting(desk) == []
    for wrong in ((), ("--all",), ("desk", names[0], "--path", "x"), ("desk", names[0], "--all", "--category", "post")):
        desk.told("review", "extend", "--reason", "r", "--until", "2999-01-01", *wrong, code=2)
