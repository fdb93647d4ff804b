"""What SQLite spells its own way: names, key lists, texts of operators, and what is certainly waiting.

A clause is SQL with the values of its parameters. Whatever an operator wrote stands on lines of
its own in parentheses, so that a `--` comment cannot swallow what follows, and within a `CASE`, so
that no index of it can turn a walk in key order into something else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from retentiond.core.period import EARLIEST
from retentiond.core.policy import Start
from retentiond.stores.sql.keys import Part, Parts, is_plain, is_utf8

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"s": timedelta(seconds=1), "ms": timedelta(milliseconds=1)}
_TWO_DAYS = timedelta(days=2)
_TOGETHER = 64
_DIGIT = "[0-9]"
_TIME = "??????????[ T]??:??:??"
_FRACTIONS = tuple("." + _DIGIT * n if n else "" for n in (6, 0, 3, 9))
_ZONES = ("", "Z", "[+-][01][0-9]:[0-5][0-9]")
_SHAPES = (*(f"{_TIME}{f}{z}" for z in _ZONES for f in _FRACTIONS), "??????????")
_QUOTED = re.compile(r"""'(?:[^']|'')*'?|--[^\n]*|/\*.*?(?:\*/|\Z)|`[^`]*`?|\[[^\]]*\]?|"((?:[^"]|"")*)"?""", re.DOTALL)
_LITERAL = re.compile(r"'[^']*'?|\b\d[\w.]*")


class Clause(NamedTuple):
    """A piece of SQL and the values of its parameters, in order."""

    sql: str
    values: Sequence[Any] = ()


def joined(clauses: Iterable[Clause | None], between: str = " AND ") -> Clause:
    """Clauses one after the other; None is left out."""
    there = [c for c in clauses if c is not None]
    return Clause(between.join(c.sql for c in there), [v for c in there for v in c.values])


def quoted(name: str) -> str:
    """A name as an identifier, whatever characters it has."""
    return '"' + name.replace('"', '""') + '"'


def fold(name: str) -> str:
    """Names that the database takes for the same have the same fold: ASCII letters only."""
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in name)


def told(text: str) -> Clause:
    """An operator's condition: true or not, opaque to the planner."""
    return Clause(flag(text) + " = 1")


def flag(text: str) -> str:
    """A column: 1 where an operator's condition is true, else 0."""
    return f"CASE WHEN (\n{text}\n) THEN 1 ELSE 0 END"


def held_flag(predicate: str) -> str:
    """A column: 0 where a hold's predicate is certainly false, else 1, so that NULL holds."""
    return f"CASE WHEN NOT (\n{predicate}\n) THEN 0 ELSE 1 END"


def quoted_names(text: str) -> list[str]:
    """The names in double quotes that a text uses, but for those that it makes itself with AS."""
    names = [m.group(1).replace('""', '"') for m in _QUOTED.finditer(text) if m.group(1) is not None]
    return [n for n in names if not re.search(r"\bAS\s+" + re.escape(quoted(n)), text, re.IGNORECASE)]


def without_data(message: str) -> str:
    """A message of the database without the literals that it may quote."""
    return _LITERAL.sub("…", message)


def bound(part: Part) -> Clause:
    """A value as a parameter; text that is not UTF-8 travels as its bytes."""
    if isinstance(part, str) and not is_utf8(part):
        return Clause("CAST(? AS TEXT)", [part.encode("utf-8", "surrogateescape")])
    return Clause("?", [part])


def among(columns: Sequence[str], keys: Sequence[Parts]) -> list[Clause]:
    """Conditions that together mean exactly these keys, each with an index to look in.

    One column: a list in JSON, and one by one what JSON cannot say. Several: some dozen equalities
    at a time, because SQLite searches a list of rows by their first column only.
    """
    if len(columns) > 1:
        return [_either(columns, keys[n : n + _TOGETHER]) for n in range(0, len(keys), _TOGETHER)]
    plain, odd = keys, list[Parts]()
    text = json.dumps([parts[0] for parts in keys], ensure_ascii=False)
    if '"' in text and ("\\u0000" in text or not is_utf8(text)):
        plain, odd = [parts for parts in keys if is_plain(parts[0])], [parts for parts in keys if not is_plain(parts[0])]
        text = json.dumps([parts[0] for parts in plain], ensure_ascii=False)
    listed = [Clause(f"{columns[0]} IN (SELECT value FROM json_each(?))", [text])] if plain else []
    return [*listed, *(_either(columns, [parts]) for parts in odd)]


def beyond(columns: Sequence[str], sign: str, parts: Parts) -> Clause:
    """`columns > parts` (or `<=`), compared as rows."""
    values = joined((bound(part) for part in parts), ", ")
    return Clause(f"({', '.join(columns)}) {sign} ({values.sql})", values.values)


def waiting(column: str, start: Start, since: datetime, now: datetime) -> Clause | None:
    """True only where a start is a usable date at or after `since` and not after `now`; None if there can be none.

    Numbers compare exactly. Texts compare by their first ten characters: two civil days inside
    the bounds, so that no zone and no offset matters; only common spellings of ISO 8601 are
    told, whose date SQLite finds in the calendar (adding no days makes it look: without, it gives
    30 February back). Whatever is not told is shown.
    """
    since = max(since, EARLIEST)
    if start.unit is not None:
        unit = _UNITS[start.unit]
        bounds = [(since - _EPOCH) // unit + 1, (now - _EPOCH) // unit]
        return Clause(f"typeof({column}) IN ('integer', 'real') AND {column} BETWEEN ? AND ?", bounds)
    first, last = _days(since, now)
    if first >= last:
        return None
    shapes = " OR ".join(f"{column} GLOB '{shape}'" for shape in _SHAPES)
    return Clause(
        f"{column} >= ? AND {column} < ? AND date({column}, '0 days') = substr({column}, 1, 10) AND ({shapes})"
        f" AND instr({column}, char(0)) = 0",
        [first, last],
    )


def _days(since: datetime, now: datetime) -> tuple[str, str]:
    """The first day that is certainly after `since`, and the first that may not be before `now`."""
    try:
        first, last = (since.astimezone(UTC) + _TWO_DAYS).date(), (now.astimezone(UTC) - _TWO_DAYS / 2).date()
    except OverflowError:
        return "", ""
    return first.isoformat(), last.isoformat()


def _either(columns: Sequence[str], keys: Sequence[Parts]) -> Clause:
    values = [part for parts in keys for part in parts]
    if all(value.__class__ is int or is_utf8(str(value)) for value in values):
        row = " AND ".join([f"{column} = ?" for column in columns])
        return Clause("(" + " OR ".join([f"({row})"] * len(keys)) + ")", values)
    rows = [joined(_equal(column, part) for column, part in zip(columns, parts, strict=True)) for parts in keys]
    either = joined((Clause(f"({row.sql})", row.values) for row in rows), " OR ")
    return Clause(f"({either.sql})", either.values)


def _equal(column: str, part: Part) -> Clause:
    value = bound(part)
    return Clause(f"{column} = {value.sql}", value.values)
