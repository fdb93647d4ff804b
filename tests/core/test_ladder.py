"""Who wins: judging a page, climbing for one item, and asking again at the moment of disposal all agree."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retentiond.core import ladder
from retentiond.core.item import WITHOUT_END, Page
from retentiond.core.ladder import CHILDREN, LADDER, VERDICTS, Bench, Cooling, climb, judge, reason_of
from retentiond.core.period import EARLIEST, FOREVER, IMMEDIATELY, Period
from retentiond.core.policy import Action, Minimum, PathSelection, Rule, Start
from retentiond.core.registers import Hold
from retentiond.core.selector import HoldIndex

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ZONE = ZoneInfo("Europe/London")
DAY = timedelta(days=1)
LONG_AGO = NOW - 400 * DAY
RETENTION = Period(months=1, words="1 month")
SIX_YEARS = Minimum(Period(months=72, words="6 years"), "Companies Act 2006, s. 388")


def bench(retention=RETENTION, minimum=None, action="delete", start=Start("modified"), settle=None, holds=(), deletion=None):  # noqa: B008 a value
    rule = Rule(
        "old",
        "desk",
        PathSelection("**"),
        start,
        retention,
        deletion or retention.plus_day(),
        Action(action),
        minimum,
        {"customer": "owner"},
    )
    return Bench("calls", rule, ZONE, NOW, HoldIndex(holds, "calls", rule), settle)


def page(*starts, **sparse):
    n = len(starts)
    return Page([f"f{i}" for i in range(n)], ["1"] * n, list(starts), [1] * n, {"owner": ["7"] * n}, **sparse)


def verdicts(judged):
    """Position → (verdict, rung, reason), each position once."""
    found = dict.fromkeys(judged.due, ("due", "due", None))
    for group in judged.groups:
        for i in group.positions:
            assert i not in found, "an item has two verdicts"
            found[i] = (group.verdict, group.rung, group.reason)
    return found


def by_climbing(some, table, i):
    """The verdict for one item from its rungs: what is not otherwise due is never held, locked or doubted."""
    alone = Page(
        [some.keys[i]],
        [some.revisions[i]],
        [some.starts[i]],
        [some.sizes[i]],
        {name: [column[i]] for name, column in some.facts.items()},
        {0: some.locked_until[i]} if i in some.locked_until else {},
        {0: some.doubts[i]} if i in some.doubts else {},
        {0: some.held[i]} if i in some.held else {},
    )
    rungs = [(rung, reason) for rung, reason in climb(alone, table) if reason is not None]
    rung, reason = next((r, why) for r, why in rungs if not r.beats_due)
    if rung.verdict == "due":
        rung, reason = rungs[0]
    return rung.verdict, rung.name, None if rung.verdict == "due" else reason


HOLD = Hold("H", "r", "m", path="f0")
LOCK = {0: NOW + DAY}
EVERYTHING_AT_ONCE = [
    # each line takes away what decided the line before
    (
        "held",
        "hold",
        {"holds": (HOLD,), "minimum": SIX_YEARS},
        {"locked_until": LOCK, "doubts": {0: CHILDREN}},
        "hold H covers it",
    ),
    (
        "locked",
        "store's own lock",
        {"minimum": SIX_YEARS},
        {"locked_until": LOCK, "doubts": {0: CHILDREN}},
        "2026-11-23 12:00 UTC",
    ),
    (
        "waiting",
        "statutory minimum",
        {"minimum": SIX_YEARS},
        {"doubts": {0: CHILDREN}},
        "6 years is not over (Companies Act 2006, s. 388)",
    ),
    ("kept", "referred to", {}, {"doubts": {0: CHILDREN}}, "other rows refer to it"),
    ("undetermined", "in doubt", {}, {"doubts": {0: "it has other hard links"}}, "it has other hard links"),
    ("due", "due", {}, {}, None),
]


@pytest.mark.parametrize(("verdict", "rung", "table", "sparse", "reason"), EVERYTHING_AT_ONCE)
def test_the_first_match_in_the_documented_order_wins(verdict, rung, table, sparse, reason):
    found = verdicts(judge(page(LONG_AGO, **sparse), bench(**table)))[0]
    assert (verdict, rung) == found[:2]
    assert (reason or "") in (found[2] or "")


@pytest.mark.parametrize(
    ("verdict", "rung", "start", "table", "reason"),
    [
        ("kept", "kept by rule", LONG_AGO, {"action": "keep"}, "the action of the rule is keep"),
        ("kept", "kept by rule", None, {"action": "keep"}, "the action of the rule is keep"),
        ("undetermined", "clock not started", None, {}, "it has no usable date"),
        (
            "undetermined",
            "clock not started",
            None,
            {"start": Start("event", "resolved", "owner")},
            "no event has started its clock",
        ),
        ("undetermined", "clock not started", NOW + DAY, {}, "its date is in the future"),
        ("undetermined", "clock not started", NOW + timedelta(0, 0, 1), {"retention": IMMEDIATELY}, "its date is in the future"),
        ("undetermined", "clock not started", datetime(1970, 1, 1, tzinfo=UTC), {}, "before 1980"),
        ("undetermined", "clock not started", EARLIEST - timedelta(0, 0, 1), {}, "before 1980"),
        ("due", "due", EARLIEST, {}, None),
        ("due", "due", NOW, {"retention": IMMEDIATELY}, None),
        ("waiting", "default keep", NOW, {}, "its retention period of 1 month is not over"),
        ("waiting", "default keep", LONG_AGO, {"retention": FOREVER}, "its retention period of forever is not over"),
        ("waiting", "default keep", LONG_AGO, {"retention": Period(months=200_000, words="long")}, "long is not over"),
        ("waiting", "default keep", NOW - DAY, {"retention": IMMEDIATELY, "settle": Period(days=9)}, "immediately is not over"),
        ("due", "due", NOW - 10 * DAY, {"retention": IMMEDIATELY, "settle": Period(days=9)}, None),
        ("waiting", "statutory minimum", LONG_AGO, {"minimum": Minimum(FOREVER, "law")}, "forever is not over (law)"),
    ],
)
def test_what_is_not_otherwise_due_is_neither_held_nor_locked_nor_doubted(verdict, rung, start, table, reason):
    """A hold, a lock and a doubt on an item that stays anyway change nothing: `held` counts items otherwise due."""
    found = verdicts(judge(page(start), bench(**table)))[0]
    assert (verdict, rung) == found[:2]
    assert (reason or "") in (found[2] or "")
    if verdict != "due" and rung != "statutory minimum":
        pressed = judge(page(start, locked_until=LOCK, doubts={0: "x"}), bench(**table, holds=(HOLD,)))
        assert found == verdicts(pressed)[0]


def test_the_order_of_the_table_is_the_documented_one():
    """The chain in the module's first lines is the table, and the three that the law knows stand above all others."""
    chain = " ".join(line for line in ladder.__doc__.splitlines() if "→" in line)
    documented = [name.strip() for name in chain.split("→")]
    assert documented == [rung.name for rung in LADDER]
    assert ["hold", "store's own lock", "statutory minimum"] == documented[:3]
    lower = ["erasure request", "kept by rule", "clock not started", "due", "default keep"]
    assert lower == [rung.name for rung in LADDER if not rung.beats_due]
    assert all(rung.beats_due for rung in LADDER[: len(LADDER) - len(lower)])
    assert {rung.verdict for rung in LADDER} == set(VERDICTS)


