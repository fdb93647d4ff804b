"""The helpdesk: customers and their invoices, tickets and the files sent for them, the letter's readers, the web log."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from retentiond.core.period import Period
from retentiond.demo import media, people
from retentiond.demo.timeline import Timeline, days_between, moment, office_moments, utc_text

CUSTOMERS, INVOICES = 320, 2_880
FILES, FILES_DUE = 640, 138
_FILES_SETTLING, _FILES_REOPENED = 3, 30
_FILES_OPEN = FILES - FILES_DUE - _FILES_SETTLING - _FILES_REOPENED
READERS, LEFT, LEFT_DUE, LEFT_WITHOUT_DATE = 2_400, 132, 48, 2
LINES, LINES_DUE = 6_000, 4_800
LETTER_KEPT = Period(months=1, words="1 month")
LINES_KEPT = Period(days=28, words="28 days")
_FIRST_TICKET = 20_001
_SUBJECTS = (
    "The telephones lose their connection",
    "The printer stopped after the update",
    "The backup reports an error",
    "Callers hear an echo",
    "The mailbox is full and will not empty",
    "Nobody can log in from home",
)
_PAGES = ("/", "/prices", "/support", "/support/new", "/letter", "/contact", "/privacy")

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Ticket:
    """One support case. `files` are the uploads that are still there."""

    id: int
    customer: int
    subject: str
    status: str
    opened: datetime
    resolved: datetime | None
    files: int


@dataclass(frozen=True, slots=True)
class Upload:
    """One file that a customer sent for a ticket; `path` is below `uploads/`."""

    path: str
    ticket: int
    content: bytes
    sent: datetime


def tickets(rng: random.Random, line: Timeline) -> list[Ticket]:
    """The cases of a year: by what became of them, and how many files each still has."""
    now = line.now
    solved, forgotten, year = now - timedelta(hours=3), now - timedelta(days=95), now - timedelta(days=360)
    made: list[tuple[str, datetime, datetime | None, int]] = [
        *(("resolved", *_span(rng, year, solved), 0) for _ in range(860)),  # somebody thought of their files
        *(("resolved", *_span(rng, forgotten, solved), files) for files in _shares(60, FILES_DUE)),  # nobody did
        *(("reopened", *_span(rng, forgotten, solved), files) for files in _shares(12, _FILES_REOPENED)),
        *(("open", _span(rng, forgotten, solved)[0], None, files) for files in _shares(184, _FILES_OPEN)),
        ("resolved", now - timedelta(days=2), now - timedelta(minutes=20), _FILES_SETTLING),
    ]
    made.sort(key=lambda ticket: ticket[1])
    return [
        Ticket(_FIRST_TICKET + n, 1001 + rng.randrange(CUSTOMERS), rng.choice(_SUBJECTS), status, opened, resolved, files)
        for n, (status, opened, resolved, files) in enumerate(made)
    ]


def _span(rng: random.Random, earliest: datetime, latest: datetime) -> tuple[datetime, datetime]:
    """Two instants in order, whole seconds, up to twelve days apart."""
    end = earliest + timedelta(seconds=rng.randrange(int((latest - earliest).total_seconds())))
    return end - timedelta(seconds=rng.randrange(600, 12 * 86_400)), end


def _shares(parts: int, total: int) -> list[int]:
    """A total dealt out over so many parts as evenly as whole numbers allow."""
    return [total // parts + (n < total % parts) for n in range(parts)]


def uploads(rng: random.Random, cases: Iterable[Ticket]) -> list[Upload]:
    """The files that the tickets still have, of four kinds in turn."""
    made: list[Upload] = []
    for case in cases:
        for n in range(case.files):
            name, content = _file(rng, case, n)
            sent = case.opened + timedelta(minutes=2 * n + 1)
            made.append(Upload(f"tickets/{case.id}/{name}", case.id, content, sent))
    return made


def _file(rng: random.Random, case: Ticket, n: int) -> tuple[str, bytes]:
    kind = (case.id + n) % 4
    if kind == 0:
        return "description.txt", media.letter(people.person(rng), case.subject)
    if kind == 1:
        return "screen.png", media.png(rng)
    if kind == 2:
        return "logs/service.log", media.log(rng, f"host{case.customer}")
    return "desks.csv", media.table(rng, [people.person(rng) for _ in range(rng.randint(3, 9))])


def write_uploads(folder: Path, files: Iterable[Upload]) -> None:
    """The files, as old as their sending."""
    for upload in files:
        path = folder / upload.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(upload.content)
        sent = int(upload.sent.timestamp())
        os.utime(path, (sent, sent))


def write_database(path: Path, schema: str, rng: random.Random, line: Timeline, cases: list[Ticket], files: list[Upload]) -> None:
    """The helpdesk's database, with a row for each upload."""
    connection = sqlite3.connect(path)
    try:
        connection.executescript("PRAGMA foreign_keys = ON;" + schema)
        customers = list(_customers(rng, line))
        addresses = {int(str(row[0])): str(row[3]) for row in customers}
        _insert(connection, "customers", customers)
        _insert(connection, "invoices", _invoices(rng, line))
        _insert(connection, "tickets", map(_ticket, cases))
        _insert(connection, "attachments", _attachments(cases, files, addresses))
        _insert(connection, "newsletter", _readers(rng, line))
        _insert(connection, "web_log", _lines(rng, line))
        connection.commit()
    finally:
        connection.close()


