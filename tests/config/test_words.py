"""Periods, sizes, shares and schedules: every accepted spelling, every refused one, and the way back."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from retentiond.config.schedule import schedule
from retentiond.config.words import Unreadable, day_longer, longer_by, period, share, size
from retentiond.core.period import FOREVER, IMMEDIATELY, Period


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("immediately", IMMEDIATELY),
        ("Forever", FOREVER),
        ("3 months", Period(3, words="3 months")),
        ("3 MONTHS", Period(3, words="3 months")),
        ("1 months", Period(1, words="1 month")),
        ("2 year", Period(24, words="2 years")),
        ("P3M", Period(3, words="3 months")),
        ("P2W", Period(0, 14, words="2 weeks")),
        ("PT2H", Period(0, 0, 120, words="2 hours")),
        ("PT90M", Period(0, 0, 90, words="90 minutes")),
        ("P1Y2M10DT2H30M", Period(14, 10, 150, words="1 year 2 months 10 days 2 hours 30 minutes")),
        ("3 months  2\n days", Period(3, 2, words="3 months 2 days")),
        ("2 days 3 months", Period(3, 2, words="3 months 2 days")),
        ("1 day 1 day", Period(0, 2, words="2 days")),
        ("90 minutes", Period(0, 0, 90, words="90 minutes")),
        ("1000 years", Period(12000, words="1000 years")),
    ],
)
def test_a_period_is_read(text, expected):
    assert expected == period(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "0 days",
        "0 months 3 days",
        "P0D",
        "PT0M",
        "-3 months",
        "+3 months",
        "3 months -2 days",
        "-P3M",
        "+P3M",
        "P-3M",
        "P3MT",
        "P",
        "PT",
        "P1.5M",
        "P0,5Y",
        "1.5 months",
        "1,5 months",
        "1/2 year",
        "half a year",
        "3",
        "months",
        "3 fortnights",
        "3 months and 2 days",
        "3 months, 2 days",
        "PT30S",
        "30 seconds",
        "p3m",
        "3 m",
        "three months",
        "1001 years",
        "99999999999999999999 days",
        "٣ months",
        "never",
        "forever 3 days",
        "immediately forever",
        "P3M2D1Y",
        "9" * 5000 + " days",
        3,
        True,
        None,
        [],
        {},
    ],
)
def test_what_is_no_period_is_refused(text):
    with pytest.raises(Unreadable) as caught:
        period(text)
    assert caught.value.why
    assert caught.value.do


counts = st.fixed_dictionaries({}, optional={u: st.integers(1, 900) for u in ("year", "month", "week", "day", "hour", "minute")})


@settings(deadline=None)
@given(counts.filter(bool))
def test_a_period_reads_its_own_words(numbers):
    text = " ".join(f"{n} {unit}s" for unit, n in numbers.items())
    try:
        found = period(text)
    except Unreadable:
        assert sum(numbers.values()) > 900
        return
    assert found == period(found.words)
    assert found.months == 12 * numbers.get("year", 0) + numbers.get("month", 0)


@settings(deadline=None)
@given(st.text())
@example("1 day\x00")
def test_any_text_is_a_period_or_unreadable(text):
    try:
        what = period(text).words
    except Unreadable as error:
        what = error.what
    assert what
    assert what.isprintable()


def test_the_default_deletion_period_is_a_day_longer():
    assert Period(3, 1, words="3 months 1 day") == day_longer(period("3 months"))
    assert Period(0, 1, words="1 day") == day_longer(IMMEDIATELY)
    assert Period(0, 2, words="2 days") == day_longer(period("1 day"))
    assert Period(12000, 1, words="1000 years 1 day") == day_longer(period("1000 years"))
    assert day_longer(FOREVER) == FOREVER


periods = st.builds(Period, st.integers(0, 60), st.integers(0, 80), st.sampled_from([0, 0, 0, 30, 1500]))
starts = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)).map(lambda d: d.replace(tzinfo=UTC))


@settings(deadline=None)
@given(periods, periods, starts)
def test_how_much_longer_one_period_is_than_another_holds_for_every_start(one, other, start):
    least, most = longer_by(one, other)
    gap = one.end(start, ZoneInfo("UTC")) - other.end(start, ZoneInfo("UTC"))
    assert timedelta(minutes=least) <= gap <= timedelta(minutes=most)


@pytest.mark.parametrize(
    ("one", "other", "surely_below", "perhaps_below"),
    [
        ("3 months", "3 months", False, False),
        ("3 months 1 day", "3 months", False, False),
        ("2 months", "3 months", True, True),
        ("90 days", "3 months", False, True),
        ("93 days", "3 months", False, False),
        ("365 days", "1 year", False, True),
        ("12 months", "1 year", False, False),
        ("24 hours", "1 day", False, True),
        ("6 years", "forever", True, True),
        ("forever", "6 years", False, False),
        ("forever", "forever", False, False),
    ],
)
def test_a_period_is_below_another_surely_or_for_some_starts(one, other, surely_below, perhaps_below):
    least, most = longer_by(period(one), period(other))
    assert (surely_below, perhaps_below) == (most < 0, least < 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50 GiB", 50 * 2**30),
        ("50GiB", 50 * 2**30),
        ("200 MB", 200_000_000),
        ("1 byte", 1),
        ("7 bytes", 7),
        (4096, 4096),
        ("1 TiB", 2**40),
    ],
)
def test_a_size_is_read(text, expected):
    assert expected == size(text)


@pytest.mark.parametrize(
    "text", ["", "50", "0 GiB", 0, -1, True, "1.5 GiB", "-1 GiB", "50 Gib ish", "9000000 PiB", "1" * 40 + " GiB", None]
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(Unreadable):
        size(text)


@pytest.mark.parametrize(("text", "expected"), [("1%", 1), ("25%", 25), ("25 %", 25), ("100%", 100)])
def test_a_share_is_read(text, expected):
    assert expected == share(text)


@pytest.mark.parametrize("text", ["0%", "101%", "25", 25, "2.5%", "-5%", "025%", "%", "", None, True])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(Unreadable):
        share(text)


@pytest.mark.parametrize(
    ("text", "canonical", "gap"),
    [
        ("every 15 minutes", "every 15 minutes", 15),
        ("Every 1 hours", "every 1 hour", 60),
        ("every 2 days", "every 2 days", 2880),
        ("daily at 02:00", "daily at 02:00", 1440),
        ("weekly on  Sunday at 03:00", "weekly on sunday at 03:00", 10080),
        ("cron: 0 2 * * MON", "cron: 0 2 * * mon", 10080),
        ("cron: */15 * * * *", "cron: */15 * * * *", 15),
        ("cron: 0 2,14 * * *", "cron: 0 2,14 * * *", 720),
        ("cron: 0 0 * * mon-fri", "cron: 0 0 * * mon-fri", 3 * 1440),
        ("cron: 30 1 1 jan *", "cron: 30 1 1 jan *", 366 * 1440),
        ("cron: 5/20 0 * * *", "cron: 5/20 0 * * *", 1440 - 40),
    ],
)
def test_a_schedule_is_read_and_reads_its_own_text(text, canonical, gap):
    found = schedule(text)
    assert (canonical, gap) == (found.text, found.longest_gap)
    assert found == schedule(found.text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hourly",
        "every minute",
        "every 0 days",
        "every -1 days",
        "every 1.5 hours",
        "daily",
        "daily at 2:00",
        "daily at 24:00",
        "daily at 02:60",
        "weekly at 03:00",
        "weekly on sun at 03:00",
        "monthly on 1 at 02:00",
        "cron: 0 2 * *",
        "cron: 0 2 * * 1",
        "cron: 0 2 * * mon-7",
        "cron: 60 2 * * mon",
        "cron: 0 24 * * mon",
        "cron: 0 2 31 feb *",
        "cron: 0 2 0 * *",
        "cron: 0 2 * * fri-mon",
        "cron: 0 2 * * someday",
        "cron: a b c d e",
        "cron: */0 * * * *",
        "cron: 0 2 29 2 mon#1",
        None,
        5,
        [],
    ],
)
def test_what_is_no_schedule_is_refused(text):
    with pytest.raises(Unreadable):
        schedule(text)


@settings(deadline=None)
@given(
    st.text()
    | st.lists(st.sampled_from(["*", "0", "5", "1-5", "*/15", "mon", "fri", "jan", ",", "/", "-"]), max_size=7).map(
        lambda w: "cron: " + " ".join(w)
    )
)
def test_any_text_is_a_schedule_or_unreadable(text):
    try:
        found = schedule(text)
    except Unreadable:
        return
    assert found == schedule(found.text)
    assert found.longest_gap > 0
