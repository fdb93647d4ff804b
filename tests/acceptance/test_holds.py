"""Holds: what they cover stays from the moment the command returns, whatever the plan says."""

import json
import os

import pytest

from tests.acceptance.shop import LETTERS

WHY = ("--reason", "a claim", "--mandate", "Art. 17(3)(e) GDPR")


def place(shop, hold_id, *scope, code=0):
    return shop.json("hold", "place", hold_id, *WHY, *scope, code=code)


def covered(value):
    return {c["rule"]: c["items"] for c in value["covers"]}


SCOPES = [
    (["--category", "post"], 0, 10),
    (["--store", "till"], 10, 0),
    (["--path", "letters"], 0, 10),
    (["--path", "letters/00003.txt"], 9, 10),
    (["--path", "letters/0000*.txt"], 0, 10),
    (["--path", "**/00003.txt"], 9, 10),
    (["--path", "sales/3"], 10, 9),
    (["--store", "till", "--path", "letters"], 10, 10),
    (["--subject", "customer=4"], 10, 9),
    (["--subject", "email=c4@example.org", "--subject", "customer=5"], 10, 8),
    (["--store", "till", "--where", "id < 4"], 10, 7),
    (["--store", "till", "--where", "id < 4", "--subject", "customer=3"], 10, 9),
    (["--store", "till", "--where", "id < 4", "--path", "sales/9"], 10, 10),
    (["--category", "trade", "--store", "till", "--subject", "customer=3"], 10, 9),
    (["--category", "post", "--store", "till"], 10, 10),
    (["--everything"], 0, 0),
]


@pytest.mark.parametrize(("scope", "letters", "sales"), SCOPES, ids=[" ".join(s) for s, _, _ in SCOPES])
def test_what_a_hold_covers_stays_and_its_neighbours_go(busy, scope, letters, sales):
    plan = busy.plan()
    dry = place(busy, "H", *scope, "--dry-run")
    assert busy.json("hold", "list")["holds"] == []
    placed = place(busy, "H", *scope)
    assert (dry["placed"], placed["placed"]) == (False, True)
    assert dry["covers"] == placed["covers"]
    value = busy.json("apply", plan)
    assert value["counts"]["disposed"] == letters + sales
    assert value["counts"]["held"] == 20 - letters - sales
    assert (len(busy.left()), len(busy.ids())) == (15 - letters, 15 - sales)
    rules = {r["rule"]: r for r in busy.json("plan")["rules"]}
    assert (rules["letters"]["held"], rules["sales"]["held"]) == (10 - letters, 10 - sales)
    assert rules["letters"]["due"] == rules["sales"]["due"] == 0
    assert sum(covered(placed).values()) >= 20 - letters - sales
    busy.told("audit", "verify")


def test_a_released_hold_lets_go(busy):
    place(busy, "H", "--everything")
    plan = busy.plan()
    assert busy.json("plan")["rules"][0]["held"] == 10
    assert busy.json("apply", plan)["counts"]["disposed"] == 0
    busy.told("hold", "release", "H", "--reason", "settled")
    assert busy.json("apply", busy.plan())["counts"]["disposed"] == 20
    for again in ("H", "nobody"):
        busy.told("hold", "release", again, "--reason", "r", code=2)
    (hold,) = busy.json("hold", "list")["holds"]
    assert hold["released"] is not None


def test_a_plan_that_met_a_hold_goes_on_when_it_is_released(busy):
    plan = busy.plan("post")
    place(busy, "H", "--path", "letters/00001.txt")
    first = busy.json("apply", plan)["counts"]
    assert (first["disposed"], first["held"]) == (9, 1)
    busy.told("hold", "release", "H", "--reason", "settled")
    value = busy.json("apply", plan)
    assert (value["counts"]["disposed"], len(busy.left())) == (1, 5)


def test_a_hold_covers_what_comes_later(busy):
    place(busy, "H", "--path", "letters/case-7")
    busy.file("letters/case-7/deep/down.txt")
    busy.file("letters/case-77.txt")
    busy.told("apply", busy.plan())
    assert "letters/case-7/deep/down.txt" in busy.left()
    assert "letters/case-77.txt" not in busy.left()


def test_a_hold_beats_what_is_waiting_in_no_count(busy):
    """`held` counts items otherwise due."""
    place(busy, "H", "--everything")
    letters = busy.rule("letters")
    assert (letters["held"], letters["waiting"]) == (10, 5)


def test_a_hold_on_nothing_is_said(busy):
    value = place(busy, "H", "--path", "letters/none.txt")
    assert set(covered(value).values()) == {0}
    told = busy.told("hold", "place", "H2", *WHY, "--path", "letters/none.txt")
    assert "nothing" in told.out


