"""Looking at rows: pages in key order, single keys, and the queries of events. Nothing here can change a row.

Between two pages no transaction and no cursor is open. A page and the count of what it leaves out
are read in one transaction, so that each row of its stretch of keys is seen or unseen; rows that
come or go elsewhere while a scan runs are met as they are when the scan gets there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from retentiond.core.item import Page
from retentiond.core.policy import Start, TableSelection
from retentiond.core.selector import Predicate
from retentiond.engine.ports import PAGE, Scope, Traits
from retentiond.errors import StoreDenied
from retentiond.stores.sql.keys import Keys, Parts
from retentiond.stores.sql.masking import Masked, certainly_done, masked
from retentiond.stores.sql.reading import Found, Layout, answer_of, page_of
from retentiond.stores.sql.spelling import Clause, quoted, waiting
from retentiond.stores.sql.sqlite import Sqlite
from retentiond.stores.sql.statements import Statements
from retentiond.stores.sql.table import Table, index_statement, leads_an_index, reflected

_FETCH = 5 * PAGE
_ASKED = quoted("retentiond asked")
Run = Callable[[Sequence[Predicate]], Found]
Transaction = Callable[[Callable[[], Found]], Found]


class SqlView:
    """The tables of one SQLite database, to be looked at."""

    def __init__(self, database: Sqlite) -> None:
        self.database = database
        notes = ("its journal mode is WAL: looking may leave -wal and -shm files beside it",) if database.is_wal else ()
        self._traits = Traits(atomic=True, batch=PAGE, notes=notes)
        self._layouts: dict[Any, Layout] = {}

    @property
    def place(self) -> str:
        return self.database.place

    @property
    def traits(self) -> Traits:
        return self._traits

    def close(self) -> None:
        self.database.close()

    def scan(self, scope: Scope) -> Iterator[Page]:
        layout = self.layout(scope)
        before = 0
        for stretch in (self._without_key, self._in_key_order):
            for found in stretch(layout, scope):
                for first in range(0, len(found.rows) or bool(found.unseen or found.unseen_done), PAGE):
                    yield page_of(layout, found.part(first, PAGE), before + first)
                before += len(found.rows)

    def probe(self, scope: Scope, keys: Sequence[str]) -> Page:
        layout = self.layout(scope)
        wanted = layout.keys.parts_of(keys)
        found = self.looked_up(layout, scope.predicates, wanted, self.database.read)
        return answer_of(layout, found, keys, layout.order(found.rows, wanted))

    def ask(self, query: str, subjects: Sequence[str]) -> Iterator[tuple[str, Any]]:
        """Rows (subject as text, at as the database holds it) of an event's query for these subjects."""
        text = query.strip().rstrip(";")
        self.database.refuse_query(text)
        subject = f"CAST({_ASKED}.subject AS TEXT)"
        statement = (
            f"SELECT {subject}, {_ASKED}.at FROM (\n{text}\n) AS {_ASKED} WHERE {subject} IN (SELECT value FROM json_each(?))"
        )
        wanted = json.dumps(list(subjects), ensure_ascii=False)
        yield from self.database.read(lambda: self.database.con.execute(statement, [wanted]).fetchall())

    def identify(self, query: str, known: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """(column, value as text) of every row of an identity's query; NULL names nobody."""
        text = query.strip().rstrip(";")

        def run() -> list[tuple[str, str]]:
            with closing(self.database.con.execute(f"SELECT * FROM (\n{text}\n)", dict(known))) as cursor:
                names = [column[0] for column in cursor.description]
                return [(n, str(v)) for row in cursor for n, v in zip(names, row, strict=True) if v is not None]

        yield from self.database.read(run)

    def warnings(self, scope: Scope) -> Sequence[str]:
        layout = self.layout(scope)
        return list(_warnings(self.database, layout))

    def layout(self, scope: Scope) -> Layout:
        """How a scope's rows are read, from the schema as it is now; `StoreDenied` if they cannot be."""
        name = (scope.selection, scope.start, scope.fields, scope.columns)
        known = self._layouts.get(name)
        with self.database.guard():
            version = self.database.schema_version()
        if known is None or known.table.version != version:
            known = self._layouts[name] = _laid_out(self.database, scope)
        return known

    def looked_up(
        self, layout: Layout, predicates: Iterable[Predicate], keys: Sequence[Parts | None], transaction: Transaction
    ) -> Found:
        """The rows of some keys, with whether the scope selects them."""
        named = layout.statements.named([parts for parts in keys if parts is not None])

        def run(asked: Sequence[Predicate]) -> Found:
            found = Found(held_at=layout.held_at(looked_up=True))
            for each in named:
                clause = layout.statements.lookup(each, [p.sql for p in asked])
                found.take(self.database.con.execute(*clause), layout)
            return found

        return self._asking(layout, predicates, lambda asked: transaction(lambda: run(asked)))

    def _in_key_order(self, layout: Layout, scope: Scope) -> Iterator[Found]:
        """Every row that has a key and is not left out, some thousand at a time, with the number of those left out."""
        statements, waits, done = layout.statements, _left_out(layout, scope), _left_done(layout, scope)
        leave = [clause for clause in (waits, done) if clause is not None]
        after: Parts | None = None

        def run(asked: Sequence[Predicate]) -> Found:
            clause = statements.page(after, leave, [p.sql for p in asked], _FETCH)
            found = Found(held_at=layout.held_at()).take(self.database.con.execute(*clause), layout, _FETCH)
            if leave:
                last = layout.parts(found.rows[-1]) if found.full else None
                total, found.unseen_done = self.database.con.execute(*statements.count(after, last, done)).fetchone()
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
            return found if clause is None else found.take(self.database.con.execute(*clause), layout, PAGE)

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


def _laid_out(database: Sqlite, scope: Scope) -> Layout:
    selection, start = scope.selection, scope.start
    if not isinstance(selection, TableSelection):
        raise StoreDenied("a database has tables, not paths", do="write `select: {table: …}`")
    if start.kind not in ("column", "event"):
        raise StoreDenied(f"a row has no start of the kind {start.kind}", do="name a column or an event")
    table = reflected(database, selection)
    masks = _masked(database, table, scope) if scope.columns else ()
    if masks:
        table = replace(table, references=())  # whoever refers to a row refers to it still
    if selection.where is not None:
        _refuse_where(database, table, selection.where)
    return Layout(
        statements=Statements(table, selection.where),
        keys=Keys(table.name, [column.kind for column in table.key], any_bytes=database.is_utf8),
        key_at=tuple(table.columns.index(column.name) for column in table.key),
        version_at=None if selection.version is None else table.column(selection.version, "version"),
        start=start,
        start_at=table.column(start.name, "start") if start.kind == "column" else None,
        zone=_zone(start),
        fields={name: table.column(name, "field") for name in scope.fields},
        masks=masks,
    )


def _masked(database: Sqlite, table: Table, scope: Scope) -> tuple[Masked, ...]:
    with database.guard():
        facts = database.column_facts(table.name)
    clock = scope.start.name if scope.start.kind == "column" else None
    version = scope.selection.version if isinstance(scope.selection, TableSelection) else None
    return masked(table, scope.columns, facts, clock, version)


def _refuse_where(database: Sqlite, table: Table, where: str) -> None:
    try:
        database.refuse_text(table.name, where)
    except StoreDenied as error:
        raise StoreDenied(f"the condition on {table.name} cannot be used", why=error.why or error.what, do=error.do) from None


def _zone(start: Start) -> ZoneInfo:
    try:
        return ZoneInfo(start.zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise StoreDenied(f"there is no time zone {start.zone}", do="write a name such as Europe/London") from None


def _left_out(layout: Layout, scope: Scope) -> Clause | None:
    """What is true of the rows that need not be shown."""
    if layout.start_at is None or scope.waiting_from is None or scope.now is None:
        return None
    column = layout.statements.column(layout.table.columns[layout.start_at])
    return waiting(column, scope.start, scope.waiting_from, scope.now)


def _left_done(layout: Layout, scope: Scope) -> Clause | None:
    """What is true of rows that need not be shown because they are done."""
    if not layout.masks or not scope.leave_done:
        return None
    return certainly_done([(layout.statements.column(mask.name), mask.strategy) for mask in layout.masks])


def _warnings(database: Sqlite, layout: Layout) -> Iterator[str]:
    table, start_at = layout.table, layout.start_at
    with database.guard():
        if start_at is not None and not leads_an_index(database, table.name, table.columns[start_at]):
            yield f"the start of {table.name} has no index: {index_statement(table.name, [table.columns[start_at]])}"
        for reference in table.references:
            if not reference.indexed:
                statement = index_statement(reference.table, reference.columns)
                yield f"a foreign key of {reference.table} to {table.name} has no index: {statement}"
        for trigger in database.triggers(table.name):
            yield f"the trigger {trigger} runs on {table.name}: what it does to other tables is in no plan"
            if layout.masks:
                yield f"the trigger {trigger} may keep what {table.name} held before it was anonymised"
    if database.is_wal:
        yield "its journal mode is WAL: looking may leave -wal and -shm files beside it"