def test_an_item_is_due_at_the_very_instant_and_not_a_microsecond_before():
    last = datetime(2026, 10, 21, 22, 59, 59, 999_999, tzinfo=UTC)  # 21 October in London
    for now, due in ((datetime(2026, 11, 22, tzinfo=UTC), [0]), (datetime(2026, 11, 21, 23, 59, 59, 999_999, tzinfo=UTC), [])):
        table = bench()
        table.now = now
        judged = judge(page(last), table)
        assert due == list(judged.due)
    assert [datetime(2026, 11, 22, tzinfo=UTC)] == bench().due([last])


def test_a_lock_of_the_store_counts_until_its_instant_and_is_told_in_utc():
    paris = timezone(timedelta(hours=1))
    lock = {0: NOW, 1: NOW + timedelta(0, 0, 1), 2: (NOW + DAY).astimezone(paris), 3: WITHOUT_END}
    found = verdicts(judge(page(LONG_AGO, LONG_AGO, LONG_AGO, LONG_AGO, locked_until=lock), bench()))
    assert ["due", "locked", "locked", "locked"] == [found[i][0] for i in range(4)]
    assert "a legal hold of the store's own, without end" == found[3][2]
    assert "the store's own lock lasts until 2026-11-23 12:00 UTC" == found[2][2]


