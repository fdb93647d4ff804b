"""News is a change between what was told and what is found: told once, once more when tenfold, once when over."""

from hypothesis import given
from hypothesis import strategies as st

from retentiond.core.alarm import GROWTH, Alarm, news

ALARMS = st.dictionaries(
    st.tuples(st.sampled_from(["overdue", "failure", "limit"]), st.sampled_from("ab")), st.integers(1, 10**6), max_size=6
).map(lambda found: [Alarm(kind, about, since=size % 7, size=size) for (kind, about), size in found.items()])


def changes(told, found, undecided=()):
    return {one.alarm.name: one.change for one in news(told, found, undecided, 1)}


@given(ALARMS)
def test_what_is_as_it_was_told_is_no_news(found):
    assert news(found, found, (), 1) == []


@given(ALARMS, ALARMS)
def test_each_state_is_news_at_most_once(told, found):
    names = [one.alarm.name for one in news(told, found, (), 1)]
    assert len(names) == len(set(names))


@given(ALARMS, ALARMS)
def test_what_is_new_and_what_is_over_are_what_differs(told, found):
    before, after = {a.name for a in told}, {a.name for a in found}
    said = changes(told, found)
    assert {name for name, change in said.items() if change == "new"} == after - before
    assert {name for name, change in said.items() if change == "over"} == before - after


@given(ALARMS, ALARMS)
def test_what_nobody_could_see_is_never_over(told, found):
    assert "over" not in changes(told, found, {a.name for a in told}).values()


@given(st.integers(1, 10**6), st.integers(1, 10**7))
def test_a_state_is_told_again_when_it_is_ten_times_as_large_and_keeps_its_beginning(before, after):
    said = news([Alarm("overdue", "a", 3, before)], [Alarm("overdue", "a", 9, after)], (), 12)
    assert bool(said) is (after >= GROWTH * before)
    assert all((one.change, one.alarm.since, one.alarm.size) == ("grown", 3, after) for one in said)


def test_an_id_is_of_the_change_and_not_of_the_moment_of_sending():
    (first,) = news([], [Alarm("overdue", "a", 3)], (), 12)
    (again,) = news([], [Alarm("overdue", "a", 3)], (), 12)
    (over,) = news([Alarm("overdue", "a", 3)], [], (), 12)
    assert first.id == again.id != over.id
