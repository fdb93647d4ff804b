"""Generations keep what the contract says, each keep with its reasons, and never let the last of a group go.

`golden_generations.txt` has tables of rules and what they keep, as a person would check them with a
calendar. The properties compare with a second, slow way of saying the same.
"""

import re
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retentiond.config.words import period
from retentiond.core.generations import (
    EARLY,
    FUTURE,
    NO_DATE,
    NO_GROUP,
    NO_SET,
    SET_IN_DOUBT,
    Generations,
    Lineup,
    cutoff,
    judge_together,
)
from retentiond.core.period import FOREVER, IMMEDIATELY, Period

LONDON, UTC_ZONE = ZoneInfo("Europe/London"), ZoneInfo("UTC")
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def judged(rule, starts, *, zone=UTC_ZONE, keys=None, groups=(), sets=(), doubts=None, now=NOW):
    keys = keys or [f"{i:03}" for i in range(len(starts))]
    return judge_together(rule, zone, now, Lineup(keys, starts, groups, sets, doubts or {}))


def kept(rule, starts, **further):
    found = judged(rule, starts, **further)
    return {i: found.reasons(i) for i in range(len(starts)) if found.is_kept(i)}


# --- golden tables


def tables():
    """(name, rule, zone, items, what each item comes to) of each table."""
    text = (Path(__file__).parent / "golden_generations.txt").read_text(encoding="utf-8")
    for name, body in re.findall(r"^\[(.+)\]\n((?:.+\n)+)", text, re.MULTILINE):
        head, *rows = body.splitlines()
        zone, _, words = head.partition(": ")
        items = [re.split(r"  +", row, maxsplit=1) for row in rows]
        yield name, rule_of(words), ZoneInfo(zone), [i[0] for i in items], [i[1] for i in items]


def rule_of(words: str) -> Generations:
    said = dict(part.split(" ", 1) for part in words.split(", "))
    counts = {k: v if v == "all" else int(v) for k, v in said.items() if k not in ("within", "by", "sets")}
    within = period(said["within"]) if "within" in said else None
    return Generations(**counts, within=within, group_by=said.get("by", ""), set_by=said.get("sets", ""))


@pytest.mark.parametrize("table", [*tables()], ids=lambda table: table[0])
def test_the_golden_tables(table):
    """An item is `YYYY-MM-DDTHH:MM [group] [set]`; `·` is one that goes."""
    _, rule, zone, items, expected = table
    words = [item.split() for item in items]
    starts = [at(w[0]) for w in words]
    groups = [w[1] for w in words] if rule.group_by else ()
    sets = [w[-1] for w in words] if rule.set_by else ()
    found = judged(rule, starts, zone=zone, groups=groups, sets=sets)
    told = ["; ".join(found.reasons(i)) or found.doubt(i) or "·" for i in range(len(items))]
    assert expected == told


# --- what does not count


@pytest.mark.parametrize(
    ("start", "doubt"),
    [
        (None, NO_DATE),
        (at("1970-01-01"), EARLY),
        (at("1979-12-31T23:59:59.999999"), EARLY),
        (NOW + timedelta(0, 0, 1), FUTURE),
        (at("2031-01-01"), FUTURE),
    ],
)
def test_what_has_no_usable_date_is_undetermined_and_does_not_count(start, doubt):
    found = judged(Generations(last=1), [start, NOW - timedelta(9), NOW - timedelta(8)])
    assert doubt == found.doubt(0)
    assert not found.is_due(0)
    assert not found.is_kept(0)
    assert [False, True] == [found.is_kept(1), found.is_kept(2)]


def test_a_group_of_which_nothing_can_be_judged_loses_nothing():
    found = judged(Generations(last=1), [None, None])
    assert not any(found.is_due(i) for i in range(2))
    assert {} == found.newest


def test_a_doubtful_item_stays_and_nothing_goes_because_of_it():
    found = judged(Generations(last=1), [NOW, NOW - timedelta(1)], doubts={0: "it may be another"})
    assert "it may be another" == found.doubt(0)
    assert found.is_kept(1)


def test_who_belongs_to_no_group_or_set_is_undetermined():
    """It could be the last one of its group, or part of a set that stays."""
    days = [NOW - timedelta(n) for n in range(3)]
    rule = Generations(last=1, group_by="host", set_by="run")
    found = judged(rule, days, groups=["a", None, "a"], sets=["x", "y", None])
    assert [NO_GROUP, NO_SET] == [found.doubt(1), found.doubt(2)]
    assert not found.is_due(1)
    assert not found.is_due(2)


