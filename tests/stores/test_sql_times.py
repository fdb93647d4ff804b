"""SQL: starts of every kind are seen, and what a pushed-down bound leaves out is certainly waiting."""

import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retentiond.core.policy import Start
from tests.stores.tables import NOW, connect, look, scope, shown, sql

SINCE = NOW - timedelta(days=365)
TYPES = ("TEXT", "DATETIME", "INTEGER", "REAL", "", "BLOB", "TEXT COLLATE NOCASE", "TEXT COLLATE RTRIM")
ODD = (
    None,
    "",
    "soon",
    "now",
    "2026-02-30",
    "2026-02-30 10:00:00",
    "2026-06-31T10:00:00",
    "2026-06-01 24:00:00",
    "2026-06-01 23:60:00",
    "2026-06-01T",
    "2026-06-01 ",
    "2026-06-01 10:00:00 ",
    "2026-06-01  10:00:00",
    "2026-06-01TT10:00:00",
    "2026-06-01\t10:00:00",
    "2026-06-01t10:00:00",
    "2026-06-01 10:00:00z",
    "2026-06-01 10:00:00.",
    "2026-06-01 10:00:00.1  +05:00",
    "2026-06-01 10:00:00.1234567890",
    "2026-06-01 10:00:00+5",
    "2026-06-01 10:00:00\0",
    "2026-06-01\0",
    "2026-06-01\x000:00:00",
    "2026-06-01 10:00:00.123\0",
    "2026-06-01 garbage",
    "2026-06-010:00:00",
    "2026-00-10",
    "2026-13-01",
    "2026-6-1",
    "2026/06/01",
    "20260601",
    "01.06.2026",
    "0000-00-00",
    "1970-01-01 00:00:00",
    "1979-12-31 23:59:59",
    "2999-01-01",
    "9999-12-31 23:59:59.999999",
    "-2026-06-01",
    "2026-06-01 10:00:00+99:99",
    "2026-06-01 10:00:00-14:00",
    "٢٠٢٦-٠٦-٠١",
    0,
    -1,
    20260601,
    1_780_000_000,
    1_780_000_000_000,
    1_780_000_000.5,
    2**62,
    1e300,
    float("inf"),
    b"2026-06-01 10:00:00",
    b"\xff",
)

moments = st.datetimes(datetime(1975, 1, 1), datetime(2031, 1, 1)) | st.datetimes(
    SINCE.replace(tzinfo=None) - timedelta(days=5), NOW.replace(tzinfo=None) + timedelta(days=5)
)
FORMS = ("%Y-%m-%d", "%Y-%m", "%Y-%m-%d %H", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S.%f")
ZONES = ("", "Z", " Z", "+00:00", "+05:30", "-11:00", "+1400", "+19:59", "-19:59", "+01", "z", " ")


@st.composite
def spelled(draw):
    """A moment as somebody may have written it; now and then with a slip of the pen."""
    text = draw(moments).strftime(draw(st.sampled_from(FORMS))) + draw(st.sampled_from(ZONES))
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(list("0129:-. TZx\0"))) + text[at + draw(st.integers(0, 1)) :]
    return text


counted = st.builds(lambda m, k: int(m.replace(tzinfo=UTC).timestamp() * k), moments, st.sampled_from([1, 1000]))
values = st.sampled_from(ODD) | spelled() | counted | counted.map(float) | counted.map(str)


def table(path, declared, rows):
    with closing(connect(path)) as con:
        con.execute("DROP TABLE IF EXISTS items")
        con.execute(f"CREATE TABLE items (id INTEGER PRIMARY KEY, at {declared}, kind TEXT)")
        con.execute("BEGIN")
        con.executemany("INSERT INTO items (at) VALUES (?)", [(row,) for row in rows])
        con.execute("COMMIT")


def scanned(view, what):
    pages = list(view.scan(what))
    return {page.keys[i]: page.starts[i] for page in pages for i in range(len(page))}, sum(page.unseen for page in pages)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(values, min_size=1, max_size=30),
    declared=st.sampled_from(TYPES),
    unit=st.sampled_from([None, "s", "ms"]),
    zone=st.sampled_from(["UTC", "Europe/London", "Pacific/Kiritimati", "Pacific/Pago_Pago"]),
    since=st.sampled_from([SINCE, NOW - timedelta(days=3), datetime(1960, 1, 1, tzinfo=UTC), NOW - timedelta(hours=50)]),
)
def test_whatever_is_left_out_is_waiting_and_everything_is_seen_or_counted(tmp_path, rows, declared, unit, zone, since):
    path = tmp_path / "store.db"
    table(path, declared, rows)
    start = Start("column", "at", zone=zone, unit=unit)
    with look(path) as view:
        every, none = scanned(view, scope(start=start))
        seen, unseen = scanned(view, scope(start=start, waiting_from=since))
    assert none == 0
    assert len(every) == len(rows) == len(seen) + unseen
    assert seen.items() <= every.items()
    left_out = [every[key] for key in every.keys() - seen.keys()]
    assert all(start is not None and max(since, datetime(1980, 1, 1, tzinfo=UTC)) <= start <= NOW for start in left_out)


