"""The breaker: every bound exactly at its limit and one beyond, and the words that name it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retentiond.core.limits import Past, Refusal, Tally, judge_limits, passing_line, refuse, trips, words
from retentiond.core.plan import SHORTEST_NAME
from retentiond.core.policy import Limits
from retentiond.errors import PlanRefused

NAME = "c0ffee" * 10 + "c0ff"
ROOMY = Limits(items=10**9, share=100, bytes=10**15)


def crossed(tally, past=Past(), limits=ROOMY):  # noqa: B008 a value
    return [(r.limit, r.value, r.allowed) for r in judge_limits("calls", "old", limits, tally, past)]


@pytest.mark.parametrize(
    ("limits", "tally", "expected"),
    [
        (Limits(), Tally(0, 0, 0), []),
        (Limits(), Tally(10_000, 40_000, 0), []),
        (Limits(), Tally(10_001, 40_004, 0), [("items", 10_001, 10_000)]),
        (Limits(), Tally(1, 10, 100 * 2**30), []),
        (Limits(), Tally(1, 10, 100 * 2**30 + 1), [("bytes", 100 * 2**30 + 1, 100 * 2**30)]),
        (Limits(), Tally(50, 50, 0), []),  # the share counts above fifty due items only
        (Limits(), Tally(51, 51, 0), [("share", 100, 25)]),
        (Limits(), Tally(51, 204, 0), []),  # exactly a quarter
        (Limits(), Tally(51, 203, 0), [("share", 26, 25)]),  # a little more, rounded up
        (Limits(), Tally(51, 0, 0), [("share", 5100, 25)]),  # of nothing
        (Limits(), Tally(1000, 1000, 0), [("share", 100, 25)]),
        (Limits(share=100), Tally(1000, 1000, 0), []),
        (Limits(share=1), Tally(51, 5100, 0), []),
        (Limits(share=1), Tally(51, 5099, 0), [("share", 2, 1)]),
        (Limits(items=5), Tally(6, 100, 0), [("items", 6, 5)]),
        (Limits(1, 25, 1), Tally(100, 100, 2), [("items", 100, 1), ("bytes", 2, 1), ("share", 100, 25)]),
    ],
)
def test_items_bytes_and_share(limits, tally, expected):
    assert expected == crossed(tally, limits=limits)


@pytest.mark.parametrize(
    ("disposed", "due", "expected"),
    [
        ([20, 20, 20, 20], 10**6, []),  # four runs are no history
        ([20, 20, 20, 20, 20], 200, []),
        ([20, 20, 20, 20, 20], 201, [("history", 201, 200)]),
        ([1, 1, 1, 1, 1], 100, []),  # never below a hundred items
        ([1, 1, 1, 1, 1], 101, [("history", 101, 100)]),
        ([10, 10, 10, 10, 10], 101, [("history", 101, 100)]),
        ([1, 1, 30, 1000, 1000], 300, []),  # the median, not the mean
        ([1, 1, 30, 1000, 1000], 301, [("history", 301, 300)]),
        ([20, 20, 20, 25, 25, 25], 225, []),  # 22.5 is the median
        ([20, 20, 20, 25, 25, 25], 226, [("history", 226, 225)]),
    ],
)
def test_ten_times_the_median_of_at_least_five_runs(disposed, due, expected):
    assert expected == crossed(Tally(due, 10**9, 0), Past(None, disposed))


@pytest.mark.parametrize(
    ("expected_population", "population", "expected"),
    [
        (None, 0, []),  # the first look at this rule
        (0, 0, []),  # everything was disposed of
        (1, 0, [("shrunken", 0, 1)]),  # an empty listing where something was
        (100, 50, []),
        (100, 49, [("shrunken", 49, 50)]),
        (101, 51, []),
        (101, 50, [("shrunken", 50, 51)]),
        (100, 1000, []),
    ],
)
def test_a_population_under_half_of_what_is_expected_is_a_broken_listing(expected_population, population, expected):
    assert expected == crossed(Tally(1, population, 0), Past(expected_population))


@given(
    st.builds(Tally, st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**12)),
    st.builds(Past, st.none() | st.integers(0, 10**6), st.lists(st.integers(1, 10**5), max_size=8)),
    st.builds(Limits, st.integers(1, 10**5), st.integers(1, 100), st.integers(1, 10**12)),
)
def test_each_bound_by_itself(tally, past, limits):
    """The same bounds, spelt as in the contract with exact fractions."""
    found = {r.limit for r in judge_limits("c", "r", limits, tally, past)}
    middle = sorted(past.disposed)
    twice = middle[len(middle) // 2] + middle[(len(middle) - 1) // 2] if middle else 0
    assert ("items" in found) == (tally.due > limits.items)
    assert ("bytes" in found) == (tally.bytes_due > limits.bytes)
    assert ("share" in found) == (tally.due > 50 and tally.due * 100 > limits.share * max(tally.population, 1))
    assert ("history" in found) == (len(middle) >= 5 and tally.due > 100 and tally.due > 5 * twice)
    assert ("shrunken" in found) == (past.expected is not None and tally.population < past.expected / 2)


def test_with_nothing_due_whatever_would_trip_is_a_warning():
    found = judge_limits("c", "r", Limits(), Tally(0, 0, 0), Past(100))
    assert ["shrunken"] == [r.limit for r in found]
    assert ([], found) == trips(found, Tally(0, 0, 0))
    assert (found, []) == trips(found, Tally(1, 0, 0))
    assert ([], []) == trips(iter([]), Tally(1, 0, 0))


def refusal(limit, value=7, allowed=3):
    return Refusal("calls", "old", limit, value, allowed)


def test_a_refusal_prints_the_exact_line_that_lets_the_plan_pass():
    error = refuse(NAME, [refusal("items"), refusal("share")])
    assert isinstance(error, PlanRefused)
    assert 3 == error.exit_code
    short = NAME[:SHORTEST_NAME]
    assert f"retentiond apply {short} --over-limits {short}" == passing_line(NAME)
    assert f"if this is meant: {passing_line(NAME)}" == error.do
    assert "calls/old: 7 items are due, 3 are allowed; calls/old: 7 % of the population are due, 3 % are allowed" == error.why


@pytest.mark.parametrize("limit", ["clock", "place"])
def test_a_refusal_for_the_clock_or_the_place_prints_no_line_that_would_pass_it(limit):
    error = refuse(NAME, [refusal("items"), refusal(limit)])
    assert "--over-limits" not in error.do
    assert NAME[:SHORTEST_NAME] not in error.do


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        ("items", "12,345 items are due, 1,000 are allowed"),
        ("share", "12345 % of the population are due, 1000 % are allowed"),
        ("bytes", "12,345 bytes are due, 1,000 are allowed"),
        ("history", "12,345 items are due, ten times the usual run is 1,000"),
        ("shrunken", "the population is 12,345, fewer than the 1,000 that half of the last one was"),
        ("children", "12,345 due rows stay, because other rows refer to them (see `children`)"),
        ("clock", "the clock differs by 12,345 seconds from what the ledger expects"),
        ("place", "the store is not the place that it was"),
    ],
)
def test_every_refusal_is_a_sentence(limit, text):
    assert f"calls/old: {text}" == words(refusal(limit, 12_345, 1_000))
    assert (limit != "children") == refusal(limit).blocks


def test_what_goes_along_counts_for_a_share_and_is_no_part_of_what_shrinks():
    past = Past(expected=100)
    assert crossed(Tally(600, 700, 0, along=600), past, Limits()) == [("share", 86, 25)]
    assert crossed(Tally(0, 649, 0, along=600), past) == [("shrunken", 49, 50)]
    assert crossed(Tally(0, 50, 0), past) == []
