"""Anonymising rows: which columns can be, which rows are done, and what the others become.

Before a rule is looked at, its columns are checked against the schema: a column that names the row,
starts its clock, is referred to, or would break NOT NULL, a unique index, its length, its type or a
foreign key cannot be masked, and then the rule is refused as a whole. A value that is written is tried
on the database, which says what the column would hold. What only a value shows, or
only the database can judge (CHECK, a parent that must be there), is that row's own fate.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from retentiond.core.anonymise import UNIQUE_HASH, Columns, Constant, Hash, Mask, Null, Strategy, Truncate, Unmaskable, column_key
from retentiond.errors import StoreDenied
from retentiond.stores.sql.database import ColumnFacts, Database, NoSuchValue, Parent, Violated
from retentiond.stores.sql.spelling import Clause, Column, Spelling, fold
from retentiond.stores.sql.table import Table

_WORDS = {Null: "null", Constant: "a value", Hash: "hash", Truncate: "truncate", Mask: "mask"}
_LENGTH = re.compile(r"CHAR[A-Z ]*\(\s*(\d+)")
_NUMBERS = ("INT", "REAL", "FLOA", "DOUB", "NUMERIC", "DECIMAL", "BOOL")
_DECIMAL = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_NO_SUCH = ("its type takes no such value", "write another one, or null")
_NO_ROW = ("it refers to another table, where there is no such row", "write null, or a value that is there")
_NO_KEY = b"\0" * 32
"""Any key will do to see whether a value can be hashed."""


@dataclass(frozen=True, slots=True)
class Masked:
    """One column to be anonymised, and where it stands in a row."""

    at: int
    name: str
    strategy: Strategy


def masked(
    table: Table, columns: Columns, facts: Mapping[str, ColumnFacts], clock: str | None, version: str | None
) -> tuple[Masked, ...]:
    """The columns of a rule; `StoreDenied` if one of them cannot be anonymised. `clock` and `version` are columns that count."""
    generated = {fold(name): name for name, fact in facts.items() if fact.generated}
    found: dict[str, Masked] = {}
    for asked, strategy in columns:
        if fold(asked) in generated:
            _refuse(generated[fold(asked)], strategy, "it is generated from other columns", "anonymise those")
        at = table.column(asked, "column")
        name = table.columns[at]
        if name in found:
            _refuse(name, strategy, "it stands twice", "remove one of the two")
        for why, do in _reasons(table, name, strategy, facts[name], clock, version):
            _refuse(name, strategy, why, do)
        found[name] = Masked(at, name, strategy)
    return tuple(found.values())


def refuse_forbidden(database: Database, table: Table, masks: Sequence[Masked], facts: Mapping[str, ColumnFacts]) -> None:
    """`StoreDenied` where a column would become what its type does not take, a CHECK never allows, or nobody is to refer to.

    Only of strategies that tell beforehand what becomes of a value, and of conditions about one column: whatever hangs on
    more than that is the fate of each row.
    """
    with database.guard():
        checks = database.checks(table.name)
    spelling = database.spelling
    for mask in masks:
        if not isinstance(mask.strategy, Null | Constant | Hash):
            continue
        given, value = table.spelled[mask.name].given.format(spelling.mark), mask.strategy.of("", _NO_KEY)
        one = Clause(f"SELECT {given} AS {spelling.quoted(mask.name)}", [value])
        try:
            _found(database, one)
        except NoSuchValue:
            _refuse(mask.name, mask.strategy, *_NO_SUCH)
        for check in checks:
            asked = Clause(f"SELECT 1 FROM ({one.sql}) AS {spelling.quoted('x')} WHERE NOT ({check})", one.values)
            if _is_true(database, asked):
                _refuse(mask.name, mask.strategy, "a CHECK of the table forbids it", "write another value, or leave it out")
        for parent in facts[mask.name].refers if isinstance(mask.strategy, Constant) else ():
            if _is_true(database, _orphaned(spelling, one, mask.name, parent)):
                _refuse(mask.name, mask.strategy, *_NO_ROW)


def _orphaned(spelling: Spelling, one: Clause, name: str, parent: Parent) -> Clause:
    """Gives a row where nothing is there that a value could refer to."""
    mine, theirs = spelling.quoted("x"), spelling.quoted("y")
    same = f"{theirs}.{spelling.quoted(parent.column)} = {mine}.{spelling.quoted(name)}"
    there = f"SELECT 1 FROM {parent.source} AS {theirs} WHERE {same}"
    return Clause(f"SELECT 1 FROM ({one.sql}) AS {mine} WHERE NOT EXISTS ({there})", one.values)


def fitted(database: Database, table: Table, masks: Sequence[Masked]) -> tuple[Masked, ...]:
    """The same, a number in the database's own spelling; `StoreDenied` where a column would hold another value than is written.

    The database is asked what it would hold: a number out of range, a text that is cut off, a character that the column has
    not, a blank at the end. What it cannot be asked is the fate of each row.
    """
    return tuple([_fitted(database, table.spelled[m.name], m) if isinstance(m.strategy, Constant) else m for m in masks])


def _fitted(database: Database, column: Column, mask: Masked) -> Masked:
    written = str(mask.strategy.of(None, _NO_KEY))
    try:
        held = _held(database, column, written) if column.kept else written
    except (NoSuchValue, Violated):
        _refuse(mask.name, mask.strategy, *_NO_SUCH)
    except StoreDenied:
        return mask
    if not mask.strategy.is_done(held) and (_number(written) is None or _number(written) != _number(str(held))):
        do = f"write {held!r}" if str(held).startswith(written) else "write it as the database would, or another value"
        _refuse(mask.name, mask.strategy, "a column of this type would hold another value", do)
    return mask if mask.strategy.is_done(held) else replace(mask, strategy=Constant(str(held)))


def _held(database: Database, column: Column, written: str) -> Any:
    """A value as it would be read of a column to which it was given."""
    spelling = database.spelling
    x, c = spelling.quoted("x"), spelling.quoted("c")
    shown = (column.masked or column.read).format(f"{x}.{c}")
    held = f"SELECT {column.kept.format(spelling.mark)} AS {c}"
    return _found(database, Clause(f"SELECT {shown} FROM ({held}) AS {x}", [written]))[0][0]


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _found(database: Database, clause: Clause) -> Sequence[Sequence[Any]]:
    return database.within(lambda: database.rows(clause).fetchall())


def _is_true(database: Database, clause: Clause) -> bool:
    """Whether a query gives a row; not where it is about further columns, which are not there."""
    try:
        return bool(_found(database, clause))
    except StoreDenied:
        return False


def _refuse(name: str, strategy: Strategy, why: str, do: str) -> NoReturn:
    raise StoreDenied(f"the column {name} cannot be anonymised by {_WORDS[type(strategy)]}", why=why, do=do, word=name)


def _reasons(
    table: Table, name: str, strategy: Strategy, fact: ColumnFacts, clock: str | None, version: str | None
) -> Iterator[tuple[str, str]]:
    """Why a column cannot be anonymised so, and what to do."""
    leave = "leave it out"
    if fact.primary or name in [column.name for column in table.key]:
        yield "it is part of the key, which names the row", leave
    if clock is not None and fold(name) == fold(clock):
        yield "it is the start of the rule, and the row would be judged by another date", "copy the date to another column first"
    if version is not None and fold(name) == fold(version):
        yield "it is the version of the row", leave
    if any(name in reference.referred for reference in table.references):
        yield "rows of other tables refer to it", leave
    if isinstance(strategy, Null):
        if fact.never_null:
            yield "it is NOT NULL", "write a value, or {hash: 16}"
        return
    if fact.unique and not (isinstance(strategy, Hash) and strategy.length >= UNIQUE_HASH):
        do = f"write {{hash: {UNIQUE_HASH}}} or more" + ("" if fact.never_null else ", or null")
        yield "it is unique, and several rows could become the same", do
    if fact.refers and not isinstance(strategy, Constant):
        yield _NO_ROW
    yield from _misfits(strategy, fact)


def _misfits(strategy: Strategy, fact: ColumnFacts) -> Iterator[tuple[str, str]]:
    """Why a column of this type would not hold what the strategy makes."""
    declared = fact.declared.upper()
    length = _LENGTH.search(declared)
    longest = strategy.length if isinstance(strategy, Hash) else len(str(strategy.value)) if isinstance(strategy, Constant) else 0
    if length is not None and longest > int(length[1]):
        yield f"it holds at most {length[1]} characters", "write a shorter one"
    if isinstance(strategy, Constant) and isinstance(strategy.value, str) and fact.strict and not _fits(strategy.value, declared):
        yield _NO_SUCH
    is_number = any(word in declared for word in _NUMBERS)
    text = not isinstance(strategy, Constant) or not _DECIMAL.fullmatch(str(strategy.value))
    if is_number and text:
        yield "it holds numbers, and this makes a text", "write null, or a number"
    elif fact.strict and isinstance(strategy, Hash | Mask):
        yield "it holds only values of its type, and this makes another text", "write null, or a value of its type"
    elif isinstance(strategy, Constant) and isinstance(strategy.value, str) and fact.numeric and not _keeps(strategy.value):
        yield "a column of this type would keep it as another number", "write it as the database would"


def _fits(text: str, declared: str) -> bool:
    """Whether a text may be of a type that MariaDB does not compare a text with beforehand."""
    if declared.startswith("ENUM("):
        return f"'{text.upper()}'" in declared
    if not declared.startswith(("DATE", "TIMESTAMP")):
        return True
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _keeps(text: str) -> bool:
    """Whether a text stays itself in a column that turns what looks like a number into one."""
    try:
        number = float(text)
    except ValueError:
        return True
    return text in (str(number), f"{number:.0f}")


# What rows are, and what they become


def standing(masks: Sequence[Masked], rows: Sequence[Sequence[Any]]) -> tuple[frozenset[int], dict[int, str]]:
    """Which rows are done, and for those that cannot be: the reason, which names a column and no value."""
    done: set[int] = set()
    doubts: dict[int, str] = {}
    for i, row in enumerate(rows):
        left = [m for m in masks if not m.strategy.is_done(row[m.at])]
        if not left:
            done.add(i)
            continue
        for mask in left:
            try:
                mask.strategy.of(row[mask.at], _NO_KEY)
            except Unmaskable:
                doubts[i] = f"its column {mask.name} holds what {_WORDS[type(mask.strategy)]} cannot anonymise"
                break
    return frozenset(done), doubts


def keys_of(masks: Sequence[Masked], table: str, key: bytes) -> list[bytes]:
    """The key of each column's hashes; `StoreDenied` where one is needed and none was given."""
    if not key and any(isinstance(mask.strategy, Hash) for mask in masks):
        raise StoreDenied("values cannot be hashed", why="the key of the hashes was not given")
    return [column_key(key, table, mask.name) for mask in masks]


