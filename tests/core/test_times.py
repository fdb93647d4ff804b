"""Starts: what a value denotes is read to its end, and what is no date is never guessed."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from retentiond.core.times import end_of, read, read_each

UTC_ZONE = ZoneInfo("UTC")
LONDON = ZoneInfo("Europe/London")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
ST_JOHNS = ZoneInfo("America/St_Johns")


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "denotes"),
    [
        ("2024-02", "2024-02-29T23:59:59.999999"),
        ("2023-12", "2023-12-31T23:59:59.999999"),
        ("2024-02-29", "2024-02-29T23:59:59.999999"),
        ("2024-02-29T07", "2024-02-29T07:59:59.999999"),
        ("2024-02-29 07:08", "2024-02-29T07:08:59.999999"),
        ("2024-02-29T07:08:09", "2024-02-29T07:08:09"),
        ("2024-02-29 07:08:09.1", "2024-02-29T07:08:09.100000"),
        ("2024-02-29 07:08:09,123456", "2024-02-29T07:08:09.123456"),
        ("2024-02-29 07:08:09.123456789", "2024-02-29T07:08:09.123456"),
        ("2024-02-29T07:08:09Z", "2024-02-29T07:08:09"),
        ("2024-02-29T07:08:09 Z", "2024-02-29T07:08:09"),
        ("2024-02-29T07:08:09+01:00", "2024-02-29T06:08:09"),
        ("2024-02-29T07:08:09 +0130", "2024-02-29T05:38:09"),
        ("2024-02-29 07:08:09-05", "2024-02-29T12:08:09"),
        ("2024-02-29 07:08:09-00:30", "2024-02-29T07:38:09"),
        ("2024-02-29T07+01:00", "2024-02-29T06:59:59.999999"),
        ("2024-02-29T07:08Z", "2024-02-29T07:08:59.999999"),
        ("2024-02-29T23:59:59+23:59", "2024-02-29T00:00:59"),
        ("0001-01-01", "0001-01-01T23:59:59.999999"),
        ("9999-12-31", "9999-12-31T23:59:59.999999"),
        ("9999-12", "9999-12-31T23:59:59.999999"),
        ("1970-01-01 00:00:00", "1970-01-01T00:00:00"),
    ],
)
def test_text_denotes_the_end_of_what_it_says(text, denotes):
    assert utc(denotes) == read(text, UTC_ZONE)
    assert [utc(denotes)] == read_each([text], UTC_ZONE)


@pytest.mark.parametrize(
    ("text", "zone", "denotes"),
    [
        ("2024-07-01 12:00:00", LONDON, "2024-07-01T11:00:00"),
        ("2024-07-01 12:00:00Z", LONDON, "2024-07-01T12:00:00"),
        ("2024-07-01", LONDON, "2024-07-01T22:59:59.999999"),
        ("2024-03-31", LONDON, "2024-03-31T22:59:59.999999"),
        ("2024-07", LONDON, "2024-07-31T22:59:59.999999"),
        ("2024-03-31 01:30:00", LONDON, "2024-03-31T01:00:00"),  # left out: the first instant after the gap
        ("2024-03-31 01", LONDON, "2024-03-31T01:00:00"),  # a whole hour left out
        ("2024-03-31 00", LONDON, "2024-03-31T00:59:59.999999"),
        ("2024-10-27 01:30:00", LONDON, "2024-10-27T01:30:00"),  # twice: the later
        ("2024-10-27 01:30", LONDON, "2024-10-27T01:30:59.999999"),
        ("2024-10-27 01", LONDON, "2024-10-27T01:59:59.999999"),
        ("2024-10-27 00", LONDON, "2024-10-26T23:59:59.999999"),  # the hour before is not twice
        ("2024-04-07 01", LORD_HOWE, "2024-04-06T15:29:59.999999"),  # an hour of ninety minutes
        ("2024-10-06 02", LORD_HOWE, "2024-10-05T15:59:59.999999"),  # an hour of thirty
        ("2010-11-06", ST_JOHNS, "2010-11-07T03:29:59.999999"),  # its last hour came twice, over midnight
        ("2011-12-30", ZoneInfo("Pacific/Apia"), "2011-12-30T10:00:00"),  # a day that was left out
        ("2011-12-30 12:00:00", ZoneInfo("Pacific/Apia"), "2011-12-30T10:00:00"),
        ("2011-12-29", ZoneInfo("Pacific/Apia"), "2011-12-30T09:59:59.999999"),
        ("2011-12", ZoneInfo("Pacific/Apia"), "2011-12-31T09:59:59.999999"),
    ],
)
def test_text_without_a_zone_is_civil_time_in_the_declared_one(text, zone, denotes):
    assert utc(denotes) == read(text, zone)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "yesterday",
        "2024",
        "20240229",
        "2024-2-9",
        "24-02-29",
        "2024-02-30",
        "2023-02-29",
        "2024-13-01",
        "2024-00-10",
        "2024-01-00",
        "0000-01-01",
        "2024-02-29T",
        "2024-02-29T24:00:00",
        "2024-02-29 24:00:00",
        "2024-02-29T07:60:00",
        "2024-02-29T07:08:60",
        "2024-02-29t07:08:09",
        "2024-02-29x07:08:09",
        "2024-02-29\n07:08:09",
        "2024-02-29T07:08:09z",
        "2024-02-29T07:08:09+24:00",
        "2024-02-29T07:08:09+01:60",
        "2024-02-29T07:08:09+99",
        "2024-02-29T07:08:09+1",
        "2024-02-29T07:08:09.",
        "2024-02-29 07:08:09.1234567890",
        "2024-02-29Z",
        "2024-02-29+01:00",
        "2024-02Z",
        " 2024-02-29",
        "2024-02-29 ",
        "2024-02-29\n",
        "29/02/2024",
        "02/29/2024",
        "2024-W09-4",
        "2024-060",
        "-2024-01-01",
        "infinity",
        "٢٠٢٤-٠٢-٢٩",
        "２０２４-02-29 07:08:09",
        "2024-02-29 07:08:0９",
        "1709190489",
        None,
        True,
        False,
        0,
        1709190489,
        1709190489.5,
        b"2024-02-29",
        Decimal(5),
        object(),
        [],
    ],
)
def test_what_is_no_date_is_none_in_every_zone(value):
    assert read(value, UTC_ZONE) is None
    assert read(value, LONDON) is None
    assert [None] == read_each([value], UTC_ZONE)


@pytest.mark.parametrize(
    ("value", "unit", "denotes"),
    [
        (0, "s", "1970-01-01T00:00:00"),
        (1_709_190_489, "s", "2024-02-29T07:08:09"),
        (1_709_190_489_123, "ms", "2024-02-29T07:08:09.123"),
        (1_709_190_489.5, "s", "2024-02-29T07:08:09.5"),
        (1_709_190_489_123.5, "ms", "2024-02-29T07:08:09.123500"),
        ("1709190489", "s", "2024-02-29T07:08:09"),
        ("1709190489123", "ms", "2024-02-29T07:08:09.123"),
        ("1709190489.25", "s", "2024-02-29T07:08:09.250"),
        (Decimal(1_709_190_489), "s", "2024-02-29T07:08:09"),
        (Decimal("1709190489.250"), "s", "2024-02-29T07:08:09.250"),
        (-1, "s", "1969-12-31T23:59:59"),
        (-1, "ms", "1969-12-31T23:59:59.999"),
        ("-1", "s", "1969-12-31T23:59:59"),
        (253_402_300_799, "s", "9999-12-31T23:59:59"),
    ],
)
def test_a_number_counts_from_1970_in_its_unit_in_any_zone(value, unit, denotes):
    assert utc(denotes) == read(value, LONDON, unit)
    assert [utc(denotes), None] == read_each([value, None], UTC_ZONE, unit)


@pytest.mark.parametrize(
    "value",
    [
        True,
        None,
        "",
        "1e9",
        "1_709",
        " 17",
        "17\n",
        "+17",
        "0x11",
        "nan",
        "inf",
        "1.",
        ".5",
        "١٧",
        "2024-02-29",
        b"17",
        float("nan"),
        float("inf"),
        -float("inf"),
        1e300,
        10**400,
        253_402_300_800_000,
        -(10**15),
        "9" * 18,
        "9" * 5000,
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("1E+400000"),
        Decimal(-(10**17)),
        datetime(2024, 2, 29, tzinfo=UTC),
        date(2024, 2, 29),
        1 + 1j,
        [],
    ],
)
@pytest.mark.parametrize("unit", ["s", "ms"])
def test_what_is_no_number_of_seconds_is_none(value, unit):
    assert read(value, UTC_ZONE, unit) is None


@pytest.mark.parametrize(
    ("value", "zone", "denotes"),
    [
        (date(2024, 7, 1), LONDON, "2024-07-01T22:59:59.999999"),
        (date(2024, 7, 1), UTC_ZONE, "2024-07-01T23:59:59.999999"),
        (datetime(2024, 7, 1), LONDON, "2024-06-30T23:00:00"),
        (datetime(2024, 10, 27, 1, 30), LONDON, "2024-10-27T01:30:00"),
        (datetime(2024, 3, 31, 1, 30, 5, 7), LONDON, "2024-03-31T01:00:00"),
        (datetime(2024, 7, 1, tzinfo=timezone(timedelta(hours=5))), LONDON, "2024-06-30T19:00:00"),
    ],
)
def test_what_a_database_gives_as_a_date_or_a_time_is_read_alike(value, zone, denotes):
    found = read(value, zone)
    assert utc(denotes) == found
    assert found.tzinfo is UTC


@pytest.mark.parametrize("value", [datetime.max, datetime.min])
@pytest.mark.parametrize("hours", [-12, 12])
def test_a_time_at_the_edge_of_the_calendar_is_a_time_or_none_and_no_error(value, hours):
    """PostgreSQL's `infinity` comes as one of these."""
    zone = timezone(timedelta(hours=hours))
    leaves = (hours < 0) == (value == datetime.max)
    assert (read(value.replace(tzinfo=zone), UTC_ZONE) is None) == leaves
    assert (read(value, ZoneInfo(f"Etc/GMT{-hours:+}")) is None) == leaves
    assert (read(f"{value.isoformat()[:19]}{hours:+03}", UTC_ZONE) is None) == leaves


