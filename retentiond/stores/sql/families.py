"""Letting families go: a due row and the rows that refer to it, all in one transaction, or none of them.

Roots are locked first, then what refers to them, level by level: nobody can add a row to a family any
more or change one. Then every row is compared with the plan, and what is below the root now with the
steps of its family. A row that has changed, came since, or may not go leaves the whole family where it
is; one that is gone already is no trouble. Rows go deepest first, each by a statement that names it, so
that a cascade of the database finds nothing left to take.

Where a database objects, or not exactly these rows went, the transaction is rolled back and each half of
the families has one of its own, until the odd family stands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import accumulate, takewhile
from typing import TYPE_CHECKING

from retentiond.core.outcome import Outcome, Settled
from retentiond.engine.failpoints import reach
from retentiond.engine.ports import Batch
from retentiond.errors import StoreDenied, StoreUnavailable
from retentiond.stores.sql.closure import LARGEST, Closure, Node, TooMany, closure, kin_layouts, kin_scope
from retentiond.stores.sql.database import Contended, Violated
from retentiond.stores.sql.fates import CHANGED, CONTENDED, GONE, REFERRED, Fate, differing, of_all, repeated, settled_of, spared
from retentiond.stores.sql.keys import Parts, table_of
from retentiond.stores.sql.reading import Layout

if TYPE_CHECKING:
    from retentiond.stores.sql.store import SqlStore

_TRIES = 3


class SchemaChanged(Exception):
    """The table is not the one that was reflected; nothing was done."""


class Together:
    """One batch of families."""

    def __init__(self, store: SqlStore, batch: Batch) -> None:
        self._store, self._batch = store, batch

    def dispose(self, rows: Callable[[], int]) -> Iterator[Settled]:
        """Lets go of the families that are as they were; what is yielded has been committed.

        Before each transaction `rows` is asked how many may go in it, none of which ends it here. A family is never cut.
        """
        families = self._batch.families()
        while families and (most := rows()):
            ends = accumulate(map(len, families))
            some = sum(1 for _ in takewhile(lambda end: end <= most, ends)) or 1
            yield from self._some(families[:some])
            families = families[some:]

    def _some(self, families: Sequence[range]) -> Iterator[Settled]:
        positions = [i for family in families for i in family]
        batch = self._batch.only(positions)
        try:
            fates = self._tried(batch)
        except (Violated, TooMany) as odd:
            if len(families) > 1:
                half = len(families) // 2
                yield from self._some(families[:half])
                yield from self._some(families[half:])
                return
            fate = (Outcome.FAILED, odd.kind) if isinstance(odd, Violated) else REFERRED
            fates = dict.fromkeys(range(len(batch)), fate)
        reach("settled")
        for s in settled_of(len(batch), fates):
            yield Settled([positions[i] for i in s.positions], s.outcome, s.code)

    def _tried(self, batch: Batch) -> dict[int, Fate]:
        """The fates of those that stay, after one transaction that was committed; a lost one is tried again."""
        contended = False
        for _ in range(_TRIES):
            try:
                return _Family(self._store, batch).let_go()
            except SchemaChanged:
                contended = False
            except Contended:
                contended = True
        if contended:
            return dict.fromkeys(range(len(batch)), CONTENDED)
        raise StoreUnavailable("the schema of the database keeps changing", do="try again later")


class _Family:
    """One transaction about some families."""

    def __init__(self, store: SqlStore, batch: Batch) -> None:
        self._store, self._batch, self._database = store, batch, store.database
        self._own = store.layout(batch.scope)
        self._layouts = kin_layouts(store.layout, batch.scope)
        self._tables = self._by_table()
        self._nodes: dict[int, Node] = {}

    def let_go(self) -> dict[int, Fate]:
        """The fates of the positions that stay; the others are gone for good."""
        batch, database = self._batch, self._database
        with database.write():
            every = [self._own, *self._layouts.values(), *(layout for layout, _ in self._tables)]
            for name in sorted({layout.table.name for layout in every}):
                database.claim(name)
            if any(self._store.is_stale(layout) for layout in every):
                raise SchemaChanged
            reach("claimed")
            roots = [i for i in range(len(batch)) if not self._parent(i)]
            parts = self._store.locked(self._own, self._own.keys.parts_of([batch.keys[i] for i in roots]))
            alive = [each for each in parts if each is not None]
            most = LARGEST + 2 * len(batch)
            below = closure(database, self._own.table, self._layouts, alive, most, self._store.locked)
            fates = self._compared() | repeated(batch.keys)
            fates, order = self._decided(below, fates)
            reach("compared")
            if order:
                self._delete(order, below)
            reach("destroyed")
        return fates

    def _parent(self, i: int) -> str | None:
        return self._batch.parents[i] if self._batch.parents else None

    def _by_table(self) -> list[tuple[Layout, list[int]]]:
        """The positions of each table, roots first. A table that does not go with others any more is looked at all the same."""
        kin: dict[str, list[int]] = {}
        roots: list[int] = []
        for i, key in enumerate(self._batch.keys):
            if self._parent(i) is None:
                roots.append(i)
            else:
                kin.setdefault(table_of(key) or "", []).append(i)
        found = [(self._own, roots)]
        for table, positions in kin.items():
            with suppress(StoreDenied):  # what has no layout has no fate either, and then its family stays
                found.append((self._layouts.get(table) or self._layout_of(table), positions))
        return found

    def _layout_of(self, table: str) -> Layout:
        return self._store.layout(kin_scope(self._batch.scope, self._own.table.name, table))

    def _compared(self) -> dict[int, Fate]:
        """The fate of each position by itself, where it may not go; which row each of the others is."""
        fates: dict[int, Fate] = dict.fromkeys(range(len(self._batch)), CHANGED)
        for layout, positions in self._tables:
            some = self._batch.only(positions)
            predicates = some.predicates if layout is self._own else tuple(self._store.askable(layout, some.predicates))
            wanted = layout.keys.parts_of(some.keys)
            found = self._store.looked_up(layout, predicates, wanted, self._database.within)
            order = layout.order(found.rows, wanted)
            mine = spared(layout, found, order) | differing(found, order, some.revisions)
            for at, i in enumerate(positions):
                fates.pop(i)
                if at in mine:
                    fates[i] = mine[at]
                elif (parts := wanted[at]) is not None:
                    self._nodes[i] = (layout.table.name, parts)
        return fates

    def _decided(self, below: Closure, fates: Mapping[int, Fate]) -> tuple[dict[int, Fate], list[tuple[Node, int]]]:
        """The fates by families, and the rows that go, with their positions, each after what refers to it."""
        decided: dict[int, Fate] = {}
        going: dict[Node, int] = {}
        for family in self._batch.families():
            stays = _fate_of([fates.get(i) for i in family])
            if stays is None:
                mine = {self._nodes[i]: i for i in family if i not in fates}
                order = below.family(self._nodes[family[-1]], going)
                if order is not None and {node for node, _ in order} == mine.keys():
                    going |= {node: mine[node] for node, _ in order}
                else:
                    stays = REFERRED
            gone = {i: GONE for i in family if fates.get(i) == GONE}
            decided |= gone if stays is None else dict.fromkeys(family, stays)
        return decided, list(going.items())

    def _delete(self, order: Sequence[tuple[Node, int]], below: Closure) -> None:
        """Deletes these rows, deepest first; `Violated` unless exactly they went."""
        database = self._database
        with database.guard():
            before, touched = database.changes(), 0
            for rows in _levels(order, below):
                touched += self._delete_level(rows)
                reach("destroyed")
            after = database.changes()
        quiet = all(layout.table.quiet for layout in (self._own, *self._layouts.values()))
        if touched != len(order):
            raise Violated("still-there")
        if quiet and before is not None and after is not None and after - before != touched:
            raise Violated("cascade")

    def _delete_level(self, rows: Sequence[tuple[Node, int]]) -> int:
        """Deletes rows none of which refers to another; how many went."""
        tables: dict[tuple[str, bool], list[Parts]] = {}
        for (table, parts), i in rows:
            tables.setdefault((table, self._parent(i) is None), []).append(parts)
        touched = 0
        for (table, is_root), keys in tables.items():
            statements = (self._own if is_root else self._layouts[table]).statements
            for named in statements.named(keys):
                touched += self._database.run(statements.delete(named, of_all(self._batch) if is_root else ()))
                if self._store.left(statements.left(named)):
                    raise Violated("still-there")
        return touched


def _fate_of(fates: Sequence[Fate | None]) -> Fate | None:
    """The fate of a family whose rows have these fates, the root last; None where it goes."""
    if fates[-1] == GONE:
        return GONE if all(fate == GONE for fate in fates) else CHANGED
    standing = [fate for fate in fates if fate is not None and fate != GONE]
    return next((fate for fate in standing if fate[0] is Outcome.HELD), standing[0] if standing else None)


def _levels(order: Sequence[tuple[Node, int]], below: Closure) -> list[list[tuple[Node, int]]]:
    """The rows by how much is below them. They come each after what is below it."""
    heights: dict[Node, int] = {}
    levels: list[list[tuple[Node, int]]] = []
    for node, i in order:
        heights[node] = 1 + max((heights[child] for child in below.below.get(node, ()) if child in heights), default=-1)
        if heights[node] == len(levels):
            levels.append([])
        levels[heights[node]].append((node, i))
    return levels
