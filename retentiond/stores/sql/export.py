"""Giving rows out whole, for an archive: every column that is not generated, in values that JSON has words for."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from retentiond.stores.sql.database import Database
from retentiond.stores.sql.reading import Found, Layout
from retentiond.stores.sql.statements import Statements
from retentiond.stores.sql.table import Table


def whole(layout: Layout) -> Layout:
    """The layout with every column as the driver gives it: texts that a driver makes of bytes would lose some."""
    told = layout.statements
    if not layout.digested:
        return layout
    raw = [told.column(name) for name in layout.table.columns]
    return replace(layout, statements=Statements(told.table, told.where, told.spelling, [*told.reads, *raw]))


def definition_of(database: Database, table: Table) -> Mapping[str, Any]:
    """The table as its schema describes it, without any of its data."""
    with database.guard():
        facts = database.column_facts(table.name)
    columns = [{"name": name, "type": facts[name].declared, "null": not facts[name].never_null} for name in table.columns]
    return {"table": table.name, "columns": columns, "key": [column.name for column in table.key]}


def rows_of(
    layout: Layout, found: Found, order: Sequence[int | None], revisions: Sequence[str]
) -> list[Mapping[str, Any] | None]:
    """The rows in the order of the keys that were asked for; None for one that is gone or changed."""
    first = len(layout.statements.reads) - len(layout.table.columns)
    places = [(name, place) for place, name in enumerate(layout.table.columns, first)]
    return [
        None if at is None or found.revisions[at] != revision else {n: _plain(found.rows[at][place]) for n, place in places}
        for at, revision in zip(order, revisions, strict=True)
    ]


def _plain(value: Any) -> Any:
    """A value as JSON: what has no word of its own there is written as its text, and bytes in base64."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return {"base64": base64.b64encode(bytes(value)).decode("ascii")}
    return str(value)