@pytest.mark.parametrize(
    ("precision", "denotes"),
    [
        ("year", "2024-12-31T23:59:59.999999"),
        ("month", "2024-02-29T23:59:59.999999"),
        ("day", "2024-02-10T23:59:59.999999"),
        ("hour", "2024-02-10T07:59:59.999999"),
        ("minute", "2024-02-10T07:08:59.999999"),
        ("second", "2024-02-10T07:08:09"),
    ],
)
def test_the_end_of_each_precision(precision, denotes):
    assert utc(denotes) == end_of(datetime(2024, 2, 10, 7, 8, 9), precision, UTC_ZONE)


zones = st.sampled_from(["UTC", "Europe/London", "America/St_Johns", "Pacific/Apia", "Australia/Lord_Howe", "Asia/Beirut"])
precisions = st.sampled_from(["year", "month", "day", "hour", "minute", "second"])


@settings(max_examples=400)
@given(st.datetimes(datetime(1975, 1, 1), datetime(2060, 1, 1)), precisions, precisions, zones)
def test_the_end_of_what_is_said_less_precisely_is_never_earlier(civil, one, other, zone):
    """So that a store which cuts off the time of day never makes an item due sooner."""
    order = ["second", "minute", "hour", "day", "month", "year"]
    fine, coarse = sorted((one, other), key=order.index)
    assert end_of(civil, fine, ZoneInfo(zone)) <= end_of(civil, coarse, ZoneInfo(zone))


