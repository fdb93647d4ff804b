"""The demo's company is what its story says: the same each time, real files, figures that hold on any day."""

import hashlib
import os
import random
import sqlite3
import struct
import wave
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from retentiond.config.load import load
from retentiond.core.pattern import compile_pattern, date_of
from retentiond.core.period import DueDates, Period
from retentiond.core.times import end_of, read
from retentiond.demo import DUE, POPULATION, TRIPS, build, helpdesk, pbx
from retentiond.demo.timeline import LONDON, Timeline
from retentiond.errors import UsageError

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
Told = tuple[str, int, int]
DAYS_OF_NOTE = [
    NOW,
    datetime(2026, 11, 22, 0, 0, tzinfo=UTC),
    datetime(2026, 3, 29, 0, 59, 59, 999_999, tzinfo=UTC),  # the last instant before a clock change
    datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
    datetime(2026, 8, 30, 23, 30, tzinfo=UTC),  # already the 31st in London
    datetime(2026, 8, 31, 12, 0, tzinfo=UTC),  # six months ago there was no such day
    datetime(2027, 3, 1, 8, 0, tzinfo=UTC),
    datetime(2028, 2, 29, 23, 59, tzinfo=UTC),
    datetime(2027, 1, 1, 0, 0, tzinfo=UTC),
]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("company")
    build(folder, NOW)
    return folder


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Told]]:
    """The same company once more, with what its building told on the way."""
    folder, heard = tmp_path_factory.mktemp("again"), []
    build(folder, NOW, lambda what, done, total: heard.append((what, done, total)))
    return folder, heard


def rows(database: Path, query: str) -> list[tuple]:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def fingerprint(folder: Path) -> str:
    """Every path, byte and time of change below a folder, databases by content and not by time."""
    seal = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        dated = path.parts[len(folder.parts)] in ("recordings", "uploads")
        seal.update(f"{path.relative_to(folder)}\0{path.stat().st_mtime_ns if dated else 0}\0".encode())
        seal.update(path.read_bytes())
    return seal.hexdigest()


def due(starts: list[datetime | None], period: Period, now: datetime) -> int:
    return sum(end is not None and end <= now for end in DueDates(period, LONDON).each(starts))


def test_the_same_now_makes_the_same_company_byte_for_byte(company: Path, again: tuple[Path, list[Told]]):
    assert fingerprint(company) == fingerprint(again[0])


def test_another_now_makes_another_company():
    calls = [pbx.calls(random.Random(1), Timeline(now)) for now in (NOW, NOW.replace(day=23))]
    assert calls[0] != calls[1]


def test_progress_is_told_in_order_and_to_its_end(again: tuple[Path, list[Told]]):
    heard = again[1]
    recordings = [done for what, done, _ in heard if what == "recordings"]
    assert recordings == sorted(recordings)
    assert recordings[-1] == pbx.CALLS
    assert heard[-1][1] == heard[-1][2]


def test_nothing_that_exists_is_overwritten(tmp_path: Path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="new or an empty folder"):
        build(tmp_path, NOW)
    assert os.listdir(tmp_path) == ["mine.txt"]


def test_a_file_in_the_place_of_the_folder_is_a_usage_error(tmp_path: Path):
    (tmp_path / "demo").write_text("a file")
    with pytest.raises(UsageError, match="cannot be made"):
        build(tmp_path / "demo", NOW)


def test_every_recording_is_a_sound_that_plays(company: Path):
    paths = list((company / "recordings").rglob("*.wav"))
    assert len(paths) == POPULATION["call-recordings", "sound"]
    for path in random.Random(2).sample(paths, 50):
        with wave.open(str(path)) as sound:
            assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 1, 8000)
            assert sound.getnframes() == len(sound.readframes(10_000)) > 300
        assert path.stat().st_size < 1200