def _insert(connection: sqlite3.Connection, table: str, rows: Iterable[Row]) -> None:
    for row in rows:
        connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)


def _customers(rng: random.Random, line: Timeline) -> Iterator[Row]:
    for number in range(1001, 1001 + CUSTOMERS):
        kind = "firm" if rng.random() < 0.7 else "person"
        name = people.firm(rng) if kind == "firm" else people.person(rng)
        since = line.ago(rng.randrange(1100, 1800)).isoformat()
        yield number, kind, name, people.email(rng, name, number), people.landline(rng), since


def _invoices(rng: random.Random, line: Timeline) -> Iterator[Row]:
    """The invoices of three years, numbered in the order of their days."""
    days = sorted(line.ago(rng.randrange(1, 1095)) for _ in range(INVOICES))
    for number, day in enumerate(days, 1):
        kind = "credit note" if rng.random() < 0.03 else "invoice"
        yield f"PW-{number:05d}", kind, 1001 + rng.randrange(CUSTOMERS), day.isoformat(), rng.randrange(2_500, 90_000)


def _ticket(case: Ticket) -> Row:
    resolved = utc_text(case.resolved) if case.resolved else None
    return case.id, case.customer, case.subject, case.status, utc_text(case.opened), resolved


def _attachments(cases: list[Ticket], files: list[Upload], addresses: dict[int, str]) -> Iterator[Row]:
    sender = {case.id: addresses[case.customer] for case in cases}
    for number, upload in enumerate(files, 1):
        size, sent = len(upload.content), utc_text(upload.sent)
        yield number, upload.ticket, "upload", upload.path, sender[upload.ticket], size, sent


def _readers(rng: random.Random, line: Timeline) -> Iterator[Row]:
    """The letter's list: most still read it, some have left, two came from elsewhere without a date."""
    last_due = line.last_due(LETTER_KEPT)
    age = (line.today - last_due).days
    due = office_moments(rng, days_between(line.ago(age + 24), last_due), LEFT_DUE)
    recent = office_moments(rng, days_between(line.ago(age - 1), line.ago(1)), LEFT - LEFT_DUE - LEFT_WITHOUT_DATE)
    ends: list[str | None] = [utc_text(at) for at in (*due, *recent)]
    ends += ["0000-00-00 00:00:00"] * LEFT_WITHOUT_DATE
    ends += [None] * (READERS - LEFT)
    rng.shuffle(ends)
    for number, end in enumerate(ends, 1):
        since = moment(line.ago(rng.randrange(120, 1400)), time(9, rng.randrange(60)))
        yield number, people.email(rng, people.person(rng), number), utc_text(since), end


def _lines(rng: random.Random, line: Timeline) -> Iterator[Row]:
    """The web log of some five months: nobody has ever deleted a line."""
    last_due = line.last_due(LINES_KEPT)
    age = (line.today - last_due).days
    due = office_moments(rng, days_between(line.ago(age + 112), last_due), LINES_DUE)
    recent = office_moments(rng, days_between(line.ago(age - 1), line.ago(1)), LINES - LINES_DUE)
    for number, at in enumerate((*due, *recent), 1):
        site = "www" if rng.random() < 0.8 else "help"
        status = rng.choice((200, 200, 200, 200, 304, 404))
        yield number, utc_text(at.astimezone(UTC)), site, people.address(rng), rng.choice(_PAGES), status
