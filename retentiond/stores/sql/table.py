"""What there is to know about a table before its rows are looked at, asked of the database once.

A rule's table needs a key that names each row: the primary key, or a unique and not-null set of
columns that the rule names. Who refers to its rows is read from the live foreign keys of all
tables, whatever their ON DELETE says: a cascade takes along nothing that is in nobody's plan.

Rows that refer to a row keep it, or go with it. They go only where the rule says so (`children`),
their rows have names, no rule of its own speaks for their table, and, unless the rule names the
table, the database would not keep them by taking their reference away (ON DELETE SET NULL).
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from retentiond.core.policy import TableSelection
from retentiond.errors import StoreDenied
from retentiond.stores.sql.database import Database, ForeignKey
from retentiond.stores.sql.keys import Kind
from retentiond.stores.sql.spelling import Column, Spelling, fold

_LOSING = ("SET NULL", "SET DEFAULT")


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """One column of a key. `collation` is that of the index that makes the key unique, None where it is the column's own."""

    name: str
    kind: Kind
    collation: str | None
    nullable: bool


@dataclass(frozen=True, slots=True)
class Reference:
    """Columns of a table whose values refer to rows of the rule's table, by some of its columns. `source` is its SQL.

    `loses`: the database would keep the row that refers, and take its reference away.
    """

    source: str
    table: str
    columns: tuple[str, ...]
    referred: tuple[str, ...]
    indexed: bool
    itself: bool
    loses: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table as the schema of some version describes it. `columns` leaves generated ones out.

    `name` is that of its keys, `source` its SQL in a FROM and `label` before a column. `row_id` is a
    name for the row id, which only walks rows whose key is NULL. `quiet` says that the database has
    no triggers at all. Rows of `references` keep the row that they refer to, rows of `follows` go first.
    """

    version: Any
    name: str
    source: str
    label: str
    columns: tuple[str, ...]
    spelled: Mapping[str, Column]
    key: tuple[KeyColumn, ...]
    references: tuple[Reference, ...]
    row_id: str | None
    quiet: bool
    follows: tuple[Reference, ...] = ()

    def column(self, name: str, what: str) -> int:
        """The position of a column; `StoreDenied` with a suggestion if there is none."""
        return self.columns.index(self.named(name, what))

    def named(self, name: str, what: str) -> str:
        """A column as the schema spells it; `StoreDenied` with a suggestion if there is none."""
        return _found(name, self.columns, what)


def reflected(database: Database, selection: TableSelection) -> Table:
    """The selection's table; `StoreDenied` if its rows cannot be named or let go one by one."""
    with database.guard(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SQLAlchemy warns of what it cannot reflect; only what is asked for matters
        try:
            return _reflected(database, selection)
        except StoreDenied as error:
            error.word = error.word or selection.table
            raise


def leads_an_index(database: Database, table: str, column: str) -> bool:
    """Whether some index begins with a column."""
    first = [next(iter(index)) for index in database.indexes(table, unique=False)]
    return column in first or column == database.row_number(table)


def _reflected(database: Database, selection: TableSelection) -> Table:
    name = _table_name(database, selection.table)
    version = database.schema_version(name)
    spelled = database.columns(name)
    columns = tuple(spelled)
    for child in () if isinstance(selection.children, str) else selection.children:
        _table_name(database, child)
    references = [(_reference(database, name, key), _follows(database, selection, key)) for key in database.foreign_keys(name)]
    return Table(
        version=version,
        name=name,
        source=database.source(name),
        label=database.label(name),
        columns=columns,
        spelled=spelled,
        key=_key(database, name, spelled, [_key_named(database, name, k, columns) for k in selection.key]),
        references=tuple(reference for reference, follows in references if not follows),
        row_id=database.row_id(name),
        quiet=not database.triggers(),
        follows=tuple(reference for reference, follows in references if follows),
    )


def _table_name(database: Database, asked: str) -> str:
    tables = database.tables()
    plain = asked.removeprefix(database.default + ".") if asked not in tables else asked
    if fold(plain) in map(fold, database.views()):
        raise StoreDenied("a rule's table is a view", why="rows of a view cannot be let go", do="name the table behind it")
    try:
        name = _found(plain, tables, "table")
    except StoreDenied as error:
        error.word = asked
        raise
    database.refuse_table(name)
    return name


def _found(asked: str, names: Iterable[str], what: str) -> str:
    """The name as the schema spells it."""
    known = list(names)
    if asked in known:
        return asked
    same = [name for name in known if fold(name) == fold(asked)]
    if len(same) == 1:
        return same[0]
    close = difflib.get_close_matches(fold(asked), [fold(n) for n in known], n=1)
    do = f"did you mean {next(n for n in known if fold(n) == close[0])}?" if close else f"there are: {', '.join(known) or 'none'}"
    thing = "table" if what == "table" else "column"
    why = f"it is named as the {what}" if thing == "column" else ""
    raise StoreDenied(f"there is no {thing} {asked}", why=why, do=do, word=asked)


def _key_named(database: Database, table: str, asked: str, columns: Sequence[str]) -> str:
    """A column of the key as the schema spells it. One that is generated is there, but is none of those that are read."""
    facts = database.column_facts(table) if fold(asked) not in map(fold, columns) else {}
    if any(fact.generated for name, fact in facts.items() if fold(name) == fold(asked)):
        _refuse_generated(asked)
    return _found(asked, columns, "key")


def _refuse_generated(name: str) -> NoReturn:
    raise StoreDenied(
        f"the key column {name} is generated", why="it is made from other columns", do="name those as `key`", word=name
    )


def _key(database: Database, table: str, spelled: Mapping[str, Column], asked: Sequence[str]) -> tuple[KeyColumn, ...]:
    primary = database.primary(table)
    number, never_null = database.row_number(table), database.never_null(table)
    names = list(asked) or list(primary)
    if not names:
        raise StoreDenied(
            f"the table {table} has no primary key", why="its rows have no names", do="name a unique, not-null set as `key`"
        )
    for name in names:
        if name not in spelled:
            _refuse_generated(name)
    unique = [index for index in database.indexes(table, unique=True) if set(index) == set(names)]
    if names != [number] and not unique:
        raise StoreDenied(f"the key of {table} is not unique", do="name the columns of a unique index or of the primary key")
    if set(names) != set(primary) and not set(names) <= never_null:
        raise StoreDenied(f"the key of {table} may be NULL", do="name columns that are NOT NULL")
    collations = {n: c for n, c in (unique[0] if unique else {}).items() if not database.is_own_collation(table, n, c)}
    return tuple(_key_column(n, spelled[n], n == number, collations.get(n), n not in never_null) for n in names)


def _key_column(name: str, column: Column, is_number: bool, collation: str | None, nullable: bool) -> KeyColumn:
    if column.kind is None:
        raise StoreDenied(
            f"the key column {name} has no type for whole numbers or texts",
            why="1 and '1' would be two rows with one name, or a fraction has many spellings",
            do="name other columns as `key`",
        )
    return KeyColumn(name, "integer" if is_number else column.kind, collation, nullable)


def _reference(database: Database, table: str, key: ForeignKey) -> Reference:
    columns, primary = list(database.columns(table)), database.primary(table)
    referred = [_found(name, columns, "referred column") for name in key.referred or primary]
    if len(key.columns) != len(referred):
        raise StoreDenied(f"a foreign key of {key.table} does not match the key of {table}", do="correct the schema")
    loses = key.on_delete in _LOSING
    return Reference(key.source, key.table, tuple(key.columns), tuple(referred), key.indexed, key.itself, loses)


def _follows(database: Database, selection: TableSelection, key: ForeignKey) -> bool:
    """Whether the rows that refer by a foreign key go with the row that they refer to."""
    children = selection.children
    if children == "forbid" or _is_among(database, key.table, selection.apart):
        return False
    named = children != "reflect" and _is_among(database, key.table, children)
    if not named and (children != "reflect" or key.on_delete in _LOSING):
        return False
    try:
        _key(database, _table_name(database, key.table), database.columns(key.table), ())
    except StoreDenied:
        return False
    return True


def _is_among(database: Database, table: str, names: Iterable[str]) -> bool:
    """Whether a table is one of those that somebody has named, as loosely as the database might take it."""
    return fold(table) in {fold(name.removeprefix(database.default + ".")) for name in names}


def index_statement(spelling: Spelling, source: str, columns: Sequence[str]) -> str:
    """The statement that would index some columns."""
    name = "_".join(("ix", source.rpartition(".")[2].strip('"`'), *columns))
    return f"CREATE INDEX {spelling.quoted(name)} ON {source} ({', '.join(map(spelling.quoted, columns))})"
