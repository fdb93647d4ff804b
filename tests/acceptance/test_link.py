"""Sets across stores: a recording and its row have one verdict, the recording goes first, and orphans are listed."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.shop import NEW, NOW, OLD, OPEN_LIMITS

WHY = ("--reason", "a claim", "--mandate", "m")
RULES = """\
  rows:
    store: till
    select: {table: sales, where: "id > 0"}
    start: {column: at}
    retention_period: 3 months
    action: delete
    link: id
  sound:
    store: desk
    select: {path: "sound/{call}/**"}
    start: modified
    retention_period: 3 months
    action: delete
    link: call
"""


@pytest.fixture
def calls(bare):
    """Calls 1 to 4: a row and two files each, all due."""
    bare.category("calls", RULES)
    bare.sales(4)
    for call in range(1, 5):
        sound(bare, call)
    return bare


def sound(shop, call, at=OLD):
    for name in ("a.wav", "b.wav"):
        shop.file(f"sound/{call}/{name}", at)


def left(shop):
    """The calls of which there is a row, and those of which there are files."""
    return shop.ids(), {int(name.split("/")[1]) for name in shop.left()}


def sets(value):
    (one,) = value["sets"]
    return one["complete"], one["partial"], one["blocked"]


def test_a_set_goes_as_one_with_the_row_last(calls):
    value = calls.json("plan")
    assert sets(value) == (4, 0, 0)
    rules = [line["rule"] for line in calls.json("plan", "show", value["plan"], "--limit", "0")["lines"]]
    assert rules == ["sound"] * 8 + ["rows"] * 4
    assert calls.json("apply", value["plan"])["counts"]["disposed"] == 12
    assert left(calls) == (set(), set())
    calls.told("audit", "verify")


HOLDS = [("--store", "till", "--where", "id = 2"), ("--path", "sound/2/b.wav"), ("--path", "sales/2")]


@pytest.mark.parametrize("scope", HOLDS, ids=[s[-1] for s in HOLDS])
def test_what_keeps_one_item_keeps_its_set_before_the_plan_and_after(calls, scope):
    plan = calls.plan()
    calls.told("hold", "place", "H", *WHY, *scope)
    counts = calls.json("apply", plan)["counts"]
    assert (counts["disposed"], counts["held"] + counts["changed"]) == (9, 3)
    assert left(calls) == ({2}, {2})
    assert set(calls.left()) == {"sound/2/a.wav", "sound/2/b.wav"}
    value = calls.json("plan")
    assert sets(value) == (0, 0, 1)
    assert sum(r["due"] for r in value["rules"]) == 0
    (rule,) = [r for r in calls.json("explain", "till", "sales/2")["rules"] if r["rule"] == "rows"]
    assert rule["verdict"] in ("held", "kept")
    calls.told("hold", "release", "H", "--reason", "settled")
    assert calls.json("apply", calls.plan())["counts"]["disposed"] == 3
    calls.told("audit", "verify")


@pytest.mark.parametrize("scope", HOLDS, ids=[s[-1] for s in HOLDS])
def test_what_stays_because_a_hold_keeps_its_set_breaks_no_promise(calls, scope):
    calls.told("hold", "place", "H", *WHY, *scope)
    rules = calls.json("apply", calls.plan()) and calls.json("plan")["rules"]
    assert sum(rule["overdue"] for rule in rules) == 0
    assert calls.json("status")["categories"][0]["overdue"] == 0
    calls.told("hold", "release", "H", "--reason", "settled")
    assert sum(rule["overdue"] for rule in calls.json("plan")["rules"]) == 3


def test_a_rule_that_names_nobody_is_covered_through_its_set(calls):
    calls.category("calls", RULES.replace("    link: id\n", "    link: id\n    subject: {customer: customer}\n"))
    placed = calls.json("hold", "place", "H", *WHY, "--subject", "customer=2")
    assert (placed["uncovered"], placed["through_sets"]) == ([], [{"category": "calls", "rule": "sound"}])
    assert [(each["rule"], each["items"]) for each in placed["covers"]] == [("rows", 1)]
    calls.told("apply", calls.plan())
    assert left(calls) == ({2}, {2})
    told = calls.told("hold", "place", "H2", *WHY, "--subject", "customer=3").out
    assert "covered with their sets, where another item of these is: calls/sound" in told
    assert "uncovered" not in told
    placed = calls.json("hold", "place", "H3", *WHY, "--subject", "customer=2", "--store", "desk")
    assert (placed["uncovered"], placed["through_sets"]) == ([{"category": "calls", "rule": "sound"}], [])


def test_what_stays_because_its_set_is_not_due_breaks_the_promise_unless_a_hold_keeps_the_set_too(calls):
    sound(calls, 2, NEW)
    calls.told("hold", "place", "H", *WHY, "--path", "sound/3/a.wav")
    assert {rule["rule"]: rule["overdue"] for rule in calls.json("plan")["rules"]} == {"rows": 3, "sound": 4}
    calls.file("sound/3/b.wav", NEW)
    (rule,) = [r for r in calls.json("explain", "till", "sales/3")["rules"] if r["rule"] == "rows"]
    assert (rule["verdict"], rule["overdue"]) == ("kept", False), "the hold alone would keep it"
    assert "hold H covers it" in rule["reason"]


def test_one_that_is_not_due_keeps_its_set(calls):
    sound(calls, 3, NEW)
    value = calls.json("plan")
    assert sets(value) == (3, 0, 1)
    stays = calls.stays()
    assert stays["sales/3"]["reasons"] == ["its set stays together: sound: its retention period of 3 months is not over"]
    calls.told("apply", value["plan"])
    assert left(calls) == ({3}, {3})


def test_one_that_changed_since_the_plan_keeps_its_set(calls):
    plan = calls.plan()
    calls.sql("UPDATE sales SET note = 'x' WHERE id = 1")
    calls.file("sound/4/a.wav", OLD, b"another")
    calls.told("apply", plan)
    assert left(calls)[0] == {1, 4}
    assert {"sound/1/a.wav", "sound/1/b.wav", "sound/4/a.wav"} <= calls.left()


def test_orphans_whose_keys_are_not_known_are_counted_only(calls):
    """A row that waits is not met again once its set is known to lack the recording."""
    calls.sale((9, f"{NEW:%Y-%m-%d %H:%M:%S}", "9", "x"))
    assert calls.json("plan")["sets"][0]["orphans"] == [{"rule": "rows", "without": "sound", "count": 1, "keys": []}]
    assert "  orphans: calls/rows: 1 without sound" in calls.told("plan").out.splitlines()


def test_orphans_in_either_direction_are_listed_and_go_as_what_is_left_of_their_set(calls):
    calls.sql("DELETE FROM sales WHERE id = 1")
    for name in ("a.wav", "b.wav"):
        (calls.folder / "desk" / "sound" / "2" / name).unlink()
    value = calls.json("plan")
    assert sets(value) == (2, 2, 0)
    orphans = {(o["rule"], o["without"]): (o["count"], o["keys"]) for o in value["sets"][0]["orphans"]}
    assert orphans == {("rows", "sound"): (1, ["sales/2"]), ("sound", "rows"): (1, ["sound/1/a.wav"])}
    told = calls.told("plan").out
    assert "2 complete, 2 partial, 0 blocked" in told
    calls.told("apply", value["plan"])
    assert left(calls) == (set(), set())


def test_a_store_that_is_not_seen_blocks_every_set(calls):
    (calls.folder / "desk").rename(calls.folder / "away")
    value = calls.json("plan", code=5)
    assert sets(value) == (0, 0, 4)
    calls.told("apply", value["plan"])
    assert calls.ids() == {1, 2, 3, 4}


def test_a_store_that_goes_down_after_the_plan_keeps_the_rows(calls):
    plan = calls.plan()
    (calls.folder / "desk").rename(calls.folder / "away")
    calls.told("apply", plan, code=5)
    assert calls.ids() == {1, 2, 3, 4}


def test_an_erasure_takes_the_set_and_is_refused_with_it(calls):
    calls.category(
        "calls",
        RULES.replace("link: id", "link: id\n    subject: {call: id}").replace(
            "link: call", "link: call\n    subject: {call: call}"
        ),
    )
    calls.told("hold", "place", "H", *WHY, "--store", "till", "--where", "id = 1")
    for call, state in ((1, "open"), (2, "carried out")):
        value = calls.json("erase", f"call={call}", "--request", f"R-{call}", "--reason", "r", "--yes")
        assert value["state"] == state
    assert left(calls) == ({1, 3, 4}, {1, 3, 4})
    calls.told("audit", "verify")


WRONG = {
    "alone": (RULES.replace("    link: call\n", ""), "a link that leads nowhere"),
    "no field": (RULES.replace("link: call", "link: number"), "number"),
    "generations": (
        RULES.replace(
            "    retention_period: 3 months\n    action: delete\n    link: call",
            "    generations: {last: 3}\n    action: delete\n    link: call",
        ),
        "'link' does not go with 'generations'",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_link_that_cannot_be_is_an_error_with_its_place(bare, name):
    rules, what = WRONG[name]
    bare.category("calls", rules, head=OPEN_LIMITS)
    told = bare.told("check", "--offline", code=2)
    assert what in told.err
    assert "calls.yaml:" in told.err


# --- one person

NAMED = RULES.replace("    link: id\n", "    link: id\n    subject: {customer: customer}\n")
ASKED = ("customer=2", "--request", "R-1", "--reason", "asked")


@pytest.fixture
def young(bare):
    """Calls 1 to 4, none of them due; only the rows say whose they are."""
    bare.category("calls", NAMED)
    bare.sales(4, NEW)
    for call in range(1, 5):
        sound(bare, call, NEW)
    return bare


def test_an_erasure_takes_the_whole_set_of_what_names_the_person(young):
    value = young.json("erase", *ASKED, "--plan")
    assert {(r["rule"], r["due"]) for r in value["rules"]} == {("rows", 1), ("sound", 2)}
    assert value["beyond_use"] == []
    value = young.json("erase", *ASKED, "--yes")
    assert value["state"] == "carried out"
    assert left(young) == ({1, 3, 4}, {1, 3, 4})
    young.told("audit", "verify")


def test_a_hold_on_a_part_of_the_set_keeps_all_of_it_and_its_release_lets_it_go_by_itself(young):
    young.told("hold", "place", "H", *WHY, "--path", "sound/2/b.wav")
    value = young.json("erase", *ASKED, "--yes")
    assert {(s["rule"], s["ground"]) for s in value["stays"]} == {("rows", "set"), ("sound", "set"), ("sound", "hold")}
    assert left(young) == ({1, 2, 3, 4}, {1, 2, 3, 4})
    young.told("hold", "release", "H", "--reason", "settled")
    assert young.json("apply", young.plan())["counts"]["disposed"] == 3
    assert left(young) == ({1, 3, 4}, {1, 3, 4})
    assert young.json("plan")
    assert young.entries("request-carried-out")


def test_what_is_left_of_a_set_goes_although_what_named_the_person_has_gone(young):
    """A run that was cut short between the two, or somebody else, has taken the row."""
    young.told("hold", "place", "H", *WHY, "--path", "sound/2/**")
    young.json("erase", *ASKED, "--yes")
    young.sql("DELETE FROM sales WHERE id = 2")
    young.told("hold", "release", "H", "--reason", "settled")
    assert young.json("apply", young.plan())["counts"]["disposed"] == 2
    assert left(young) == ({1, 3, 4}, {1, 3, 4})
    young.told("audit", "verify")


def test_a_newcomer_in_the_place_of_what_was_left_stays(young):
    young.told("hold", "place", "H", *WHY, "--path", "sound/2/**")
    young.json("erase", *ASKED, "--yes")
    young.sql("DELETE FROM sales WHERE id = 2")
    young.told("hold", "release", "H", "--reason", "settled")
    sound(young, 2, datetime.now(UTC) + timedelta(minutes=5))
    assert sum(r["due"] for r in young.json("plan")["rules"]) == 0


def test_a_hold_on_the_person_keeps_what_names_nobody(young):
    plan = young.json("erase", *ASKED, "--plan")["plan"]
    young.told("hold", "place", "H", *WHY, "--subject", "customer=2")
    counts = young.json("apply", plan)["counts"]
    assert counts["disposed"] == 0
    assert left(young) == ({1, 2, 3, 4}, {1, 2, 3, 4})


def test_what_comes_back_after_a_restore_is_found_by_the_set(young):
    young.json("erase", *ASKED, "--yes")
    young.sale((2, f"{NEW:%Y-%m-%d %H:%M:%S}", "2", "x"))
    sound(young, 2, NEW)
    value = young.json("replay", "--since", f"{NOW:%Y-%m-%d}", "--yes")
    assert (value["back"], value["applied"]["counts"]["disposed"]) == (3, 3)
    assert left(young) == ({1, 3, 4}, {1, 3, 4})


def test_explain_shows_the_request_on_what_names_nobody(young):
    young.told("hold", "place", "H", *WHY, "--path", "sound/2/b.wav")
    young.json("erase", *ASKED, "--yes")
    (rule,) = young.json("explain", "desk", "sound/2/a.wav")["rules"]
    assert {r["rung"] for r in rule["rungs"] if r["reason"]} >= {"set", "erasure request"}
