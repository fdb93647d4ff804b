"""Sets across rules, compared with a model that is a dictionary; and that many of them take little memory."""

import tracemalloc
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from retentiond.core.item import Page
from retentiond.core.linked import OTHERS, UNSEEN, Linking

RULES = ("rows", "sound", "notes")
ITEMS = st.lists(st.tuples(st.sampled_from(RULES), st.integers(0, 12), st.booleans()), max_size=60)


def page(rule, values, first=0):
    keys = [f"{rule}/{first + i}" for i in range(len(values))]
    columns = {"revisions": ["1"] * len(keys), "starts": [None] * len(keys), "sizes": [1] * len(keys)}
    return Page(keys=keys, facts={"call": values}, **columns)


def gathered(items):
    """The sets of items (rule, value or 0 for none, whether due), and the page of each rule."""
    linking, pages = Linking(), {}
    for rule in RULES:
        mine = [(None if value == 0 else str(value), due) for name, value, due in items if name == rule]
        pages[rule] = page(rule, [value for value, _ in mine])
        due = [i for i, (_, is_due) in enumerate(mine) if is_due]
        linking.take(rule, pages[rule], "call", due, {i: "young" for i, (_, is_due) in enumerate(mine) if not is_due})
    return linking, pages


@given(ITEMS)
def test_every_set_has_the_verdict_of_the_model(items):
    linking, pages = gathered(items)
    linked = linking.judged(RULES, unseen=False)
    sets = defaultdict(list)
    for rule, value, due in items:
        if value:
            sets[str(value)].append((rule, due))
    states = {"complete": 0, "partial": 0, "blocked": 0}
    for value, members in sets.items():
        if not any(due for _, due in members):
            continue
        stays = not all(due for _, due in members)
        state = "blocked" if stays else "complete" if {rule for rule, _ in members} == {*RULES} else "partial"
        states[state] += 1
        assert (linked.number(value) is None) == stays
        for rule, shown in pages.items():
            reasons = linked.reasons(shown, "call")
            mine = [i for i, one in enumerate(shown.facts["call"]) if one == value]
            assert [i in reasons for i in mine] == [stays] * len(mine), rule
    assert dict(linked.states) == states
    numbers = [linked.number(value) for value in sets if linked.number(value) is not None]
    assert len({*numbers}) == len(numbers)
    assert linked.number(None) is None


@given(ITEMS)
def test_orphans_are_those_of_the_model_and_each_shown_once(items):
    linking, pages = gathered(items)
    linked = linking.judged(RULES, unseen=False)
    values = {rule: {str(value) for name, value, _ in items if name == rule and value} for rule in RULES}
    for rule in RULES:
        linked.meet(rule, pages[rule], "call")
    found = {(one.rule, one.without): (one.count, len(one.keys)) for one in linked.orphans}
    alone = {(a, b): len(values[a] - values[b]) for a in RULES for b in RULES if a != b}
    assert found == {pair: (count, count) for pair, count in alone.items() if count}


def test_of_several_reasons_one_of_law_lock_or_hold_is_told_where_a_store_was_not_seen_too():
    for unseen in (False, True):
        linking = Linking()
        rows, sound, notes = (page(rule, ["1", "2"]) for rule in RULES)
        linking.take("rows", rows, "call", [0, 1], {})
        linking.take("notes", notes, "call", [], {0: "young", 1: "young"})
        linking.take("sound", sound, "call", [], {0: "hold H covers it"}, {0})
        linked = linking.judged(RULES, unseen=unseen)
        other = UNSEEN if unseen else "notes: young"
        said = {0: "its set stays together: sound: hold H covers it", 1: f"its set stays together: {other}"}
        assert (linked.reasons(rows, "call"), linked.lawfully(rows, "call")) == (said, {0})


def test_where_a_store_was_not_seen_every_set_stays():
    linking, pages = gathered([("rows", 1, True), ("sound", 1, True)])
    linked = linking.judged(RULES, unseen=True)
    assert linked.reasons(pages["rows"], "call") == {0: f"its set stays together: {UNSEEN}"}
    assert linked.number("1") is None


def test_more_reasons_than_are_told_apart_keep_all_the_same():
    linking, many = Linking(), 10_005
    values = [str(i) for i in range(many)]
    linking.take("rows", page("rows", values), "call", [], {i: f"locked until {i}" for i in range(many)})
    other = page("sound", values)
    linking.take("sound", other, "call", range(many), {})
    reasons = linking.judged(["rows", "sound"], unseen=False).reasons(other, "call")
    assert len(reasons) == many
    assert reasons[many - 1] == f"its set stays together: {OTHERS}"


def test_a_hundred_thousand_items_take_a_few_megabytes():
    linking = Linking()
    tracemalloc.start()
    try:
        for rule in ("rows", "sound"):
            for first in range(0, 50_000, 1000):
                shown = page(rule, [str(i) for i in range(first, first + 1000)], first)
                some = range(0, 1000, 2)
                linking.take(rule, shown, "call", some, dict.fromkeys(range(1, 1000, 2), "young"))
        linking.judged(["rows", "sound"], unseen=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100_000 * 100