def test_a_hold_by_predicate_is_joined_with_its_other_scopes():
    """The store has found the predicate true for both; the hold is about one path."""
    holds = (Hold("P", "r", "m", where="true", path="f1"),)
    judged = judge(page(LONG_AGO, LONG_AGO, held={0: "P", 1: "P"}), bench(holds=holds))
    assert [0] == list(judged.due)
    assert ("held", "hold", "hold P covers it") == verdicts(judged)[1]


def test_what_a_rule_says_of_a_due_item():
    assert "its retention period of 1 month is over" == reason_of(bench().rule)
    assert "1 month after the event resolved" == reason_of(bench(start=Start("event", "resolved", "owner")).rule)


def test_overdue_is_what_is_due_and_past_its_deletion_period():
    """Held and locked items are not counted: that they are still there is meant."""
    table = bench(deletion=Period(months=2, words="2 months"), holds=(Hold("H", "r", "m", path="f3"),))
    starts = [NOW - 40 * DAY, NOW - 70 * DAY, NOW - 80 * DAY, NOW - 90 * DAY, NOW, None]
    judged = judge(page(*starts), table)
    assert [0, 1, 2] == list(judged.due)
    assert 2 == judged.overdue
    assert 3 == table.overdue(starts)


def test_what_stays_against_the_promise_is_overdue_and_what_a_law_or_a_hold_keeps_is_not():
    """In doubt, referred to, or cooling off: an error hides nothing that should be gone."""
    starts = [NOW - 90 * DAY] * 6 + [NOW - 40 * DAY, NOW]
    doubts = {0: "it is open", 1: CHILDREN, 2: "it is open", 6: "it is open", 7: "it is open"}
    law = Minimum(Period(months=72, words="6 years"), "a law")
    rules = {"deletion": Period(months=2, words="2 months"), "holds": (Hold("H", "r", "m", path="f2"),)}
    shown = page(*starts, doubts=doubts, locked_until={3: NOW + DAY})
    judged = judge(shown, bench(**rules))
    assert [0, 1] == sorted(judged.staying)
    assert ([4, 5], 4) == (list(judged.due), judged.overdue)
    assert 0 == judge(shown, bench(**rules, minimum=law)).overdue
    cooling = bench(**rules)
    cooling.cooling = (Cooling(NOW + DAY, None),)
    assert (6 - 2, []) == (judge(shown, cooling).overdue, list(judge(shown, cooling).due))


moments = (
    st.none()
    | st.sampled_from(
        [
            NOW,
            NOW + timedelta(0, 0, 1),
            EARLIEST,
            EARLIEST - timedelta(0, 0, 1),
            datetime.min.replace(tzinfo=UTC),
            datetime.max.replace(tzinfo=UTC),
        ]
    )
    | st.integers(-60 * 24 * 800, 60 * 24 * 40).map(lambda m: NOW + timedelta(minutes=m))
    | st.datetimes(datetime(1975, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))
)
periods = st.sampled_from(
    [
        IMMEDIATELY,
        FOREVER,
        Period(days=1),
        Period(months=1),
        Period(months=12),
        Period(minutes=90),
        Period(1, 1, 1),
        Period(months=10**6),
    ]
)
whys = st.sampled_from([CHILDREN, "it has other hard links", "odd"])


@st.composite
def pages(draw):
    n = draw(st.integers(0, 8))
    starts = [draw(moments) for _ in range(n)]
    at = st.integers(0, max(n - 1, 0))
    locks = draw(st.dictionaries(at, st.integers(-3, 3).map(lambda d: NOW + d * DAY), max_size=n))
    doubts = draw(st.dictionaries(at, whys, max_size=n))
    held = draw(st.dictionaries(at, st.sampled_from(["P", "Q", "?"]), max_size=n))
    owners = [draw(st.sampled_from(["7", "8", None])) for _ in range(n)]
    keys = [draw(st.sampled_from(["a", "a/b", "b", "c/d"])) for _ in range(n)]
    return Page(keys, ["1"] * n, starts, [1] * n, {"owner": owners}, locks, doubts, held)


