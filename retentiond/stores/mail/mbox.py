"""Reading an mbox file: where its messages lie, what each is called, and whether its bounds are certain.

A message begins with a line `From …` that ends in a date as `asctime` writes it, at the beginning of the file or
after an empty line, with a header after it; it reaches to the next one (RFC 4155, appendix A). A line that begins so and
is not quite that, in the midst of a message, may be the beginning of another: then nobody knows where the message
ends, and it is in doubt. Content-Length is not believed, because senders can write it.

A message is named by its From_ line and its Message-ID. Its revision is a digest of its head and its body without the lines
in which mail programs keep flags, so that it stays the same when it is read or flagged. Copies that are alike to the
byte are one item, and go together. Memory is some 250 bytes for each message, however long these are.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from retentiond.core.mail import MESSAGE_ID
from retentiond.core.times import end_of
from retentiond.engine.ports import PIECE
from retentiond.stores.mail.head import LARGEST, Unreadable, end_of_head, head_of

UNCERTAIN = "where it ends is not certain: a line in it looks like the beginning of another message"
SERVERS = "a mail server keeps its own data about the mailbox in it"
DIFFERENT = "another message has the same first line and the same id in this mailbox"

_LONGEST = 1024
_SEPARATOR = re.compile(
    rb"From (?:.* )?(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) {1,2}(\d{1,2})"
    rb" (\d\d):(\d\d)(?::(\d\d))?(?: ([A-Z]{1,5}|[+-]\d{4}))? (\d{4})(?: ([+-]\d{4}))?[ \t]*\r?"
)
_AFTER = re.compile(rb"[!-9;-~]+[ \t]*:|>?From |\r?\n")
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_ZONES = {b"UT": 0, b"UTC": 0, b"GMT": 0, b"Z": 0, b"EST": -5, b"EDT": -4, b"CST": -6, b"CDT": -5}
_ZONES |= {b"MST": -7, b"MDT": -6, b"PST": -8, b"PDT": -7}
_FLAGS = re.compile(
    rb"^(?:Status|X-Status|X-Keywords|X-UID|X-IMAP|X-IMAPbase|Content-Length|Lines):[^\n]*\n(?:[ \t][^\n]*\n)*",
    re.IGNORECASE | re.MULTILINE,
)
_FOLDER_DATA = re.compile(rb"^Subject:[ \t]*DON'T DELETE THIS MESSAGE", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Entry:
    """A message in an open file, from its From_ line to the next one."""

    offset: int
    end: int
    name: str
    digest: str
    doubt: str | None

    def start(self, fd: int) -> int:
        """Where the message itself begins, behind its From_ line."""
        return min(self.offset + len(first_line(fd, self.offset)) + 1, self.end)


@dataclass(frozen=True, slots=True)
class Index:
    """The messages of a file, by name: several entries are copies of one message, or are in doubt."""

    entries: Mapping[str, Sequence[Entry]]


def read_index(fd: int, size: int) -> Index:
    """The messages in the first `size` bytes of an open file, in their order."""
    found: dict[str, list[Entry]] = {}
    bounds = list(_bounds(fd, size))
    for (offset, certain), (end, _) in zip(bounds, [*bounds, (size, True)][1:], strict=True):
        entry = _entry(fd, offset, end, None if certain else UNCERTAIN)
        found.setdefault(entry.name, []).append(entry)
    return Index(found)


def is_mbox(fd: int) -> bool:
    """Whether a file begins as an mbox does; an empty one holds no messages."""
    return os.pread(fd, 5, 0) == b"From "


def doubt_of(entries: Sequence[Entry]) -> str | None:
    """Why the message of some entries of one name may not go; None where it may."""
    doubt = next((entry.doubt for entry in entries if entry.doubt), None)
    return doubt or (None if len({entry.digest for entry in entries}) == 1 else DIFFERENT)


def revision_of(entries: Sequence[Entry]) -> str:
    """What changes whenever the message of some entries does: 32 hex digits."""
    if len({entry.digest for entry in entries}) == 1:
        return entries[0].digest
    return hashlib.sha256(" ".join(entry.digest for entry in entries).encode()).hexdigest()[:32]


def delivered_at(line: bytes, zone: ZoneInfo) -> datetime | None:
    """The instant that a From_ line names (UTC); one without a zone is read in this one. None where it names none."""
    found = _SEPARATOR.fullmatch(line)
    if found is None:
        return None
    month, day, hour, minute, second, named, year, offset = found.groups()
    try:
        civil = datetime(int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second or 0))  # noqa: DTZ001 a civil time, until its zone is known
        if offset or named:
            return (civil - _offset(offset or named)).replace(tzinfo=UTC)
    except (ValueError, OverflowError, KeyError):
        return None
    return end_of(civil, "second" if second else "minute", zone)


def first_line(fd: int, offset: int) -> bytes:
    """The line that begins at an offset, as far as it is looked at."""
    return os.pread(fd, _LONGEST, offset).partition(b"\n")[0]


def _offset(named: bytes) -> timedelta:
    if named[:1] not in (b"+", b"-"):
        return timedelta(hours=_ZONES[named])
    away = timedelta(hours=int(named[1:3]), minutes=int(named[3:5]))
    return -away if named[:1] == b"-" else away


def _bounds(fd: int, size: int) -> Iterator[tuple[int, bool]]:
    """Where each message begins, and whether its end is certain."""
    begun, certain = 0, _begins(fd, 0, size) is True
    for offset in _candidates(fd, size):
        begins = _begins(fd, offset, size)
        if begins is True:
            yield begun, certain
            begun, certain = offset, True
        elif begins is None:
            certain = False
    if size:
        yield begun, certain


def _candidates(fd: int, size: int) -> Iterator[int]:
    """Where a line begins with `From `, the first line apart."""
    at = 0
    while at < size:
        piece = os.pread(fd, min(PIECE, size - at) + 5, at)
        found = piece.find(b"\nFrom ")
        while found >= 0:
            if at + found + 6 <= size:
                yield at + found + 1
            found = piece.find(b"\nFrom ", found + 1)
        at += PIECE


def _begins(fd: int, offset: int, size: int) -> bool | None:
    """Whether a message begins with the line `From …` at an offset; None where that is not certain."""
    before = os.pread(fd, min(3, offset), max(0, offset - 3))
    after_empty_line = offset == 0 or before.endswith((b"\n\n", b"\n\r\n")) or before in (b"\n", b"\r\n")
    line, newline, rest = os.pread(fd, min(_LONGEST, size - offset), offset).partition(b"\n")
    dated = bool(newline) and _SEPARATOR.fullmatch(line) is not None
    if dated and after_empty_line and (not rest or _AFTER.match(rest)):
        return True
    return None if dated or after_empty_line else False


def _entry(fd: int, offset: int, end: int, doubt: str | None) -> Entry:
    """A message with its name and its digest. In doubt is the data that some mail servers keep as a first message."""
    line = first_line(fd, offset)
    start = min(offset + len(line) + 1, end)
    raw = os.pread(fd, min(LARGEST, end - start), start)
    cut = end_of_head(raw)
    head = raw[: cut + 1] if cut >= 0 else raw if len(raw) == end - start else b""
    if offset == 0 and _FOLDER_DATA.search(head):
        doubt = SERVERS
    said = head_of(raw, complete=len(raw) == end - start).said(MESSAGE_ID)
    known = b"" if isinstance(said, Unreadable) else "\n".join(said).encode()
    name = hashlib.sha256(line.rstrip(b"\r") + b"\n" + known).hexdigest()[:32]
    return Entry(offset, end, name, _digest(fd, line, head, start, end), doubt)


def _digest(fd: int, line: bytes, head: bytes, start: int, end: int) -> str:
    """A digest of a message without its flags and without the line ends after it, which the next delivery may add to."""
    made = hashlib.sha256(line.rstrip(b"\r") + b"\n")
    made.update(_FLAGS.sub(b"", head))
    at, ends = start + len(head), b""
    while at < end:
        piece = os.pread(fd, min(PIECE, end - at), at)
        if not piece:
            break
        at += len(piece)
        kept = piece.rstrip(b"\r\n")
        if kept:
            made.update(ends)
            made.update(kept)
            ends = b""
        ends += piece[len(kept) :]
    return made.hexdigest()[:32]
