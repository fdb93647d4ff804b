"""The statements about one table, put together from quoted names, clauses and the rule's own condition.

Columns stand with their table before them: alone in double quotes, SQLite would take a name that
it does not know for a text. The operator's condition sees the one table and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from retentiond.stores.sql.keys import Parts
from retentiond.stores.sql.spelling import Clause, among, beyond, bound, flag, held_flag, joined, quoted, told
from retentiond.stores.sql.table import KeyColumn, Reference, Table

_CHILD = quoted("retentiond child")
_NEW = quoted("retentiond new")
_PARAMETERS = 30_000
"""SQLite takes 32,766 in one statement."""


class Statements:
    """A table's statements for one condition (None: all its rows)."""

    def __init__(self, table: Table, where: str | None) -> None:
        self.table, self.where = table, where
        self._name = quoted(table.name)
        self._columns = ", ".join(self.column(name) for name in table.columns)
        self._key = [self._key_column(column) for column in table.key]
        self._nullable = [self.column(c.name) for c in table.key if c.nullable]
        self._referred = [self._refers(r) for r in table.references]
        self._told = None if where is None else told(where)

    def column(self, name: str) -> str:
        """A column of the table, beyond doubt."""
        return f"{self._name}.{quoted(name)}"

    def page(self, after: Parts | None, leave: Sequence[Clause], predicates: Iterable[str], limit: int) -> Clause:
        """Rows after a key, in key order, with their flags; those of which one of `leave` is true are left out."""
        shown = [Clause(f"({clause.sql}) IS NOT TRUE", clause.values) for clause in leave]
        wanted = joined([*self._walk(after, None), *shown])
        order = ", ".join(self._key)
        return Clause(f"{self._select(predicates, where=False)} WHERE {wanted.sql} ORDER BY {order} LIMIT {limit}", wanted.values)

    def count(self, after: Parts | None, last: Parts | None, done: Clause | None) -> Clause:
        """How many rows there are from beyond one key up to another, and of how many `done` is true."""
        wanted = joined(self._walk(after, last))
        finished = Clause("0") if done is None else Clause(f"count(CASE WHEN {done.sql} THEN 1 END)", done.values)
        select = f"SELECT count(*), {finished.sql} FROM {self._name}"
        return Clause(f"{select} WHERE {wanted.sql}", [*finished.values, *wanted.values])

    def unnamed(self, after: int | None, predicates: Iterable[str], limit: int) -> Clause | None:
        """Rows whose key is NULL somewhere, in the order of their row ids, which come last; None if there are none."""
        if not self._nullable or self.table.row_id is None:
            return None
        row_id = f"{self._name}.{self.table.row_id}"
        null = Clause("(" + " OR ".join(f"{column} IS NULL" for column in self._nullable) + ")")
        wanted = joined([None if after is None else Clause(f"{row_id} > ?", [after]), null, self._told])
        select = self._select(predicates, where=False, more=[row_id])
        return Clause(f"{select} WHERE {wanted.sql} ORDER BY {row_id} LIMIT {limit}", wanted.values)

    def named(self, keys: Sequence[Parts]) -> list[Clause]:
        """Conditions that together mean exactly the rows of some keys."""
        return among(self._key, keys)

    def lookup(self, named: Clause, predicates: Iterable[str]) -> Clause:
        """Named rows, in any order, with their flags."""
        return Clause(f"{self._select(predicates, where=True)} WHERE {named.sql}", named.values)

    def delete(self, named: Clause, predicates: Iterable[str]) -> Clause:
        """Lets those of the named rows go that meet the condition and that no predicate holds."""
        wanted = joined([named, self._told, *(Clause(f"{held_flag(p)} = 0") for p in predicates)])
        return Clause(f"DELETE FROM {self._name} WHERE {wanted.sql}", wanted.values)

    def update(
        self, columns: Sequence[str], rows: Sequence[tuple[Parts, Sequence[Any]]], predicates: Sequence[str]
    ) -> list[Clause]:
        """Gives columns of rows their own values, where the condition holds and no predicate does; some rows each.

        The values are the outer loop, and each looks its row up in the index of the key. The
        operator's texts see the table alone, in a query of their own.
        """
        size = max(1, _PARAMETERS // (len(self._key) + len(columns)))
        return [self._update(columns, rows[n : n + size], predicates) for n in range(0, len(rows), size)]

    def _update(self, columns: Sequence[str], rows: Sequence[tuple[Parts, Sequence[Any]]], predicates: Sequence[str]) -> Clause:
        keys = [f"{_NEW}.{quoted(f'key {n}')}" for n in range(len(self._key))]
        values = [f"{_NEW}.{quoted(f'value {n}')}" for n in range(len(columns))]
        each = [joined((bound(v) for v in (*parts, *new)), ", ") for parts, new in rows]
        listed = joined((Clause(f"({row.sql})", row.values) for row in each), ", ")
        named = ", ".join(f"column{n} AS {name.partition('.')[2]}" for n, name in enumerate((*keys, *values), 1))
        same = " AND ".join(f"{mine} = {key}" for mine, key in zip(self._key, keys, strict=True))
        still = joined([Clause(same), self._told, *(Clause(f"{held_flag(p)} = 0") for p in predicates)])
        sets = ", ".join(f"{quoted(c)} = {v}" for c, v in zip(columns, values, strict=True))
        return Clause(
            f"UPDATE {self._name} SET {sets} FROM (SELECT {named} FROM (VALUES {listed.sql})) AS {_NEW}"
            f" WHERE {same} AND EXISTS (SELECT 1 FROM {self._name} WHERE {still.sql})",
            [*listed.values, *still.values],
        )

    def left(self, named: Clause) -> Clause:
        """How many of the named rows there are."""
        return Clause(f"SELECT count(*) FROM {self._name} WHERE {named.sql}", named.values)

    def _select(self, predicates: Iterable[str], *, where: bool, more: Sequence[str] = ()) -> str:
        """Every column; then whether others refer to the row; whether it is selected; whether each predicate holds it."""
        flags = [f"CASE WHEN {' OR '.join(self._referred)} THEN 1 ELSE 0 END"] if self._referred else []
        if where and self.where is not None:
            flags.append(flag(self.where))
        return f"SELECT {', '.join([self._columns, *flags, *map(held_flag, predicates), *more])} FROM {self._name}"

    def _walk(self, after: Parts | None, last: Parts | None) -> list[Clause]:
        clauses = [Clause(f"{column} IS NOT NULL") for column in self._nullable] or [Clause("1")]
        if after is not None:
            clauses.append(beyond(self._key, ">", after))
        if last is not None:
            clauses.append(beyond(self._key, "<=", last))
        return [*clauses, self._told] if self._told else clauses

    def _key_column(self, column: KeyColumn) -> str:
        name = self.column(column.name)
        return name if column.collation is None else f"{name} COLLATE {quoted(column.collation)}"

    def _refers(self, reference: Reference) -> str:
        """Whether a row of `reference` refers to the row. A row that refers to itself is no other row.

        The parent's column stands first, so that its collation decides, as for a foreign key.
        """
        theirs = [f"{_CHILD}.{quoted(name)}" for name in reference.columns]
        mine = [self.column(name) for name in reference.referred]
        others = f"FROM {quoted(reference.table)} AS {_CHILD} WHERE 1"
        if reference.itself:
            own = [f"{_CHILD}.{quoted(name)}" for name in reference.referred]
            pairs = " AND ".join(f"{o} = {t}" for o, t in zip(own, theirs, strict=True))
            others += f" AND ({pairs}) IS NOT TRUE"
        if reference.indexed:
            pairs = " AND ".join(f"{m} = {t}" for m, t in zip(mine, theirs, strict=True))
            return f"EXISTS (SELECT 1 {others} AND {pairs})"
        known = "".join(f" AND {t} IS NOT NULL" for t in theirs)
        return f"({', '.join(mine)}) IN (SELECT {', '.join(theirs)} {others}{known})"
