"""The ledger itself: one transaction changes the state and writes the entries that say so.

Guarantees: an entry's index is its place in the order of commits; its time is the later of the
clock and the last entry's, so time never goes back; when a transaction has ended without an
exception, it survives a power cut.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa

from retentiond.core.entry import EVENT_TYPES, HOLD_TYPES, REVIEW_TYPES, written
from retentiond.errors import ClockStepped, StateUnavailable
from retentiond.ledger import schema
from retentiond.ledger.clock import Reading, step, stored
from retentiond.ledger.database import Database, replacing
from retentiond.ledger.leases import Lease
from retentiond.ledger.migrating import bring_up

_CLOCK, _STEPPED, _LAST = "clock", "clock-stepped", "last-time"
_SIZE, _ROOT = "head-size", "head-root"
_DAEMON = "daemon"
_DAY = 86_400_000_000
_KINDS = {"hold": HOLD_TYPES, "event": EVENT_TYPES, "review": REVIEW_TYPES}
_FACT = sa.select(schema.meta.c.value).where(schema.meta.c.key == sa.bindparam("key"))
_USUAL = sa.select(schema.meta.c.key, schema.meta.c.value).where(
    schema.meta.c.key.in_([sa.literal_column(f"'{key}'") for key in (_LAST, *(f"last-{kind}" for kind in _KINDS))])
)
_NEWEST = sa.select(sa.func.max(schema.entry.c.seq))
_ENTRY = schema.entry.insert()
_BATCHES = 64
"""So many batches of references are read at a time."""


class Transaction:
    """One change of the state, with its evidence. `time` is that of its entries, in microseconds."""

    def __init__(self, connection: sa.Connection, reading: Reading) -> None:
        self.connection = connection
        self._known = {key: value for key, value in connection.execute(_USUAL)}  # noqa: C416 a row is no pair to mypy
        self.time = max(reading.wall, int(self._known.get(_LAST, 0)))
        self._next: int | None = None

    def write(self, type_: str, **fields: Any) -> int:
        """Adds an entry and returns its index."""
        if self._next is None:
            newest = self.connection.execute(_NEWEST).scalar()
            self._next = -1 if newest is None else newest
            self._tell(_LAST, str(self.time))  # all its entries are of one time
        self._next += 1
        body = written(type_, self.time, fields)
        self.connection.execute(_ENTRY, {"seq": self._next, "type": type_, "body": body})
        for kind, types in _KINDS.items():
            if type_ in types:
                self._tell(f"last-{kind}", str(self._next))
        return self._next

    def _tell(self, key: str, value: str) -> None:
        """Sets one of the facts that each transaction knows from its beginning."""
        self.set_fact(key, value)
        self._known[key] = value

    def fact(self, key: str) -> str | None:
        """A single fact; None before it was set."""
        found: str | None = self.connection.execute(_FACT, {"key": key}).scalar()
        return found

    def set_fact(self, key: str, value: str) -> None:
        self.put(schema.meta, key=key, value=value)

    def put(self, table: sa.Table, **values: Any) -> None:
        """Writes a row, in the place of one with the same key; a row that is all key may be there already."""
        self.connection.execute(replacing(self.connection.dialect.name, table), values)

    def newest(self, kind: str) -> int:
        """The index of the newest entry about holds (`hold`), events (`event`) or reviews (`review`); -1 before the first."""
        return int(self._known.get(f"last-{kind}", -1))


class Ledger:
    """The state's database. `read_clock` is the only way to the clock, and belongs to the app.

    `leases` are those that this process has: each transaction makes sure of them, and none commits without them.
    """

    def __init__(self, database: Database, read_clock: Callable[[], Reading]) -> None:
        self.database, self.read_clock = database, read_clock
        self.leases: dict[str, Lease] = {}
        self._engine = database.engine()
        self._kept: sa.Connection | None = None
        try:
            with self._connected() as connection:
                bring_up(connection)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction that commits at the end of the block, and never happened if the block raises.

        `StateUnavailable` where the database fails; whether it had committed by then is not known. `LeaseLost`
        where somebody else is at work by now.
        """
        with self._connected() as connection:
            for lease in self.leases.values():
                lease.assure(connection)
            yield Transaction(connection, self.read_clock())

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        """A connection in a transaction. One that failed is not used again."""
        try:
            if self._kept is None:
                self._kept = self._engine.connect()
            with self._kept.begin():
                yield self._kept
        except (sa.exc.DBAPIError, sqlite3.Error, OSError) as error:
            self.close()
            raise self.database.unavailable(error) from error

    def close(self) -> None:
        """The next transaction connects anew."""
        if self._kept is not None:
            with suppress(sa.exc.DBAPIError):  # what cannot be closed is gone
                self._kept.close()
            self._kept = None
        self._engine.dispose()

    def keep_leases(self) -> None:
        """Prolongs the leases of a process that has nothing to write; `LeaseLost` where one is somebody else's by now."""
        with self.transaction():
            pass

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

    def clock_step(self) -> int:
        """The step that nobody has accepted yet, or 0, like `watch_clock`; but nothing is remembered."""
        with self.transaction() as change:
            return int(change.fact(_STEPPED) or 0) or step(change.fact(_CLOCK), self.read_clock())

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

    def daemon_started(self, categories: int, open_intents: int) -> bool:
        """Notes that a daemon begins; whether the one before it was killed. `open_intents` are what runs left behind."""
        with self.transaction() as change:
            killed = change.fact(_DAEMON) == "running"
            if killed:
                change.write("daemon-recovered", intents=open_intents)
            change.write("daemon-started", categories=categories)
            change.set_fact(_DAEMON, "running")
        return killed

    def daemon_stopped(self) -> None:
        """Notes that the daemon has ended as it was told to."""
        with self.transaction() as change:
            change.write("daemon-stopped")
            change.set_fact(_DAEMON, "stopped")

    def beat(self) -> bool:
        """Writes a heartbeat where nothing was written for a day, so that silence shows; whether it did."""
        with self.transaction() as change:
            if change.time - int(change.fact(_LAST) or 0) < _DAY:
                return False
            change.write("heartbeat")
        return True

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
                raise StateUnavailable("an entry is missing from the state", do="restore its database from a backup")
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
