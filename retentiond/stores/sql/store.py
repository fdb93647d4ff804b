"""Letting rows go: one transaction for each batch, in which everything is compared once more.

Rows are locked first (SQLite: the database), so that nothing can change between comparing and
deleting. A row goes only if it has the revision that the plan names, its rule still selects it, no
hold's predicate is true (or unknown) of it, and no other row refers to it, so that no cascade can
take along what nobody planned. Then the number of deleted rows must be the number of steps, and
looking must find none of them. A row that is anonymised stays, so others may refer to it: one
UPDATE gives the rows of a batch their own new values, and looking must find just those in them.

A database on a server compares and deletes in one statement where that sees everything, which is
the same promise kept with one journey. Where that fails, or a constraint objects, the transaction
is rolled back and another one tries halves, until the odd rows stand alone and the others are done
with. What is yielded has been committed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from retentiond.core.anonymise import Unmaskable
from retentiond.core.outcome import Outcome, Settled
from retentiond.core.selector import Predicate
from retentiond.engine.failpoints import reach
from retentiond.engine.ports import Batch, Likeness, Scope, Stop, Stretch
from retentiond.errors import StoreDenied, StoreUnavailable
from retentiond.stores.sql.closure import goes_with_kin
from retentiond.stores.sql.database import Contended, Database, NoSuchValue, Violated
from retentiond.stores.sql.families import SchemaChanged, Together
from retentiond.stores.sql.fates import CONTENDED, DONE, UNMASKABLE, Fate, differing, of_all, repeated, settled_of, spared
from retentiond.stores.sql.keys import Parts
from retentiond.stores.sql.masking import became, become, keys_of
from retentiond.stores.sql.pace import Pace
from retentiond.stores.sql.partitions import Partitions
from retentiond.stores.sql.reading import Found, Layout
from retentiond.stores.sql.spelling import Clause
from retentiond.stores.sql.view import SqlView

_TRIES = 3


class Going(NamedTuple):
    """A row that may go: its position, its key, and what its columns become where it is anonymised."""

    position: int
    parts: Parts
    values: Sequence[Any] = ()


class Odd(Exception):
    """Not exactly the rows of the batch went; the transaction was rolled back."""


class SqlStore(SqlView):
    """A view that can also let go."""

    def __init__(self, database: Database, pace: Pace | None = None) -> None:
        super().__init__(database)
        self._traits = replace(self._traits, lanes=database.lanes)
        self._pace, self._partitions = pace or Pace(), Partitions(self)

    def dispose(self, batch: Batch) -> Iterator[Settled]:
        if not batch.action.destroys or batch.action.columns != batch.scope.columns:
            raise StoreDenied(f"rows cannot be disposed of by {batch.action.kind}")
        if batch.action.anonymises and not batch.action.columns:
            raise StoreDenied("rows cannot be anonymised without columns")
        if goes_with_kin(batch.scope):
            yield from Together(self, batch).dispose(self._pace.rows)
            return
        done = 0
        while done < len(batch):
            rows = self._pace.rows()
            if not rows:
                return
            part = range(done, min(done + rows, len(batch)))
            began = time.monotonic()
            fates = self._fates(batch.only(part))
            self._pace.took(len(part), time.monotonic() - began)
            reach("settled")
            for s in settled_of(len(part), fates):
                yield Settled([done + i for i in s.positions], s.outcome, s.code) if done else s
            done = part.stop

    def heed(self, stop: Stop) -> None:
        self._pace.stop = stop

    def is_behind(self) -> bool:
        return self._pace.is_behind()

    def catch_up(self) -> None:
        self._pace.catch_up()

    def stretches(self, scope: Scope, most: int) -> Sequence[Stretch]:
        return [whole.stretch for whole in self._partitions.of(scope, most)]

    def let_go_whole(
        self, scope: Scope, stretch: Stretch, likeness: Likeness, predicates: Sequence[Predicate], agree: Callable[[], None]
    ) -> bool:
        gone = self._pace.rows() > 0 and self._partitions.let_go(scope, stretch, likeness, predicates, agree)
        if gone:
            reach("settled")
        return gone

    def close(self) -> None:
        self._pace.close()
        super().close()

    def _fates(self, batch: Batch) -> dict[int, Fate]:
        """What became of the positions that were not let go, after as many transactions as it takes."""
        contended = False
        for attempt in range(_TRIES):
            try:
                return self._dispose(batch, self.layout(batch.scope, checked=attempt > 0))
            except SchemaChanged:
                contended = False
            except Contended:
                contended = True
        if contended:
            return dict.fromkeys(range(len(batch)), CONTENDED)
        raise StoreUnavailable("the schema of the database keeps changing", do="try again later")

    def _dispose(self, batch: Batch, layout: Layout) -> dict[int, Fate]:
        """What became of the positions that were not let go; the others are gone for good."""
        try:
            with self._transaction(layout):
                if self._goes_at_once(batch, layout):
                    return {}
                fates, going = self._compared(batch, layout)
                reach("compared")
                if going and self._odd(layout, going, of_all(batch)):
                    raise Odd
                reach("destroyed")
        except (Odd, Violated):
            return self._dispose_singly(batch, layout)
        return fates

    def _goes_at_once(self, batch: Batch, layout: Layout) -> bool:
        """Whether all rows went in the one statement that compares and deletes; `Odd` if some did not.

        Only where that statement sees everything that counts: the digest covers the key, nobody can
        refer to the rows, and no hold is narrowed to some of them. Where there are triggers, it is looked
        once more before the commit: they may have put a row back.
        """
        statements, database = layout.statements, self.database
        table = layout.table
        if not layout.digested or table.references or table.follows or layout.version_at is not None or layout.masks:
            return False
        predicates = of_all(batch)
        wanted = [parts for parts in layout.keys.parts_of(batch.keys) if parts is not None]
        if not wanted or len(set(wanted)) < len(batch) or len(predicates) < len(batch.predicates):
            return False
        reach("compared")
        try:
            for predicate in predicates:
                database.refuse_text(layout.table.name, predicate)
            touched = sum(map(database.run, statements.delete_planned(wanted, batch.revisions, predicates)))
        except StoreDenied as error:
            raise Odd from error
        if touched != len(batch):
            raise Odd
        if not layout.table.quiet and any(self.left(statements.left(named)) for named in statements.named(wanted)):
            raise Odd
        reach("destroyed")
        return True

    def _dispose_singly(self, batch: Batch, layout: Layout) -> dict[int, Fate]:
        """The same, with the odd rows left where they are."""
        compared: tuple[dict[int, Fate], list[Going]] | None = None
        try:
            with self._transaction(layout):
                fates, going = compared = self._compared(batch, layout)
                reach("compared")
                fates.update(self._let_go(layout, going, of_all(batch)))
                reach("destroyed")
        except Violated as violation:
            if compared is None:
                raise
            fates, going = compared
            fates.update({row.position: (Outcome.FAILED, violation.kind) for row in going})
        return fates

    @contextmanager
    def _transaction(self, layout: Layout) -> Iterator[None]:
        with self.database.write():
            self.database.claim(layout.table.name)
            if self.is_stale(layout):
                raise SchemaChanged
            self._seen_fresh(layout)
            reach("claimed")
            yield

    def _compared(self, batch: Batch, layout: Layout) -> tuple[dict[int, Fate], list[Going]]:
        """The fates of the positions that may not go, and the rows that may."""
        wanted = self.locked(layout, layout.keys.parts_of(batch.keys))
        found = self.looked_up(layout, batch.predicates, wanted, self.database.within)
        order = layout.order(found.rows, wanted)
        fates = spared(layout, found, order) | differing(found, order, batch.revisions) | repeated(batch.keys)
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
        database.run(Clause("SAVEPOINT retentiond"))
        try:
            kind = self._odd(layout, going, predicates)
        except Violated as violation:
            kind = violation.kind
        if not database.in_transaction:
            raise Violated("rolled-back")
        if kind is not None:
            database.run(Clause("ROLLBACK TO SAVEPOINT retentiond"))
        database.run(Clause("RELEASE SAVEPOINT retentiond"))
        return kind

    def _odd(self, layout: Layout, going: Sequence[Going], predicates: Sequence[str]) -> str | None:
        """Deletes or anonymises these rows; what is odd about what happened."""
        database, statements = self.database, layout.statements
        with database.guard():
            before = database.changes()
            if layout.masks:
                columns = [mask.name for mask in layout.masks]
                acts = statements.update(columns, [(row.parts, row.values) for row in going], predicates)
            else:
                named = statements.named([row.parts for row in going])
                acts = [statements.delete(n, predicates) for n in named]
            touched = sum(map(database.run, acts))
            after = database.changes()
            if touched != len(going) or (
                self._differs(layout, going) if layout.masks else any(self.left(statements.left(n)) for n in named)
            ):
                return "still-there"
            if layout.table.quiet and before is not None and after is not None and after - before != touched:
                return "cascade"
        return None

    def locked(self, layout: Layout, wanted: Sequence[Parts | None]) -> Sequence[Parts | None]:
        """Locks rows in a statement of their own, so that the next one sees what the wait for the lock let happen.

        The same keys come back, without those that no row can have.
        """
        try:
            self._lock(layout, wanted)
        except NoSuchValue:
            wanted = self.sound(layout, wanted)
            self._lock(layout, wanted)
        return wanted

    def _lock(self, layout: Layout, wanted: Sequence[Parts | None]) -> None:
        for named in layout.statements.named([parts for parts in wanted if parts is not None]):
            clause = layout.statements.lock(named)
            if clause is not None:
                self.database.within(partial(self.database.rows, clause)).close()

    def left(self, named: Clause) -> bool:
        """Whether some of the named rows are there."""
        with self.database.guard():
            return bool(self.database.rows(named).fetchall()[0][0])

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
            fates[i] = UNMASKABLE
            continue
        if became(layout.masks, row, new[i]):
            fates[i] = DONE
    return new, fates
