"""What there is to know about a table before its rows are looked at, asked of the database once.

A rule's table needs a key that names each row: the primary key, or a unique and not-null set of
columns that the rule names. Who refers to its rows is read from the live foreign keys of all
tables, whatever their ON DELETE says: what a cascade would take along is in nobody's plan.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retentiond.core.policy import TableSelection
from retentiond.errors import StoreDenied
from retentiond.stores.sql.keys import Kind
from retentiond.stores.sql.spelling import fold, quoted
from retentiond.stores.sql.sqlite import Sqlite

if TYPE_CHECKING:
    from sqlalchemy import Inspector


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """One column of a key. `collation` is that of the index that makes the key unique, None where it is the column's own."""

    name: str
    kind: Kind
    collation: str | None
    nullable: bool


@dataclass(frozen=True, slots=True)
class Reference:
    """Columns of a table whose values refer to rows of the rule's table, by some of its columns."""

    table: str
    columns: tuple[str, ...]
    referred: tuple[str, ...]
    indexed: bool
    itself: bool


@dataclass(frozen=True, slots=True)
class Table:
    """A table as the schema of some version describes it. `columns` leaves generated ones out.

    `row_id` is a name for the row id, which only walks rows whose key is NULL. `quiet` says that
    the database has no triggers at all.
    """

    version: int
    name: str
    columns: tuple[str, ...]
    key: tuple[KeyColumn, ...]
    references: tuple[Reference, ...]
    row_id: str | None
    quiet: bool

    def column(self, name: str, what: str) -> int:
        """The position of a column; `StoreDenied` with a suggestion if there is none."""
        return self.columns.index(_found(name, self.columns, what))


def reflected(database: Sqlite, selection: TableSelection) -> Table:
    """The selection's table; `StoreDenied` if its rows cannot be named or let go one by one."""
    if selection.children != "forbid":
        raise StoreDenied("children other than `forbid` are not in this version", do="leave `children` out")
    version = database.schema_version()
    with database.guard(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SQLAlchemy warns of what it cannot reflect; only what is asked for matters
        return _reflected(database, selection, version)


def leads_an_index(database: Sqlite, table: str, column: str) -> bool:
    """Whether some index begins with a column."""
    first = [next(iter(index)) for index in database.indexes(table, unique=False)]
    return column in first or column == database.row_number(table)


def _reflected(database: Sqlite, selection: TableSelection, version: int) -> Table:
    inspector = database.inspector()
    name = _table_name(database, inspector, selection.table)
    columns = tuple(c["name"] for c in inspector.get_columns(name) if "computed" not in c)
    return Table(
        version=version,
        name=name,
        columns=columns,
        key=_key(database, inspector, name, [_found(k, columns, "key") for k in selection.key]),
        references=tuple(_references(database, inspector, name)),
        row_id=database.row_id(name),
        quiet=not database.triggers(),
    )


def _table_name(database: Sqlite, inspector: Inspector, asked: str) -> str:
    tables = inspector.get_table_names()
    plain = asked.removeprefix("main.") if asked not in tables else asked
    views = inspector.get_view_names()
    if fold(plain) in map(fold, views):
        raise StoreDenied("a rule's table is a view", why="rows of a view cannot be let go", do="name the table behind it")
    name = _found(plain, tables, "table")
    if database.is_virtual(name):
        raise StoreDenied("a rule's table is virtual", why="its rows are made by a module of the database")
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
    raise StoreDenied(f"there is no {thing} {asked}", why=f"it is named as the {what}" if thing == "column" else "", do=do)


def _key(database: Sqlite, inspector: Inspector, table: str, asked: Sequence[str]) -> tuple[KeyColumn, ...]:
    primary: list[str] = inspector.get_pk_constraint(table)["constrained_columns"]
    number, never_null = database.row_number(table), database.never_null(table)
    names = list(asked) or primary
    if not names:
        raise StoreDenied(
            f"the table {table} has no primary key", why="its rows have no names", do="name a unique, not-null set as `key`"
        )
    unique = [index for index in database.indexes(table, unique=True) if set(index) == set(names)]
    if names != [number] and not unique:
        raise StoreDenied(f"the key of {table} is not unique", do="name the columns of a unique index or of the primary key")
    if set(names) != set(primary) and not set(names) <= never_null:
        raise StoreDenied(f"the key of {table} may be NULL", do="name columns that are NOT NULL")
    kinds = database.column_kinds(table)
    collations = {n: c for n, c in (unique[0] if unique else {}).items() if not database.is_own_collation(table, n, c)}
    return tuple(_key_column(n, kinds[n], n == number, collations.get(n), n not in never_null) for n in names)


def _key_column(name: str, kind: Kind | None, is_number: bool, collation: str | None, nullable: bool) -> KeyColumn:
    if kind is None:
        raise StoreDenied(
            f"the key column {name} has no type for whole numbers or texts",
            why="1 and '1' would be two rows with one name, or a fraction has many spellings",
            do="name other columns as `key`",
        )
    return KeyColumn(name, "integer" if is_number else kind, collation, nullable)


def _references(database: Sqlite, inspector: Inspector, table: str) -> Iterable[Reference]:
    columns = [c["name"] for c in inspector.get_columns(table)]
    primary = inspector.get_pk_constraint(table)["constrained_columns"]
    for (_, child), keys in inspector.get_multi_foreign_keys().items():
        for key in keys:
            if fold(key["referred_table"]) == fold(table):
                referred = [_found(name, columns, "referred column") for name in key["referred_columns"] or primary]
                yield _reference(database, child, key["constrained_columns"], referred, table)


def _reference(database: Sqlite, child: str, columns: Sequence[str], referred: Sequence[str], table: str) -> Reference:
    if len(columns) != len(referred):
        raise StoreDenied(f"a foreign key of {child} does not match the key of {table}", do="correct the schema")
    led = [set(list(index)[: len(columns)]) for index in database.indexes(child, unique=False)]
    indexed = set(columns) in led or list(columns) == [database.row_number(child)]
    return Reference(child, tuple(columns), tuple(referred), indexed, fold(child) == fold(table))


def index_statement(table: str, columns: Sequence[str]) -> str:
    """The statement that would index some columns."""
    name = "_".join(("ix", table, *columns))
    return f"CREATE INDEX {quoted(name)} ON {quoted(table)} ({', '.join(map(quoted, columns))})"
