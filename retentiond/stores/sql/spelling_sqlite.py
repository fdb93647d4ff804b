"""What SQLite spells its own way: key lists, what is certainly waiting or done, and which names are names."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from retentiond.core.anonymise import Constant, Hash, Mask, Null, Strategy, Truncate
from retentiond.core.period import EARLIEST
from retentiond.core.policy import Start
from retentiond.stores.sql.keys import Part, Parts, is_plain, is_utf8
from retentiond.stores.sql.spelling import Clause, Clock, Column, KeyPart, Spelling, days, joined, units

_DIGIT = "[0-9]"
_TIME = "??????????[ T]??:??:??"
_FRACTIONS = tuple("." + _DIGIT * n if n else "" for n in (6, 0, 3, 9))
_ZONES = ("", "Z", "[+-][01][0-9]:[0-5][0-9]")
_SHAPES = (*(f"{_TIME}{f}{z}" for z in _ZONES for f in _FRACTIONS), "??????????")
_QUOTED = re.compile(r"""'(?:[^']|'')*'?|--[^\n]*|/\*.*?(?:\*/|\Z)|`[^`]*`?|\[[^\]]*\]?|"((?:[^"]|"")*)"?""", re.DOTALL)
_IPV4_BITS = 32
_NEW = '"retentiond new"'
_PARAMETERS = 30_000
"""SQLite takes 32,766 in one statement."""


def quoted_names(text: str) -> list[str]:
    """The names in double quotes that a text uses, but for those that it makes itself with AS."""
    names = [m.group(1).replace('""', '"') for m in _QUOTED.finditer(text) if m.group(1) is not None]
    return [n for n in names if not re.search(r"\bAS\s+" + re.escape(SQLITE.quoted(n)), text, re.IGNORECASE)]