# --- groups and sets


def test_every_group_has_its_own_generations():
    days = [NOW - timedelta(n) for n in range(6)]
    found = kept(Generations(last=1, group_by="host"), days, groups=["b", "a", "b", "a", "c", ""])
    assert [0, 1, 4, 5] == sorted(found)


def test_a_set_starts_at_the_latest_of_its_members_and_stands_and_falls_as_one():
    """The set `old` has the oldest file of all, and the newest one."""
    starts = [at("2026-01-01"), at("2026-11-20"), at("2026-11-19"), at("2026-11-18")]
    found = kept(Generations(last=1, set_by="run"), starts, sets=["old", "old", "mid", "mid"])
    assert {0: ("last 1 of 1",), 1: ("last 1 of 1",)} == found


def test_a_set_with_an_undetermined_member_is_undetermined_as_a_whole():
    starts = [NOW, None, NOW - timedelta(1), NOW - timedelta(2)]
    found = judged(Generations(last=1, set_by="run"), starts, sets=["x", "x", "y", "z"])
    assert [SET_IN_DOUBT, NO_DATE, "", ""] == [found.doubt(i) for i in range(4)]
    assert [False, False, True, False] == [found.is_kept(i) for i in range(4)]
    assert [False, False, False, True] == [found.is_due(i) for i in range(4)]


def test_sets_of_one_name_in_two_groups_are_two_sets():
    starts = [NOW, NOW - timedelta(1), NOW - timedelta(2)]
    rule = Generations(last=1, group_by="host", set_by="day")
    assert [0, 1] == sorted(kept(rule, starts, groups=["a", "b", "b"], sets=["d", "d", "e"]))


def test_of_one_start_the_greater_key_is_the_newer():
    starts = [NOW - timedelta(1)] * 3
    assert [1] == list(kept(Generations(last=1), starts, keys=["a", "c", "b"]))
    assert [2] == list(kept(Generations(last=1, set_by="s"), starts, sets=["a", "b", "c"]))


# --- natural stretches of time


def test_days_are_those_of_the_zone():
    """23:30 UTC on 30 June is half past midnight on 1 July in London."""
    starts = [at("2026-06-30T23:30"), at("2026-06-30T22:30")]
    assert ["daily 1 of 9: 2026-07-01", "daily 2 of 9: 2026-06-30"] == [
        r for (r,) in kept(Generations(daily=9), starts, zone=LONDON).values()
    ]
    assert {0: ("daily 1 of 1: 2026-06-30",)} == kept(Generations(daily=1), starts)


def test_weeks_are_those_of_iso_8601():
    """1 January 2027 is a Friday in the last week of 2026."""
    starts = [at("2027-01-01"), at("2026-12-28"), at("2026-12-27")]
    found = kept(Generations(weekly=9), starts, now=at("2027-02-01"))
    assert {0: ("weekly 1 of 9: 2026-W53",), 2: ("weekly 2 of 9: 2026-W52",)} == found


def test_the_hour_that_a_clock_change_repeats_is_two_hours():
    starts = [at("2026-10-25T00:30"), at("2026-10-25T01:30"), at("2026-10-25T02:30")]
    found = kept(Generations(hourly=9), starts, zone=LONDON)
    labels = {0: "hourly 3 of 9: 2026-10-25 01:00", 1: "hourly 2 of 9: 2026-10-25 01:00", 2: "hourly 1 of 9: 2026-10-25 02:00"}
    assert {i: (label,) for i, label in labels.items()} == found


@pytest.mark.parametrize(
    ("within", "newest", "low"),
    [
        ("14 days", "2026-11-20T10:00", "2026-11-06T00:00"),
        ("1 month", "2026-03-31T10:00", "2026-02-28T00:00"),
        ("1 year", "2024-02-29T10:00", "2023-02-28T00:00"),
        ("1 day", "2026-03-30T12:00+01:00", "2026-03-29T00:00"),
        ("36 hours", "2026-11-20T10:00", "2026-11-18T22:00"),
        ("1 day 1 hour", "2026-11-20T10:00", "2026-11-19T09:00"),
        ("1 day 1 minute", "2026-10-26T01:30", "2026-10-25T01:29+01:00"),
    ],
)
def test_within_counts_back_in_civil_dates(within, newest, low):
    """Whole days where it has no hours: the last row's civil time occurs twice, and the earlier one keeps more."""
    start, expected = (datetime.fromisoformat(t) for t in (newest, low))
    start, expected = (t if t.tzinfo else t.replace(tzinfo=LONDON) for t in (start, expected))
    assert expected == cutoff(period(within), start, LONDON)


