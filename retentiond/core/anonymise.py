"""What anonymising makes of a value: five strategies, each pure, and each at rest on its own result.

    value        that value, whatever was there, NULL included
    null         NULL
    {hash: N}    `#` and the first N-1 hex digits of HMAC-SHA-256(key of the column, value)
    {truncate}   an address without its last bits; a date on the first day of its year or month
    {mask: K}    the first K characters, and `*` for each other one

What holds nothing, NULL and the empty text, stays so but for a value. A column is *done* when its
value is what the strategy would make of it; a hash is known by its form, so that nothing is hashed
twice and nobody needs the key to see it. A value that a strategy cannot understand is `Unmaskable`:
its row is left whole and said to be in doubt, because a guess may be no anonymity.

    key of a column = HMAC-SHA-256(K, table ‖ 0x00 ‖ column)
    K               = HKDF-SHA-256(master, info "retentiond/anon/v1/" + store), 32 bytes

So equal values of one column have equal hashes in every run and year, and those of two columns
tell nothing of each other. RFC 2104 (HMAC), RFC 5869 (HKDF, without salt).
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Literal

DONE = "anonymised already"
"""Why a row that is done is kept."""

SHORTEST_HASH, LONGEST_HASH = 4, 64
UNIQUE_HASH = 16
"""So long must a hash be where a column is unique: 60 bits, of which a million rows share one once in two million times."""

_INFO = b"retentiond/anon/v1/"
_V4, _V6, _NETWORK = 32, 128, 64
_TIME = r"([T ])(\d\d)(?:(:)(\d\d)(?:(:)(\d\d)(?:([.,])(\d{1,9}))?)?)?( ?(?:Z|[+-]\d\d(?::?\d\d)?))?"
_DATE = re.compile(rf"(\d{{4}})(?:(-)(\d\d)(?:(-)(\d\d)(?:{_TIME})?)?)?", re.ASCII)

Value = str | int | None


class Unmaskable(ValueError):
    """A strategy cannot make anything of a value, which is not quoted."""


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value in every row."""

    value: str | int

    def of(self, value: Any, key: bytes) -> Value:
        return self.value

    def is_done(self, value: Any) -> bool:
        """A database may keep a number as a text, or the other way round."""
        if isinstance(value, str | int | float):
            return value == self.value or str(value) == str(self.value)
        return False


@dataclass(frozen=True, slots=True)
class Null:
    """Nothing any more."""

    def of(self, value: Any, key: bytes) -> Value:
        return None

    def is_done(self, value: Any) -> bool:
        return value is None


@dataclass(frozen=True, slots=True)
class Hash:
    """A keyed hash of `length` characters in all: equal values stay equal, and nobody can try values out."""

    length: int

    def of(self, value: Any, key: bytes) -> Value:
        if self.is_done(value):
            return None if value is None else str(value)
        if not key:
            raise ValueError("a hash needs its key")
        text = _written(value).encode("utf-8", "surrogateescape")
        return "#" + hmac.digest(key, text, "sha256").hex()[: self.length - 1]

    def is_done(self, value: Any) -> bool:
        if value is None or value == "":
            return True
        if not isinstance(value, str) or len(value) != self.length or value[0] != "#":
            return False
        return not value[1:].strip("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Truncate:
    """An address without its last bits, or a date without its day (and month).

    Up to 31 bits are those of IPv4, and IPv6 keeps twice as many, at most its network of 64; from
    33 bits on only IPv6 is meant, and an IPv4 address, which has no more than 32, cannot be masked.
    """

    to: int | Literal["year", "month"]

    def of(self, value: Any, key: bytes) -> Value:
        if value is None or value == "":
            return None if value is None else ""
        if not isinstance(value, str):
            raise Unmaskable
        return _first_day(value, self.to) if isinstance(self.to, str) else _network(value, self.to)

    def is_done(self, value: Any) -> bool:
        try:
            return bool(self.of(value, b"") == value)
        except Unmaskable:
            return False


@dataclass(frozen=True, slots=True)
class Mask:
    """The first `keep` characters, and a star for each other one. A text that is no longer stays whole."""

    keep: int

    def of(self, value: Any, key: bytes) -> Value:
        if value is None:
            return None
        text = _written(value)
        if "\0" in text or not _is_text(text):
            raise Unmaskable
        return text[: self.keep] + "*" * (len(text) - self.keep)

    def is_done(self, value: Any) -> bool:
        try:
            return bool(self.of(value, b"") == (value if value is None else _written(value)))
        except Unmaskable:
            return False


Strategy = Null | Constant | Hash | Truncate | Mask
Columns = tuple[tuple[str, Strategy], ...]
"""Which column becomes what."""


def derive(master: bytes, store: str) -> bytes:
    """The key of one store's hashes, from the master."""
    extracted = hmac.digest(b"\0" * 32, master, "sha256")
    return hmac.digest(extracted, _INFO + store.encode() + b"\x01", "sha256")


def column_key(key: bytes, table: str, column: str) -> bytes:
    """The key of one column's hashes, from that of its store."""
    return hmac.digest(key, table.encode() + b"\0" + column.encode(), "sha256")


def _written(value: Any) -> str:
    """A text as it is, a whole number in decimal; `Unmaskable` for anything else, which has many spellings."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise Unmaskable


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _network(value: str, bits: int) -> str:
    try:
        address = ip_address(value)
    except ValueError:
        raise Unmaskable from None
    if isinstance(address, IPv4Address):
        if bits >= _V4:
            raise Unmaskable
        return str(IPv4Address(_cut(int(address), _V4 - bits)))
    kept = bits if bits >= _V4 else min(2 * bits, _NETWORK)
    return str(IPv6Address(_cut(int(address), _V6 - kept)))


def _cut(number: int, bits: int) -> int:
    return number >> bits << bits


def _first_day(value: str, to: str) -> str:
    """The same spelling with every digit after the year (or month) at its lowest; an offset stays, since it tells no time."""
    found = _DATE.fullmatch(value)
    if found is None:
        raise Unmaskable
    year, dash, month, dash2, day, gap, hour, colon, minute, colon2, second, point, fraction, zone = found.groups()
    if to == "month" and month is None:
        raise Unmaskable
    try:
        datetime(int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), min(int(second or 0), 59))  # noqa: DTZ001 only whether there is such a time
    except ValueError:
        raise Unmaskable from None
    month = month and ("01" if to == "year" else month)
    lowest = (day and "01", hour and "00", minute and "00", second and "00", fraction and "0" * len(fraction))
    day, hour, minute, second, fraction = lowest
    parts = (year, dash, month, dash2, day, gap, hour, colon, minute, colon2, second, point, fraction, zone)
    return "".join(part or "" for part in parts)
