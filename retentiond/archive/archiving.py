"""Archiving: a store before a store, which lets nothing go of which no verified copy lies in the archive.

For a batch whose action is `archive`, in this order: the items are looked at; of each that is still what the plan says, a
copy is written and read back where it lies; a manifest of those of each folder is written beside; the copies are noted, with
their evidence; and only then the store behind is told to delete, and compares once more. A crash at any point leaves the
originals where they are: what was noted is found again and used, what was not is written again under another name.

Rows go together: those of a batch are one file, with a line of JSON for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

from retentiond.archive.manifest import Line, manifest
from retentiond.archive.originals import Original, Rows
from retentiond.archive.passing import Hear, Passing
from retentiond.archive.register import Register
from retentiond.archive.units import Names, Unit, people_of
from retentiond.archive.vouching import standing
from retentiond.archive.writing import SourceTrouble, Vault
from retentiond.core.copied import Origin, Written, together
from retentiond.core.item import Page
from retentiond.core.naming import NamingError
from retentiond.core.outcome import Outcome, Settled
from retentiond.core.policy import Action, Archive, PathSelection
from retentiond.engine.failpoints import reach
from retentiond.engine.ports import OUTSIDE, Batch, Store, Tabular, sighted
from retentiond.errors import ItemChanged, NotSealed, StoreDenied, StoreUnavailable

CHUNK = 100
"""So many items are written, noted and let go together; of rows a whole batch."""
_DELETE = Action("delete")

_Done = tuple[Unit, Written, Line]
OpenVault = Callable[[Archive], Vault]


class Archiving(Passing):
    """A store that archives what it lets go, where the action says so; anything else it passes on."""

    def __init__(self, store: Store, name: str, open_vault: OpenVault, register: Register, zone: ZoneInfo, hear: Hear) -> None:
        """`hear` is told when the store of an archive fails."""
        super().__init__(store)
        self._name, self._open_vault, self._register, self._zone, self._hear = name, open_vault, register, zone, hear

    def dispose(self, batch: Batch) -> Iterator[Settled]:
        archive = batch.action.archive
        if archive is None:
            yield from self._store.dispose(batch)
            return
        try:
            vault = self._open_vault(archive)
            if vault.store.place == self._store.place:
                raise StoreDenied("the archive is the same place as the store", do="name a store somewhere else")
        except (StoreUnavailable, StoreDenied) as error:
            self._hear(archive.to, error)
            yield Settled(range(len(batch)), Outcome.FAILED, "no-archive")
            return
        size = len(batch) if isinstance(self._store, Tabular) else CHUNK
        for low in range(0, len(batch), size):
            positions = range(low, min(low + size, len(batch)))
            yield from self._chunk(batch.only(positions), positions, archive, vault)

    def _chunk(self, batch: Batch, places: Sequence[int], archive: Archive, vault: Vault) -> Iterator[Settled]:
        """One chunk; `places` are its positions in the whole batch."""
        scope = batch.scope
        origin = Origin("archive", scope.category, scope.rule, self._name, self._store.place, archive.to)
        chunk = _Chunk(self._store, batch, vault, self._register, origin, self._hear)
        archived = chunk.archived(Names(archive, batch, chunk.page, self._zone))
        for outcome, code, positions in chunk.told():
            yield Settled([places[i] for i in positions], outcome, code)
        if not archived:
            return
        left = replace(batch.only(archived), action=_DELETE)
        for settled in self._store.dispose(left):
            yield Settled([places[archived[i]] for i in settled.positions], settled.outcome, settled.code)


class _Chunk:
    """Some items on their way into the archive, and what became of those that do not get there."""

    def __init__(self, store: Store, batch: Batch, vault: Vault, register: Register, origin: Origin, hear: Hear) -> None:
        self._store, self._batch, self._vault, self._register, self._origin = store, batch, vault, register, origin
        self._hear = hear
        self._fates: dict[int, tuple[Outcome, str]] = {}
        self._down = False
        self.page: Page = sighted(store, replace(batch, scope=replace(batch.scope, predicates=batch.predicates)))

    def told(self) -> Iterator[tuple[Outcome, str, list[int]]]:
        """The fates of what was not archived."""
        by: dict[tuple[Outcome, str], list[int]] = {}
        for i, fate in self._fates.items():
            by.setdefault(fate, []).append(i)
        for (outcome, code), positions in by.items():
            yield outcome, code, positions

    def archived(self, names: Names) -> list[int]:
        """The positions of which a verified copy is noted now."""
        units = self._units([i for i in range(len(self._batch)) if self._is_ready(i)])
        there = self._there(units)
        done = [each for unit in units if unit not in there and (each := self._write(unit, names)) is not None]
        reach("copied")
        if done and not self._note(done, names):
            self._settle([i for unit, _, _ in done for i in unit.positions], Outcome.FAILED, "not-archived")
            done = []
        reach("archived")
        return sorted(i for unit in [*there, *(unit for unit, _, _ in done)] for i in unit.positions)

    def _settle(self, positions: Sequence[int], outcome: Outcome, code: str = "") -> None:
        self._fates |= dict.fromkeys(positions, (outcome, code))

    def _is_ready(self, i: int) -> bool:
        """Whether an item is still what the plan says, and nothing stands in its way; else its fate is told."""
        page, batch = self.page, self._batch
        now, doubt, locked = page.revisions[i], page.doubts.get(i), page.locked_until.get(i)
        if now is None:
            self._settle([i], Outcome.GONE)
        elif now != batch.revisions[i]:
            self._settle([i], Outcome.CHANGED)
        elif doubt is not None:
            self._settle([i], Outcome.CHANGED, "outside" if doubt == OUTSIDE else "in-doubt")
        elif i in page.held and any(p.positions is None or i in p.positions for p in batch.predicates):
            self._settle([i], Outcome.HELD)
        elif locked is not None and (batch.scope.now is None or locked > batch.scope.now):
            self._settle([i], Outcome.LOCKED)
        return i not in self._fates

    def _units(self, ready: Sequence[int]) -> list[Unit]:
        """What is copied together: each item by itself, rows all at once."""
        batch, store = self._batch, self._store
        items = [(batch.keys[i], batch.revisions[i]) for i in ready]
        if not isinstance(store, Tabular):
            originals = [Original(store, batch.scope, key, revision) for key, revision in items]
            return [Unit((i,), item, original) for i, item, original in zip(ready, items, originals, strict=True)]
        rows = dict(zip(ready, store.rows(batch.scope, [k for k, _ in items], [r for _, r in items]), strict=True))
        self._settle([i for i, row in rows.items() if row is None], Outcome.CHANGED)
        there = {i: row for i, row in rows.items() if row is not None}
        mine = [(batch.keys[i], batch.revisions[i]) for i in there]
        return [Unit(tuple(there), together(mine), Rows(list(there.values())))] if there else []

    def _there(self, units: Sequence[Unit]) -> list[Unit]:
        """Those whose copy an earlier run has noted, and that is still there as it was."""
        known = self._register.newest(self._origin, [unit.item for unit in units])
        try:
            found = standing(self._vault.store, self._vault.read, known, self._register)
        except (StoreUnavailable, StoreDenied):  # nothing can be written there either, and that is each one's fate
            return []
        return [unit for unit, condition in zip(units, found, strict=True) if condition == "verified"]

    def _write(self, unit: Unit, names: Names) -> _Done | None:
        """Writes the copy of a unit; None where that failed, and its fate says why."""
        fate = (Outcome.FAILED, "not-archived")
        try:
            if not self._down:
                return self._written(unit, names.of(unit))
        except NamingError:
            fate = (Outcome.FAILED, "no-name")
        except ItemChanged:
            fate = (Outcome.CHANGED, "")
        except NotSealed:
            fate = (Outcome.FAILED, "not-encrypted")
        except SourceTrouble as trouble:
            if isinstance(trouble.error, StoreUnavailable):
                raise trouble.error from trouble
            fate = (Outcome.FAILED, "denied")
        except (StoreDenied, StoreUnavailable) as error:
            self._hear(self._origin.destination, error)
            self._down = isinstance(error, StoreUnavailable)
        self._settle(unit.positions, *fate)
        return None

    def _written(self, unit: Unit, name: str) -> _Done:
        original, batch = unit.original, self._batch
        count, people = len(unit.positions), self._people(unit.positions)
        written, deposit = self._vault.write(
            self._register, self._origin, unit.item, name, original.pieces, items=count, people=people, source=self._source()
        )
        keys, revisions = [batch.keys[i] for i in unit.positions], [batch.revisions[i] for i in unit.positions]
        start = self.page.starts[unit.positions[0]]
        return unit, written, Line(keys, revisions, start, original.size, original.sha256, deposit)

    def _source(self) -> Store | None:
        """The store of the items, where a copy could appear in it: one that has paths."""
        return self._store if isinstance(self._batch.scope.selection, PathSelection) else None

    def _people(self, positions: Iterable[int]) -> list[list[tuple[str, str]]]:
        return [people_of(self._batch.scope, self.page, i) for i in positions]

    def _note(self, done: Sequence[_Done], names: Names) -> bool:
        """Writes the manifests of what was copied, and notes all of it; whether that was possible."""
        by = {unit: (written, line) for unit, written, line in done}
        try:
            lists = [self._list([(unit, by[unit][1]) for unit in units], names) for units in names.by_manifest(by)]
        except NotSealed:
            return False
        except (StoreUnavailable, StoreDenied) as error:
            self._hear(self._origin.destination, error)
            return False
        self._register.keep(self._origin, [written for written, _ in by.values()])
        self._register.keep(replace(self._origin, purpose="manifest"), lists)
        return True

    def _list(self, some: Sequence[tuple[Unit, Line]], names: Names) -> Written:
        """Writes one manifest. Errors are those of the vault."""
        lines = [line for _, line in some]
        definition = self._store.definition(self._batch.scope) if isinstance(self._store, Tabular) else None
        body = manifest(self._origin, lines, self._batch.scope.now, self._vault.recipients, definition)
        origin, item = replace(self._origin, purpose="manifest"), together([(line.deposit.key, "") for line in lines])
        name = names.of_manifest(some[0][0], body)
        people = self._people(i for unit, _ in some for i in unit.positions)
        return self._vault.write(self._register, origin, item, name, lambda: [body], items=len(lines), people=people)[0]