def test_within_counts_back_from_the_newest_and_not_from_now():
    starts = [at("2020-05-20T10:00"), at("2020-05-06T00:00"), at("2020-05-05T23:59")]
    found = kept(Generations(within=period("14 days")), starts)
    assert {0: ("within 14 days",), 1: ("within 14 days",)} == found


@pytest.mark.parametrize("within", [FOREVER, Period(months=40_000, words="long")])
def test_within_for_ever_or_beyond_the_calendar_keeps_everything(within):
    assert [0, 1] == list(kept(Generations(within=within), [NOW, at("1980-01-01")]))


def test_nothing_else_is_within_no_time_at_all():
    assert [0, 2] == list(kept(Generations(within=IMMEDIATELY), [NOW, NOW - timedelta(0, 1), NOW]))


# --- rules about rules


@pytest.mark.parametrize("counts", [{}, {"group_by": "x"}, {"last": 0}, {"last": -1}, {"daily": 3, "hourly": -1}])
def test_a_rule_that_keeps_nothing_is_no_rule(counts):
    with pytest.raises(ValueError, match=r"no generations|never negative"):
        Generations(**counts)


def test_a_rule_in_words():
    rule = Generations(last=3, monthly="all", within=period("14 days"), group_by="host", set_by="day")
    assert "last 3, monthly all, within 14 days, by host, in sets of one day" == rule.words


def test_what_keeps_is_told_by_its_key():
    found = judged(Generations(daily=3, monthly=1, within=period("1 day")), [NOW, NOW - timedelta(1), NOW - timedelta(1, 60)])
    assert ("daily", "monthly", "within") == found.kept_by(0)
    assert ("daily", "within") == found.kept_by(1)
    assert ("oldest", "within") == found.kept_by(2)


# --- properties, against a slow second way of saying the same

NAMES = {
    "hourly": lambda t: f"{t:%Y-%m-%d %H}{t.fold}",
    "daily": lambda t: f"{t:%Y-%m-%d}",
    "weekly": lambda t: f"{t:%G-%V}",
    "monthly": lambda t: f"{t:%Y-%m}",
    "yearly": lambda t: f"{t:%Y}",
}


def slowly(rule, zone, items):
    """The kept of one group: items are (start, key)."""
    line = sorted(items, reverse=True)
    found = set()
    for name, count in rule.counts:
        if name == "last":
            mine = line if count == "all" else line[:count]
            found |= {*mine}
            continue
        local = [(NAMES[name](start.astimezone(zone)), (start, key)) for start, key in line]
        newest = [max(item for _, item in stretch) for _, stretch in groupby(local, key=lambda pair: pair[0])]
        mine = newest if count == "all" else newest[:count]
        found |= {*mine}
        if (count == "all" or len(mine) < count) and line:
            found.add(line[-1])
    if rule.within is not None and line:
        back = line[0][0].astimezone(zone).date() - timedelta(rule.within.days)
        found |= {item for item in line if item[0].astimezone(zone).date() >= back}
    return found


counts = st.sampled_from([0, 1, 2, 3, 7, "all"])
rules = st.builds(
    lambda within, group, **c: Generations(**c, within=within, group_by=group),
    within=st.none() | st.integers(1, 40).map(lambda d: Period(days=d, words=f"{d} days")),
    group=st.sampled_from(["", "host"]),
    last=st.sampled_from([1, 2, 5, "all"]) | st.just(0),
    **dict.fromkeys(("hourly", "daily", "weekly", "monthly"), counts),
    yearly=st.sampled_from([1, 2, 5, "all"]),
)
dense = st.integers(0, 60 * 24 * 20).map(lambda m: NOW - timedelta(minutes=m))
sparse = st.datetimes(datetime(1980, 1, 1), datetime(2026, 11, 22)).map(lambda t: t.replace(tzinfo=UTC))
lines = st.lists(st.tuples(dense | sparse, st.sampled_from("ab")), max_size=40).map(lambda rows: [*enumerate(rows)])
zones = st.sampled_from([UTC_ZONE, LONDON, ZoneInfo("Asia/Kolkata"), ZoneInfo("America/St_Johns")])


