"""A rule with `review`: only what is otherwise due waits for a person, and whatever beats due beats an approval."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from retentiond.core.item import Page
from retentiond.core.ladder import Bench, climb, judge
from retentiond.core.period import Period
from retentiond.core.policy import Action, Minimum, PathSelection, Rule, Start
from retentiond.core.registers import Hold, Reviewed
from retentiond.core.selector import HoldIndex
from retentiond.core.versions import comparable, not_stricter

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)
OLD = NOW - 400 * DAY
WAITS = "waits for review"


def rule(action="review", minimum=None):
    month = Period(months=1, words="1 month")
    return Rule("old", "desk", PathSelection("**"), Start("modified"), month, month.plus_day(), Action(action), minimum)


def bench(said=None, holds=(), minimum=None):
    """A bench whose reviews are (key, revision) → what was decided."""
    mine = rule(minimum=minimum)
    made = Bench("calls", mine, ZoneInfo("UTC"), NOW, HoldIndex(holds, "calls", mine))
    if said is not None:
        made.reviews = lambda keys, revisions: [said.get(each) for each in zip(keys, revisions, strict=True)]
    return made


def page(*starts):
    n = len(starts)
    return Page([f"f{i}" for i in range(n)], ["1"] * n, list(starts), [1] * n)


def only(judged):
    """The verdict and reason of a page of one."""
    return ("due", "") if judged.due else (judged.groups[0].verdict, judged.groups[0].reason)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, ("kept", WAITS)),
        ({}, ("kept", WAITS)),
        ({("f0", "1"): Reviewed()}, ("due", "")),
        ({("f0", "2"): Reviewed()}, ("kept", WAITS)),
        ({("f1", "1"): Reviewed()}, ("kept", WAITS)),
        ({("f0", "1"): Reviewed(NOW + DAY)}, ("kept", "a review extended it until 2026-11-23 12:00")),
        ({("f0", "1"): Reviewed(NOW)}, ("kept", WAITS)),
        ({("f0", "1"): Reviewed(NOW - DAY)}, ("kept", WAITS)),
    ],
    ids=["nobody asked", "undecided", "approved", "another revision", "another item", "extended", "just over", "over"],
)
def test_what_is_due_goes_only_when_a_person_let_exactly_it_go(said, expected):
    assert only(judge(page(OLD), bench(said))) == expected


@pytest.mark.parametrize("start", [NOW - DAY, NOW + DAY, None, datetime(1970, 1, 1, tzinfo=UTC)])
def test_of_what_is_not_due_nobody_is_asked(start):
    plain = Bench("calls", rule("delete"), ZoneInfo("UTC"), NOW, HoldIndex((), "calls", rule("delete")))
    assert only(judge(page(start), bench({}))) == only(judge(page(start), plain))
    assert {rung.name: said for rung, said in climb(page(start), bench({}))}["review"] is None


def test_a_hold_and_a_minimum_beat_an_approval_and_its_want():
    law = Minimum(Period(months=72, words="6 years"), "a law")
    hold = Hold("H", "r", "m", everything=True)
    for said in ({}, {("f0", "1"): Reviewed()}):
        assert only(judge(page(OLD), bench(said, holds=[hold])))[0] == "held"
        assert only(judge(page(OLD), bench(said, minimum=law)))[0] == "waiting"


def test_what_waits_for_a_person_or_is_put_off_is_overdue_and_what_is_held_is_not():
    said = {("f0", "1"): Reviewed(), ("f1", "1"): Reviewed(NOW + DAY)}
    some = page(OLD, OLD, OLD, NOW - DAY, None)
    assert judge(some, bench(said)).overdue == 3
    assert judge(some, bench(said, holds=[Hold("H", "r", "m", path="f2")])).overdue == 2


def test_a_review_is_no_action_of_a_store():
    assert not Action("review").destroys
    assert not Action("review").keeps
    assert Action("review").step == Action("delete")
    assert Action("keep").step == Action("keep")


def test_to_ask_nobody_any_more_is_stricter():
    assert not comparable(rule("review"), rule("delete"))
    assert not not_stricter(rule("review"), rule("delete"))
    assert comparable(rule("review"), rule("review"))
    assert not_stricter(rule("review"), rule("keep"))
