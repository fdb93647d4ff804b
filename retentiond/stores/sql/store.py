"""Letting rows go: one transaction for each batch, in which everything is compared once more.

The write lock is taken first, so that nothing can change between comparing and deleting. A row
goes only if it has the revision that the plan names, its rule still selects it, no hold's
predicate is true (or unknown) of it, and no other row refers to it, so that no cascade can take
along what nobody planned. Then the number of deleted rows must be the number of steps, and
looking must find none of them; where that fails, or a constraint objects, halves are tried, until
the odd rows stand alone and the others are gone. What is yielded has been committed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from retentiond.core.outcome import Outcome, Settled
from retentiond.core.selector import Predicate
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
        going: Sequence[tuple[int, Parts]] = ()
        fates: dict[int, Fate] = {}
        try:
            with self.database.write():
                if self.database.schema_version() != layout.table.version:
                    raise SchemaChanged
                reach("claimed")
                fates, going = self._compared(batch, layout)
                reach("compared")
                fates.update(self._let_go(layout, going, [p for p in batch.predicates if p.positions is None]))
                reach("destroyed")
        except Violated as violation:
            fates.update({i: (Outcome.FAILED, violation.kind) for i, _ in going})
        return fates

    def _compared(self, batch: Batch, layout: Layout) -> tuple[dict[int, Fate], list[tuple[int, Parts]]]:
        """The fates of the positions that may not go, and the keys of those that may."""
        wanted = layout.keys.parts_of(batch.keys)
        found = self.looked_up(layout, batch.predicates, wanted, self.database.within)
        order = layout.order(found.rows, wanted)
        spared, revisions = _spared(layout, found, order), found.revisions
        missing = _CHANGED if len(order) - order.count(None) < len(found.rows) else _GONE
        fates = _repeated(batch.keys)
        going: list[tuple[int, Parts]] = []
        for i, (n, parts, then) in enumerate(zip(order, wanted, batch.revisions, strict=True)):
            if i in fates:
                continue
            if n is None or parts is None:
                fates[i] = missing
            elif revisions[n] != then:
                fates[i] = _CHANGED
            elif i in spared:
                fates[i] = spared[i]
            else:
                going.append((i, parts))
        return fates, going

    def _let_go(self, layout: Layout, going: Sequence[tuple[int, Parts]], predicates: Sequence[Predicate]) -> dict[int, Fate]:
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

    def _deleted(self, layout: Layout, keys: Sequence[Parts], predicates: Sequence[Predicate]) -> str | None:
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

    def _odd(self, layout: Layout, keys: Sequence[Parts], predicates: Sequence[Predicate]) -> str | None:
        """Deletes these rows; what is odd about what happened."""
        database, statements = self.database, layout.statements
        with database.guard():
            before = database.con.total_changes
            named, held = statements.named(keys), [p.sql for p in predicates]
            deleted = sum(database.con.execute(*statements.delete(n, held)).rowcount for n in named)
            if deleted != len(keys) or any(database.one(*statements.left(n)) for n in named):
                return "still-there"
            if layout.table.quiet and database.con.total_changes - before != deleted:
                return "cascade"
        return None


def _spared(layout: Layout, found: Found, order: Sequence[int | None]) -> dict[int, Fate]:
    """The positions whose row is there as it was, but may not go any more."""
    spared: dict[int, Fate] = {}
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


def _settled(size: int, fates: dict[int, Fate]) -> Iterator[Settled]:
    disposed = [i for i in range(size) if i not in fates] if fates else range(size)
    if disposed:
        yield Settled(disposed, Outcome.DISPOSED)
    groups: dict[Fate, list[int]] = {}
    for i, fate in sorted(fates.items()):
        groups.setdefault(fate, []).append(i)
    for (outcome, code), positions in groups.items():
        yield Settled(positions, outcome, code)
