"""What PostgreSQL spells its own way: key lists as arrays, digests of rows, what is certainly waiting or done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from retentiond.core.anonymise import Constant, Null, Strategy
from retentiond.core.policy import Start
from retentiond.stores.sql.keys import Parts
from retentiond.stores.sql.spelling import Clause, Clock, Column, KeyPart, Spelling, days, done_shape, units

_KEYS = "retentiond keys"
_NEW = "retentiond new"
_DATE = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])?"
CERTAIN = f"{_DATE}([ T]{_TIME})?$"
"""Common spellings of ISO 8601, of days that every month has."""


class PostgresSpelling(Spelling):
    """PostgreSQL's. The driver formats, so that a `%` that is meant stands twice."""

    mark = "%s"
    locks = " FOR UPDATE"
    digests = True

    def quoted(self, name: str) -> str:
        return super().quoted(name).replace("%", "%%")

    def literal(self, text: str) -> str:
        return text.replace("%", "%%")

    def among(self, columns: Sequence[KeyPart], keys: Sequence[Parts]) -> list[Clause]:
        """Arrays, one for each column, whatever the number of keys: one statement, planned once."""
        if not keys:
            return []
        if len(columns) == 1:
            return [Clause(f"{columns[0].sql} = ANY({_array(columns[0])})", _arrays(keys))]
        names = ", ".join(column.sql for column in columns)
        return [Clause(f"({names}) IN (SELECT * FROM unnest({', '.join(map(_array, columns))}))", _arrays(keys))]

    def digest(self, columns: Mapping[str, Column]) -> tuple[str, str]:
        """128 bits of the server's own hash of the row, with two seeds: it tells whether a row has changed, and proves nothing.

        Types in which different values are equal to the hash (1.0 and 1.00, or -0) enter as text.
        """
        row = ", ".join(column.digested.format(name) for name, column in columns.items())
        halves = (f"int8send(hash_record_extended(ROW({row}), {seed}))" for seed in (0, 1))
        return f"encode({' || '.join(halves)}, 'hex')", f"pg_column_size(ROW({', '.join(columns)}))"

    def sum_of_half(self, digest: str, half: int) -> str:
        return f"coalesce(sum(CAST(CAST('x' || substr({digest}, {1 + 16 * half}, 16) AS bit(64)) AS bigint)), 0)"

    def planned(
        self, source: str, columns: Sequence[KeyPart], digest: str, keys: Sequence[Parts], revisions: Sequence[str]
    ) -> list[Clause]:
        name = self.quoted(_KEYS)
        listed = [f"unnest({_array(c)}) AS {self.quoted(f'key {n}')}" for n, c in enumerate(columns)]
        same = [f"{c.sql} = {name}.{self.quoted(f'key {n}')}" for n, c in enumerate(columns)]
        return [
            Clause(
                f"DELETE FROM {source} USING (SELECT {', '.join(listed)}, unnest(CAST(%s AS text[])) AS revision) AS {name}"
                f" WHERE {' AND '.join(same)} AND {digest} = {name}.revision",
                [*_arrays(keys), _listed(revisions)],
            )
        ]

    def update(self, source: str, keys: Sequence[KeyPart], sets: Sequence[tuple[str, Column]],
               rows: Sequence[tuple[Parts, Sequence[Any]]], still: Clause) -> list[Clause]:  # fmt: skip
        """The operator's texts see the table alone, in a query of their own."""
        new = self.quoted(_NEW)
        mine = [f"{self.quoted(f'key {n}')}" for n in range(len(keys))]
        theirs = [f"{self.quoted(f'value {n}')}" for n in range(len(sets))]
        listed = [f"unnest({_array(c)}) AS {name}" for c, name in zip(keys, mine, strict=True)]
        listed += [f"unnest(CAST(%s AS text[])) AS {name}" for name in theirs]
        become = ", ".join(
            f"{self.quoted(c)} = {column.given.format(f'{new}.{name}')}" for (c, column), name in zip(sets, theirs, strict=True)
        )
        same = " AND ".join(f"{c.sql} = {new}.{name}" for c, name in zip(keys, mine, strict=True))
        told = f" AND EXISTS (SELECT 1 FROM {source} WHERE {same} AND {still.sql})" if still.sql else ""
        values = [_listed([row[n] if row[n] is None else str(row[n]) for _, row in rows]) for n in range(len(sets))]
        return [
            Clause(
                f"UPDATE {source} SET {become} FROM (SELECT {', '.join(listed)}) AS {new} WHERE {same}{told}",
                [*_arrays([parts for parts, _ in rows]), *values, *still.values],
            )
        ]

    def within(self, expression: str, texts: Sequence[str]) -> Clause:
        return Clause(f"{expression} = ANY(CAST(%s AS text[]))", [_listed(texts)])

    def as_text(self, expression: str) -> str:
        return f"CAST({expression} AS text)"

    def waiting(self, column: str, clock: Clock, start: Start, since: datetime, now: datetime) -> Clause | None:
        """Instants and numbers compare exactly; civil times and days two days inside the bounds, so that no zone
        matters; texts likewise, and only in common spellings of days that every month has. Whatever is not told is shown.
        """
        if start.unit is not None:
            return Clause(f"{column} BETWEEN %s AND %s", units(start, since, now)) if clock == "number" else None
        if clock == "instant":
            return Clause(f"{column} BETWEEN CAST(%s AS timestamptz) AND CAST(%s AS timestamptz)", [since, now])
        first, last = days(since, now)
        if first >= last:
            return None
        if clock in ("civil", "day"):
            return Clause(f"{column} >= CAST(%s AS date) AND {column} < CAST(%s AS date)", [first, last])
        text = f'CAST({column} AS text) COLLATE "C"'
        return Clause(f"{text} >= %s AND {text} < %s AND {text} ~ '{CERTAIN}'", [first, last]) if clock == "text" else None

    def done(self, column: str, strategy: Strategy) -> Clause | None:
        if isinstance(strategy, Null):
            return Clause(f"{column} IS NULL")
        text = f'CAST({column} AS text) COLLATE "C"'
        if isinstance(strategy, Constant):
            return Clause(f"{column} IS NOT NULL AND {text} = %s", [str(strategy.value)])
        shape = done_shape(strategy)
        return None if shape is None else Clause(f"{column} IS NULL OR {text} ~ '^({shape})?$'")


POSTGRES = PostgresSpelling()


def _array(column: KeyPart) -> str:
    """A list of values of a key column, as a parameter: `given` is a cast to the column's own type."""
    return column.given.format("%s").removesuffix(")") + "[])"


def _arrays(keys: Sequence[Parts]) -> list[str]:
    """Keys as columns."""
    return [_listed(column) for column in zip(*keys, strict=True)]


def _listed(values: Sequence[Any]) -> str:
    """An array in the server's own spelling: the driver's takes as long as the server takes to delete the rows."""
    if set(map(type, values)) == {int}:
        return "{" + ",".join(map(str, values)) + "}"
    if set(map(type, values)) == {str}:
        plain = '","'.join(values)
        if "\\" not in plain and plain.count('"') == 2 * (len(values) - 1):
            return '{"' + plain + '"}'
    texts = ("NULL" if v is None else '"' + str(v).replace("\\", "\\\\").replace('"', '\\"') + '"' for v in values)
    return "{" + ",".join(texts) + "}"
