"""Letting rows go: one transaction for each batch, in which everything is compared once more.

The write lock is taken first, so that nothing can change between comparing and deleting. A row
goes only if it has the revision that the plan names, its rule still selects it, no hold's
predicate is true (or unknown) of it, and no other row refers to it, so that no cascade can take
along what nobody planned. Then the number of deleted rows must be the number of steps, and
looking must find none of them. A row that is anonymised stays, so others may refer to it: one
UPDATE gives the rows of a batch their own new values, and looking must find just those in them.

Where that fails, or a constraint objects, the transaction is rolled back and another one tries
halves, until the odd rows stand alone and the others are done with. What is yielded has been committed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from retentiond.core.anonymise import Unmaskable
from retentiond.core.outcome import Outcome, Settled
from retentiond.engine.failpoints import reach
from retentiond.engine.ports import Batch
from retentiond.errors import StoreDenied, StoreUnavailable
from retentiond.stores.sql.keys import Parts
from retentiond.stores.sql.masking import became, become, keys_of
from retentiond.stores.sql.reading import Found, Layout
from retentiond.stores.sql.sqlite import Violated
from retentiond.stores.sql.view import SqlView

_TRIES = 3
Fate = tuple[Outcome, str]
_GONE: Fate = (Outcome.GONE, "")
_CHANGED: Fate = (Outcome.CHANGED, "")
_OUTSIDE: Fate = (Outcome.CHANGED, "outside")
_REFERRED: Fate = (Outcome.CHANGED, "children")
_HELD: Fate = (Outcome.HELD, "predicate")
_DONE: Fate = (Outcome.CHANGED, "done-already")
_UNMASKABLE: Fate = (Outcome.FAILED, "unmaskable")
_TWICE: Fate = (Outcome.FAILED, "named-twice")


class Going(NamedTuple):
    """A row that may go: its position, its key, and what its columns become where it is anonymised."""

    position: int
    parts: Parts
    values: Sequence[Any] = ()


class SchemaChanged(Exception):
    """The table is not the one that was reflected; nothing was done."""


class Odd(Exception):
    """Not exactly the rows of the batch went; the transaction was rolled back."""


class SqlStore(SqlView):
    """A view that can also let go."""

    def dispose(self, batch: Batch) -> Iterator[Settled]:
        if not batch.action.destroys or batch.action.columns != batch.scope.columns:
            raise StoreDenied(f"rows cannot be disposed of by {batch.action.kind}")
        if batch.action.anonymises and not batch.action.columns:
            raise StoreDenied("rows cannot be anonymised without columns")
        for _ in range(_TRIES):
            try:
                fates = self._dispose(batch, self.layout(batch.scope))
            except SchemaChanged:
                continue
            reach("settled")
            yield from _settled(len(batch), fates)
            return
        raise StoreUnavailable("the schema of the database keeps changing", do="try again later")

    def _dispose(self, batch: Batch, layout: Layout) -> dict[int, Fate]:
        """What became of the positions that were not let go; the others are gone for good."""
        try:
            with self._transaction(layout):
                fates, going = self._compared(batch, layout)
                reach("compared")
                if going and self._odd(layout, going, _of_all(batch)):
                    raise Odd
                reach("destroyed")
        except (Odd, Violated):
            return self._dispose_singly(batch, layout)
        return fates

    def _dispose_singly(self, batch: Batch, layout: Layout) -> dict[int, Fate]:
        """The same, with the odd rows left where they are."""
        going: Sequence[Going] = ()
        fates: dict[int, Fate] = {}
        try:
            with self._transaction(layout):
                fates, going = self._compared(batch, layout)
                reach("compared")
                fates.update(self._let_go(layout, going, _of_all(batch)))
                reach("destroyed")
        except Violated as violation:
            fates.update({row.position: (Outcome.FAILED, violation.kind) for row in going})
        return fates

    @contextmanager
    def _transaction(self, layout: Layout) -> Iterator[None]:
        with self.database.write():
            if self.database.schema_version() != layout.table.version:
                raise SchemaChanged
            reach("claimed")
            yield

    def _compared(self, batch: Batch, layout: Layout) -> tuple[dict[int, Fate], list[Going]]:
        """The fates of the positions that may not go, and the rows that may."""
        wanted = layout.keys.parts_of(batch.keys)
        found = self.looked_up(layout, batch.predicates, wanted, self.database.within)
        order = layout.order(found.rows, wanted)
        fates = _spared(layout, found, order) | _differing(found, order, batch.revisions) | _repeated(batch.keys)
        new: dict[int, tuple[Any, ...]] = {}
        if layout.masks:
            new, unfit = _new_values(batch, layout, found, order)
            fates = unfit | fates
        return fates, [Going(i, parts, new.get(i, ())) for i, parts in enumerate(wanted) if i not in fates and parts is not None]

    def _let_go(self, layout: Layout, going: Sequence[Going], predicates: Sequence[str]) -> dict[int, Fate]:
        """Lets go what it can; the fates of the rows that did not go."""
        if not going:
            return {}
        kind = self._tried(layout, going, predicates)
        if kind is None:
            return {}
        if len(going) == 1:
            return {going[0].position: (Outcome.FAILED, kind)}
        half = len(going) // 2
        return self._let_go(layout, going[:half], predicates) | self._let_go(layout, going[half:], predicates)

    def _tried(self, layout: Layout, going: Sequence[Going], predicates: Sequence[str]) -> str | None:
        """Lets go of exactly these rows, or of none and says in a word why not."""
        database = self.database
        database.con.execute("SAVEPOINT retentiond")
        try:
            kind = self._odd(layout, going, predicates)
        except Violated as violation:
            kind = violation.kind
        if not database.con.in_transaction:
            raise Violated("rolled-back")
        if kind is not None:
            database.con.execute("ROLLBACK TO retentiond")
        database.con.execute("RELEASE retentiond")
        return kind

    def _odd(self, layout: Layout, going: Sequence[Going], predicates: Sequence[str]) -> str | None:
        """Deletes or anonymises these rows; what is odd about what happened."""
        database, statements = self.database, layout.statements
        with database.guard():
            before = database.con.total_changes
            if layout.masks:
                columns = [mask.name for mask in layout.masks]
                acts = statements.update(columns, [(row.parts, row.values) for row in going], predicates)
            else:
                named = statements.named([row.parts for row in going])
                acts = [statements.delete(n, predicates) for n in named]
            touched = sum(database.con.execute(*act).rowcount for act in acts)
            changes = database.con.total_changes - before
            if touched != len(going) or (
                self._differs(layout, going) if layout.masks else any(database.one(*statements.left(n)) for n in named)
            ):
                return "still-there"
            if layout.table.quiet and changes != touched:
                return "cascade"
        return None

    def _differs(self, layout: Layout, going: Sequence[Going]) -> bool:
        """Whether some row is not what it was to become."""
        wanted = [row.parts for row in going]
        found = self.looked_up(layout, (), wanted, self.database.within)
        order = layout.order(found.rows, wanted)
        return not all(
            n is not None and became(layout.masks, found.rows[n], row.values) for n, row in zip(order, going, strict=True)
        )


def _new_values(
    batch: Batch, layout: Layout, found: Found, order: Sequence[int | None]
) -> tuple[dict[int, tuple[Any, ...]], dict[int, Fate]]:
    """What the columns of each position become, and the fates of those that are done or cannot be anonymised."""
    keys = keys_of(layout.masks, layout.table.name, batch.key)
    new: dict[int, tuple[Any, ...]] = {}
    fates: dict[int, Fate] = {}
    for i, n in enumerate(order):
        if n is None:
            continue
        row = found.rows[n]
        try:
            new[i] = become(layout.masks, keys, row)
        except Unmaskable:
            fates[i] = _UNMASKABLE
            continue
        if became(layout.masks, row, new[i]):
            fates[i] = _DONE
    return new, fates


def _differing(found: Found, order: Sequence[int | None], revisions: Sequence[str]) -> dict[int, Fate]:
    """The positions whose row is not there as the plan has it."""
    now = [None if n is None else found.revisions[n] for n in order]
    if now == list(revisions):
        return {}
    missing = _CHANGED if len(now) - now.count(None) < len(found.rows) else _GONE
    pairs = enumerate(zip(now, revisions, strict=True))
    return {i: missing if there is None else _CHANGED for i, (there, then) in pairs if there != then}


def _spared(layout: Layout, found: Found, order: Sequence[int | None]) -> dict[int, Fate]:
    """The positions whose row may not go any more, whatever its revision."""
    spared: dict[int, Fate] = {}
    if found.held_at == layout.width and not found.predicates and not found.broken:
        return spared
    position = {n: i for i, n in enumerate(order) if n is not None}
    told = layout.told_at
    if told is not None:
        spared |= {i: _OUTSIDE for n, i in position.items() if not found.rows[n][told]}
    spared |= {position[n]: _REFERRED for n in found.referred(layout) if n in position}
    for predicate in found.broken:
        covered = range(len(order)) if predicate.positions is None else predicate.positions
        spared |= dict.fromkeys(covered, _HELD)
    for at, predicate in enumerate(found.predicates, found.held_at):
        inside = predicate.positions
        spared |= {i: _HELD for n, i in position.items() if found.rows[n][at] and (inside is None or i in inside)}
    return spared


def _repeated(keys: Sequence[str]) -> dict[int, Fate]:
    """The positions whose key stands earlier in the batch: the row goes once."""
    if len(set(keys)) == len(keys):
        return {}
    first: dict[str, int] = {}
    return {i: _TWICE for i, key in enumerate(keys) if first.setdefault(key, i) != i}


def _of_all(batch: Batch) -> list[str]:
    """The predicates that cover the whole batch, so that deleting may ask them once more."""
    return [p.sql for p in batch.predicates if p.positions is None]


def _settled(size: int, fates: dict[int, Fate]) -> Iterator[Settled]:
    disposed = [i for i in range(size) if i not in fates] if fates else range(size)
    if disposed:
        yield Settled(disposed, Outcome.DISPOSED)
    groups: dict[Fate, list[int]] = {}
    for i, fate in sorted(fates.items()):
        groups.setdefault(fate, []).append(i)
    for (outcome, code), positions in groups.items():
        yield Settled(positions, outcome, code)