def test_rules_that_map_no_subject_of_a_hold_are_listed_as_uncovered(busy):
    value = place(busy, "H", "--subject", "customer=4")
    assert [u["rule"] for u in value["uncovered"]] == ["letters"]
    told = busy.told("hold", "place", "H2", *WHY, "--subject", "customer=4").out
    assert "post/letters" in told[told.index("uncovered") :]


def test_subjects_are_widened_by_identities(busy):
    busy.sql("CREATE TABLE people(id INTEGER PRIMARY KEY, email TEXT)")
    busy.sql("INSERT INTO people VALUES(4, 'ada@example.org'), (5, 'ada@example.org'), (6, 'bob@example.org')")
    look_up = 'identities:\n  by-email: {store: till, query: "SELECT id AS customer FROM people WHERE email = :email"}'
    busy.settings(text=busy.config.read_text() + look_up + "\n")
    value = place(busy, "H", "--subject", "email=ada@example.org")
    assert sorted(value["hold"]["subjects"]["customer"]) == ["4", "5"]
    busy.told("apply", busy.plan())
    assert {4, 5} <= busy.ids()
    assert 6 not in busy.ids()


def test_a_predicate_that_cannot_be_evaluated_holds_everything_it_might_mean(busy):
    plan = busy.plan()
    place(busy, "H", "--store", "till", "--where", "nosuchcolumn = 1")
    value = busy.json("apply", plan)
    assert (value["counts"]["held"], len(busy.ids())) == (10, 15)
    assert busy.rule("sales")["held"] == 10


UNSOUND = [
    ("till", "Smith = 1", "it names a column that is not there"),
    ("till", 'email = "Smith"', "it names a column that is not there"),
    ("till", "id = ", "it is no condition that the database understands"),
    ("till", "id = 1) OR (1", "it is no condition that the database understands"),
    ("desk", "id = 1", "such a store evaluates no SQL"),
]


@pytest.mark.parametrize(("store", "where", "why"), UNSOUND, ids=[where for _, where, _ in UNSOUND])
def test_a_predicate_that_cannot_be_evaluated_is_placed_and_said_loudly(busy, store, where, why):
    placed = place(busy, "H", "--store", store, "--where", where)
    rule = "trade/sales" if store == "till" else "post/letters"
    (warning,) = placed["warnings"]
    assert placed["placed"]
    assert warning == (
        f"the --where of the hold H cannot be evaluated for {rule}: {why}; so it covers all that its other scopes cover"
    )
    assert list(covered(placed).values()) == [15]
    assert busy.json("hold", "list")["warnings"] == busy.json("plan")["warnings"] == [warning]
    for command in (["hold", "list"], ["plan"]):
        assert warning in " ".join(busy.told(*command).out.split())
    assert "Smith" not in busy.told("plan").out
    busy.told("hold", "release", "H", "--reason", "r")
    assert busy.json("hold", "list")["warnings"] == busy.json("plan")["warnings"] == []


def test_a_sound_predicate_is_not_warned_of_and_one_that_cannot_be_tried_is_placed(busy):
    assert place(busy, "H", "--store", "till", "--where", "id = 1")["warnings"] == []
    assert busy.json("hold", "list")["warnings"] == busy.json("plan")["warnings"] == []
    (busy.folder / "till.db").rename(busy.folder / "away.db")
    placed = place(busy, "I", "--store", "till", "--where", "nosuchcolumn = 1")
    assert (placed["placed"], list(placed["failed"]), placed["warnings"]) == (True, ["trade/sales"], [])
    (warning,) = busy.json("hold", "list")["warnings"]
    assert warning.startswith("trade/sales could not be looked at, so the --where of its holds was not tried: ")


def test_a_predicate_that_is_neither_true_nor_false_holds(busy):
    busy.sql("UPDATE sales SET note = 'x' WHERE id <> 3")
    place(busy, "H", "--store", "till", "--where", "note = 'case'")
    busy.told("apply", busy.plan())
    assert busy.ids() == {3, *range(100, 105)}


def test_holds_are_listed_with_all_that_was_said_of_them(busy):
    place(busy, "H", "--store", "till", "--where", "id = 1", "--review-on", "2031-05-06")
    (hold,) = busy.json("hold", "list")["holds"]
    assert (hold["id"], hold["reason"], hold["mandate"]) == ("H", "a claim", "Art. 17(3)(e) GDPR")
    assert (hold["store"], hold["where"], hold["review_on"], hold["released"]) == ("till", "id = 1", "2031-05-06", None)
    assert "2031-05-06" in busy.told("hold", "list").out


