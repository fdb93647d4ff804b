"""Whoever asked for erasure is to be answered within a month: what is open is shown, told in time, and may be taken back."""

from datetime import datetime, timedelta

import pytest

from retentiond.app.alarms import alarms
from retentiond.app.applying import apply_plan
from retentiond.app.house import House, read_clock
from retentiond.app.standing import standing
from retentiond.audit.meaning import Meaning
from retentiond.core.entry import written
from retentiond.ledger.clock import Reading
from tests.acceptance.shop import NEW, NOW, SALES
from tests.acceptance.town import WHO, erase, people
from tests.core.test_entry import GOOD

HOLD = ("hold", "place", "H", "--reason", "r", "--mandate", "m", "--subject", "customer=7", "--store", "till")
MINIMUM = "action: delete\n    deletion_period: 7 years\n    minimum: {period: 6 years, mandate: a law}"


def later(town, days):
    """(the alarms about requests, whether all is well, what is late) when so many days have passed."""

    def clock():
        now, more = read_clock(), timedelta(days=days) // timedelta(microseconds=1)
        return Reading(now.wall + more, now.uptime + more, now.boot)

    with House(str(town.config), clock=clock) as house:
        found = [(one.about, one.facts["late"]) for one in alarms(house, house.now)[0] if one.kind == "request"]
        stands = standing(house)
        return found, [one.kept.name for one in stands.requests if one.late]


def listed(town, *args):
    return town.json("request", "list", *args)["requests"]


def test_what_waits_is_shown_with_its_ground_and_its_end(town):
    assert listed(town) == []
    town.category("trade", SALES.replace("action: delete", MINIMUM))
    erase(town, "--yes")
    (one,) = listed(town)
    assert (one["name"], one["state"], one["answer_due"], one["late"]) == ("R-1", "open", None, False)
    assert datetime.fromisoformat(one["received"]) >= NOW
    (stay,) = one["stays"]
    assert (stay["ground"], stay["lawful"], stay["items"]) == ("minimum", True, 2)
    assert stay["until"].startswith(str(NOW.year + 6))
    said = town.told("request", "list").out
    assert stay["until"] in said
    assert "R-1  open" in said
    (rule,) = town.json("explain", "till", "sales/1")["rules"]
    assert rule["minimum_until"][:10] == stay["until"]
    assert rule["gone_by"][:4] == str(NEW.year + 7)
    assert {r["rung"] for r in rule["rungs"] if r["reason"]} == {"statutory minimum", "erasure request"}
    assert f"not before {stay['until']}" in town.told("explain", "till", "sales/1").out
    town.told(*HOLD)
    town.plan()
    assert [stay["ground"] for stay in listed(town)[0]["stays"]] == ["hold"], "the ladder decides"
    assert town.json("status")["requests"] == {"open": 1, "late": 0, "answer_due": None}
    town.told("hold", "release", "H", "--reason", "r")
    town.category("trade", SALES)
    town.told("apply", town.plan())
    town.plan()
    assert listed(town) == []
    (one,) = listed(town, "--all")
    assert (one["state"], one["stays"]) == ("carried out", [])


def test_an_answer_is_due_within_a_month_and_alarms_a_week_before(town):
    value = erase(town, "--plan")
    (one,) = listed(town)
    assert one["state"] == "received"
    assert town.json("status")["requests"] == {"open": 1, "late": 0, "answer_due": one["answer_due"]}
    assert f"the first answer due by {one['answer_due']}" in " ".join(town.told("status").out.split())
    assert later(town, 20) == ([], [])
    about = f"entry {value['request']}"
    assert later(town, 29) == ([(about, 0)], [])
    assert later(town, 33) == ([(about, 1)], ["R-1"])
    erase(town, "--yes")
    assert later(town, 33) == ([], [])


def test_what_the_law_refuses_is_answered_and_what_nobody_could_look_at_is_not(town):
    town.told(*HOLD)
    erase(town, "--yes")
    assert later(town, 33) == ([], [])
    (town.folder / "desk").rename(town.folder / "away")
    town.told("erase", WHO, "--request", "R-1", "--reason", "again", "--yes", code=5)
    assert [late for _, late in later(town, 33)[0]] == [1]


def test_a_request_may_be_taken_back_and_nothing_goes_on_its_ground(town):
    plan = erase(town, "--plan")["plan"]
    town.told("request", "withdraw", "R-1", "--reason", "she changed her mind")
    told = town.told("apply", plan, code=4)
    assert "withdrawn" in told.err
    assert town.ids() == {1, 2, 3}
    town.told("erase", WHO, "--request", "R-1", "--reason", "r", "--yes", code=2)
    assert listed(town) == []
    (one,) = listed(town, "--all")
    assert (one["state"], one["withdraw_reason"]) == ("withdrawn", "she changed her mind")
    assert len(town.entries("request-withdrawn")) == 1
    assert b"mind" not in (town.folder / "state" / "log" / "audit.jsonl").read_bytes()
    for wrong in ("R-1", "R-9"):
        town.told("request", "withdraw", wrong, "--reason", "r", code=2)
    town.told("audit", "verify")


def test_what_was_refused_does_not_go_after_a_withdrawal_and_what_went_is_certified(town):
    town.told(*HOLD)
    erase(town, "--yes")
    drafted = town.plan()
    town.told("request", "withdraw", "R-1", "--reason", "r")
    town.told("hold", "release", "H", "--reason", "r")
    assert town.rule("sales")["due"] == 0
    town.told("apply", drafted)
    assert town.ids() == {1, 2, 3}
    made = town.json("audit", "certificate", "R-1")
    assert made["state"] == "withdrawn"
    assert made["summary"] == "2 items were erased. The request was withdrawn."
    people(town)
    assert sum(rule["due"] for rule in town.json("plan")["rules"]) == 0
    town.told("audit", "verify")


def test_a_withdrawal_in_the_middle_of_a_run_ends_it_after_the_batch_in_hand(town):
    plan = erase(town, "--plan")["plan"]
    asked = []

    def stop():
        """Asked before each batch; somebody withdraws after the first."""
        asked.append(True)
        if len(asked) == 2:
            house.requests.withdraw("R-1", "r", house.word)

    with House(str(town.config)) as house:
        applied = apply_plan(house, house.plans.find(plan), stop=stop)
    assert applied.stopped == "a request was withdrawn"
    assert applied.counts["disposed"] == 2
    assert len(town.ids()) + len(town.left()) == 5
    town.told("audit", "verify")


@pytest.mark.parametrize("type_", ["request-allowed", "request-carried-out", "request-refused", "request-withdrawn"])
def test_a_log_in_which_a_withdrawn_request_goes_on_does_not_verify(type_):
    found = []
    meaning = Meaning(found.append)
    meaning.take(written("request-received", 1, GOOD["request-received"]))
    meaning.take(written("request-withdrawn", 2, {"request": 0, "reason": "0" * 32}))
    meaning.take(written(type_, 3, {**GOOD[type_], "request": 0}))
    assert any("withdrawn before" in wrong for wrong in found)