some_holds = st.lists(
    st.sampled_from(
        [
            Hold("A", "r", "m", path="a"),
            Hold("B", "r", "m", path="*/d"),
            Hold("C", "r", "m", subjects=(("customer", "7"),)),
            Hold("D", "r", "m", category="other"),
            Hold("E", "r", "m", everything=True),
            Hold("P", "r", "m", where="true"),
            Hold("Q", "r", "m", where="true", path="a"),
        ]
    ),
    max_size=3,
    unique=True,
)
benches = st.builds(
    bench,
    retention=periods,
    minimum=st.none() | periods.map(lambda p: Minimum(p, "law")),
    action=st.sampled_from(["delete", "delete", "delete", "keep"]),
    start=st.sampled_from([Start("modified"), Start("event", "resolved", "owner")]),
    settle=st.none() | periods,
    holds=some_holds,
)


@settings(max_examples=500)
@given(pages(), benches)
def test_judging_a_page_and_climbing_for_each_item_agree(some, table):
    """And the verdicts part the page: every item has exactly one."""
    judged = judge(some, table)
    found = verdicts(judged)
    assert found.keys() == set(range(len(some)))
    assert all(by_climbing(some, table, i) == found[i] for i in range(len(some)))
    assert list(judged.due) == sorted(judged.due)
    assert [table.due(some.starts)[i] for i in judged.due] == list(judged.due_at)
    assert judged == judge(some, table)


@settings(max_examples=300)
@given(pages(), benches)
def test_nothing_is_due_without_a_usable_start_and_an_ended_period(some, table):
    """Spelt once more, from the contract: the safety of every rule, whatever else is configured."""
    judged = judge(some, table)
    for i, due in zip(judged.due, judged.due_at, strict=True):
        start = some.starts[i]
        assert start is not None
        assert EARLIEST <= start <= due <= NOW
        assert table.rule.action.destroys
        assert i not in some.doubts
        assert some.locked_until.get(i, NOW) <= NOW
        assert some.held.get(i) in (None, "Q")
        for period in (
            table.rule.retention,
            table.settle and table.settle.period,
            table.rule.minimum and table.rule.minimum.period,
        ):
            assert period is None or period.end(start, ZONE) <= NOW


@settings(max_examples=300)
@given(pages(), benches)
def test_asked_again_at_the_moment_of_disposal_the_answer_is_the_same(some, table):
    """Without holds, locks and doubts, which are asked elsewhere then."""
    plain = Page(some.keys, some.revisions, some.starts, some.sizes, some.facts)
    again = bench(table.rule.retention, table.rule.minimum, "delete", table.rule.start, table.settle and table.settle.period)
    due = set(judge(plain, again).due)
    assert [i in due for i in range(len(plain))] == again.still_due(plain.starts)


@settings(max_examples=200)
@given(pages(), benches)
def test_held_locked_waiting_by_statute_and_doubted_would_be_due_without(some, table):
    bare = bench(table.rule.retention, None, table.rule.action.kind, table.rule.start, table.settle and table.settle.period)
    otherwise = set(judge(Page(some.keys, some.revisions, some.starts, some.sizes, some.facts), bare).due)
    upper = {rung.name for rung in LADDER if rung.beats_due}
    found = verdicts(judge(some, table))
    assert otherwise == {i for i, (verdict, rung, _) in found.items() if verdict == "due" or rung in upper}


def test_what_is_anonymised_already_is_kept_and_never_overdue():
    """Due by its age, but done: whatever else would be said of it, it stays as it is."""
    some = page(LONG_AGO, LONG_AGO, NOW, None, done=frozenset({0, 2, 3}))
    judged = judge(some, bench(action="anonymise"))
    assert list(judged.due) == [1]
    assert judged.overdue == 1
    assert {verdicts(judged)[i] for i in (0, 2, 3)} == {("kept", "kept by rule", "anonymised already")}
