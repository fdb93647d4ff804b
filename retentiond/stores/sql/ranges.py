"""Parts of a table, by ranges of the first column of its key where that is a whole number.

A part is `LOW:HIGH`: rows whose key begins with a number from LOW on and below HIGH. The first part has no LOW and the last
one no HIGH, so that the parts share no row and leave none out, whatever comes later. They are alike as far as numbers
are given evenly; where they are not, whoever has read a small part takes the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from retentiond.stores.sql.database import Database
from retentiond.stores.sql.pace import MOST
from retentiond.stores.sql.reading import Layout


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` on and below `high`; None where there is no such end."""

    low: int | None
    high: int | None

    @classmethod
    def read(cls, text: str) -> Range:
        """The range that `str` has written; `ValueError` for anything else."""
        low, high = text.split(":")
        return cls(int(low) if low else None, int(high) if high else None)

    def __str__(self) -> str:
        return ":".join("" if end is None else str(end) for end in (self.low, self.high))


def ranges(database: Database, layout: Layout, wanted: int) -> list[Range]:
    """So many ranges; none where the table is small, has no such key, or is partitioned: partitions go in their order."""
    table, statements = layout.table, layout.statements
    if database.lanes < 2 or table.key[0].kind != "integer" or any(column.nullable for column in table.key):
        return []
    with database.guard():
        if database.parts(table.name) or database.rows(statements.counted(MOST + 1)).fetchall()[0][0] <= MOST:
            return []
        found = [layout.parts(row)[0] for end in statements.ends() for row in database.rows(end).fetchall()]
    if len(found) < 2 or not all(isinstance(number, int) for number in found):
        return []
    return _even(int(found[0]), int(found[1]), wanted)


def _even(first: int, last: int, wanted: int) -> list[Range]:
    size = last + 1 - first
    wanted = min(wanted, size)
    cuts: Sequence[int | None] = [None, *(first + size * n // wanted for n in range(1, wanted)), None]
    return [Range(low, high) for low, high in pairwise(cuts)]