@settings(max_examples=400)
@given(st.datetimes(datetime(1975, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)), zones)
def test_an_instant_lies_within_what_its_civil_time_denotes(at, zone):
    """Whatever of it a store kept, the start that is read is not before the instant itself."""
    civil = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)
    for text in (f"{civil:%Y-%m}", f"{civil:%Y-%m-%d}", f"{civil:%Y-%m-%dT%H}", f"{civil:%Y-%m-%d %H:%M}", str(civil)):
        assert at <= read(text, ZoneInfo(zone))


_parts = st.tuples(
    st.sampled_from(["2024", "1970", "0000", "9999", "20", "２024"]),
    st.sampled_from(["-", "/", ""]),
    st.sampled_from(["01", "12", "13", "00", "W1"]),
    st.sampled_from(["-", "", "-W"]),
    st.sampled_from(["01", "29", "31", "32", "1"]),
    st.sampled_from([" ", "T", "t", "x", "_", "\0", "é", ""]),
    st.sampled_from(["00", "23", "24", "99"]),
    st.sampled_from([":", "", "."]),
    st.sampled_from(["00", "59", "60"]),
    st.sampled_from([":", ""]),
    st.sampled_from(["00", "59", "60", "5"]),
    st.sampled_from(["", ".5", ".123456", ",123456", ".1234567", ":123456", "+01:00", "Z", " ", ".12345Z", "+010000", " +01:00"]),
    st.sampled_from(["", "Z", "+02", " "]),
).map("".join)
_real = st.datetimes().flatmap(lambda d: st.sampled_from([str(d), d.isoformat(), str(d)[:19], str(d)[:10], f"{d}+00:00"]))
values = (
    _parts | _real | st.text(max_size=30) | st.none() | st.integers() | st.floats() | st.datetimes() | st.dates() | st.booleans()
)


@settings(max_examples=400)
@given(st.lists(values, max_size=10), st.sampled_from(["UTC", "Etc/UTC", "Europe/London"]))
@example(["2024-02-29x07:08:09", "2024-02-29 24:00:00", "2024-02-29 07:08:09:123456", "2024-02-29 07:08:09+010000"], "UTC")
def test_a_column_is_read_like_each_of_its_values(column, zone):
    found = read_each(column, ZoneInfo(zone))
    assert [read(value, ZoneInfo(zone)) for value in column] == found
    assert all(at is None or at.tzinfo is UTC for at in found)


@settings(max_examples=300)
@given(
    st.lists(st.integers() | st.floats() | st.text(max_size=12) | st.none() | st.decimals(), max_size=10),
    st.sampled_from(["s", "ms"]),
)
def test_a_column_of_numbers_is_read_like_each_of_its_values(column, unit):
    assert [read(value, UTC_ZONE, unit) for value in column] == read_each(column, UTC_ZONE, unit)
