"""The head of a message: its headers, read as RFC 5322 and RFC 2047 have them, and never guessed.

A head ends with the first empty line. Where a line comes before it that is no header, nobody knows what was
lost there, and no header is believed. What cannot be read is no fact: `UNREADABLE`, which is not the same as a
header that is not there. A name beside an address says nothing: senders write it as they like.
"""

from __future__ import annotations

import re
from binascii import Error as NotBase64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.header import decode_header
from email.utils import parsedate_tz
from typing import Final
from zoneinfo import ZoneInfo

from retentiond.core.mail import ADDRESSED, CORRESPONDENTS, MESSAGE_ID, address_of
from retentiond.core.times import end_of

LARGEST = 2**18
"""So many bytes of a message are looked at for its head. What a head holds beyond them is not known."""

_END = re.compile(rb"(?:\A|\n)\r?\n")
_LINE = re.compile(rb"([!-9;-~]+)[ \t]*:(.*)", re.DOTALL)
_PART = re.compile(r'("(?:[^"\\]|\\.)*")|<([^<>]*)>|([,;])|(:)|([^"<>,;:()]+)|(.)', re.DOTALL)
_COMMENT = re.compile(r"\\.|[()]|[^()\\]+|\\", re.DOTALL)
_DATE = re.compile(
    r"(?:[A-Za-z]{3,9},?\s*)?\d{1,2}\s+[A-Za-z]{3,9}\s+\d{2,4}\s+\d{1,2}:\d{1,2}(:\d{1,2})?(?:\s+([+-]\d{4}|[A-Za-z]{1,5}))?",
    re.ASCII,
)
_ID = re.compile(r"<?([^<>\s]+)>?")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]")


class Unreadable:
    """The one value that says of a header that it is there, and that nobody knows what it says."""


UNREADABLE: Final = Unreadable()
Said = Sequence[str] | Unreadable
"""What all headers of a name say, value by value; none where there is no such header."""


@dataclass(frozen=True, slots=True)
class Head:
    """The headers of a message by their names in small letters. `whole` is false where there may be more of them."""

    values: Mapping[str, Sequence[bytes]]
    whole: bool

    def said(self, field: str) -> Said:
        """What the headers of a field say, in the spelling of facts (`core.mail`)."""
        if not self.whole:
            return UNREADABLE
        if field == CORRESPONDENTS:
            return _joined(self._read(name) for name in sorted(ADDRESSED & self.values.keys()))
        return self._read(field)

    def date(self, name: str, zone: ZoneInfo) -> datetime | None:
        """The instant (UTC) that the one header of this name says; None where there is none, several, or no date."""
        values = self.values.get(name, ()) if self.whole else ()
        return _date(values[0], zone) if len(values) == 1 else None

    def _read(self, field: str) -> Said:
        read = _addresses if field in ADDRESSED else _ids if field == MESSAGE_ID else _text
        return _joined(read(value) for value in self.values.get(field, ()))


def end_of_head(raw: bytes) -> int:
    """Where the head ends in the first bytes of a message: behind its last line; -1 where its end is not among them."""
    found = _END.search(raw)
    return -1 if found is None else found.start()


def head_of(raw: bytes, *, complete: bool) -> Head:
    """The head in the first bytes of a message. `complete`: these are all its bytes."""
    end = end_of_head(raw)
    values: dict[str, list[bytes]] = {}
    current: list[bytes] = []
    for n, line in enumerate(raw[: end if end >= 0 else len(raw)].split(b"\n")):
        if line[:1] in (b" ", b"\t") and current:
            current.append(line.rstrip(b"\r"))
            continue
        found = _LINE.fullmatch(line)
        if found is None and n == 0 and line.startswith((b"From ", b">From ")):
            continue
        _keep(values, current)
        current = []
        if found is None:
            return Head(values, whole=False)
        current = [found[1].lower(), found[2].rstrip(b"\r")]
    _keep(values, current)
    return Head(values, whole=complete or end >= 0)


def _keep(values: dict[str, list[bytes]], lines: list[bytes]) -> None:
    if lines:
        values.setdefault(lines[0].decode("ascii"), []).append(b"".join(lines[1:]))


def _joined(each: Iterator[Said]) -> Said:
    """What several headers say, each value once; unreadable where one of them is."""
    found: dict[str, None] = {}
    for said in each:
        if isinstance(said, Unreadable):
            return UNREADABLE
        found |= dict.fromkeys(said)
    return list(found)


def _text(raw: bytes) -> Said:
    """A text on one line, its encoded words decoded."""
    try:
        text = raw.decode()
        if "=?" in text:
            text = "".join(_decoded(*word) for word in decode_header(" ".join(text.split())))
    except (ValueError, LookupError, HeaderParseError, NotBase64):
        return UNREADABLE
    return UNREADABLE if _CONTROL.search(text) else [" ".join(text.split())]


def _decoded(word: bytes | str, charset: str | None) -> str:
    return word if isinstance(word, str) else word.decode(charset or "ascii")


def _ids(raw: bytes) -> Said:
    found = _text(raw)
    if isinstance(found, Unreadable) or not found[0]:
        return found
    one = _ID.fullmatch(found[0])
    return UNREADABLE if one is None else [one[1]]


def _addresses(raw: bytes) -> Said:
    """Every address of a header; a name without one is nobody's address, and what has an `@` and is none is unreadable."""
    text = _without_comments(raw.decode("utf-8", "surrogateescape"))
    found: list[str] = []
    angle, plain = None, ""
    for quoted, inner, end, group, word, stray in (*_PART.findall(text), ("", "", ",", "", "", "")):
        if stray:
            return UNREADABLE
        if end:
            written = (plain if angle is None else angle.rpartition(":")[2]).strip()
            if "@" in written:
                address = address_of(written)
                if address is None or _CONTROL.search(address):
                    return UNREADABLE
                found.append(address)
            angle, plain = None, ""
        elif group:
            plain = ""
        elif quoted or word:
            plain += quoted or word
        elif angle is not None:
            return UNREADABLE
        else:
            angle = inner
    return found


def _without_comments(text: str) -> str:
    """A header without its comments, which may stand in one another; an open one reaches to the end."""
    if "(" not in text:
        return text
    kept, depth = [], 0
    for quoted, rest in re.findall(r'("(?:[^"\\]|\\.)*")|([^"]+|")', text, re.DOTALL):
        if quoted and not depth:
            kept.append(quoted)
            continue
        for piece in _COMMENT.findall(quoted or rest):
            if piece == "(":
                depth += 1
            elif piece == ")" and depth:
                depth -= 1
            elif not depth:
                kept.append(piece)
    return "".join(kept)


def _date(raw: bytes, zone: ZoneInfo) -> datetime | None:
    try:
        text = " ".join(_without_comments(raw.decode("ascii")).split())
        found = _DATE.fullmatch(text)
        parts = parsedate_tz(text) if found else None
        if found is None or parts is None:
            return None
        civil = datetime(*parts[:6])  # noqa: DTZ001 a civil time, until its zone is known
        if found[2] is None:
            return end_of(civil, "second" if found[1] else "minute", zone)
        if not found[1]:
            civil = civil.replace(second=59, microsecond=999_999)
        return datetime.fromtimestamp((civil.replace(tzinfo=UTC)).timestamp() - (parts[9] or 0), UTC)
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return None
