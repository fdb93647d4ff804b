"""A page of rows as one text that the server puts together: taking rows apart one by one costs more than looking at them.

Only where every value is a whole number, a moment or a digest, none of which has a comma in it. The server says how many
rows the text has, and their keys have to rise: a text that was cut short, or whose rows stand in another order, is no page.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import lt
from typing import Any

from retentiond.stores.sql.database import Database
from retentiond.stores.sql.reading import Layout
from retentiond.stores.sql.spelling import Clause

_MOMENTS = ("instant", "civil", "day")


def at_once(database: Database, layout: Layout, page: Clause, predicates: int) -> list[tuple[Any, ...]] | None:
    """The rows of a page, which asks so many predicates; None where they have to be read one by one."""
    if not layout.statements.spelling.packs or not _is_plain(layout):
        return None
    width = layout.held_at() + predicates
    packed = layout.statements.spelling.packed(page, width, layout.start_at)
    (number, text), *_ = database.rows(packed).fetchall()
    if not number:
        return []
    values = text.split(",") if isinstance(text, str) else ()
    if len(values) != number * width:
        return None
    columns: list[Sequence[Any]] = [values[n::width] for n in range(width)]
    for n in (*layout.key_at, *range(layout.width - 1, width)):
        columns[n] = list(map(int, columns[n]))
    if layout.start_at is not None:
        columns[layout.start_at] = [start or None for start in columns[layout.start_at]]
    keys = columns[layout.key_at[0]] if len(layout.key_at) == 1 else list(zip(*(columns[n] for n in layout.key_at), strict=True))
    return list(zip(*columns, strict=True)) if all(map(lt, keys, keys[1:])) else None


def _is_plain(layout: Layout) -> bool:
    """Whether nothing is read but keys of whole numbers, a moment, digests and sizes."""
    table = layout.table
    if layout.version_at is not None or layout.fields or layout.masks:
        return False
    if any(column.kind != "integer" or column.nullable for column in table.key):
        return False
    return layout.start_at is None or table.spelled[table.named(layout.start.name, "start")].clock in _MOMENTS
