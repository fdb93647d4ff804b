"""What databases spell their own way: the part that is alike, and the protocol of the rest.

A clause is SQL with the values of its parameters. Whatever an operator wrote stands on lines of
its own in parentheses, so that a `--` comment cannot swallow what follows, and within a `CASE`, so
that no index of it can turn a walk in key order into something else.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from retentiond.core.anonymise import Hash, Mask, Strategy, Truncate
from retentiond.core.policy import Start
from retentiond.stores.sql.keys import Kind, Part, Parts

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"s": timedelta(seconds=1), "ms": timedelta(milliseconds=1)}
_TWO_DAYS = timedelta(days=2)
_TOGETHER = 64
_LITERAL = re.compile(r"'[^']*'?|\b\d[\w.]*")

Clock = Literal["instant", "civil", "day", "number", "text", "any"]
"""What a column tells of a time: an instant, a civil time without a zone, a day, a number, a text, or any of them."""


class Clause(NamedTuple):
    """A piece of SQL and the values of its parameters, in order."""

    sql: str
    values: Sequence[Any] = ()


class Column(NamedTuple):
    """How a column is spelled, each time around `{}`: `read` shows it as text and `given` takes a value of it;

    `dated` shows a start, `digested` is what enters the digest of a row, `masked` shows a number
    without idle zeros, and `kept` is a given value as a column of this type would hold it ("" where that is not to be had).
    `kind` is what it holds as part of a key, None where it cannot be one.
    """

    kind: Kind | None
    declared: str = ""
    clock: Clock = "any"
    read: str = "{}"
    given: str = "{}"
    dated: str = "{}"
    digested: str = "{}"
    masked: str = ""
    kept: str = ""


def joined(clauses: Iterable[Clause | None], between: str = " AND ") -> Clause:
    """Clauses one after the other; None is left out."""
    there = [c for c in clauses if c is not None]
    return Clause(between.join(c.sql for c in there), [v for c in there for v in c.values])


def fold(name: str) -> str:
    """Names that the database takes for the same have the same fold: ASCII letters only."""
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in name)


def without_data(message: str) -> str:
    """A message of the database without the literals that it may quote."""
    return _LITERAL.sub("…", message)


class KeyPart(NamedTuple):
    """A column of a key as a statement compares it, and how a value of it is given."""

    sql: str
    given: str = "{}"


class Spelling(ABC):
    """How one kind of database wants its statements."""

    mark = "?"
    """A parameter."""
    locks = ""
    """What makes a query lock its rows."""
    digests = False
    """Whether the database makes the digests of rows itself."""
    packs = False
    """Whether rows are taken faster as one text."""

    def quoted(self, name: str) -> str:
        """A name as an identifier, whatever characters it has."""
        return '"' + name.replace('"', '""') + '"'

    def literal(self, text: str) -> str:
        """An operator's text as it has to stand in a statement."""
        return text

    def told(self, text: str) -> Clause:
        """An operator's condition: true or not, opaque to the planner."""
        return Clause(self.flag(text) + " = 1")

    def flag(self, text: str) -> str:
        """A column: 1 where an operator's condition is true, else 0."""
        return f"CASE WHEN (\n{self.literal(text)}\n) THEN 1 ELSE 0 END"

    def held_flag(self, predicate: str) -> str:
        """A column: 0 where a hold's predicate is certainly false, else 1, so that NULL holds."""
        return f"CASE WHEN NOT (\n{self.literal(predicate)}\n) THEN 0 ELSE 1 END"

    def bound(self, part: Part, given: str = "{}") -> Clause:
        """A value as a parameter."""
        return Clause(given.format(self.mark), [part])

    def among(self, columns: Sequence[KeyPart], keys: Sequence[Parts]) -> list[Clause]:
        """Conditions that together mean exactly these keys, each with an index to look in: some dozen equalities at a time."""
        return [self.either(columns, keys[n : n + _TOGETHER]) for n in range(0, len(keys), _TOGETHER)]

    def either(self, columns: Sequence[KeyPart], keys: Sequence[Parts]) -> Clause:
        """One of these keys, as equalities."""
        row = "(" + " AND ".join(f"{column.sql} = {column.given.format(self.mark)}" for column in columns) + ")"
        return Clause("(" + " OR ".join([row] * len(keys)) + ")", [part for parts in keys for part in parts])

    def beyond(self, columns: Sequence[KeyPart], sign: str, parts: Parts) -> Clause:
        """`columns > parts` (or `<=`), compared as rows."""
        values = joined((self.bound(part, c.given) for c, part in zip(columns, parts, strict=True)), ", ")
        return Clause(f"({', '.join(c.sql for c in columns)}) {sign} ({values.sql})", values.values)

    def digest(self, columns: Mapping[str, Column]) -> tuple[str, str]:
        """The digest of a row, and about how many bytes it has, of columns by their SQL; only where `digests`."""
        raise NotImplementedError

    def sum_of_half(self, digest: str, half: int) -> str:
        """The sum over rows of 64 bits of their digests, modulo 2^64: of the first 16 hex digits, or of the next."""
        raise NotImplementedError

    def packed(self, page: Clause, width: int, start_at: int | None) -> Clause:
        """How many rows a page's statement gives, and all their values, `width` each, with a comma between any two.

        None of them has a comma in it; the one at `start_at` may be NULL and is then empty, the others never are.
        """
        raise NotImplementedError

    def planned(
        self, source: str, columns: Sequence[KeyPart], digest: str, keys: Sequence[Parts], revisions: Sequence[str]
    ) -> list[Clause]:
        """Statements that delete the rows that have these keys and these digests; ` AND …` may follow each."""
        raise NotImplementedError

    @abstractmethod
    def update(self, source: str, keys: Sequence[KeyPart], sets: Sequence[tuple[str, Column]],
               rows: Sequence[tuple[Parts, Sequence[Any]]], still: Clause) -> list[Clause]:  # fmt: skip
        """Gives columns of rows their own values, where `still` holds."""

    @abstractmethod
    def within(self, expression: str, texts: Sequence[str]) -> Clause:
        """Whether a text is one of some texts."""

    @abstractmethod
    def as_text(self, expression: str) -> str:
        """A value as text."""

    @abstractmethod
    def waiting(self, column: str, clock: Clock, start: Start, since: datetime, now: datetime) -> Clause | None:
        """True only where a start is a usable date at or after `since` and not after `now`; None if there can be none."""

    @abstractmethod
    def done(self, column: str, strategy: Strategy) -> Clause | None:
        """True only where a column is done, not wherever it is; None if that cannot be told."""


