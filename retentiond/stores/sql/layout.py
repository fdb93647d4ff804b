"""How the rows of a scope are read: which columns, what stands where, and what makes that impossible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from retentiond.core.ladder import CHILDREN, OTHERS
from retentiond.core.policy import Start, TableSelection
from retentiond.engine.ports import Scope
from retentiond.errors import StoreDenied
from retentiond.stores.sql.database import Database
from retentiond.stores.sql.keys import Keys
from retentiond.stores.sql.masking import Masked, fitted, masked, refuse_forbidden
from retentiond.stores.sql.reading import Layout
from retentiond.stores.sql.spelling import Spelling
from retentiond.stores.sql.statements import Statements
from retentiond.stores.sql.table import Table, reflected


class Reads:
    """What is read of each row: every column as it is, or only what is asked for, in the database's own words."""

    def __init__(self, table: Table, spelling: Spelling) -> None:
        self._table, self._spelling = table, spelling
        self.expressions = [] if spelling.digests else [self._column(name) for name in table.columns]

    def at(self, name: str, shape: str = "{}") -> int:
        """Where a column stands among what is read."""
        if not self._spelling.digests:
            return self._table.columns.index(name)
        expression = shape.format(self._column(name))
        if expression not in self.expressions:
            self.expressions.append(expression)
        return self.expressions.index(expression)

    def text(self, name: str) -> int:
        """Where a column's text stands among what is read."""
        return self.at(name, self._table.spelled[name].read)

    def masked(self, name: str) -> int:
        """Where the value of a column that is anonymised stands among what is read."""
        return self.at(name, self._table.spelled[name].masked or self._table.spelled[name].read)

    def _column(self, name: str) -> str:
        return f"{self._table.label}.{self._spelling.quoted(name)}"


def laid_out(database: Database, scope: Scope) -> Layout:
    """How a scope's rows are read, from the schema as it is now; `StoreDenied` if they cannot be."""
    selection, start = scope.selection, scope.start
    if not isinstance(selection, TableSelection):
        raise StoreDenied("a database has tables, not paths", do="write `select: {table: …}`")
    if start.kind not in ("column", "event"):
        raise StoreDenied(f"a row has no start of the kind {start.kind}", do="name a column or an event")
    table = reflected(database, selection)
    masks = _masked(database, table, scope) if scope.columns else ()
    if masks:
        table = replace(table, references=(), follows=())  # whoever refers to a row refers to it still
    if selection.where is not None:
        _refuse_where(database, table, selection.where)
    zone, reads, named = _zone(start), Reads(table, database.spelling), table.named
    key_at = tuple(reads.text(column.name) for column in table.key)
    start_at = None
    if start.kind == "column":
        column = table.spelled[named(start.name, "start")]
        start_at = reads.at(named(start.name, "start"), column.dated)
        zone = ZoneInfo("UTC") if column.clock == "instant" else zone
    version_at = None if selection.version is None else reads.text(named(selection.version, "version"))
    fields = {name: reads.text(named(name, "field")) for name in scope.fields}
    masks = tuple(replace(mask, at=reads.masked(mask.name)) for mask in masks)
    return Layout(
        statements=Statements(table, selection.where, database.spelling, reads.expressions),
        keys=Keys(table.name, [column.kind for column in table.key], any_bytes=database.any_bytes, whole=database.whole),
        key_at=key_at,
        version_at=version_at,
        start=start,
        start_at=start_at,
        zone=zone,
        fields=fields,
        masks=masks,
        doubt=_doubt(table) if selection.children == "forbid" else OTHERS,
    )


def _doubt(table: Table) -> str:
    """Why a row stays to which others refer, with the tables of those that may."""
    named = dict.fromkeys(reference.table for reference in table.references)
    return f"{CHILDREN}: rows of {' or '.join(named)}" if named else CHILDREN


def _masked(database: Database, table: Table, scope: Scope) -> Sequence[Masked]:
    with database.guard():
        facts = database.column_facts(table.name)
    clock = scope.start.name if scope.start.kind == "column" else None
    version = scope.selection.version if isinstance(scope.selection, TableSelection) else None
    masks = masked(table, scope.columns, facts, clock, version)
    refuse_forbidden(database, table, masks, facts)
    return fitted(database, table, masks)


def _refuse_where(database: Database, table: Table, where: str) -> None:
    try:
        database.refuse_text(table.name, where)
    except StoreDenied as error:
        what = f"the condition on {table.name} cannot be used"
        raise StoreDenied(what, why=error.why or error.what, do=error.do, word=where) from None


def _zone(start: Start) -> ZoneInfo:
    try:
        return ZoneInfo(start.zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise StoreDenied(f"there is no time zone {start.zone}", do="write a name such as Europe/London") from None