class SqliteSpelling(Spelling):
    """SQLite's. Columns stand with their table before them: alone in double quotes, an unknown name would be a text."""

    def bound(self, part: Part, given: str = "{}") -> Clause:
        """Text that is not UTF-8 travels as its bytes."""
        if isinstance(part, str) and not is_utf8(part):
            return Clause("CAST(? AS TEXT)", [part.encode("utf-8", "surrogateescape")])
        return Clause("?", [part])

    def among(self, columns: Sequence[KeyPart], keys: Sequence[Parts]) -> list[Clause]:
        """One column: a list in JSON, and one by one what JSON cannot say. Several: some dozen equalities
        at a time, because SQLite searches a list of rows by their first column only.
        """
        if len(columns) > 1:
            return super().among(columns, keys)
        plain, odd = keys, list[Parts]()
        text = json.dumps([parts[0] for parts in keys], ensure_ascii=False)
        if '"' in text and ("\\u0000" in text or not is_utf8(text)):
            plain, odd = [parts for parts in keys if is_plain(parts[0])], [parts for parts in keys if not is_plain(parts[0])]
            text = json.dumps([parts[0] for parts in plain], ensure_ascii=False)
        listed = [Clause(f"{columns[0].sql} IN (SELECT value FROM json_each(?))", [text])] if plain else []
        return [*listed, *(self.either(columns, [parts]) for parts in odd)]

    def either(self, columns: Sequence[KeyPart], keys: Sequence[Parts]) -> Clause:
        if all(value.__class__ is int or is_utf8(str(value)) for parts in keys for value in parts):
            return super().either(columns, keys)
        rows = [joined(self._equal(column, part) for column, part in zip(columns, parts, strict=True)) for parts in keys]
        either = joined((Clause(f"({row.sql})", row.values) for row in rows), " OR ")
        return Clause(f"({either.sql})", either.values)

    def _equal(self, column: KeyPart, part: Part) -> Clause:
        value = self.bound(part)
        return Clause(f"{column.sql} = {value.sql}", value.values)

    def update(self, source: str, keys: Sequence[KeyPart], sets: Sequence[tuple[str, Column]],
               rows: Sequence[tuple[Parts, Sequence[Any]]], still: Clause) -> list[Clause]:  # fmt: skip
        """The values are the outer loop, and each looks its row up in the index of the key. The
        operator's texts see the table alone, in a query of their own.
        """
        size = max(1, _PARAMETERS // (len(keys) + len(sets)))
        return [self._update(source, keys, sets, rows[n : n + size], still) for n in range(0, len(rows), size)]

    def _update(self, source: str, keys: Sequence[KeyPart], sets: Sequence[tuple[str, Column]],
                rows: Sequence[tuple[Parts, Sequence[Any]]], still: Clause) -> Clause:  # fmt: skip
        names = [f"{_NEW}.{self.quoted(f'key {n}')}" for n in range(len(keys))]
        values = [f"{_NEW}.{self.quoted(f'value {n}')}" for n in range(len(sets))]
        each = [joined((self.bound(v) for v in (*parts, *new)), ", ") for parts, new in rows]
        listed = joined((Clause(f"({row.sql})", row.values) for row in each), ", ")
        named = ", ".join(f"column{n} AS {name.partition('.')[2]}" for n, name in enumerate((*names, *values), 1))
        same = " AND ".join(f"{mine.sql} = {key}" for mine, key in zip(keys, names, strict=True))
        told = joined([Clause(same), still if still.sql else None])
        become = ", ".join(f"{self.quoted(c)} = {v}" for (c, _), v in zip(sets, values, strict=True))
        return Clause(
            f"UPDATE {source} SET {become} FROM (SELECT {named} FROM (VALUES {listed.sql})) AS {_NEW}"
            f" WHERE {same} AND EXISTS (SELECT 1 FROM {source} WHERE {told.sql})",
            [*listed.values, *told.values],
        )

    def within(self, expression: str, texts: Sequence[str]) -> Clause:
        return Clause(f"{expression} IN (SELECT value FROM json_each(?))", [json.dumps(list(texts), ensure_ascii=False)])

    def as_text(self, expression: str) -> str:
        return f"CAST({expression} AS TEXT)"

    def waiting(self, column: str, clock: Clock, start: Start, since: datetime, now: datetime) -> Clause | None:
        """Numbers compare exactly. Texts compare by their first ten characters: two civil days inside
        the bounds, so that no zone and no offset matters; only common spellings of ISO 8601 are
        told, whose date SQLite finds in the calendar (adding no days makes it look: without, it gives
        30 February back). Whatever is not told is shown.
        """
        since = max(since, EARLIEST)
        if start.unit is not None:
            return Clause(f"typeof({column}) IN ('integer', 'real') AND {column} BETWEEN ? AND ?", units(start, since, now))
        first, last = days(since, now)
        if first >= last:
            return None
        shapes = " OR ".join(f"{column} GLOB '{shape}'" for shape in _SHAPES)
        return Clause(
            f"{column} >= ? AND {column} < ? AND date({column}, '0 days') = substr({column}, 1, 10) AND ({shapes})"
            f" AND instr({column}, char(0)) = 0",
            [first, last],
        )

    def done(self, column: str, strategy: Strategy) -> Clause | None:
        if isinstance(strategy, Null):
            return Clause(f"{column} IS NULL")
        if isinstance(strategy, Constant):
            kind = "text" if isinstance(strategy.value, str) else "integer"
            return Clause(f"typeof({column}) = '{kind}' AND {column} COLLATE BINARY = ?", [strategy.value])
        formed = _formed(column, strategy)
        if formed is None:
            return None
        plain = f"typeof({column}) = 'text' AND instr({column}, char(0)) = 0"
        return Clause(f"{column} IS NULL OR ({plain} AND (length({column}) = 0 OR ({formed})))")


SQLITE = SqliteSpelling()


def _formed(column: str, strategy: Hash | Mask | Truncate) -> str | None:
    if isinstance(strategy, Hash):
        return _hashed(column, strategy)
    return _masked(column, strategy) if isinstance(strategy, Mask) else _cut(column, strategy)


def _hashed(column: str, strategy: Hash) -> str:
    return f"length({column}) = {strategy.length} AND {column} GLOB '#{'[0-9a-f]' * (strategy.length - 1)}'"


def _masked(column: str, strategy: Mask) -> str:
    """ASCII only: what is no UTF-8 is not done."""
    return f"{column} NOT GLOB '*[^ -~]*' AND length(replace(substr({column}, {strategy.keep + 1}), '*', '')) = 0"


def _cut(column: str, strategy: Truncate) -> str | None:
    if isinstance(strategy.to, int):
        return _network(column, strategy.to) if strategy.to < _IPV4_BITS else None
    months = ["01"] if strategy.to == "year" else ["0[1-9]", "1[0-2]"]
    ends = ["", *(f"[T ]00:00{rest}" for rest in ("", "Z", ":00", ":00Z"))]
    shapes = [f"[1-9][0-9][0-9][0-9]-{month}-01{end}" for month in months for end in ends]
    return " OR ".join(f"{column} GLOB '{shape}'" for shape in shapes)


def _network(column: str, bits: int) -> str:
    """An IPv4 address in its one spelling, since JSON knows no leading zeros, with nothing in its last bits."""
    array = f"'[' || replace({column}, '.', ',') || ']'"
    parts = [f"json_extract({array}, '$[{n}]')" for n in range(4)]
    number = " + ".join(f"{part} * {256 ** (3 - n)}" for n, part in enumerate(parts))
    small = " AND ".join(f"{part} < 256" for part in parts)
    told = f"json_array_length({array}) = 4 AND {small} AND ({number}) % {2 ** (_IPV4_BITS - bits)} = 0"
    return f"CASE WHEN {column} GLOB '*[^0-9.]*' OR length({column}) > 15 OR NOT json_valid({array}) THEN 0 ELSE {told} END"
