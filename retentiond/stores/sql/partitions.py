"""Whole partitions: one whose every row is in the plan, as it was, is dropped instead of being emptied row by row.

A partition goes only as what the plan says of its rows: while nobody else can write to it, its rows are
counted, their digests summed up, and both must be the plan's; its rule selects every row, and no hold's predicate is
true, or unknown, of any. Dropping it is the same act. Where one of this is not so, or the account does not own the table,
rows go one by one, as ever. The evidence is the same too: intents with the reference of every row, and their outcomes.
However many rows there are, none of them is read: the database counts and sums.

Only partitions by range are dropped, with an upper end, never the last one, and none that anything refers to or where a
trigger would want to see rows go. PostgreSQL detaches and drops in the transaction that compares, which DETACH …
CONCURRENTLY would not allow; MariaDB, where a change of a table is its own transaction, compares and drops under LOCK TABLES.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from retentiond.core.selector import Predicate
from retentiond.engine.failpoints import reach
from retentiond.engine.ports import Likeness, Scope, Stretch
from retentiond.errors import StoreDenied, StoreUnavailable
from retentiond.stores.sql.closure import goes_with_kin
from retentiond.stores.sql.reading import Layout

if TYPE_CHECKING:
    from retentiond.stores.sql.store import SqlStore


class Unlike(Exception):
    """The partition is not what the plan says."""


class Whole(NamedTuple):
    """A partition that may be dropped, and where its rows stand in a scan."""

    name: str
    source: str
    stretch: Stretch


class Partitions:
    """The partitions of a store's tables."""

    def __init__(self, store: SqlStore) -> None:
        self._store, self._names = store, dict[Stretch, str]()

    def of(self, scope: Scope, most: int) -> list[Whole]:
        """The partitions of at most so many rows that could go as a whole, as they are now."""
        found = self._found(scope, most)
        self._names |= {whole.stretch: whole.name for whole in found}
        return found

    def _found(self, scope: Scope, most: int, only: str | None = None) -> list[Whole]:
        if scope.columns or goes_with_kin(scope):
            return []
        layout, database = self._store.layout(scope), self._store.database
        table = layout.table
        if not layout.digested or table.references or layout.version_at is not None:
            return []
        with database.guard():
            if database.triggers(table.name):
                return []
            parts = [part for part in database.partitions(table.name) if only in (None, part[0])]
        return [whole for name, source in parts if (whole := self._looked_at(layout, name, source, most)) is not None]

    def _looked_at(self, layout: Layout, name: str, source: str, most: int) -> Whole | None:
        statements, database = layout.statements.within(source), self._store.database
        with database.guard():
            count = database.rows(statements.counted(most + 1)).fetchall()[0][0]
            if not 0 < count <= most:
                return None
            first, last = (layout.keys.of(layout.parts(database.rows(end).fetchall()[0])) for end in statements.ends())
        return None if first is None or last is None else Whole(name, source, Stretch(first, last, count))

    def let_go(
        self, scope: Scope, stretch: Stretch, likeness: Likeness, predicates: Sequence[Predicate], agree: Callable[[], None]
    ) -> bool:
        """`Partitioned.let_go_whole`."""
        whole = self._now(scope, stretch)
        if whole is None or any(p.positions is not None for p in predicates):
            return False
        layout, database, agreed = self._store.layout(scope), self._store.database, False

        def compare() -> None:
            if self._store.is_stale(layout):
                raise Unlike
            reach("claimed")
            self._compare(layout, whole, likeness, [p.sql for p in predicates])
            reach("compared")

        def last() -> None:
            nonlocal agreed
            agree()
            agreed = True

        try:
            database.drop_partition(layout.table.name, whole.name, compare, last)
        except Unlike:
            return False
        except StoreDenied:
            if agreed:
                raise
            return False
        except StoreUnavailable:
            if agreed:
                raise
            self._now(scope, stretch)  # raises where the database does not answer any more
            return False
        reach("destroyed")
        return True

    def _now(self, scope: Scope, stretch: Stretch) -> Whole | None:
        """The partition that a stretch is, as long as it is there."""
        found = self._found(scope, stretch.items, self._names.get(stretch))
        return next((whole for whole in found if whole.stretch == stretch), None)

    def _compare(self, layout: Layout, whole: Whole, likeness: Likeness, predicates: Sequence[str]) -> None:
        """`Unlike` unless the partition has just such rows, and all of them may go."""
        database, statements = self._store.database, layout.statements.within(whole.source)
        for predicate in predicates:
            database.refuse_text(layout.table.name, predicate)
        count, stay, *sums = (int(value or 0) for value in database.rows(statements.sums(predicates)).fetchall()[0])
        if (count, stay) != (whole.stretch.items, 0) or Likeness(*(one % 2**64 for one in sums)) != likeness:
            raise Unlike
