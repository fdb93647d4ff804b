"""From rows to the columns of a page: keys, revisions, starts, sizes, facts, doubts and holds.

A row is what is read of it, then flags: whether others refer to it, whether it is selected,
whether each predicate holds it. A revision is the column `version` as text, else (and where that
is NULL) a digest of the row. A database on a server makes digest and size itself, so that only the
columns that somebody needs travel; SQLite gives whole rows, whose digest is the first 32 hex digits
of the SHA-256 of their values in MessagePack, the same in every process, and whose size is the
length of that packing: about the bytes of the values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

from retentiond.core.item import Page
from retentiond.core.ladder import CHILDREN
from retentiond.core.policy import Start
from retentiond.core.selector import Predicate
from retentiond.core.times import read_each
from retentiond.engine.codec import pack
from retentiond.engine.ports import OUTSIDE
from retentiond.stores.sql.database import Rows
from retentiond.stores.sql.keys import Keys, Parts, is_utf8
from retentiond.stores.sql.masking import Masked, standing
from retentiond.stores.sql.statements import Statements
from retentiond.stores.sql.table import Table

UNNAMED = "its key is NULL, or neither a whole number nor a text"
"""The doubt of a row that no key names."""

_AT_ONCE = 16 * 2**20
"""So many bytes of rows are held at once, or one row if it is larger."""
_FIRST, _USUAL, _LARGE = 16, 1000, 4096
_HEX = 32


@dataclass(frozen=True, slots=True)
class Layout:
    """How the rows of one selection are read: what stands where in a row."""

    statements: Statements
    keys: Keys
    key_at: tuple[int, ...]
    version_at: int | None
    start: Start
    start_at: int | None
    zone: ZoneInfo
    fields: Mapping[str, int]
    masks: tuple[Masked, ...] = ()
    doubt: str = CHILDREN

    @property
    def table(self) -> Table:
        return self.statements.table

    @property
    def width(self) -> int:
        """So many values of a row are data; flags follow."""
        return len(self.statements.reads) + 2 * self.digested

    @property
    def digested(self) -> bool:
        """Whether the last two values of the data are the row's digest and its size."""
        return self.statements.spelling.digests

    @property
    def told_at(self) -> int | None:
        """Where a looked-up row says whether it is selected; None if all are."""
        return None if self.statements.where is None else self.width + bool(self.table.references)

    def held_at(self, *, looked_up: bool = False) -> int:
        """Where the flags of predicates begin in a row of a page, or in one that was looked up by its key."""
        return self.width + bool(self.table.references) + (looked_up and self.statements.where is not None)

    def parts(self, row: Sequence[Any]) -> Parts:
        """The values of a row's key columns, as the database gives them."""
        return tuple([row[i] for i in self.key_at])

    def order(self, rows: Sequence[Sequence[Any]], wanted: Sequence[Parts | None]) -> list[int | None]:
        """For each key that was wanted, where its row is among the rows."""
        if not rows:
            return [None] * len(wanted)
        if len(self.key_at) == 1:
            alone = self.key_at[0]
            only = {row[alone]: n for n, row in enumerate(rows)}
            return [None if parts is None else only.get(parts[0]) for parts in wanted]
        at = {self.parts(row): n for n, row in enumerate(rows)}
        return [None if parts is None else at.get(parts) for parts in wanted]

    def starts(self, rows: Iterable[Sequence[Any]]) -> list[datetime | None]:
        """Where the clock of each row starts, as far as the row says."""
        at = self.start_at
        if at is None:
            return [None for _ in rows]
        return read_each([row[at] for row in rows], self.zone, self.start.unit)