def test_holds_that_cover_one_item_are_found(busy):
    place(busy, "A", "--path", "letters/00001.txt")
    place(busy, "B", "--category", "post")
    place(busy, "C", "--store", "till", "--where", "id = 2")
    place(busy, "D", "--store", "till", "--where", "id = 2", "--subject", "customer=9")
    place(busy, "E", "--category", "post")
    busy.told("hold", "release", "E", "--reason", "r")

    def ids(store, key):
        return [h["id"] for h in busy.json("hold", "list", "--covers", store, key)["holds"]]

    assert ids("desk", "letters/00001.txt") == ["A", "B"]
    assert ids("desk", "letters/00002.txt") == ["B"]
    assert ids("till", "sales/2") == ["C"]
    assert ids("till", "sales/3") == []
    busy.told("hold", "list", "--covers", "nowhere", "x", code=2)


def test_explain_names_the_hold(busy):
    place(busy, "CASE-7", "--path", "letters/00001.txt")
    (rule,) = busy.json("explain", "desk", "letters/00001.txt")["rules"]
    assert rule["verdict"] == "held"
    assert "CASE-7" in rule["reason"]


WRONG = [
    [],
    ["--everything", "--store", "till"],
    ["--store", "nowhere"],
    ["--category", "nothing"],
    ["--where", "id = 1"],
    ["--subject", "nobody"],
    ["--subject", "=x"],
    ["--path", ""],
    ["--path", "a/../b"],
    ["--everything", "--review-on", "soon"],
    ["--everything", "--review-on", "2026-02-30"],
    ["--from", "list.csv"],
]


@pytest.mark.parametrize("scope", WRONG, ids=[" ".join(s) or "no scope" for s in WRONG])
def test_a_hold_that_is_not_meant_so_is_refused(busy, scope):
    place(busy, "H", *scope, code=2)
    assert busy.json("hold", "list")["holds"] == []


def test_an_id_names_one_hold_for_ever(busy):
    place(busy, "H", "--everything")
    place(busy, "H", "--store", "till", code=2)
    busy.told("hold", "release", "H", "--reason", "r")
    place(busy, "H", "--store", "till", code=2)
    place(busy, "", "--store", "till", code=2)
    busy.told("hold", "place", "X", "--reason", "r", "--everything", code=2)
    busy.told("hold", "place", "X", "--mandate", "m", "--everything", code=2)
    assert len(busy.json("hold", "list")["holds"]) == 1


def test_a_hold_placed_while_a_run_goes_on_wins_from_the_moment_it_returns(shop):
    """What is there when the command returns stays; no intent after its entry covers any of it."""
    shop.category("post", LETTERS)
    for part in range(60):
        for i in range(400):
            shop.file(f"letters/{part:02}/{i:03}.txt")
    plan = shop.plan("post")
    run = shop.process("--json", "apply", plan)
    first = shop.folder / "desk" / "letters" / "00"
    while run.poll() is None and len(os.listdir(first)) == 400:
        pass
    placed = place(shop, "H", "--category", "post")
    there = {name for name in shop.left() if ".retentiond" not in name}
    out, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    assert {name for name in shop.left() if ".retentiond" not in name} == there
    value = json.loads(out)
    assert value["counts"]["held"] == len(there) > 0, "the hold came while the run was at work"
    entries = shop.entries()
    hold = next(e["index"] for e in entries if e["type"] == "hold-placed")
    assert not [e for e in entries if e["type"] == "intent" and e["index"] > hold]
    before = [e for e in entries if e["type"] == "outcome" and e["index"] > hold]
    assert placed["in_flight"]["batches"] == len(before)
    shop.told("audit", "verify")


def test_a_hold_is_placed_where_nothing_was_ever_planned(shop):
    place(shop, "H", "--everything")
    shop.letters(3)
    assert shop.rule("letters")["held"] == 3


def test_subjects_come_from_a_file_and_an_empty_one_is_refused(busy, tmp_path):
    names = tmp_path / "claimants.txt"
    names.write_text("# of the class action\ncustomer=2\n\nemail=c3@example.org\n")
    value = place(busy, "H", "--from", str(names), "--subject", "customer=4")
    assert value["hold"]["subjects"] == {"customer": ["4", "2"], "email": ["c3@example.org"]}
    busy.told("apply", busy.plan())
    assert busy.ids() & {*range(11)} == {2, 3, 4}
    for text in (b"# nobody\n", b"customer\n", b"customer=\xff\n"):
        names.write_bytes(text)
        place(busy, "H2", "--from", str(names), code=2)
    assert len(busy.json("hold", "list")["holds"]) == 1
