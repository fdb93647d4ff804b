"""Letting rows go: one transaction for each batch, in which everything is compared once more.

The write lock is taken first, so that nothing can change between comparing and deleting. A row
goes only if it has the revision that the plan names, its rule still selects it, no hold's
predicate is true (or unknown) of it, and no other row refers to it, so that no cascade can take
along what nobody planned. Then the number of deleted rows must be the number of steps, and
looking must find none of them. Where that fails, or a constraint objects, the transaction is
rolled back and another one tries halves, until the odd rows stand alone and the others are gone.
What is yielded has been committed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from retentiond.core.outcome import Outcome, Settled
from retentiond.engine.failpoints import reach
from retentiond.engine.ports import Batch
from retentiond.errors import StoreDenied, StoreUnavailable
from retentiond.stores.sql.keys import Parts
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
_TWICE: Fate = (Outcome.FAILED, "named-twice")


class SchemaChanged(Exception):
    """The table is not the one that was reflected; nothing was done."""


class Odd(Exception):
    """Not exactly the rows of the batch went; the transaction was rolled back."""


class SqlStore(SqlView):
    """A view that can also let go."""

    def dispose(self, batch: Batch) -> Iterator[Settled]:
        if batch.action.kind != "delete":
            raise StoreDenied(f"rows cannot be disposed of by {batch.action.kind}")
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
                if going and self._odd(layout, [parts for _, parts in going], _of_all(batch)):
                    raise Odd
                reach("destroyed")
        except (Odd, Violated):
            return self._dispose_singly(batch, layout)
        return fates

    def _dispose_singly(self, batch: Batch, layout: Layout) -> dict[int, Fate]:
        """The same, with the odd rows left where they are."""
        going: Sequence[tuple[int, Parts]] = ()
        fates: dict[int, Fate] = {}
        try:
            with self._transaction(layout):
                fates, going = self._compared(batch, layout)
                reach("compared")
                fates.update(self._let_go(layout, going, _of_all(batch)))
                reach("destroyed")
        except Violated as violation:
            fates.update({i: (Outcome.FAILED, violation.kind) for i, _ in going})
        return fates

    @contextmanager
    def _transaction(self, layout: Layout) -> Iterator[None]:
        with self.database.write():
            if self.database.schema_version() != layout.table.version:
                raise SchemaChanged
            reach("claimed")
            yield

    def _compared(self, batch: Batch, layout: Layout) -> tuple[dict[int, Fate], list[tuple[int, Parts]]]:
        """The fates of the positions that may not go, and the keys of those that may."""
        wanted = layout.keys.parts_of(batch.keys)
        found = self.looked_up(layout, batch.predicates, wanted, self.database.within)
        order = layout.order(found.rows, wanted)
        fates = _spared(layout, found, order) | _differing(found, order, batch.revisions) | _repeated(batch.keys)
        return fates, [(i, parts) for i, parts in enumerate(wanted) if i not in fates and parts is not None]

    def _let_go(self, layout: Layout, going: Sequence[tuple[int, Parts]], predicates: Sequence[str]) -> dict[int, Fate]:
        """Deletes what it can; the fates of the rows that did not go."""
        if not going:
            return {}
        kind = self._deleted(layout, [parts for _, parts in going], predicates)
        if kind is None:
            return {}
        if len(going) == 1:
            return {going[0][0]: (Outcome.FAILED, kind)}
        half = len(going) // 2
        return self._let_go(layout, going[:half], predicates) | self._let_go(layout, going[half:], predicates)

    def _deleted(self, layout: Layout, keys: Sequence[Parts], predicates: Sequence[str]) -> str | None:
        """Deletes exactly these rows, or nothing and says in a word why not."""
        database = self.database
        database.con.execute("SAVEPOINT retentiond")
        try:
            kind = self._odd(layout, keys, predicates)
        except Violated as violation:
            kind = violation.kind
        if not database.con.in_transaction:
            raise Violated("rolled-back")
        if kind is not None:
            database.con.execute("ROLLBACK TO retentiond")
        database.con.execute("RELEASE retentiond")
        return kind

    def _odd(self, layout: Layout, keys: Sequence[Parts], predicates: Sequence[str]) -> str | None:
        """Deletes these rows; what is odd about what happened."""
        database, statements = self.database, layout.statements
        with database.guard():
            before = database.con.total_changes
            named = statements.named(keys)
            deleted = sum(database.con.execute(*statements.delete(n, predicates)).rowcount for n in named)
            if deleted != len(keys) or any(database.one(*statements.left(n)) for n in named):
                return "still-there"
            if layout.table.quiet and database.con.total_changes - before != deleted:
                return "cascade"
        return None


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
