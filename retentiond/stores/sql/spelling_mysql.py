"""What MariaDB and MySQL spell their own way: key lists, digests of rows, what is certainly waiting or done."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from retentiond.core.anonymise import Constant, Null, Strategy
from retentiond.core.policy import Start
from retentiond.stores.sql.keys import Part, Parts
from retentiond.stores.sql.spelling import Clause, Clock, Column, KeyPart, Spelling, days, done_shape, units
from retentiond.stores.sql.spelling_postgres import CERTAIN

_NEW = "retentiond new"
_PAGE = "`retentiond page`"
_PLAIN = re.compile(r"[0-9a-f]+").fullmatch
_HEX = 40
"""So many hex digits has a digest."""
_FEW = 32
"""In so many spans of keys digests are found by their place."""


class MysqlSpelling(Spelling):
    """MariaDB's, as far as MySQL 8 has it too. The driver formats, so that a `%` that is meant stands twice."""

    mark = "%s"
    locks = " FOR UPDATE"
    digests = True
    packs = True

    def quoted(self, name: str) -> str:
        return "`" + name.replace("`", "``").replace("%", "%%") + "`"

    def literal(self, text: str) -> str:
        return text.replace("%", "%%")

    def among(self, columns: Sequence[KeyPart], keys: Sequence[Parts]) -> list[Clause]:
        """One column: a list. Several: some dozen equalities at a time, because lists of rows do without an index.

        Whole numbers that follow one another are written as spans, which takes the server a fraction of the time.
        """
        if len(columns) > 1 or not keys:
            return super().among(columns, keys)
        numbers = [parts[0] for parts in keys if isinstance(parts[0], int)]
        if len(numbers) == len(keys):
            return [_spans(columns[0].sql, numbers)]
        one = columns[0].given.format(self.mark)
        return [Clause(f"{columns[0].sql} IN ({', '.join([one] * len(keys))})", [parts[0] for parts in keys])]

    def beyond(self, columns: Sequence[KeyPart], sign: str, parts: Parts) -> Clause:
        """Rows are compared without an index, so that it is said column by column: `a >= x AND (a > x OR (b > y))`."""
        (first, *others), (part, *rest) = columns, parts
        value = self.bound(part, first.given)
        if not others:
            return Clause(f"{first.sql} {sign} {value.sql}", value.values)
        strict, loose = sign.removesuffix("="), sign.removesuffix("=") + "="
        inner = self.beyond(others, sign, tuple(rest))
        return Clause(
            f"({first.sql} {loose} {value.sql} AND ({first.sql} {strict} {value.sql} OR {inner.sql}))",
            [part, part, *inner.values],
        )

    def digest(self, columns: Mapping[str, Column]) -> tuple[str, str]:
        """The SHA-1 of the row's values in bytes, each with its length where it may have a comma in it: it tells whether a
        row has changed, and proves nothing. `CONCAT_WS` leaves NULL out, which the length then tells.
        """
        parts = [c.digested.format(name) for name, c in columns.items()]
        sizes = [f"IFNULL(LENGTH({name}), 0)" for name in columns]
        return f"SHA1(CONCAT_WS(',', {', '.join(parts)}))", f"({' + '.join(sizes)})"

    def sum_of_half(self, digest: str, half: int) -> str:
        return f"COALESCE(SUM(CAST(CONV(SUBSTR({digest}, {1 + 16 * half}, 16), 16, 10) AS UNSIGNED)), 0)"

    def packed(self, page: Clause, width: int, start_at: int | None) -> Clause:
        names = [f"c{n}" for n in range(width)]
        values = ", ".join(f"IFNULL({name}, '')" if n == start_at else name for n, name in enumerate(names))
        select = f"SELECT COUNT(*), GROUP_CONCAT(CONCAT_WS(',', {values})) FROM {_PAGE}"
        return Clause(f"WITH {_PAGE} ({', '.join(names)}) AS ({page.sql}) {select}", page.values)

    def planned(
        self, source: str, columns: Sequence[KeyPart], digest: str, keys: Sequence[Parts], revisions: Sequence[str]
    ) -> list[Clause]:
        """A digest covers the key, so that being among the digests is to have the one that belongs to the key.

        Where the keys are a few spans of whole numbers, each digest is found by its place, not looked for among thousands.
        """
        placed = _placed(columns[0].sql, digest, [parts[0] for parts in keys], revisions) if len(columns) == 1 else ""
        if placed:
            return [Clause(f"DELETE FROM {source} WHERE {placed}")]
        mine = _texts(digest, revisions)
        return [
            Clause(f"DELETE FROM {source} WHERE {named.sql} AND {mine.sql}", [*named.values, *mine.values])
            for named in self.among(columns, keys)
        ]

    def update(self, source: str, keys: Sequence[KeyPart], sets: Sequence[tuple[str, Column]],
               rows: Sequence[tuple[Parts, Sequence[Any]]], still: Clause) -> list[Clause]:  # fmt: skip
        """The rows are locked, and were judged under the lock: an UPDATE may not ask its own table once more."""
        new = self.quoted(_NEW)
        names = [*(f"key {n}" for n in range(len(keys))), *(f"value {n}" for n in range(len(sets)))]
        columns = [f"{self.quoted(name)} LONGTEXT PATH '$[{n}]' NULL ON EMPTY ERROR ON ERROR" for n, name in enumerate(names)]
        listed = json.dumps([[*map(str, parts), *(None if v is None else str(v) for v in values)] for parts, values in rows])
        become = ", ".join(f"{source}.{self.quoted(c)} = {new}.{self.quoted(f'value {n}')}" for n, (c, _) in enumerate(sets))
        same = " AND ".join(f"{key.sql} = {key.given.format(f'{new}.' + self.quoted(f'key {n}'))}" for n, key in enumerate(keys))
        table = f"JSON_TABLE(%s, '$[*]' COLUMNS ({', '.join(columns)})) AS {new}"
        return [Clause(f"UPDATE {table} STRAIGHT_JOIN {source} ON {same} SET {become}", [listed])]

    def within(self, expression: str, texts: Sequence[str]) -> Clause:
        if not texts:
            return Clause("1 = 0")
        return Clause(f"{expression} IN ({', '.join([self.mark] * len(texts))})", list(texts))

    def as_text(self, expression: str) -> str:
        return f"CAST({expression} AS CHAR) COLLATE utf8mb4_bin"

    def waiting(self, column: str, clock: Clock, start: Start, since: datetime, now: datetime) -> Clause | None:
        """Instants (in a session that counts in UTC) and numbers compare exactly; civil times and days two days inside
        the bounds, so that no zone matters; texts likewise, and only in common spellings of days that every month has.
        """
        if start.unit is not None:
            return Clause(f"{column} BETWEEN %s AND %s", units(start, since, now)) if clock == "number" else None
        if clock == "instant":
            bounds = [f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}" for at in (since, now)]
            return Clause(f"{column} BETWEEN %s AND %s", bounds)
        first, last = days(since, now)
        if first >= last:
            return None
        if clock in ("civil", "day"):
            return Clause(f"{column} >= CAST(%s AS DATE) AND {column} < CAST(%s AS DATE)", [first, last])
        text = f"CONVERT({column} USING utf8mb4) COLLATE utf8mb4_bin"
        pattern = CERTAIN.removesuffix("$") + "\\\\z"
        return Clause(f"{text} >= %s AND {text} < %s AND {text} REGEXP '{pattern}'", [first, last]) if clock == "text" else None

    def done(self, column: str, strategy: Strategy) -> Clause | None:
        if isinstance(strategy, Null):
            return Clause(f"{column} IS NULL")
        text = f"CAST({column} AS BINARY)"
        if isinstance(strategy, Constant):
            return Clause(f"{column} IS NOT NULL AND {text} = CAST(%s AS BINARY)", [str(strategy.value)])
        shape = done_shape(strategy)
        return None if shape is None else Clause(f"{column} IS NULL OR {text} = '' OR {text} REGEXP '^({shape})\\\\z'")