def kept_keys(rule, zone, rows):
    found = judged(
        rule, [s for _, (s, _) in rows], zone=zone, keys=[f"{n:03}" for n, _ in rows], groups=[g for _, (_, g) in rows]
    )
    return {n: found.reasons(i) for i, (n, _) in enumerate(rows) if found.is_kept(i)}


def group(rule, row):
    return row[1][1] if rule.group_by else ""


@given(rules, zones, lines)
def test_a_slow_second_way_comes_to_the_same(rule, zone, rows):
    expected = set()
    for name in {group(rule, row) for row in rows}:
        items = [(start, f"{n:03}") for n, (start, g) in rows if name in ("", g)]
        expected |= {int(key) for _, key in slowly(rule, zone, items)}
    assert expected == kept_keys(rule, zone, rows).keys()


@given(rules, zones, lines)
def test_never_the_last_of_a_group_and_every_keep_has_its_reason(rule, zone, rows):
    found = kept_keys(rule, zone, rows)
    assert {group(rule, row) for row in rows} == {group(rule, row) for row in rows if row[0] in found}
    assert all(found.values())


@given(rules, zones, lines, st.randoms(use_true_random=False))
def test_the_order_of_the_items_does_not_matter(rule, zone, rows, random):
    mixed = random.sample(rows, len(rows))
    assert kept_keys(rule, zone, rows) == kept_keys(rule, zone, mixed)


@given(rules, zones, lines, st.sampled_from(["last", "hourly", "daily", "weekly", "monthly", "yearly"]))
def test_a_greater_count_keeps_no_less(rule, zone, rows, name):
    values = {f: getattr(rule, f) for f in rule.__dataclass_fields__}
    for more in ([values[name] + 1] if values[name] != "all" else []) + ["all"]:
        assert kept_keys(rule, zone, rows).keys() <= kept_keys(Generations(**values | {name: more}), zone, rows).keys()


@given(rules, zones, lines, sparse)
def test_an_older_item_makes_no_newer_one_due_but_the_one_that_was_the_oldest(rule, zone, rows, start):
    """What fills a count as the oldest is the only keep that an older item takes over."""
    older = min([start, *(s for _, (s, _) in rows)])
    if older <= datetime(1980, 1, 2, tzinfo=UTC):
        return
    before = kept_keys(rule, zone, rows)
    after = kept_keys(rule, zone, [*rows, (999, (older - timedelta(1), "a"))])
    firm = {n for n, reasons in before.items() if any(not r.startswith("oldest") for r in reasons)}
    assert firm <= after.keys()


@given(rules, zones, lines)
def test_again_on_what_was_kept_keeps_all_of_it(rule, zone, rows):
    """Running again changes nothing."""
    once = kept_keys(rule, zone, rows)
    assert once.keys() == kept_keys(rule, zone, [row for row in rows if row[0] in once]).keys()


@given(zones, lines, st.integers(1, 5))
def test_sets_stand_and_fall_together(zone, rows, size):
    rule = Generations(last=2, monthly=2, set_by="run")
    sets = [str(n // size) for n, _ in rows]
    found = judged(rule, [s for _, (s, _) in rows], zone=zone, sets=sets)
    for name in {*sets}:
        members = [i for i, s in enumerate(sets) if s == name]
        assert len({found.is_kept(i) for i in members}) == 1
        assert len({found.reasons(i) for i in members}) == 1


def test_dates_of_a_year_kept_by_a_usual_rule():
    """A backup each night for a year: 7 days, 4 weeks, 12 months, counted with a calendar."""
    nights = [at("2026-11-20T02:00") - timedelta(n) for n in range(365)]
    found = kept(Generations(daily=7, weekly=4, monthly=12), nights)
    days = {nights[i].date() for i in found}
    daily = {date(2026, 11, 20) - timedelta(n) for n in range(7)}
    weekly = {date(2026, 11, 20), date(2026, 11, 15), date(2026, 11, 8), date(2026, 11, 1)}
    ends = {date(2026, m, 1) - timedelta(1) for m in range(1, 12)}
    assert daily | weekly | ends | {date(2026, 11, 20)} == days
