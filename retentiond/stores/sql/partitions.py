"""Whole partitions: one whose every row is in the plan, as it was, is dropped instead of being emptied row by row.

A partition goes only as what the plan says of its rows: under a lock that keeps everybody else out of it, its rows are
counted, their digests summed up, and both must be the plan's; its rule selects every row, and no hold's predicate is
true, or unknown, of any. Dropping it is the same act. Where one of this is not so, or the account does not own the table,
rows go one by one, as ever. The evidence is the same too: an intent with the reference of every row, and an outcome.

Only partitions by range are dropped, with an upper end, never the last one, and none that anything refers to or where a
trigger would want to see rows go. PostgreSQL detaches and drops in the transaction that compares, which DETACH …
CONCURRENTLY would not allow; MariaDB, where a change of a table is its own transaction, compares and drops under LOCK TABLES.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from retentiond.engine.failpoints import reach
from retentiond.engine.ports import Batch, Scope, Stretch
from retentiond.errors import StoreDenied, StoreUnavailable
from retentiond.stores.sql.closure import goes_with_kin
from retentiond.stores.sql.fates import of_all
from retentiond.stores.sql.reading import Layout

if TYPE_CHECKING:
    from retentiond.stores.sql.store import SqlStore

LARGEST = 200_000
"""A partition of more rows goes row by row: all its keys are held in memory, and stand in one intent."""
_HALF = 16


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
        self._store, self._scope, self._known = store, None, dict[Stretch, Whole]()

    _scope: Scope | None

    def of(self, scope: Scope) -> list[Stretch]:
        """The partitions that could go as a whole, as they are now; a batch that is one of them goes so."""
        self._scope = replace(scope, predicates=())
        self._known = {whole.stretch: whole for whole in self._found(scope)}
        return list(self._known)

    def _found(self, scope: Scope) -> list[Whole]:
        if scope.columns or goes_with_kin(scope):
            return []
        layout, database = self._store.layout(scope), self._store.database
        table = layout.table
        if not layout.digested or table.references or layout.version_at is not None:
            return []
        with database.guard():
            if database.triggers(table.name):
                return []
            parts = database.partitions(table.name)
        return [whole for name, source in parts if (whole := self._looked_at(layout, name, source)) is not None]

    def _looked_at(self, layout: Layout, name: str, source: str) -> Whole | None:
        statements, database = layout.statements.within(source), self._store.database
        with database.guard():
            count = database.rows(statements.counted(LARGEST + 1)).fetchall()[0][0]
            if not 0 < count <= LARGEST:
                return None
            first, last = (layout.keys.of(layout.parts(database.rows(end).fetchall()[0])) for end in statements.ends())
        return None if first is None or last is None else Whole(name, source, Stretch(first, last, count))

    def let_go(self, batch: Batch) -> bool:
        """Whether the batch was a whole partition, which is gone for good; else nothing was done."""
        predicates = of_all(batch)
        if self._scope != replace(batch.scope, predicates=()):
            self.of(batch.scope)
        whole = self._known.get(Stretch(batch.keys[0], batch.keys[-1], len(batch))) if len(batch) else None
        if whole is None or len(predicates) < len(batch.predicates):
            return False
        layout, database = self._store.layout(batch.scope), self._store.database

        def compare() -> None:
            if self._store.is_stale(layout):
                raise Unlike
            reach("claimed")
            self._compare(layout, whole, batch, predicates)
            reach("compared")

        try:
            database.drop_partition(layout.table.name, whole.name, compare)
        except (Unlike, StoreDenied):
            return False
        except StoreUnavailable:
            if whole.stretch in self.of(batch.scope):
                return False
            raise
        reach("destroyed")
        return True

    def _compare(self, layout: Layout, whole: Whole, batch: Batch, predicates: Sequence[str]) -> None:
        """`Unlike` unless the partition has just the rows of the batch, in these revisions, and all of them may go."""
        database, statements = self._store.database, layout.statements.within(whole.source)
        for predicate in predicates:
            database.refuse_text(layout.table.name, predicate)
        found = database.rows(statements.sums(predicates)).fetchall()[0]
        if [int(value) for value in found[:2]] != [len(batch), 0]:
            raise Unlike
        for at, told in zip((0, _HALF), found[2:], strict=True):
            planned = sum(int(revision[at : at + _HALF], 16) for revision in batch.revisions)
            if (int(told) - planned) % 2**64:
                raise Unlike