MYSQL = MysqlSpelling()


def _spans(column: str, numbers: Sequence[int]) -> Clause:
    """Exactly these whole numbers. The driver takes longer to write a number than the server to find its row."""
    spans = _runs(sorted(set(numbers)))
    alone = [str(a) for a, b in spans if a == b]
    either = [f"{column} IN ({', '.join(alone)})"] if alone else []
    either += [f"{column} BETWEEN {a} AND {b}" for a, b in spans if a != b]
    return Clause(f"({' OR '.join(either)})")


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """The first and the last of those numbers that follow one another, of numbers that rise."""
    if numbers[-1] - numbers[0] == len(numbers) - 1:
        return [(numbers[0], numbers[-1])]
    ends = [n for n in range(1, len(numbers)) if numbers[n] != numbers[n - 1] + 1]
    return [(numbers[a], numbers[b - 1]) for a, b in zip([0, *ends], [*ends, len(numbers)], strict=True)]


def _placed(column: str, digest: str, keys: Sequence[Part], revisions: Sequence[str]) -> str:
    """Whether a row has just the digest that belongs to its key; nothing where that cannot be said in a few spans."""
    if set(map(type, keys)) != {int} or set(map(len, revisions)) != {_HEX} or not _PLAIN("".join(revisions)):
        return ""
    wanted = dict(sorted(zip(keys, revisions, strict=True)))
    numbers, digests, either, at = [int(key) for key in wanted], "".join(wanted.values()), list[str](), 0
    spans = _runs(numbers) if len(numbers) == len(keys) else []
    for first, last in spans if len(spans) <= _FEW else ():
        end = at + (last + 1 - first) * _HEX
        place = f"SUBSTR(_binary'{digests[at:end]}', ({column} - {first}) * {_HEX} + 1, {_HEX})"
        either.append(f"{column} BETWEEN {first} AND {last} AND {digest} = {place}")
        at = end
    return f"({' OR '.join(either)})" if either else ""


def _texts(expression: str, texts: Sequence[str]) -> Clause:
    """Whether something is one of some texts; digests are written as they are, anything else is the driver's to quote."""
    if all(map(_PLAIN, texts)):
        return Clause(f"{expression} IN ('" + "','".join(texts) + "')")
    return Clause(f"{expression} IN ({', '.join(['%s'] * len(texts))})", list(texts))