def become(masks: Sequence[Masked], keys: Sequence[bytes], row: Sequence[Any]) -> tuple[Any, ...]:
    """What the columns of a row become; a value that is done stays as it is. `Unmaskable` if one cannot be anonymised."""
    pairs = zip(masks, keys, strict=True)
    return tuple([v if m.strategy.is_done(v := row[m.at]) else m.strategy.of(v, key) for m, key in pairs])


def became(masks: Sequence[Masked], row: Sequence[Any], wanted: Sequence[Any]) -> bool:
    """Whether a row's columns are now what they were to become, in whatever type the database keeps a value."""
    return all(
        row[m.at] == value or (isinstance(m.strategy, Constant) and m.strategy.is_done(row[m.at]))
        for m, value in zip(masks, wanted, strict=True)
    )


# Which rows are certainly done, as far as the database can tell


def certainly_done(spelling: Spelling, columns: Sequence[tuple[str, Strategy]]) -> Clause | None:
    """True only of rows whose columns (quoted names) are done, not of all such; None if that cannot be told."""
    clauses = [spelling.done(column, strategy) for column, strategy in columns]
    told = [clause for clause in clauses if clause is not None]
    if not clauses or len(told) < len(clauses):
        return None
    return Clause(" AND ".join(f"({c.sql})" for c in told), [value for c in told for value in c.values])