def test_recordings_and_rows_are_the_same_calls(company: Path):
    on_disk = {path.relative_to(company / "recordings").as_posix() for path in (company / "recordings").rglob("*.wav")}
    in_rows = rows(company / "pbx.db", "SELECT recording, id, started_at, duration FROM calls")
    assert on_disk == {row[0] for row in in_rows}
    for path, number, started, duration in in_rows[::997]:
        ended = datetime.fromisoformat(started + "+00:00").timestamp() + duration
        assert (company / "recordings" / path).stat().st_mtime == ended
        assert path.endswith(f"-{number}.wav")


def test_rows_refer_only_to_rows_that_are_there(company: Path):
    for name in ("pbx.db", "helpdesk.db"):
        assert rows(company / name, "PRAGMA foreign_key_check") == []
        assert rows(company / name, "PRAGMA integrity_check") == [("ok",)]


def test_no_row_refers_to_a_table_that_a_rule_deletes_from(company: Path):
    for name, tables in {"pbx.db": ("calls",), "helpdesk.db": ("attachments", "newsletter", "web_log")}.items():
        every = [row[0] for row in rows(company / name, "SELECT name FROM sqlite_schema WHERE type = 'table'")]
        targets = {row[2] for table in every for row in rows(company / name, f"PRAGMA foreign_key_list({table})")}
        assert not targets & set(tables)


def test_columns_that_start_a_clock_or_refer_to_rows_have_an_index(company: Path):
    wanted = {
        "pbx.db": {("calls", "started_at"), ("calls", "extension"), ("extensions", "agent_id")},
        "helpdesk.db": {
            ("attachments", "ticket_id"),
            ("tickets", "customer_id"),
            ("invoices", "customer_id"),
            ("invoices", "issued_on"),
            ("newsletter", "unsubscribed_at"),
            ("web_log", "at"),
        },
    }
    query = (
        "SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_index_list(t.name) i "
        "JOIN pragma_index_info(i.name) c WHERE c.seqno = 0"
    )
    for name, columns in wanted.items():
        assert columns <= set(rows(company / name, query))


def test_uploads_are_whole_files_of_the_tickets_that_name_them(company: Path):
    listed = dict(rows(company / "helpdesk.db", "SELECT path, size FROM attachments"))
    on_disk = {p.relative_to(company / "uploads").as_posix(): p for p in (company / "uploads").rglob("*") if p.is_file()}
    assert listed == {path: file.stat().st_size for path, file in on_disk.items()}
    assert {".txt", ".png", ".log", ".csv"} == {file.suffix for file in on_disk.values()}
    for file in on_disk.values():
        if file.suffix == ".png":
            assert list(png_chunks(file.read_bytes())) == [b"IHDR", b"IDAT", b"IEND"]


def png_chunks(data: bytes) -> Iterator[bytes]:
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at = 8
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 4 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(body)
        if kind == b"IDAT":
            assert len(zlib.decompress(body[4:])) == 16 * (1 + 3 * 24)
        yield kind
        at += 12 + length


def test_what_is_due_in_the_files_is_what_the_story_says(company: Path):
    pattern = compile_pattern("{day:%Y/%m/%d}/{time}-{call}.wav")
    starts = []
    for path in (company / "recordings").rglob("*.wav"):
        match = pattern.match(path.relative_to(company / "recordings").as_posix())
        assert match is not None
        civil = date_of(match["day"], "%Y/%m/%d")
        assert civil is not None
        starts.append(end_of(*civil, LONDON))
    assert DUE["call-recordings", "sound"] == due(starts, pbx.KEPT, NOW)


