"""The statements about one table, put together from quoted names, clauses and the rule's own condition.

Columns stand with their table before them: alone in double quotes, SQLite would take a name that
it does not know for a text. The operator's condition sees the one table and nothing else.

A row that is read begins with the expressions of `reads`, then (where the database makes them) its
digest and its size; flags follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from retentiond.stores.sql.keys import Parts
from retentiond.stores.sql.spelling import Clause, KeyPart, Spelling, joined
from retentiond.stores.sql.table import KeyColumn, Reference, Table

_CHILD = "retentiond child"
_PARENT = "retentiond parent"


class Statements:
    """A table's statements for one condition (None: all its rows)."""

    def __init__(
        self, table: Table, where: str | None, spelling: Spelling, reads: Sequence[str], ends: Sequence[tuple[str, int]] = ()
    ) -> None:
        """`ends`: only rows of which the first column of the key compares so with a number are walked."""
        self.table, self.where, self.spelling, self.reads, self._ends = table, where, spelling, reads, ends
        self._source = table.source
        self._name = table.label
        self._key = [self._key_part(column) for column in table.key]
        self._nullable = [self.column(c.name) for c in table.key if c.nullable]
        self._referred = [self._refers(r) for r in table.references]
        self._told = None if where is None else spelling.told(where)
        self._digest, shown = "", list(reads)
        if spelling.digests:
            self._digest, size = spelling.digest({self.column(n): c for n, c in table.spelled.items()})
            shown += [self._digest, size]
        self._columns = ", ".join(shown)

    def within(self, source: str) -> Statements:
        """The same for a part of the table, by what stands for it in a FROM; its columns go by the table's name."""
        return Statements(replace(self.table, source=source), self.where, self.spelling, self.reads)

    def between(self, low: int | None, high: int | None) -> Statements:
        """The same for the rows whose key begins with a number from `low` on and below `high`, as far as rows are walked."""
        ends = [(sign, number) for sign, number in ((">=", low), ("<", high)) if number is not None]
        return Statements(self.table, self.where, self.spelling, self.reads, ends)

    def column(self, name: str) -> str:
        """A column of the table, beyond doubt."""
        return f"{self._name}.{self.spelling.quoted(name)}"

    def page(self, after: Parts | None, leave: Sequence[Clause], predicates: Iterable[str], limit: int) -> Clause:
        """Rows after a key, in key order, with their flags; those of which one of `leave` is true are left out."""
        shown = [Clause(f"({clause.sql}) IS NOT TRUE", clause.values) for clause in leave]
        wanted = joined([*self._walk(after, None), *shown])
        order = ", ".join(part.sql for part in self._key)
        return Clause(f"{self._select(predicates, where=False)} WHERE {wanted.sql} ORDER BY {order} LIMIT {limit}", wanted.values)

    def count(self, after: Parts | None, last: Parts | None, done: Clause | None) -> Clause:
        """How many rows there are from beyond one key up to another, and of how many `done` is true."""
        wanted = joined(self._walk(after, last))
        finished = Clause("0") if done is None else Clause(f"count(CASE WHEN {done.sql} THEN 1 END)", done.values)
        select = f"SELECT count(*), {finished.sql} FROM {self._source}"
        return Clause(f"{select} WHERE {wanted.sql}", [*finished.values, *wanted.values])

    def unnamed(self, after: int | None, predicates: Iterable[str], limit: int) -> Clause | None:
        """Rows whose key is NULL somewhere, in the order of their row ids, which come last; None if there are none."""
        if not self._nullable or self.table.row_id is None:
            return None
        row_id = f"{self._name}.{self.table.row_id}"
        null = Clause("(" + " OR ".join(f"{column} IS NULL" for column in self._nullable) + ")")
        wanted = joined([None if after is None else Clause(f"{row_id} > {self.spelling.mark}", [after]), null, self._told])
        select = self._select(predicates, where=False, more=[row_id])
        return Clause(f"{select} WHERE {wanted.sql} ORDER BY {row_id} LIMIT {limit}", wanted.values)

    def named(self, keys: Sequence[Parts]) -> list[Clause]:
        """Conditions that together mean exactly the rows of some keys."""
        return self.spelling.among(self._key, keys)

    def values(self, parts: Parts) -> Clause:
        """The values of a key alone, as the types of its columns."""
        return Clause("SELECT " + ", ".join(part.given.format(self.spelling.mark) for part in self._key), parts)

    def lookup(self, named: Clause, predicates: Iterable[str]) -> Clause:
        """Named rows, in any order, with their flags."""
        return Clause(f"{self._select(predicates, where=True)} WHERE {named.sql}", named.values)

    def referring(self, reference: Reference, parent: Table, keys: Sequence[Parts], limit: int) -> list[Clause]:
        """Rows of this table, selected or not, that refer to rows of `parent`; the key of the row referred to comes last."""
        alias = self.spelling.quoted(_PARENT)
        theirs = {name: f"{alias}.{self.spelling.quoted(name)}" for name in parent.columns}
        pairs = zip(reference.referred, reference.columns, strict=True)
        meet = " AND ".join(f"{theirs[name]} = {self.column(mine)}" for name, mine in pairs)
        key = [theirs[c.name] if c.collation is None else f"{theirs[c.name]} COLLATE {self.spelling.quoted(c.collation)}"
               for c in parent.key]  # fmt: skip
        parts = [KeyPart(sql, parent.spelled[c.name].given) for sql, c in zip(key, parent.key, strict=True)]
        more = [parent.spelled[c.name].read.format(theirs[c.name]) for c in parent.key]
        select = f"{self._select((), where=False, more=more)} JOIN {parent.source} AS {alias} ON {meet}"
        named = self.spelling.among(parts, keys)
        return [Clause(f"{select} WHERE {clause.sql} LIMIT {limit}", clause.values) for clause in named]

    def lock(self, named: Clause) -> Clause | None:
        """Locks the named rows against everybody else, and those that would refer to them; None where all is locked."""
        locks = self.spelling.locks
        locked = f"SELECT 1 FROM {self._source} WHERE {named.sql}{locks}"
        return Clause(f"SELECT count(*) FROM ({locked}) AS x", named.values) if locks else None

    def delete(self, named: Clause, predicates: Iterable[str]) -> Clause:
        """Lets those of the named rows go that meet the condition and that no predicate holds."""
        wanted = joined([named, self._still(predicates)])
        return Clause(f"DELETE FROM {self._source} WHERE {wanted.sql}", wanted.values)

    def delete_planned(self, keys: Sequence[Parts], revisions: Sequence[str], predicates: Iterable[str]) -> list[Clause]:
        """Lets those rows go that have just these digests, meet the condition and that no predicate holds."""
        still = self._still(predicates)
        planned = self.spelling.planned(self._source, self._key, self._digest, keys, revisions)
        return [joined([each, still]) if still else each for each in planned]

    def update(
        self, columns: Sequence[str], rows: Sequence[tuple[Parts, Sequence[Any]]], predicates: Sequence[str]
    ) -> list[Clause]:
        """Gives columns of rows their own values, where the condition holds and no predicate does; some rows each."""
        sets = [(name, self.table.spelled[name]) for name in columns]
        return self.spelling.update(self._source, self._key, sets, rows, self._still(predicates) or Clause(""))

    def counted(self, most: int) -> Clause:
        """How many rows there are, selected or not, as far as they are counted."""
        return Clause(f"SELECT count(*) FROM (SELECT 1 FROM {self._source} LIMIT {most}) AS x")

    def ends(self) -> list[Clause]:
        """The first and the last row in key order, selected or not."""
        orders = (", ".join(part.sql + way for part in self._key) for way in ("", " DESC"))
        return [Clause(f"{self._select((), where=False)} ORDER BY {order} LIMIT 1") for order in orders]

    def sums(self, predicates: Iterable[str]) -> Clause:
        """How many rows there are, how many of them may not go, and the sums of the halves of their digests."""
        still = self._still(predicates)
        stays = Clause("0") if still is None else Clause(f"count(CASE WHEN NOT ({still.sql}) THEN 1 END)", still.values)
        halves = ", ".join(self.spelling.sum_of_half(self._digest, half) for half in (0, 1))
        return Clause(f"SELECT count(*), {stays.sql}, {halves} FROM {self._source}", stays.values)

    def left(self, named: Clause) -> Clause:
        """How many of the named rows there are."""
        return Clause(f"SELECT count(*) FROM {self._source} WHERE {named.sql}", named.values)

    def _still(self, predicates: Iterable[str]) -> Clause | None:
        told = joined([self._told, *(Clause(f"{self.spelling.held_flag(p)} = 0") for p in predicates)])
        return told if told.sql else None

    def _select(self, predicates: Iterable[str], *, where: bool, more: Sequence[str] = ()) -> str:
        """What is read; then whether others refer to the row; whether it is selected; whether each predicate holds it."""
        flags = [f"CASE WHEN {' OR '.join(self._referred)} THEN 1 ELSE 0 END"] if self._referred else []
        if where and self.where is not None:
            flags.append(self.spelling.flag(self.where))
        return (
            f"SELECT {', '.join([self._columns, *flags, *map(self.spelling.held_flag, predicates), *more])} FROM {self._source}"
        )

    def _walk(self, after: Parts | None, last: Parts | None) -> list[Clause]:
        clauses = [Clause(f"{column} IS NOT NULL") for column in self._nullable] or [Clause("1 = 1")]
        clauses += [self.spelling.beyond(self._key[:1], sign, (number,)) for sign, number in self._ends]
        if after is not None:
            clauses.append(self.spelling.beyond(self._key, ">", after))
        if last is not None:
            clauses.append(self.spelling.beyond(self._key, "<=", last))
        return [*clauses, self._told] if self._told else clauses

    def _key_part(self, column: KeyColumn) -> KeyPart:
        name = self.column(column.name)
        collated = name if column.collation is None else f"{name} COLLATE {self.spelling.quoted(column.collation)}"
        return KeyPart(collated, self.table.spelled[column.name].given)

    def _refers(self, reference: Reference) -> str:
        """Whether a row of `reference` refers to the row. A row that refers to itself is no other row.

        The parent's column stands first, so that its collation decides, as for a foreign key.
        """
        child = self.spelling.quoted(_CHILD)
        theirs = [f"{child}.{self.spelling.quoted(name)}" for name in reference.columns]
        mine = [self.column(name) for name in reference.referred]
        others = f"FROM {reference.source} AS {child} WHERE 1 = 1"
        if reference.itself:
            own = [f"{child}.{self.spelling.quoted(name)}" for name in reference.referred]
            pairs = " AND ".join(f"{o} = {t}" for o, t in zip(own, theirs, strict=True))
            others += f" AND ({pairs}) IS NOT TRUE"
        if reference.indexed:
            pairs = " AND ".join(f"{m} = {t}" for m, t in zip(mine, theirs, strict=True))
            return f"EXISTS (SELECT 1 {others} AND {pairs})"
        known = "".join(f" AND {t} IS NOT NULL" for t in theirs)
        return f"({', '.join(mine)}) IN (SELECT {', '.join(theirs)} {others}{known})"