def units(start: Start, since: datetime, now: datetime) -> list[int]:
    """The first and the last number that is certainly waiting, in the start's own unit since 1970."""
    unit = _UNITS[start.unit or "s"]
    return [(since - _EPOCH) // unit + 1, (now - _EPOCH) // unit]


def days(since: datetime, now: datetime) -> tuple[str, str]:
    """The first day that is certainly after `since`, and the first that may not be before `now`, in whatever zone."""
    try:
        first, last = (since.astimezone(UTC) + _TWO_DAYS).date(), (now.astimezone(UTC) - _TWO_DAYS / 2).date()
    except OverflowError:
        return "", ""
    return first.isoformat(), last.isoformat()


_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_MIDNIGHT = "([T ]00:00(:00([.]0+)?)?(Z|[+]00)?)?"
_IPV4_BITS = 32
_MOST_REPEATED = 255
"""What a regular expression of PostgreSQL repeats at most."""


def done_shape(strategy: Strategy) -> str | None:
    """A regular expression, without its anchors, that only texts have that are certainly done; None where there is none.

    It knows ASCII, dates and times without a zone or in UTC, and IPv4; whatever else is done is read again.
    """
    if isinstance(strategy, Hash):
        return f"#[0-9a-f]{{{strategy.length - 1}}}"
    if isinstance(strategy, Mask):
        keep = strategy.keep
        return f"([ -~]{{0,{keep}}}|[ -~]{{{keep}}}[*]*)" if keep <= _MOST_REPEATED else None
    if not isinstance(strategy, Truncate):
        return None
    if isinstance(strategy.to, str):
        month = "01" if strategy.to == "year" else "(0[1-9]|1[0-2])"
        return f"[1-9][0-9]{{3}}-{month}-01{_MIDNIGHT}"
    if strategy.to >= _IPV4_BITS:
        return None
    whole, rest = divmod(strategy.to, 8)
    cut = [f"({'|'.join(map(str, range(0, 256, 256 >> rest)))})"] if rest else []
    return "[.]".join([*[_OCTET] * whole, *cut, *["0"] * (4 - whole - len(cut))])
