"""Periods against `whenever`, an independent library, and the examples that the contract names."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
import whenever
from hypothesis import example, given, settings
from hypothesis import strategies as st

from retentiond.core.period import (
    FOREVER,
    IMMEDIATELY,
    DueDates,
    Period,
    add_months,
    first_instant,
    instant,
    last_instant,
)

ZONES = (
    "UTC",
    "Europe/London",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",  # until 2019 the clock went from 24:00 to 01:00
    "America/Havana",  # midnight comes twice each autumn
    "America/St_Johns",  # until 2011 the clock went from 00:01 back to the day before
    "Atlantic/Azores",  # midnight comes twice, and is left out in spring
    "Africa/Cairo",
    "Asia/Beirut",
    "Africa/Monrovia",  # 44 minutes and 30 seconds were left out in 1972
    "Africa/Casablanca",
    "Pacific/Apia",  # 30 December 2011 was left out
    "Pacific/Kwajalein",  # 21 August 1993 was left out
    "Pacific/Kiritimati",
    "Australia/Lord_Howe",  # summer time is half an hour
    "Asia/Kathmandu",
)
BACK_OVER_MIDNIGHT = {"America/St_Johns"}
_YEAR = 365 * 86_400


def _transitions(zone: str) -> list[datetime]:
    """Every change of the clock from 1970 to 2045, by the other library."""
    at, found = whenever.Instant.from_utc(1970, 1, 1).to_tz(zone), []
    while (after := at.next_transition()) is not None and after.year < 2045:
        found.append(after.to_instant().to_stdlib())
        at = after
    return found


TRANSITIONS = {zone: _transitions(zone) or [datetime(2024, 3, 1, tzinfo=UTC)] for zone in ZONES}

zones = st.sampled_from(ZONES)
any_start = st.datetimes(datetime(1971, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))
near_a_change = zones.flatmap(
    lambda zone: st.tuples(
        st.just(zone),
        st.builds(
            lambda at, off: at + timedelta(microseconds=off),
            st.sampled_from(TRANSITIONS[zone]),
            st.integers(-2 * 86_400_000_000, 2 * 86_400_000_000) | st.sampled_from([-1, 0, 1]),
        ),
    )
)
month_ends = st.builds(
    lambda year, month, zone, micro: (
        zone,
        whenever.YearMonth(year, month).on_day(1).subtract(days=1).to_stdlib(),
        micro,
    ),
    st.integers(1981, 2050),
    st.integers(1, 12),
    zones,
    st.integers(0, 86_399_999_999),
).map(
    lambda found: (found[0], datetime.combine(found[1], time(), ZoneInfo(found[0])).astimezone(UTC) + timedelta(0, 0, found[2]))
)
zoned_starts = st.tuples(zones, any_start) | near_a_change | month_ends
months = st.integers(0, 150) | st.sampled_from([0, 1, 12, 48])
days = st.integers(0, 1200) | st.sampled_from([0, 1, 7])
minutes = st.integers(0, 200_000) | st.sampled_from([0, 0, 30, 60, 90])


def resolved(civil: whenever.PlainDateTime, zone: str) -> datetime:
    """What a civil time denotes, by the other library: after a gap the first instant, of two the later."""
    try:
        found = civil.assume_tz(zone, disambiguation="raise")
    except whenever.SkippedTime:
        found = civil.assume_tz(zone, disambiguation="earlier").next_transition()
    except whenever.RepeatedTime:
        found = civil.assume_tz(zone, disambiguation="later")
    return found.to_instant().to_stdlib()


def expected_end(start: datetime, period: Period, zone: str) -> datetime:
    """The rules of the contract, spelt with the other library."""
    at = whenever.Instant(start)
    if not (period.months or period.days):
        return at.add(minutes=period.minutes).to_stdlib()
    civil = at.to_tz(zone).to_plain()
    last = civil.date().add(months=period.months, days=period.days)
    if not period.minutes:
        return resolved(last.add(days=1).at(whenever.Time(0, 0)), zone)
    return resolved(last.at(civil.time()), zone) + timedelta(minutes=period.minutes)


@settings(max_examples=1500)
@given(zoned_starts, months, days, minutes)
def test_a_period_ends_where_an_independent_library_says(zoned, some_months, some_days, some_minutes):
    zone, start = zoned
    period = Period(some_months, some_days, some_minutes)
    end = period.end(start, ZoneInfo(zone))
    assert expected_end(start, period, zone) == end
    assert end.tzinfo is UTC


@pytest.mark.parametrize("zone", ["Europe/London", "America/Havana", "Australia/Lord_Howe", "Atlantic/Azores"])
def test_every_day_of_five_years_ends_where_an_independent_library_says(zone):
    """No sample: every civil day, leap day, month end and night of a clock change, a little before and after midnight."""
    info, first = ZoneInfo(zone), datetime(2023, 1, 1, tzinfo=UTC)
    terms = (Period(1, 0, 0), Period(3, 0, 0), Period(12, 0, 0), Period(0, 14, 0), Period(0, 0, 90))
    starts = [first + timedelta(days=day, minutes=off) for day in range(5 * 365 + 1) for off in (-31, 0, 153)]
    differ = [(start, term) for term in terms for start in starts if term.end(start, info) != expected_end(start, term, zone)]
    assert differ == []


@settings(max_examples=500)
@given(near_a_change, st.integers(0, 86_400_000_000))
def test_a_civil_time_beside_a_clock_change_denotes_what_an_independent_library_says(zoned, micro):
    zone, near = zoned
    civil = near.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0) + timedelta(microseconds=micro)
    assert resolved(whenever.PlainDateTime(civil), zone) == instant(civil, ZoneInfo(zone))


@pytest.mark.parametrize("zone", ZONES)
def test_the_end_of_a_gap_is_the_change_itself_for_every_time_within_the_gap(zone):
    """Every gap since 1970: its first and last microsecond and its middle all mean the first instant after it."""
    found = ZoneInfo(zone)
    for change in TRANSITIONS[zone]:
        before = (change - timedelta(microseconds=1)).astimezone(found)
        width = change.astimezone(found).utcoffset() - before.utcoffset()
        first = before.replace(tzinfo=None, fold=0) + timedelta(microseconds=1)
        if width > timedelta():
            for civil in (first, first + width / 2, first + width - timedelta(microseconds=1)):
                assert change == instant(civil, found)
            assert instant(first + width, found) == change
        assert change - timedelta(microseconds=1) <= instant(first - timedelta(microseconds=1), found)


@pytest.mark.parametrize("zone", ZONES)
def test_days_follow_one_another_without_a_hole_and_each_is_over_at_its_last_microsecond(zone):
    """For thirty years, day by day: the first instant, the last one, and the midnight at which a period is over."""
    found = ZoneInfo(zone)
    for number in range(date(1985, 1, 1).toordinal(), date(2015, 12, 31).toordinal()):
        day = date.fromordinal(number)
        first, last, after = first_instant(day, found), last_instant(day, found), first_instant(day + timedelta(1), found)
        if zone in BACK_OVER_MIDNIGHT:
            assert first < last
        elif first != after:  # a day that was not left out
            assert last + timedelta(microseconds=1) == after
            assert {day} == {m.astimezone(found).date() for m in (first, last)}
        assert Period(days=1).end(last, found) > last


def test_a_day_over_which_the_clock_went_back_ends_when_it_ends_for_good():
    """Newfoundland, 2010: a minute into 7 November it was 23:01 of the 6th again."""
    zone = ZoneInfo("America/St_Johns")
    assert datetime(2010, 11, 7, 2, 30, tzinfo=UTC) == first_instant(date(2010, 11, 7), zone)
    assert datetime(2010, 11, 7, 3, 29, 59, 999_999, tzinfo=UTC) == last_instant(date(2010, 11, 6), zone)
    assert datetime(2010, 11, 7, 3, 30, tzinfo=UTC) == Period(days=1).end(datetime(2010, 11, 5, 12, tzinfo=UTC), zone)


def test_of_two_midnights_the_later_one_makes_due():
    """Cuba, 2023: on 5 November the clock went from 01:00 back to 00:00."""
    start = datetime(2023, 11, 3, 16, tzinfo=UTC)
    assert datetime(2023, 11, 5, 5, tzinfo=UTC) == Period(days=1).end(start, ZoneInfo("America/Havana"))


def test_a_day_that_does_not_exist_is_over_when_the_next_one_begins():
    """Samoa, 2011: 29 December was followed by 31 December."""
    zone, turn = ZoneInfo("Pacific/Apia"), datetime(2011, 12, 30, 10, tzinfo=UTC)
    noon_of_28, noon_of_29 = datetime(2011, 12, 28, 22, tzinfo=UTC), datetime(2011, 12, 29, 22, tzinfo=UTC)
    day = timedelta(days=1)
    assert turn == first_instant(date(2011, 12, 30), zone) == last_instant(date(2011, 12, 30), zone)
    assert turn == first_instant(date(2011, 12, 31), zone) == last_instant(date(2011, 12, 29), zone) + timedelta(0, 0, 1)
    assert turn == Period(days=1).end(noon_of_28, zone)
    assert turn == Period(days=1).end(noon_of_29, zone)
    assert turn + day == Period(days=2).end(noon_of_29, zone)
    assert turn + timedelta(minutes=1) == Period(days=1, minutes=1).end(noon_of_29, zone)


LONDON = ZoneInfo("Europe/London")


@pytest.mark.parametrize(
    ("start", "period", "due"),
    [
        ("2023-01-31T10:00", Period(months=1), "2023-03-01T00:00"),  # 28 February, and its end
        ("2024-01-31T10:00", Period(months=1), "2024-03-01T00:00"),
        ("2024-02-29T10:00", Period(months=12), "2025-03-01T00:00"),
        ("2024-02-29T10:00", Period(months=48), "2028-03-01T00:00"),
        ("2023-01-31T10:00", Period(months=2), "2023-03-31T23:00"),  # the end of 31 March, not of 28 March
        ("2023-01-31T10:00", Period(months=1, days=1), "2023-03-02T00:00"),  # months first: 28 February + 1 day
        ("2023-11-30T23:59", Period(months=3), "2024-03-01T00:00"),
        ("2024-03-30T10:00", Period(days=1), "2024-03-31T23:00"),  # midnight of 1 April is in summer time
        ("2024-10-26T10:00", Period(days=1), "2024-10-28T00:00"),
        ("2024-03-30T01:30", Period(days=1, minutes=60), "2024-03-31T02:00"),  # 01:30 was left out: 02:00 BST + 1 h
        ("2024-10-26T00:30", Period(days=1, minutes=60), "2024-10-27T02:30"),  # 01:30 comes twice: the later + 1 h
        ("2024-03-31T00:30", Period(minutes=60), "2024-03-31T01:30"),  # an hour is an hour
        ("2024-06-01T12:00", IMMEDIATELY, "2024-06-01T12:00"),
        ("2024-06-30T22:59", Period(days=1), "2024-07-01T23:00"),  # still the 30th in London
        ("2024-06-30T23:00", Period(days=1), "2024-07-02T23:00"),  # the 1st in London
        ("2024-12-31T12:00", Period(days=365), "2026-01-01T00:00"),
        ("2024-01-15T08:00", Period(days=14), "2024-01-30T00:00"),
    ],
)
def test_the_examples_of_the_contract(start, period, due):
    """An item is due when `start + P <= now`: not a microsecond before, and at that microsecond."""
    end = period.end(datetime.fromisoformat(start).replace(tzinfo=UTC), LONDON)
    assert datetime.fromisoformat(due).replace(tzinfo=UTC) == end


def test_a_month_and_a_month_is_not_two_months():
    once = Period(months=1).end(datetime(2023, 1, 31, 10, tzinfo=UTC), ZoneInfo("UTC"))
    twice = Period(months=1).end(once - timedelta(days=1), ZoneInfo("UTC"))
    assert once == datetime(2023, 3, 1, tzinfo=UTC)
    assert twice == datetime(2023, 3, 29, tzinfo=UTC)
    assert Period(months=2).end(datetime(2023, 1, 31, 10, tzinfo=UTC), ZoneInfo("UTC")) == datetime(2023, 4, 1, tzinfo=UTC)


def test_start_plus_three_months_is_another_question_than_now_minus_three_months():
    """For 23 of the 1826 starts of 2023 to 2027 the wrong question says due a day later."""
    late = []
    for number in range(1826):
        start = date(2023, 1, 1) + timedelta(days=number)
        end = Period(months=3).end(datetime.combine(start, time(12), UTC), ZoneInfo("UTC"))
        last = whenever.Date(end.date()).subtract(days=1)
        late += [start] if last.subtract(months=3).to_stdlib() < start else []
        assert last.add(days=1).subtract(months=3).to_stdlib() >= start
    assert 23 == len(late)
    assert date(2023, 11, 30) in late


@settings(max_examples=250)
@given(
    zones,
    st.lists(any_start | st.none(), max_size=40),
    near_a_change,
    st.lists(st.integers(-200_000, 200_000)),
    months,
    days,
    minutes,
)
def test_a_page_of_due_dates_is_each_due_date_by_itself(zone, starts, near, offsets, some_months, some_days, some_minutes):
    """Whatever was looked up before, in whatever order, and pressed around changes of the clock."""
    period = Period(some_months, some_days, some_minutes)
    for where, page in ((zone, starts), (near[0], [near[1] + timedelta(seconds=s) for s in offsets])):
        due = DueDates(period, ZoneInfo(where))
        expected = [None if s is None else due.of(s) for s in page]
        assert expected == due.each(page)
        assert expected == due.each(page)
        assert expected[::-1] == due.each(page[::-1])


@pytest.mark.parametrize("zone", ZONES)
def test_around_every_change_of_the_clock_a_page_is_each_by_itself(zone):
    due = DueDates(Period(days=1), ZoneInfo(zone))
    page = [
        c + timedelta(minutes=m) for c in TRANSITIONS[zone] for m in (-1500, -90, -61, -59, -31, -1, 0, 1, 29, 31, 59, 61, 1500)
    ]
    assert [due.of(start) for start in page] == due.each(page)


@settings(max_examples=500)
@given(near_a_change, st.integers(0, 400_000_000_000), months, days)
def test_what_started_later_is_not_due_earlier(zoned, later, some_months, some_days):
    """True of civil periods wherever the clock never goes back over midnight, and of exact ones everywhere."""
    zone, start = zoned
    for period in (Period(some_months, some_days), Period(minutes=some_days)):
        if period.is_civil and zone in BACK_OVER_MIDNIGHT:
            continue
        ends = [period.end(s, ZoneInfo(zone)) for s in (start, start + timedelta(microseconds=later))]
        assert all(a <= b for a, b in pairwise(ends))


@settings(max_examples=500)
@given(zoned_starts, months, days, minutes)
def test_a_period_is_never_over_before_it_began_and_a_longer_one_not_before_a_shorter(
    zoned, some_months, some_days, some_minutes
):
    zone, start = zoned
    period = Period(some_months, some_days, some_minutes)
    end = period.end(start, ZoneInfo(zone))
    assert start <= end
    assert end <= Period(some_months + 1, some_days, some_minutes).end(start, ZoneInfo(zone))
    assert end <= Period(some_months, some_days + 1, some_minutes).end(start, ZoneInfo(zone))


@settings(max_examples=1000)
@given(
    st.datetimes(timezones=st.just(UTC)),
    zones,
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.integers(0, 2**40),
)
@example(datetime.max.replace(tzinfo=UTC), "Asia/Kathmandu", 0, 1, 0)
@example(datetime.min.replace(tzinfo=UTC), "America/New_York", 0, 1, 0)
@example(datetime.min.replace(tzinfo=UTC), "Asia/Kathmandu", 0, 1, 0)
@example(datetime(9999, 12, 30, 23, tzinfo=UTC), "UTC", 0, 0, 0)
@example(datetime(2024, 1, 1, tzinfo=UTC), "UTC", 10**15, 0, 0)
@example(datetime(2024, 1, 1, tzinfo=UTC), "UTC", 0, 10**15, 0)
@example(datetime(2024, 1, 1, tzinfo=UTC), "UTC", 0, 0, 10**18)
def test_no_start_and_no_period_is_too_large_to_be_judged(start, zone, some_months, some_days, some_minutes):
    """Beyond the calendar there is no end, so it is never due; and a page says the same as each by itself."""
    due = DueDates(Period(some_months, some_days, some_minutes), ZoneInfo(zone))
    end = due.of(start)
    assert end is None or start <= end
    assert [end, None, end] == due.each([start, None, start])


@pytest.mark.parametrize(
    "period", [Period(months=96_000), Period(days=4_000_000), Period(days=1, minutes=10**12), Period(minutes=10**18)]
)
def test_what_ends_after_the_calendar_never_ends(period):
    assert period.end(datetime(2024, 1, 1, tzinfo=UTC), LONDON) is None


def test_for_ever_never_ends_and_immediately_is_over_at_once():
    start = datetime(2024, 5, 5, 5, 5, tzinfo=UTC)
    assert FOREVER.end(start, LONDON) is None
    assert [None] == DueDates(FOREVER, LONDON).each([start])
    assert start == IMMEDIATELY.end(start, LONDON)


def test_a_start_in_another_zone_is_the_same_start():
    """An hour is an hour on the clock of the world, not on the wall: 00:30 GMT + 1 h is 02:30 BST."""
    wall = datetime(2024, 3, 31, 0, 30, tzinfo=LONDON)
    for period in (IMMEDIATELY, Period(minutes=60), Period(days=1), Period(days=1, minutes=1)):
        assert period.end(wall.astimezone(UTC), ZoneInfo("Asia/Kathmandu")) == period.end(wall, ZoneInfo("Asia/Kathmandu"))
    assert datetime(2024, 3, 31, 1, 30, tzinfo=UTC) == Period(minutes=60).end(wall, LONDON)
    assert UTC is IMMEDIATELY.end(datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=5))), LONDON).tzinfo


@pytest.mark.parametrize("period", [IMMEDIATELY, FOREVER, Period(days=1), Period(minutes=5), Period(days=1, minutes=5)])
def test_a_start_without_a_zone_is_refused(period):
    with pytest.raises(TypeError):
        period.end(datetime(2024, 1, 1), LONDON)
    with pytest.raises(TypeError):
        DueDates(period, LONDON).each([datetime(2024, 1, 1)])


@pytest.mark.parametrize("part", ["months", "days", "minutes"])
def test_a_negative_period_cannot_be_made(part):
    with pytest.raises(ValueError, match="negative"):
        Period(**{part: -1})


@pytest.mark.parametrize(
    ("period", "longer"),
    [
        (IMMEDIATELY, Period(days=1, words="1 day")),
        (Period(months=3, words="3 months"), Period(3, 1, words="3 months 1 day")),
        (Period(minutes=5, words="5 minutes"), Period(0, 1, 5, words="5 minutes 1 day")),
        (FOREVER, FOREVER),
    ],
)
def test_the_default_deletion_period_is_a_day_longer_and_for_ever_is_for_ever(period, longer):
    assert longer == period.plus_day()


@settings(max_examples=500)
@given(st.dates(date(1, 1, 1), date(9000, 1, 1)), st.integers(0, 11_000))
def test_adding_months_is_what_an_independent_library_does(day, some):
    assert whenever.Date(day).add(months=some).to_stdlib() == add_months(day, some)
