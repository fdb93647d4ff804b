"""A plan's name: one name, one list of steps, one spelling."""

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retentiond.core.canonical import canonical, digest
from retentiond.core.limits import Refusal
from retentiond.core.plan import FORMAT, OTHER_REASONS, Header, RuleCounts, header_from, written

AT = datetime(2026, 11, 22, 12, 0, 0, 5, tzinfo=UTC)
COUNTS = RuleCounts("calls", "old", "pbx", "delete", scanned=9, due=3, oldest=AT)
HEADER = Header(
    salt="5a" * 16,
    at=AT,
    expires=AT + timedelta(hours=24),
    categories=["calls"],
    rulebook="0a" * 32,
    holds=-1,
    places={"pbx": "sqlite:1"},
    counts=[COUNTS.as_json()],
    refused=[Refusal("calls", "old", "items", 7, 3)],
    steps="0b" * 32,
    total=3,
)
OTHER = {
    "salt": "5b" * 16,
    "at": AT + timedelta(microseconds=1),
    "expires": AT + timedelta(hours=25),
    "categories": ["calls", "mail"],
    "rulebook": "0c" * 32,
    "holds": 0,
    "places": {"pbx": "sqlite:2"},
    "counts": [COUNTS.as_json() | {"due": 4}],
    "refused": [],
    "steps": "0d" * 32,
    "total": 4,
    "forecast": True,
    "requests": [7],
    "sets": [{"category": "calls", "complete": 1, "partial": 0, "blocked": 0}],
    "whole": True,
}


def test_the_name_of_a_plan_changes_with_every_field_of_its_header():
    assert {f.name for f in fields(Header)} == OTHER.keys()
    names = {HEADER.name} | {replace(HEADER, **{field: value}).name for field, value in OTHER.items()}
    assert 1 + len(OTHER) == len(names)


def test_the_name_of_a_plan_is_the_digest_of_its_header():
    assert digest(HEADER.as_json()) == HEADER.name
    assert FORMAT == HEADER.as_json()["format"]
    assert "2026-11-22T12:00:00.000005Z" == HEADER.as_json()["at"]


moments = st.datetimes(timezones=st.just(UTC))
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
headers = st.builds(
    Header,
    salt=words,
    at=moments,
    expires=moments,
    categories=st.lists(words, max_size=3),
    rulebook=words,
    holds=st.integers(-1, 9),
    places=st.dictionaries(st.sampled_from(["desk", "pbx"]), words),
    counts=st.lists(st.just(COUNTS.as_json()), max_size=2),
    refused=st.lists(st.builds(Refusal, words, words, st.just("items"), st.integers(0, 9), st.integers(0, 9)), max_size=2),
    steps=words,
    total=st.integers(0, 10**9),
    forecast=st.booleans(),
)


@settings(max_examples=300)
@given(headers)
def test_a_header_comes_back_from_its_line(header):
    line = json.loads(canonical(header.as_json()))
    assert header == header_from(line)
    assert header.name == header_from(line).name


@pytest.mark.parametrize("field", HEADER.as_json())
def test_a_line_without_a_field_is_no_header(field):
    line = HEADER.as_json()
    del line[field]
    with pytest.raises(KeyError):
        header_from(line)


@pytest.mark.parametrize(
    "changed",
    [
        {"format": 2},
        {"format": True},
        {"format": 1.0},
        {"format": "1"},
        {"note": "looked over"},
        {"at": "2026-11-22T12:00:00.000005+00:00"},
        {"at": "2026-11-22T13:00:00.000005+01:00"},
        {"at": "2026-11-22T12:00:00.000005"},
        {"at": 5},
        {"expires": "soon"},
        {"refused": [{"category": "calls"}]},
        {"refused": [{"category": "calls", "rule": "old", "limit": "items", "value": 7, "allowed": 3, "by": "me"}]},
        {"refused": [5]},
        {"places": ["pbx"]},
        {"categories": None},
        {"categories": "calls"},
        {"total": 3.0},
    ],
)
def test_an_edited_line_is_no_header(changed):
    """Not even where it says the same in other words: a plan's name is its content's, and its content has one spelling."""
    with pytest.raises((KeyError, TypeError, ValueError)):
        header_from(HEADER.as_json() | changed)


def test_a_category_is_blocked_by_its_refusals_but_not_by_refused_children():
    refused = [Refusal("a", "r", "items", 2, 1), Refusal("b", "r", "children", 2, 0), Refusal("c", "r", "clock", 2, 0)]
    assert {"a", "c"} == replace(HEADER, refused=refused).blocked()
    assert {"calls", "mail"} == replace(HEADER, refused=refused, categories=["calls", "mail"], whole=True).blocked()
    assert set() == replace(HEADER, refused=[], whole=True).blocked()


def test_counts_go_to_the_column_of_their_verdict():
    counts = RuleCounts("calls", "old", "pbx", "delete")
    for n, verdict in enumerate(("due", "waiting", "kept", "held", "locked", "undetermined"), 1):
        counts.count(verdict, n)
        counts.count(verdict, n)
    assert [2, 4, 6, 8, 10, 12] == [counts.as_json()[v] for v in ("due", "waiting", "kept", "held", "locked", "undetermined")]
    for wrong in ("overdue", "scanned", "category", "__class__"):
        with pytest.raises(ValueError, match="no verdict"):
            counts.count(wrong, 1)


def test_reasons_are_counted_by_name_and_so_many_and_no_more():
    counts = RuleCounts("calls", "old", "pbx", "delete")
    for n in range(50):
        counts.count("locked", 1, f"until day {n}")
    counts.count("locked", 3, "until day 0")
    by = {one["why"]: one["items"] for one in counts.as_json()["reasons"]["locked"]}
    assert (11, 4, 40, 53) == (len(by), by["until day 0"], by[OTHER_REASONS], sum(by.values()))


def test_a_reason_may_hold_any_words_and_the_plan_still_has_one_spelling():
    counts = RuleCounts("calls", "old", "pbx", "delete")
    counts.count("held", 1, "hold Zoë-Ångström covers it")
    assert "Zoë" in canonical(counts.as_json()).decode()


def test_the_columns_are_those_that_the_command_line_promises():
    promised = "category rule store action scanned due waiting kept held locked undetermined overdue bytes_due oldest"
    assert promised.split() == list(COUNTS.as_json())
    assert "2026-11-22T12:00:00.000005Z" == COUNTS.as_json()["oldest"]
    assert RuleCounts("c", "r", "s", "delete").as_json()["oldest"] is None


def test_an_instant_is_written_in_utc_and_never_guessed():
    assert "2026-11-22T11:00:00Z" == written(datetime(2026, 11, 22, 12, tzinfo=timezone(timedelta(hours=1))))
    with pytest.raises(ValueError, match="aware"):
        written(datetime(2026, 11, 22, 12))