@pytest.mark.parametrize(
    ("rule", "database", "query", "period"),
    [
        (("call-index", "rows"), "pbx.db", "SELECT started_at FROM calls", pbx.KEPT),
        (
            ("newsletter", "left"),
            "helpdesk.db",
            "SELECT unsubscribed_at FROM newsletter WHERE unsubscribed_at IS NOT NULL",
            helpdesk.LETTER_KEPT,
        ),
        (("web-log", "lines"), "helpdesk.db", "SELECT at FROM web_log", helpdesk.LINES_KEPT),
        (("customer-accounts", "invoices"), "helpdesk.db", "SELECT issued_on FROM invoices", Period(months=72)),
    ],
    ids=lambda value: "/".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_due_in_the_tables_is_what_the_story_says(company: Path, rule, database, query, period):
    starts = [read(row[0], ZoneInfo("UTC")) for row in rows(company / database, query)]
    assert POPULATION[rule] == len(starts)
    assert DUE[rule] == due(starts, period, NOW)
    assert all(start <= NOW for start in starts if start is not None)


def test_files_of_solved_tickets_are_due_and_no_others(company: Path):
    query = "SELECT t.status, t.resolved_at, count(*) FROM tickets t JOIN attachments a ON a.ticket_id = t.id GROUP BY t.id"
    found = rows(company / "helpdesk.db", query)
    settled = [n for status, at, n in found if status == "resolved" and at <= "2026-11-22 08:30:00"]
    settling = [n for status, at, n in found if status == "resolved" and at > "2026-11-22 08:30:00"]
    assert DUE["support-files", "uploads"] == DUE["support-files", "rows"] == sum(settled)
    assert settling == [3]
    assert {"open", "reopened", "resolved"} == {row[0] for row in found}
    assert POPULATION["support-files", "uploads"] == sum(row[2] for row in found)


@pytest.mark.parametrize("now", DAYS_OF_NOTE, ids=str)
def test_the_figures_hold_on_any_day(now: datetime):
    calls = pbx.calls(random.Random(3), Timeline(now))
    assert len({call.id for call in calls}) == pbx.CALLS
    assert due([call.at for call in calls], pbx.KEPT, now) == pbx.CALLS_DUE
    by_name = [end_of(datetime.strptime(call.recording[:10], "%Y/%m/%d"), "day", LONDON) for call in calls]
    assert due(by_name, pbx.KEPT, now) == pbx.CALLS_DUE
    assert all(call.at < now for call in calls)
    assert len({call.recording for call in calls}) == len(calls)


@pytest.mark.parametrize("now", DAYS_OF_NOTE, ids=str)
def test_every_start_of_the_helpdesk_lies_in_the_past(now: datetime):
    cases = helpdesk.tickets(random.Random(4), Timeline(now))
    assert all(case.opened < now for case in cases)
    assert all(case.opened < case.resolved < now for case in cases if case.resolved)


def test_one_category_trips_and_the_others_pass():
    def over(rule: tuple[str, str]) -> bool:
        return DUE[rule] > 50 and 100 * DUE[rule] > 25 * POPULATION[rule]

    assert {TRIPS} == {rule[0] for rule in DUE if over(rule)}
    assert max(DUE.values()) <= 10_000


def test_every_promise_stands_in_the_notice_word_for_word(company: Path):
    notice = " ".join((company / "notices" / "privacy.txt").read_text().split())
    for path in sorted((company / "policies.d").iterdir()):
        assert promise_of(path) in notice, path.name


def promise_of(path: Path) -> str:
    """The quoted sentence of a category file: after `text:`, on one line or folded below it."""
    lines = iter(path.read_text().splitlines())
    first = next(line for line in lines if line.startswith("  text:")).removeprefix("  text:").strip()
    if first != ">-":
        return first
    folded = []
    for line in lines:
        if not line.startswith("    "):
            break
        folded.append(line.strip())
    return " ".join(folded)


class Undemanding:
    """A type of store that finds nothing wrong with its options; it is never opened."""

    def __init__(self, name: str) -> None:
        self.name = name

    def problems(self, options):
        return ()

    def look(self, options):
        raise AssertionError("reading the rules opens no store")

    act = look


def test_the_rules_are_read_without_an_error_and_without_a_warning(company: Path):
    loaded = load(str(company / "retentiond.yaml"), {name: Undemanding(name) for name in ("files", "mail", "sql")})
    assert loaded.warnings == []
    assert {(category.name, rule.name) for category in loaded.rulebook.categories.values() for rule in category.rules} == set(DUE)


def test_each_rule_of_the_story_has_its_file(company: Path):
    assert {category for category, _ in DUE} == {path.stem for path in (company / "policies.d").glob("*.yaml")}
    for category, rule in DUE:
        assert f"\n  {rule}:\n" in (company / "policies.d" / f"{category}.yaml").read_text()
