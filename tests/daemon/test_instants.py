"""When a schedule comes: once in a civil day whatever the clocks do, and late but once when it was missed."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retentiond.config.schedule import next_after, schedule
from retentiond.daemon.scheduler import Coming, Timetable

LONDON, NEW_YORK = ZoneInfo("Europe/London"), ZoneInfo("America/New_York")
ZONES = ["UTC", "Europe/London", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "America/Havana", "Asia/Kathmandu"]


def at(text):
    return datetime.fromisoformat(text).astimezone(UTC)


def coming(words, zone, after, count):
    found, times = [], schedule(words)
    for _ in range(count):
        after = next_after(times, ZoneInfo(zone), after, after)
        found.append(after.astimezone(ZoneInfo(zone)).isoformat(timespec="minutes"))
    return found


def test_a_time_that_the_zone_has_twice_comes_once():
    assert coming("daily at 01:30", "Europe/London", at("2026-10-24T12:00Z"), 2) == [
        "2026-10-25T01:30+00:00",
        "2026-10-26T01:30+00:00",
    ]


def test_a_time_that_the_zone_leaves_out_comes_at_the_end_of_the_gap():
    found = coming("daily at 02:30", "America/New_York", at("2026-03-07T12:00Z"), 2)
    assert found == ["2026-03-08T03:00-04:00", "2026-03-09T02:30-04:00"]


def test_a_day_that_the_zone_left_out_comes_with_the_next():
    """Samoa had no 30 December 2011."""
    found = coming("daily at 02:30", "Pacific/Apia", at("2011-12-29T00:00Z"), 3)
    assert found == ["2011-12-29T02:30-10:00", "2011-12-31T00:00+14:00", "2011-12-31T02:30+14:00"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("weekly on sunday at 03:00", "2026-11-29T03:00+00:00"),
        ("cron: 0 2 * * mon", "2026-11-23T02:00+00:00"),
        ("cron: 0 2 * * sun", "2026-11-29T02:00+00:00"),
        ("cron: */15 * * * *", "2026-11-22T12:15+00:00"),
        ("cron: 0 0 29 feb *", "2028-02-29T00:00+00:00"),
        ("cron: 0 0 1 * mon-fri", "2026-12-01T00:00+00:00"),
        ("daily at 12:00", "2026-11-23T12:00+00:00"),
    ],
)
def test_weekdays_are_those_of_their_names(words, expected):
    assert coming(words, "UTC", at("2026-11-22T12:00Z"), 1) == [expected]


@pytest.mark.parametrize(
    ("after", "expected"),
    [("00:00:10", "00:00:15"), ("00:00:15", "00:00:20"), ("00:00:00", "00:00:05"), ("00:07:01", "00:07:05")],
)
def test_every_counts_from_its_anchor_so_that_a_restart_postpones_nothing(after, expected):
    found = next_after(schedule("every 5 seconds"), LONDON, at(f"2026-11-22T{after}Z"), at("2026-11-22T00:00Z"))
    assert found == at(f"2026-11-22T{expected}Z")


def test_every_survives_an_anchor_in_the_future():
    """A look of a time to which the clock had jumped does not silence a category until then."""
    now = at("2026-11-22T12:00Z")
    found = next_after(schedule("every 15 minutes"), LONDON, now, at("2027-11-22T12:00Z"))
    assert now < found <= now + timedelta(minutes=15)


@given(
    st.sampled_from(ZONES),
    st.datetimes(datetime(2011, 1, 1), datetime(2030, 1, 1)),
    st.lists(
        st.sampled_from(["0 2 * * *", "30 1 * * *", "30 2 * * *", "*/30 0-3 * * *", "15 0 * * sat,sun"]), min_size=1, max_size=1
    ),
)
def test_a_civil_time_comes_once_in_each_of_its_days(zone, start, crons):
    times, place = schedule(f"cron: {crons[0]}"), ZoneInfo(zone)
    after = start.replace(tzinfo=UTC)
    seen = []
    while len(seen) < 12:
        after = next_after(times, place, after, after)
        seen.append(after)
    assert seen == sorted(set(seen)), "never twice, never back"
    walls = [moment.astimezone(place).replace(tzinfo=None) for moment in seen]
    assert len(set(walls)) == len(walls), "no civil time twice"


def filled(timetable, words, anchor):
    timetable.fill({"post": schedule(words)}, LONDON, {"post": anchor})


def test_the_timetable_names_what_has_come_and_knows_what_comes_next():
    named = []
    timetable = Timetable(named.append)
    now = datetime.now(UTC)
    filled(timetable, "every 1 day", now)
    assert timetable.turn() > 3000
    assert (named, timetable.coming()["post"]) == ([], now + timedelta(days=1))
    timetable.fill({}, LONDON, {})
    assert (timetable.turn(), timetable.coming()) == (3600.0, {})


def test_a_schedule_missed_a_thousand_times_comes_once():
    trigger = Coming(schedule("every 5 seconds"), LONDON, at("2026-10-22T00:00Z"))
    now = at("2026-11-22T12:00:01Z")
    assert trigger.get_next_fire_time(at("2026-10-22T00:00:05Z"), now) == at("2026-11-22T12:00:05Z")


def test_the_timetable_turns_without_a_thread_of_its_own():
    named = []
    timetable = Timetable(named.append)
    filled(timetable, "every 1 second", datetime.now(UTC))
    until = datetime.now(UTC) + timedelta(seconds=30)
    while not named and datetime.now(UTC) < until:
        timetable.turn()
    assert named == ["post"]
