"""A store in memory: a named fake, honest unless it is told not to be.

A `MemoryPlace` outlives the handles that are opened on it, as a disk does, and may have several at
once, each in its thread. It passes all the contracts; with a `Flaw` it breaks one promise, which
they must notice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count
from threading import RLock
from typing import Any, Literal
from zlib import crc32

from retentiond.core.item import NOTHING, Page, raw_of
from retentiond.core.outcome import Outcome, Settled
from retentiond.core.pattern import compile_pattern
from retentiond.core.policy import PathSelection, TableSelection
from retentiond.engine import failpoints
from retentiond.engine.ports import OUTSIDE, PAGE, PIECE, Batch, Deposit, Scope, Traits
from retentiond.errors import ItemChanged, Occupied, StoreUnavailable

Flaw = Literal[
    "",
    "shows an item twice",
    "misses an item",
    "leaves a trace",
    "probes out of line",
    "ignores the revision",
    "says disposed and keeps",
    "announces too early",
    "calls a gone item disposed",
    "takes a neighbour along",
    "loses what is half done",
    "keeps silent about one",
    "overfills a page",
    "shows naive starts",
    "disposes of what is outside",
    "masks one column only",
    "masks what it should leave",
    "recognises nothing as done",
    "reads any revision",
    "overwrites with a copy",
    "keeps half a copy",
    "leaves a part out",
    "shows an item in two parts",
    "probes a part only",
]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CHUNK = 10
"""So many items become facts together."""


@dataclass(frozen=True, slots=True)
class Record:
    """One item in memory. `revision` grows with every change anywhere."""

    revision: int
    start: datetime | None
    content: bytes = b""
    facts: Mapping[str, str | None] = field(default_factory=lambda: NOTHING)
    locked_until: datetime | None = None


class MemoryPlace:
    """A place that holds items by key. `available=False` is a server that is down.

    `lanes` is how many handles side by side it recommends; any number may be open, each in its thread. `distant`: that its
    pages are asked for ahead. `before` is called with the keys of each chunk before it is let go, by the handle's own thread, so
    that a test can let a handle wait or die there.
    """

    def __init__(self, name: str = "memory", flaw: Flaw = "", lanes: int = 1) -> None:
        self.name, self.flaw, self.lanes = name, flaw, lanes
        self.lock, self.distant = RLock(), False
        self.before: Callable[[Sequence[str]], None] = lambda _keys: None
        self.records: dict[str, Record] = {}
        self.half_done: dict[str, Record] = {}
        self.looks = 0
        self.available = True
        self._revisions = count(1)

    def put(
        self,
        key: str,
        start: datetime | None = None,
        content: bytes = b"",
        facts: Mapping[str, str | None] = NOTHING,
        locked_until: datetime | None = None,
    ) -> None:
        """Adds or replaces an item, in a new revision."""
        self.records[key] = Record(next(self._revisions), start, content, facts, locked_until)

    def change(self, key: str, content: bytes = b"changed") -> None:
        """Gives an item another content, and so another revision."""
        self.records[key] = replace(self.records[key], revision=next(self._revisions), content=content)

    def look(self) -> MemoryView:
        """A handle that only looks."""
        return MemoryView(self)

    def act(self) -> MemoryStore:
        """A handle that can also let go."""
        return MemoryStore(self)


class MemoryView:
    """A handle on a place in memory. A predicate is `true` or the key of the one item that it matches."""

    def __init__(self, place: MemoryPlace) -> None:
        if not place.available:
            raise StoreUnavailable("the store is down")
        self._place = place

    @property
    def place(self) -> str:
        return f"memory:{self._place.name}"

    @property
    def traits(self) -> Traits:
        return Traits(atomic=True, lanes=self._place.lanes)

    @property
    def is_distant(self) -> bool:
        return self._place.distant

    def shards(self, scope: Scope, wanted: int) -> Sequence[Scope]:
        """Parts `I/N`: the items whose key has a checksum of the rest I when divided by N."""
        parts = [replace(scope, part=f"{i}/{wanted}") for i in range(wanted)]
        return parts[1:] or parts if self._place.flaw == "leaves a part out" else parts

    def scan(self, scope: Scope) -> Iterator[Page]:
        self._available()
        size = PAGE + 1 if self._place.flaw == "overfills a page" else PAGE
        found = [key for key in self._sighted() if self._selects(scope, key) and self._is_in_part(scope, key)]
        found += found[:1] if self._place.flaw == "shows an item twice" else []
        found = found[1:] if self._place.flaw == "misses an item" else found
        for first in range(0, len(found), size):
            yield self._page(scope, found[first : first + size])

    def probe(self, scope: Scope, keys: Sequence[str]) -> Page:
        self._available()
        return self._page(scope, list(reversed(keys)) if self._place.flaw == "probes out of line" else list(keys))

    def read(self, scope: Scope, key: str, revision: str) -> Iterator[bytes]:
        content = self._content(key, revision)
        for first in range(0, len(content), PIECE):
            yield content[first : first + PIECE]
        self._content(key, revision)

    def edges(self, scope: Scope, key: str, revision: str, head: int, tail: int) -> tuple[bytes, bytes]:
        content = self._content(key, revision)
        return content[:head], content[max(0, len(content) - tail) :]

    def unaskable(self, scope: Scope) -> Mapping[str, str]:
        return {}

    def warnings(self, scope: Scope) -> Sequence[str]:
        return [] if any(self._selects(scope, key) for key in self._sighted()) else ["the selection matches nothing"]

    def close(self) -> None:
        """A place in memory stays."""

    def _available(self) -> None:
        if not self._place.available:
            raise StoreUnavailable("the store is down")
        self._place.looks += 1 if self._place.flaw == "leaves a trace" else 0

    def _content(self, key: str, revision: str) -> bytes:
        self._available()
        record = self._sighted().get(key)
        if record is None or (str(record.revision) != revision and self._place.flaw != "reads any revision"):
            raise ItemChanged
        return record.content

    def _sighted(self) -> Mapping[str, Record]:
        if self._place.flaw == "loses what is half done":
            return self._place.records
        with self._place.lock:
            return {**self._place.half_done, **self._place.records}

    def _is_in_part(self, scope: Scope, key: str) -> bool:
        if not scope.part:
            return True
        rest, parts = map(int, scope.part.split("/"))
        if self._place.flaw == "shows an item in two parts" and key in list(self._place.records)[:1]:
            return True
        return crc32(key.encode()) % parts == rest

    def _selects(self, scope: Scope, key: str) -> bool:
        selection = scope.selection
        if isinstance(selection, PathSelection):
            return compile_pattern(selection.pattern).match(raw_of(key)) is not None
        return isinstance(selection, TableSelection) and key.startswith(f"{selection.table}/")

    def _is_done(self, scope: Scope, record: Record) -> bool:
        done = all(strategy.is_done(record.facts.get(name)) for name, strategy in scope.columns)
        return bool(scope.columns) and done and self._place.flaw != "recognises nothing as done"

    def _page(self, scope: Scope, keys: list[str]) -> Page:
        sighted = self._sighted()
        blind = self._place.flaw == "probes a part only"
        records = [None if blind and not self._is_in_part(scope, key) else sighted.get(key) for key in keys]
        present = [(i, key, record) for i, (key, record) in enumerate(zip(keys, records, strict=True)) if record is not None]
        naive = self._place.flaw == "shows naive starts"
        return Page(
            keys=keys,
            revisions=[None if r is None else str(r.revision) for r in records],
            starts=[_start(scope, r, naive=naive) for r in records],
            sizes=[0 if r is None else len(r.content) for r in records],
            facts={name: [None if r is None else r.facts.get(name) for r in records] for name in scope.fields},
            locked_until={i: r.locked_until for i, _, r in present if r.locked_until is not None},
            doubts={i: OUTSIDE for i, key, _ in present if not self._selects(scope, key)},
            done=frozenset(i for i, _, record in present if self._is_done(scope, record)),
            held={i: p.hold for p in scope.predicates for i, key, _ in present if p.sql in ("true", key)},
        )


class MemoryStore(MemoryView):
    """A handle on a place in memory that can also let go; it claims like a store of files, and masks facts."""

    home = ""

    def dispose(self, batch: Batch) -> Iterator[Settled]:
        self._available()
        positions = list(range(len(batch)))
        if self._place.flaw == "keeps silent about one":
            positions = positions[1:]
        for first in range(0, len(positions), CHUNK):
            yield from self._dispose(batch, positions[first : first + CHUNK])

    def take(self, key: str, pieces: Iterable[bytes]) -> Deposit:
        self._available()
        content = bytearray()
        try:
            for piece in pieces:
                content += piece
        except BaseException:
            if self._place.flaw == "keeps half a copy":
                self._place.put(key, _EPOCH, bytes(content))
            raise
        if key in self._sighted() and self._place.flaw != "overwrites with a copy":
            raise Occupied(key=key)
        self._place.put(key, _EPOCH, bytes(content))
        return Deposit(key, sha256(content).hexdigest(), len(content))

    def put_back(self, scope: Scope, keys: Sequence[str]) -> None:
        place = self._place
        with place.lock:
            for key in [key for key in keys if key in place.half_done and key not in place.records]:
                place.records[key] = place.half_done.pop(key)

    def _dispose(self, batch: Batch, positions: Sequence[int]) -> Iterator[Settled]:
        fates: dict[Outcome, list[int]] = {}
        mine: list[str] = []
        self._place.before([batch.keys[i] for i in positions])
        for i in positions:
            with self._place.lock:
                outcome = self._claim(batch, i)
            fates.setdefault(outcome, []).append(i)
            mine += [batch.keys[i]] if outcome is Outcome.DISPOSED else []
        if mine:
            failpoints.reach("claimed")
        failpoints.reach("compared")
        facts = [Settled(at, outcome) for outcome, at in fates.items()]
        if self._place.flaw == "announces too early":
            yield from facts
        with self._place.lock:
            for key in mine:
                if batch.action.anonymises:
                    self._mask(batch, key)
                else:
                    self._destroy(key)
        failpoints.reach("destroyed")
        failpoints.reach("settled")
        if self._place.flaw != "announces too early":
            yield from facts

    def _claim(self, batch: Batch, i: int) -> Outcome:
        key, place = batch.keys[i], self._place
        record = place.records.get(key) or place.half_done.get(key)
        if record is None:
            return Outcome.DISPOSED if place.flaw == "calls a gone item disposed" else Outcome.GONE
        if str(record.revision) != batch.revisions[i] and place.flaw != "ignores the revision":
            return Outcome.CHANGED
        if not self._selects(batch.scope, key) and place.flaw != "disposes of what is outside":
            return Outcome.CHANGED
        if batch.action.anonymises and self._is_done(batch.scope, record):
            return Outcome.CHANGED
        if record.locked_until is not None and (batch.scope.now is None or record.locked_until > batch.scope.now):
            return Outcome.LOCKED
        if any(p.sql in ("true", key) and (p.positions is None or i in p.positions) for p in batch.predicates):
            return Outcome.HELD
        place.half_done[key] = place.records.pop(key, record)
        return Outcome.DISPOSED

    def _mask(self, batch: Batch, key: str) -> None:
        """Puts an item back with the columns masked, in a new revision."""
        place, record = self._place, self._place.half_done[key]
        columns = batch.action.columns[:1] if place.flaw == "masks one column only" else batch.action.columns
        new = {name: strategy.of(record.facts.get(name), batch.key) for name, strategy in columns}
        facts = {**record.facts, **{name: None if value is None else str(value) for name, value in new.items()}}
        place.put(key, record.start, b"" if place.flaw == "masks what it should leave" else record.content, facts)
        del place.half_done[key]

    def _destroy(self, key: str) -> None:
        place = self._place
        if place.flaw == "says disposed and keeps":
            place.records[key] = place.half_done[key]
        if place.flaw == "takes a neighbour along" and place.records:
            place.records.popitem()
        place.half_done.pop(key, None)


class MemoryType:
    """A kind of store for tests: option `name` is the name of one of the given places."""

    name = "memory"

    def __init__(self, places: Iterable[MemoryPlace]) -> None:
        self._places = {place.name: place for place in places}

    def problems(self, options: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        if options.get("name") not in self._places:
            yield "name", "there is no such place in memory"

    def look(self, options: Mapping[str, Any]) -> MemoryView:
        return self._places[options["name"]].look()

    def act(self, options: Mapping[str, Any]) -> MemoryStore:
        return self._places[options["name"]].act()


def _start(scope: Scope, record: Record | None, *, naive: bool) -> datetime | None:
    if record is None or record.start is None or scope.start.kind == "event":
        return None
    return record.start.replace(tzinfo=None) if naive else record.start.astimezone(UTC)
