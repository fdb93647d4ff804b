"""The ledger itself: one transaction changes the state and writes the entries that say so.

Guarantees: an entry's index is its place in the order of commits; its time is the later of the
clock and the last entry's, so time never goes back; when a transaction has ended without an
exception, it survives a power cut.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from retentiond.core.entry import EVENT_TYPES, HOLD_TYPES, REVIEW_TYPES, written
from retentiond.errors import ClockStepped, StateUnavailable
from retentiond.ledger import schema
from retentiond.ledger.clock import Reading, step, stored

_CLOCK, _STEPPED, _LAST = "clock", "clock-stepped", "last-time"
_SIZE, _ROOT = "head-size", "head-root"
_BATCHES = 64
"""So many batches of references are read at a time."""


class Transaction:
    """One change of the state, with its evidence. `time` is that of its entries, in microseconds."""

    def __init__(self, connection: sa.Connection, reading: Reading) -> None:
        self.connection = connection
        last = self.fact(_LAST)
        self.time = max(reading.wall, int(last) if last else 0)
        self._next: int | None = None

    def write(self, type_: str, **fields: Any) -> int:
        """Adds an entry and returns its index."""
        if self._next is None:
            newest = self.connection.execute(sa.select(sa.func.max(schema.entry.c.seq))).scalar()
            self._next = -1 if newest is None else newest
        self._next += 1
        body = written(type_, self.time, fields)
        self.connection.execute(schema.entry.insert().values(seq=self._next, type=type_, body=body))
        self.set_fact(_LAST, str(self.time))
        if type_ in HOLD_TYPES:
            self.set_fact("last-hold", str(self._next))
        elif type_ in EVENT_TYPES:
            self.set_fact("last-event", str(self._next))
        elif type_ in REVIEW_TYPES:
            self.set_fact("last-review", str(self._next))
        return self._next

    def fact(self, key: str) -> str | None:
        """A single fact; None before it was set."""
        found: str | None = self.connection.execute(sa.select(schema.meta.c.value).where(schema.meta.c.key == key)).scalar()
        return found

    def set_fact(self, key: str, value: str) -> None:
        self.connection.execute(schema.meta.insert().prefix_with("OR REPLACE").values(key=key, value=value))

    def newest(self, kind: str) -> int:
        """The index of the newest entry about holds (`hold`), events (`event`) or reviews (`review`); -1 before the first."""
        return int(self.fact(f"last-{kind}") or -1)


class Ledger:
    """The state's database. `read_clock` is the only way to the clock, and belongs to the app."""

    def __init__(self, path: Path, read_clock: Callable[[], Reading]) -> None:
        self.read_clock = read_clock
        self._engine = schema.open_database(path)
        self._kept: sa.Connection | None = None

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction that commits at the end of the block, and never happened if the block raises."""
        try:
            if self._kept is None:
                self._kept = self._engine.connect()
            with self._kept.begin():
                yield Transaction(self._kept, self.read_clock())
        except (sa.exc.DBAPIError, sqlite3.Error, OSError) as error:
            raise schema.unavailable(error) from error

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None
        self._engine.dispose()

    def begin_log(self) -> None:
        """Writes the first entry of a new ledger; nothing if there is one."""
        with self.transaction() as change:
            if change.connection.execute(sa.select(sa.func.max(schema.entry.c.seq))).scalar() is None:
                change.write("log-started", format=1)

    def watch_clock(self) -> int:
        """Reads the clock and remembers it: the step in microseconds that nobody has accepted yet, or 0."""
        with self.transaction() as change:
            reading = self.read_clock()
            pending = int(change.fact(_STEPPED) or 0)
            found = pending or step(change.fact(_CLOCK), reading)
            if found and not pending:
                change.set_fact(_STEPPED, str(found))
                change.write("clock-stepped", seconds=int(found / 1_000_000))
            change.set_fact(_CLOCK, stored(reading))
            return found

    def refuse_stepped_clock(self) -> None:
        """`ClockStepped` while a step of the clock has not been accepted."""
        found = self.watch_clock()
        if found:
            raise ClockStepped(
                "the clock has gone back or jumped, so nothing is judged by it",
                why=f"it differs by {found / 1_000_000:+,.0f} seconds from what the ledger expects",
                do="set the clock right; then `retentiond clock --accept`",
            )

    def accept_clock(self, by: str) -> None:
        """A person says that the clock is right."""
        with self.transaction() as change:
            change.set_fact(_STEPPED, "0")
            change.set_fact(_CLOCK, stored(self.read_clock()))
            change.write("clock-accepted", by=by)

    # What the publisher of the audit log reads: `audit.publish.Source`.

    def size(self) -> int:
        """The number of entries."""
        with self.transaction() as change:
            return int(change.connection.execute(sa.select(sa.func.count()).select_from(schema.entry)).scalar_one())

    def entries(self, first: int, end: int) -> Iterator[bytes]:
        """The bytes of the entries `first` to `end`, `end` left out."""
        for low in range(first, end, 1024):
            seq = schema.entry.c.seq
            wanted = sa.select(schema.entry.c.body).where(seq >= low, seq < min(end, low + 1024)).order_by(seq)
            with self.transaction() as change:
                bodies = change.connection.execute(wanted).scalars().all()
            if len(bodies) != min(end, low + 1024) - low:
                raise StateUnavailable("an entry is missing from the state", do="restore state.db from a backup")
            yield from bodies

    def refs(self, first: int, end: int) -> Iterator[tuple[str, int, bytes]]:
        """The references of the entries `first` to `end` in their order: (run, position of the first one in the run, bytes)."""
        b = schema.batch.c
        wanted = sa.select(b.entry, b.run, b.offset, b.refs).where(b.entry < end).order_by(b.entry).limit(_BATCHES)
        while True:
            with self.transaction() as change:
                rows = change.connection.execute(wanted.where(b.entry >= first)).all()
            for _, run, offset, refs in rows:
                yield run, offset, refs
            if len(rows) < _BATCHES:
                return
            first = rows[-1][0] + 1

    def head(self) -> tuple[int, bytes] | None:
        """The size and root that were signed last."""
        with self.transaction() as change:
            size, root = change.fact(_SIZE), change.fact(_ROOT)
        return (int(size), bytes.fromhex(root)) if size and root else None

    def store_head(self, size: int, root: bytes) -> None:
        """Remembers a head, before anything of it is published."""
        with self.transaction() as change:
            change.set_fact(_SIZE, str(size))
            change.set_fact(_ROOT, root.hex())