@dataclass(slots=True)
class Found:
    """Rows with their revisions and sizes, and which holds were asked about them.

    The flags of `predicates` begin at `held_at`; `broken` are holds that could not be asked, so
    that they hold every row. `full` says that there may be more rows, `unseen` how many rows
    among these were left out, and `unseen_done` how many besides that are done.
    """

    rows: list[Any] = field(default_factory=list)
    revisions: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    predicates: Sequence[Predicate] = ()
    broken: Sequence[Predicate] = ()
    held_at: int = 0
    full: bool = False
    unseen: int = 0
    unseen_done: int = 0

    def part(self, first: int, most: int) -> Found:
        """A stretch of them; what was left out counts with the last."""
        cut = slice(first, first + most)
        rest = Found(self.rows[cut], self.revisions[cut], self.sizes[cut], self.predicates, self.broken, self.held_at)
        if first + most >= len(self.rows):
            rest.unseen, rest.unseen_done = self.unseen, self.unseen_done
        return rest

    def take(self, cursor: Rows, layout: Layout, most: int | None = None) -> Found:
        """Adds the rows of a cursor, at most so many and no more bytes than are held at once (None: all)."""
        number, total = _FIRST, 0
        if layout.digested:
            with closing(cursor):
                return self.take_digested(cursor.fetchall(), layout, most)
        with closing(cursor):
            while got := cursor.fetchmany(number if most is None else min(number, most - len(self.rows))):
                packed = _packed(got, layout.width)
                sizes = list(map(len, packed))
                self.revisions += _revisions(got, packed, layout.version_at)
                self.sizes += sizes
                self.rows += got if sum(sizes) < _LARGE * len(got) else [_lightened(row, layout) for row in got]
                total += sum(sizes)
                number = min(_USUAL, max(1, _AT_ONCE * len(self.rows) // total))
                self.full = most is not None and (len(self.rows) >= most or total >= _AT_ONCE)
                if self.full:
                    break
        return self

    def take_digested(self, got: Sequence[Sequence[Any]], layout: Layout, most: int | None = None) -> Found:
        """Adds rows that have their digest and their size in them."""
        at, version_at = layout.width - 2, layout.version_at
        digests = [row[at] for row in got]
        if version_at is not None:
            digests = [d if row[version_at] is None else str(row[version_at]) for d, row in zip(digests, got, strict=True)]
        self.revisions += digests
        self.sizes += [row[at + 1] for row in got]
        self.rows += got
        self.full = most is not None and len(self.rows) >= most
        return self

    def held(self) -> dict[int, str]:
        """Which rows a hold covers, each with one such hold."""
        covered: dict[int, str] = {}
        for at, predicate in reversed(list(enumerate(self.predicates, self.held_at))):
            covered.update({i: predicate.hold for i, row in enumerate(self.rows) if row[at]})
        for predicate in reversed(self.broken):
            covered.update(dict.fromkeys(range(len(self.rows)), predicate.hold))
        return covered

    def referred(self, layout: Layout) -> list[int]:
        """Which rows other rows refer to."""
        at = layout.width
        return [i for i, row in enumerate(self.rows) if row[at]] if layout.table.references else []


def page_of(layout: Layout, found: Found, before: int) -> Page:
    """Rows as a page; `before` is how many were shown before, which numbers the rows without a key."""
    rows = found.rows
    keys = layout.keys.each(rows, layout.key_at)
    doubts = dict.fromkeys(found.referred(layout), layout.doubt)
    unnamed = {i: UNNAMED for i, key in enumerate(keys) if key is None} if None in keys else {}
    for i in unnamed:
        keys[i] = layout.keys.unnamed(before + i)
    done, unclear = standing(layout.masks, rows) if layout.masks else (frozenset[int](), dict[int, str]())
    return Page(
        keys=cast("list[str]", keys),
        revisions=found.revisions,
        starts=layout.starts(rows),
        sizes=found.sizes,
        facts={name: [_as_text(row[at]) for row in rows] for name, at in layout.fields.items()},
        doubts=doubts | unclear | unnamed,
        held=found.held() if found.predicates or found.broken else {},
        unseen=found.unseen,
        done=done,
        unseen_done=found.unseen_done,
    )


def answer_of(layout: Layout, found: Found, asked: Sequence[str], order: Sequence[int | None]) -> Page:
    """Looked-up rows as a page in the order of the keys that were asked for, with gaps for those that are absent."""
    if not found.rows:
        absent = [None] * len(asked)
        return Page(list(asked), absent, absent, [0] * len(asked), dict.fromkeys(layout.fields, absent))
    starts, held, referred = layout.starts(found.rows), found.held(), set(found.referred(layout))
    doubts = {i: layout.doubt for i, n in enumerate(order) if n in referred}
    done, unclear = standing(layout.masks, found.rows) if layout.masks else (frozenset[int](), dict[int, str]())
    doubts |= {i: unclear[n] for i, n in enumerate(order) if n in unclear}
    told = layout.told_at
    if told is not None:
        doubts |= {i: OUTSIDE for i, n in enumerate(order) if n is not None and not found.rows[n][told]}
    return Page(
        keys=list(asked),
        revisions=[None if n is None else found.revisions[n] for n in order],
        starts=[None if n is None else starts[n] for n in order],
        sizes=[0 if n is None else found.sizes[n] for n in order],
        facts={f: [None if n is None else _as_text(found.rows[n][c]) for n in order] for f, c in layout.fields.items()},
        doubts=doubts,
        held={i: held[n] for i, n in enumerate(order) if n in held},
        done=frozenset(i for i, n in enumerate(order) if n in done) if done else done,
    )


def _packed(rows: Sequence[Any], width: int) -> list[bytes]:
    if len(rows[0]) > width:
        rows = [row[:width] for row in rows]
    try:
        return [pack(row) for row in rows]
    except UnicodeEncodeError:
        return [pack([_exact(value) for value in row]) for row in rows]


def _exact(value: Any) -> Any:
    """Text that is not UTF-8 as a list of its bytes, which no other value packs as."""
    return value if value.__class__ is not str or is_utf8(value) else [value.encode("utf-8", "surrogateescape")]


def _revisions(rows: Sequence[Any], packed: Sequence[bytes], version_at: int | None) -> list[str]:
    sha = hashlib.sha256
    if version_at is None:
        return [sha(row).hexdigest()[:_HEX] for row in packed]
    versions = [row[version_at] for row in rows]
    usable = [v.__class__ is int or (v.__class__ is str and is_utf8(v)) for v in versions]
    return [str(v) if ok else sha(p).hexdigest()[:_HEX] for v, ok, p in zip(versions, usable, packed, strict=True)]


def _lightened(row: Sequence[Any], layout: Layout) -> tuple[Any, ...]:
    """A row without the values that nobody needs any more."""
    needed = {*layout.key_at, layout.start_at, *layout.fields.values(), *(mask.at for mask in layout.masks)}
    return tuple(value if i in needed or i >= layout.width else None for i, value in enumerate(row))


def _as_text(value: Any) -> str | None:
    """A value as text, as the database itself would cast it."""
    if value is None or (value.__class__ is str and is_utf8(value)):
        return value
    if isinstance(value, float):
        digits, mark, exponent = f"{value:.15g}".partition("e")
        return digits + ("" if "." in digits or "n" in digits else ".0") + mark + exponent
    raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else str(raw)
