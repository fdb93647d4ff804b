"""Looking at rows: pages in key order, single keys, and the queries of events. Nothing here can change a row.

Between two pages no transaction and no cursor is open. A page and the count of what it leaves out
are read in one transaction, so that each row of its stretch of keys is seen or unseen; rows that
come or go elsewhere while a scan runs are met as they are when the scan gets there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import product
from typing import Any

from retentiond.core.anonymise import Strategy, Truncate
from retentiond.core.item import Kin, Page
from retentiond.core.period import EARLIEST
from retentiond.core.policy import Action
from retentiond.core.selector import Predicate
from retentiond.engine.ports import OUTSIDE, PAGE, Scope, Traits
from retentiond.errors import StoreDenied
from retentiond.stores.sql.closure import goes_with_kin, kin_layouts, kin_scope
from retentiond.stores.sql.database import Database, NoSuchValue
from retentiond.stores.sql.export import definition_of, rows_of, whole
from retentiond.stores.sql.grants import lacking
from retentiond.stores.sql.keys import Parts, table_of
from retentiond.stores.sql.kin import Families
from retentiond.stores.sql.layout import laid_out
from retentiond.stores.sql.masking import certainly_done
from retentiond.stores.sql.pace import MOST
from retentiond.stores.sql.packed import at_once
from retentiond.stores.sql.ranges import Range, ranges
from retentiond.stores.sql.reading import Found, Layout, answer_of, page_of
from retentiond.stores.sql.spelling import Clause, Column
from retentiond.stores.sql.table import index_statement, leads_an_index

_MOMENT = 0.5
_NO_COLUMN = "it names a column that is not there"
_NO_CONDITION = "it is no condition that the database understands"
_ASKED = "retentiond asked"
_HIDDEN = "triggers of {0} are not known, since this account may not see them: grant it TRIGGER on {0}"
Run = Callable[[Sequence[Predicate]], Found]
Transaction = Callable[[Callable[[], Found]], Found]


class SqlView:
    """The tables of one database, to be looked at."""

    def __init__(self, database: Database, troubles: Callable[[], Sequence[str | None]] = tuple) -> None:
        """`troubles` says of each replica why nothing would go because of it."""
        self.database, self._troubles = database, troubles
        self._told: Sequence[str] | None = None
        self._traits = Traits(atomic=True, lanes=database.lanes, batch=MOST, notes=database.notes, clock=database.clock)
        self._layouts: dict[Any, Layout] = {}
        self._fresh: tuple[Layout, float] | None = None

    @property
    def place(self) -> str:
        return self.database.place

    @property
    def traits(self) -> Traits:
        return self._traits

    @property
    def is_distant(self) -> bool:
        return self.database.lanes > 1

    def close(self) -> None:
        self.database.close()

    def shards(self, scope: Scope, wanted: int) -> Sequence[Scope]:
        return [replace(scope, part=str(each)) for each in ranges(self.database, self.layout(scope), wanted)] or [scope]

    def scan(self, scope: Scope) -> Iterator[Page]:
        layout, before = self.layout(scope), 0
        for part, stretch in product(self._parts(layout, scope.part), (self._without_key, self._in_key_order)):
            for found in stretch(part, scope):
                for first in range(0, len(found.rows) or bool(found.unseen or found.unseen_done), PAGE):
                    yield page_of(layout, found.part(first, PAGE), before + first)
                before += len(found.rows)

    def _parts(self, layout: Layout, named: str) -> Iterable[Layout]:
        """The part of that name alone; or partition by partition, so that the rows of each stand together; or the table."""
        statements = layout.statements
        if named:
            part = Range.read(named)
            return [replace(layout, statements=statements.between(part.low, part.high))]
        with self.database.guard():
            sources = self.database.parts(layout.table.name)
        return [replace(layout, statements=statements.within(source)) for source in sources] or [layout]

    def probe(self, scope: Scope, keys: Sequence[str]) -> Page:
        if self._is_fresh(self.layout(scope, checked=False)):
            with suppress(StoreDenied):
                return self._probed(scope, keys, self.layout(scope, checked=False))
        return self._probed(scope, keys, self.layout(scope))

    def _seen_fresh(self, layout: Layout) -> None:
        """Says that a layout has just been compared with the schema."""
        self._fresh = (layout, time.monotonic())

    def _is_fresh(self, layout: Layout) -> bool:
        """Whether it was compared a moment ago: what goes after each batch to look for its rows need not ask again."""
        return self._fresh is not None and self._fresh[0] is layout and time.monotonic() - self._fresh[1] < _MOMENT

    def _probed(self, scope: Scope, keys: Sequence[str], layout: Layout) -> Page:
        wanted = layout.keys.parts_of(keys)
        found = self.looked_up(layout, scope.predicates, wanted, self._as_of_now)
        page = answer_of(layout, found, keys, layout.order(found.rows, wanted))
        strange = [i for i, parts in enumerate(wanted) if parts is None] if goes_with_kin(scope) else []
        return self._with_kin(scope, page, strange) if strange else page

    def _with_kin(self, scope: Scope, page: Page, positions: Sequence[int]) -> Page:
        """The page with rows of other tables, which the rule does not select."""
        tables: dict[str, list[int]] = {}
        for i in positions:
            table = table_of(page.keys[i])
            if table is not None:
                tables.setdefault(table, []).append(i)
        known = set(self.database.tables())
        revisions, sizes, doubts = list(page.revisions), list(page.sizes), dict(page.doubts)
        for table, at in tables.items():
            if table not in known:
                continue
            layout = self.layout(kin_scope(scope, "", table))
            found = self.probe_all(layout, [page.keys[i] for i in at])
            for i, revision, size in zip(at, found.revisions, found.sizes, strict=True):
                revisions[i], sizes[i] = revision, size
                if revision is not None:
                    doubts[i] = OUTSIDE
        return replace(page, revisions=revisions, sizes=sizes, doubts=doubts)

    def probe_all(self, layout: Layout, keys: Sequence[str]) -> Page:
        """These rows as they are now, whatever holds cover them."""
        wanted = layout.keys.parts_of(keys)
        found = self.looked_up(layout, (), wanted, self._as_of_now)
        return answer_of(layout, found, keys, layout.order(found.rows, wanted))

    def _as_of_now(self, run: Callable[[], Found]) -> Found:
        """What `run` sees, each statement by itself: keys that are looked up need not be of one moment."""
        return self.database.within(run)

    def families(self, scope: Scope, keys: Sequence[str], taken: Container[str]) -> Iterator[Sequence[Kin] | str]:
        yield from Families(self, scope).of(keys, taken)

    def askable(self, layout: Layout, predicates: Iterable[Predicate]) -> list[Predicate]:
        """The predicates that are a condition on a table; the others say nothing about its rows."""
        return _parted(predicates, lambda p: self.database.refuse_text(layout.table.name, p.sql))[0]

    def unaskable(self, scope: Scope) -> Mapping[str, str]:
        """The predicates of a scope that are no condition on its table, by hold, each with why."""
        table, found = self.layout(scope).table.name, dict[str, str]()
        for predicate in scope.predicates:
            try:
                self.database.refuse_text(table, predicate.sql)
            except StoreDenied as error:
                found[predicate.hold] = _NO_COLUMN if "column" in f"{error.what} {error.why}" else _NO_CONDITION
        return found

    def ask(self, query: str, subjects: Sequence[str]) -> Iterator[tuple[str, Any]]:
        """Rows (subject as text, at as the database holds it) of an event's query for these subjects."""
        text = self._one_query(query, {})
        spelling = self.database.spelling
        asked = spelling.quoted(_ASKED)
        subject = spelling.as_text(f"{asked}.subject")
        wanted = spelling.within(subject, list(subjects))
        clause = Clause(
            f"SELECT {subject}, {asked}.at FROM (\n{spelling.literal(text)}\n) AS {asked} WHERE {wanted.sql}", wanted.values
        )
        yield from (tuple(row) for row in self.database.read(lambda: self.database.rows(clause).fetchall()))

    def identify(self, query: str, known: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """(column, value as text) of every row of an identity's query; NULL names nobody."""
        text = self._one_query(query, known)

        names, rows = self.database.read(lambda: self.database.named(text, known))
        yield from ((n, str(v)) for row in rows for n, v in zip(names, row, strict=True) if v is not None)

    def refuse_identity(self, query: str, kind: str) -> None:
        self._one_query(query, {kind: None})

    def definition(self, scope: Scope) -> Mapping[str, Any]:
        return definition_of(self.database, self.layout(scope).table)

    def rows(self, scope: Scope, keys: Sequence[str], revisions: Sequence[str]) -> Sequence[Mapping[str, Any] | None]:
        layout = whole(self.layout(scope))
        wanted = layout.keys.parts_of(keys)
        found = self.looked_up(layout, (), wanted, self.database.read)
        return rows_of(layout, found, layout.order(found.rows, wanted), revisions)

    def _one_query(self, query: str, values: Mapping[str, str | None]) -> str:
        """The text of somebody's query, to stand in parentheses; `StoreDenied` unless it is one, and only looks."""
        text = query.strip().rstrip(";")
        self.database.refuse_query(text, values)
        return text

    def warnings(self, scope: Scope) -> Sequence[str]:
        layout = self.layout(scope)
        found = list(_warnings(self.database, layout))
        if goes_with_kin(scope):
            found += _about_kin(self.database, layout, kin_layouts(self.layout, scope))
        if self._told is None:
            self._told = [trouble for trouble in self._troubles() if trouble is not None]
        return list(dict.fromkeys([*found, *self._told]))

    def lacking(self, scope: Scope, action: Action) -> Sequence[str]:
        layout = self.layout(scope)
        kin = list(kin_layouts(self.layout, scope).values()) if goes_with_kin(scope) else []
        return list(lacking(self.database, layout, kin, action))

    def layout(self, scope: Scope, *, checked: bool = True) -> Layout:
        """How a scope's rows are read, from the schema as it is now (if `checked`); `StoreDenied` if they cannot be."""
        name = (scope.selection, scope.start, scope.fields, scope.columns)
        known = self._layouts.get(name)
        if known is not None and checked and self.is_stale(known):
            self.database.forget()
            known = None
        if known is None:
            known = self._layouts[name] = laid_out(self.database, scope)
        return known

    def is_stale(self, layout: Layout) -> bool:
        """Whether the schema has changed since."""
        with self.database.guard():
            return bool(self.database.schema_version(layout.table.name) != layout.table.version)

    def looked_up(
        self, layout: Layout, predicates: Iterable[Predicate], keys: Sequence[Parts | None], transaction: Transaction
    ) -> Found:
        """The rows of some keys, with whether the scope selects them."""
        named = layout.statements.named([parts for parts in keys if parts is not None])

        def run(asked: Sequence[Predicate]) -> Found:
            found = Found(held_at=layout.held_at(looked_up=True))
            for each in named:
                clause = layout.statements.lookup(each, [p.sql for p in asked])
                found.take(self.database.rows(clause), layout)
            return found

        try:
            return self._asking(layout, predicates, lambda asked: transaction(lambda: run(asked)))
        except NoSuchValue:
            sound = self.sound(layout, keys)
            if sound == list(keys):
                raise
            return self.looked_up(layout, predicates, sound, transaction)

    def sound(self, layout: Layout, keys: Sequence[Parts | None]) -> list[Parts | None]:
        """Keys whose values are of the types of their columns; None for the others, which no row can have."""
        return [parts if parts is not None and self._is_sound(layout, parts) else None for parts in keys]

    def _is_sound(self, layout: Layout, parts: Parts) -> bool:
        clause = layout.statements.values(parts)
        try:
            self.database.within(lambda: self.database.rows(clause).close())
        except NoSuchValue:
            return False
        return True

    def _in_key_order(self, layout: Layout, scope: Scope) -> Iterator[Found]:
        """Every row that has a key and is not left out, some thousand at a time, with the number of those left out."""
        statements, waits, done = layout.statements, _left_out(layout, scope), _left_done(layout, scope)
        leave = [clause for clause in (waits, done) if clause is not None]
        after: Parts | None = None

        def run(asked: Sequence[Predicate]) -> Found:
            clause = statements.page(after, leave, [p.sql for p in asked], MOST)
            rows, found = at_once(self.database, layout, clause, len(asked)), Found(held_at=layout.held_at())
            if rows is None:
                found.take(self.database.rows(clause), layout, MOST)
            else:
                found.take_digested(rows, layout, MOST)
            if leave:
                last = layout.parts(found.rows[-1]) if found.full else None
                total, found.unseen_done = self.database.rows(statements.count(after, last, done)).fetchall()[0]
                found.unseen = total - found.unseen_done - len(found.rows)
            return found

        full = True
        while full:
            found = self._asking(layout, scope.predicates, lambda asked: self.database.read(lambda: run(asked)))
            yield found
            full = found.full
            after = layout.parts(found.rows[-1]) if full else None

    def _without_key(self, layout: Layout, scope: Scope) -> Iterator[Found]:
        """Every row whose key is NULL."""
        after: int | None = None

        def run(asked: Sequence[Predicate]) -> Found:
            clause = layout.statements.unnamed(after, [p.sql for p in asked], PAGE)
            found = Found(held_at=layout.held_at())
            return found if clause is None else found.take(self.database.rows(clause), layout, PAGE)

        full = True
        while full:
            found = self._asking(layout, scope.predicates, lambda asked: self.database.read(lambda: run(asked)))
            if found.rows:
                yield found
            full = found.full
            after = found.rows[-1][-1] if full else None

    def _asking(self, layout: Layout, predicates: Iterable[Predicate], run: Run) -> Found:
        """What `run` finds with the predicates that can be asked; one that cannot holds every row that is found."""
        sound, broken = _parted(predicates, lambda p: self.database.refuse_text(layout.table.name, p.sql))
        try:
            found = run(sound)
        except StoreDenied:
            good, failing = _parted(sound, lambda p: run([p]))
            if not failing:
                raise
            found, sound, broken = run(good), good, [*broken, *failing]
        found.predicates, found.broken = sound, broken
        return found


def _parted(predicates: Iterable[Predicate], attempt: Callable[[Predicate], object]) -> tuple[list[Predicate], list[Predicate]]:
    """The predicates for which an attempt succeeds, and the others."""
    good: list[Predicate] = []
    bad: list[Predicate] = []
    for predicate in predicates:
        try:
            attempt(predicate)
        except StoreDenied:
            bad.append(predicate)
        else:
            good.append(predicate)
    return good, bad


def _left_out(layout: Layout, scope: Scope) -> Clause | None:
    """What is true of the rows that need not be shown."""
    if layout.start_at is None or scope.waiting_from is None or scope.now is None:
        return None
    name = layout.table.columns[layout.table.column(scope.start.name, "start")]
    spelling, clock = layout.statements.spelling, layout.table.spelled[name].clock
    since = max(scope.waiting_from, EARLIEST)
    return spelling.waiting(layout.statements.column(name), clock, scope.start, since, scope.now)


def _left_done(layout: Layout, scope: Scope) -> Clause | None:
    """What is true of rows that need not be shown because they are done."""
    if not layout.masks or not scope.leave_done:
        return None
    column, spelled = layout.statements.column, layout.table.spelled
    shown = [(_as_read(spelled[m.name], column(m.name), m.strategy), m.strategy) for m in layout.masks]
    return certainly_done(layout.statements.spelling, shown)


def _as_read(column: Column, name: str, strategy: Strategy) -> str:
    """An address is cut short without its length; all else is compared as it is."""
    return column.read.format(name) if isinstance(strategy, Truncate) else name


def _about_kin(database: Database, own: Layout, kin: Mapping[str, Layout]) -> Iterator[str]:
    """Which tables' rows go with others, and which keep them."""
    for layout in ({own.table.name: own} | dict(kin)).values():
        table, spelling = layout.table, layout.statements.spelling
        for reference in table.follows:
            yield f"rows of {reference.table} go with the rows of {table.name} that they refer to"
            if not reference.indexed:
                statement = index_statement(spelling, reference.source, reference.columns)
                yield f"a foreign key of {reference.table} to {table.name} has no index: {statement}"
        for name in sorted({reference.table for reference in table.references if not reference.loses}):
            yield f"rows of {name} keep the rows of {table.name} that they refer to: see `children`"
    with database.guard():
        for name in kin.keys() - {own.table.name}:
            for trigger in database.triggers(name):
                yield f"the trigger or rule {trigger} runs on {name}: what it does to other tables is in no plan"
            if not database.tells_triggers(name):
                yield _HIDDEN.format(name)


def _warnings(database: Database, layout: Layout) -> Iterator[str]:
    table, spelling, start = layout.table, layout.statements.spelling, layout.start
    with database.guard():
        if start.kind == "column":
            column = table.columns[table.column(start.name, "start")]
            if not leads_an_index(database, table.name, column):
                yield f"the start of {table.name} has no index: {index_statement(spelling, table.source, [column])}"
        for reference in table.references:
            if not reference.indexed:
                statement = index_statement(spelling, reference.source, reference.columns)
                yield f"a foreign key of {reference.table} to {table.name} has no index: {statement}"
        for name in sorted({reference.table for reference in table.references if reference.loses}):
            yield (
                f"rows of {name} would stay and lose their reference to {table.name} (ON DELETE SET NULL or SET DEFAULT), so they"
                f" keep what they refer to: name {name} in `children`, or give it a rule of its own"
            )
        for trigger in database.triggers(table.name):
            yield f"the trigger or rule {trigger} runs on {table.name}: what it does to other tables is in no plan"
            if layout.masks:
                yield f"the trigger or rule {trigger} may keep what {table.name} held before it was anonymised"
        if not database.tells_triggers(table.name):
            yield _HIDDEN.format(table.name)