@pytest.mark.parametrize("declared", TYPES)
@pytest.mark.parametrize("unit", [None, "s", "ms"])
def test_no_odd_start_is_left_out(tmp_path, declared, unit):
    path = tmp_path / "store.db"
    table(path, declared, ODD)
    start = Start("column", "at", unit=unit)
    with look(path) as view:
        every, _ = scanned(view, scope(start=start))
        seen, unseen = scanned(view, scope(start=start, waiting_from=SINCE))
    no_date = {key for key, at in every.items() if at is None or at > NOW or at.year < 1980}
    assert no_date <= seen.keys()
    assert len(every) == len(seen) + unseen == len(ODD)


@pytest.mark.parametrize(
    "form",
    [
        "2026-06-{:02}",
        "2026-06-{:02} 10:00:00",
        "2026-06-{:02}T10:00:00Z",
        "2026-06-{:02} 10:00:00.123456",
        "2026-06-{:02} 12:00:00.123+02:00",
    ],
)
def test_common_spellings_are_left_out_while_they_wait(tmp_path, form):
    table(tmp_path / "store.db", "TEXT", [form.format(day) for day in range(1, 31)])
    with look(tmp_path / "store.db") as view:
        assert scanned(view, scope(waiting_from=SINCE)) == ({}, 30)


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 1000)])
def test_numbers_are_left_out_exactly(tmp_path, unit, factor):
    edge, now = int(SINCE.timestamp()), int(NOW.timestamp())
    rows = [
        (edge - 1) * factor,
        (edge + 1) * factor,
        float(edge + 1) * factor,
        now * factor,
        (now + 1) * factor,
        str((edge + 1) * factor),
    ]
    table(tmp_path / "store.db", "", rows)
    with look(tmp_path / "store.db") as view:
        seen, unseen = scanned(view, scope(start=Start("column", "at", unit=unit), waiting_from=SINCE))
    assert (["items/1", "items/5", "items/6"], 3) == (list(seen), unseen)


@pytest.mark.parametrize(
    ("value", "zone", "end"),
    [
        ("2026-03-01", "Europe/London", datetime(2026, 3, 1, 23, 59, 59, 999999, UTC)),
        ("2026-07-01", "Europe/London", datetime(2026, 7, 1, 22, 59, 59, 999999, UTC)),
        ("2026-07-01 10:00:00", "Europe/London", datetime(2026, 7, 1, 9, tzinfo=UTC)),
        ("2026-07-01T10:00:00+02:00", "Europe/London", datetime(2026, 7, 1, 8, tzinfo=UTC)),
        ("2026-07", "UTC", datetime(2026, 7, 31, 23, 59, 59, 999999, UTC)),
        (None, "UTC", None),
        (20260701, "UTC", None),
        (b"2026-07-01", "UTC", None),
    ],
)
def test_a_start_is_the_end_of_what_the_column_denotes_in_the_rules_zone(tmp_path, value, zone, end):
    table(tmp_path / "store.db", "", [value])
    with look(tmp_path / "store.db") as view:
        assert [end] == [item.start for item in shown(view, scope(start=Start("column", "at", zone=zone)))]


def test_the_rows_of_each_page_and_what_it_leaves_out_add_up_over_many_pages(tmp_path):
    path = tmp_path / "store.db"
    rows = ["2020-01-01" if i % 3 else "2026-06-01" for i in range(20_000)]
    table(path, "TEXT", rows)
    sql(path, "UPDATE items SET kind = CASE id % 2 WHEN 0 THEN 'in' ELSE 'out' END")
    with look(path) as view:
        pages = list(view.scan(scope(where="kind = 'in'", waiting_from=SINCE)))
    assert sum(len(page) for page in pages) == sum(i % 3 > 0 for i in range(20_000) if (i + 1) % 2 == 0)
    assert sum(len(page) + page.unseen for page in pages) == 10_000
    assert max(len(page) for page in pages) <= 1000


def test_a_table_in_which_everything_waits_shows_a_page_without_rows(tmp_path):
    table(tmp_path / "store.db", "DATE", [str(date(2026, 6, 1))] * 3)
    with look(tmp_path / "store.db") as view:
        assert [(0, 3)] == [(len(page), page.unseen) for page in view.scan(scope(waiting_from=SINCE))]


def test_sqlite_here_is_the_one_that_was_argued_about():
    """`date(…, '0 days')` normalises what the calendar does not have, and texts are compared with all their bytes."""
    with closing(sqlite3.connect(":memory:")) as con:
        row = con.execute(
            "SELECT date('2026-02-30', '0 days'), date('2026-06-01 24:00', '0 days'), 'a' || char(0) > 'a', x'' > 'a', 5 < 'a'"
        )
        assert row.fetchone() == ("2026-03-02", "2026-06-02", 1, 1, 1)
