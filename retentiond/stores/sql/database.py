"""What the store asks of an open database, whichever it is: statements, transactions, and what its schema says.

Errors of a driver leave it as errors of ours: fixed words and the database's own error code, never
its text where that may quote a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeVar

from retentiond.errors import StoreDenied, StoreUnavailable
from retentiond.stores.sql.spelling import Clause, Column, Spelling

T = TypeVar("T")


class Parent(NamedTuple):
    """A column of a table (its SQL) that a column of another one refers to."""

    source: str
    column: str


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """What the schema says of one column. `unique`: an index over it, alone or with others, allows no two equal rows.

    `refers`: what its foreign keys refer to. `numeric`: the database turns a text that looks like a number into one.
    `strict`: it takes only values of its own type, which is not text.
    """

    declared: str
    never_null: bool
    primary: bool
    generated: bool
    unique: bool
    refers: Sequence[Parent]
    numeric: bool
    strict: bool = False


class ForeignKey(NamedTuple):
    """Columns of a table (its SQL and its name) that refer to columns of another; none named: its primary key.

    `on_delete` is what the database does with the row when the other goes, in SQL's own words.
    """

    source: str
    table: str
    columns: Sequence[str]
    referred: Sequence[str]
    indexed: bool
    itself: bool
    on_delete: str = ""


class Violated(StoreDenied):
    """A constraint or trigger of the database stands against it. `kind` is a fixed word."""

    def __init__(self, kind: str) -> None:
        super().__init__(why=kind)
        self.kind = kind


class NoSuchValue(StoreDenied):
    """A value is none of the type that is wanted."""


class Contended(StoreUnavailable):
    """Others are at work on the same rows; the transaction was rolled back, and trying it again may help at once."""


class Rows(Protocol):
    """The rows that a query gives."""

    def fetchmany(self, size: int, /) -> Sequence[Sequence[Any]]: ...

    def fetchall(self) -> Sequence[Sequence[Any]]: ...

    def close(self) -> None: ...


class Database(Protocol):
    """A connection. What looks is read-only in the database too; no transaction is left open."""

    @property
    def spelling(self) -> Spelling: ...

    @property
    def notes(self) -> Sequence[str]:
        """What an operator should know of it."""
        ...

    @property
    def any_bytes(self) -> bool:
        """Whether it can look up text that is not UTF-8."""
        ...

    @property
    def whole(self) -> range:
        """The whole numbers that a key may have."""
        ...

    @property
    def lanes(self) -> int:
        """By how many connections side by side rows are read, and let go, faster."""
        ...

    @property
    def clock(self) -> datetime | None:
        """The database's own clock, as it stood at opening; None where it has none of its own."""
        ...

    @property
    def place(self) -> str: ...

    def close(self) -> None: ...

    # Statements

    def rows(self, clause: Clause) -> Rows:
        """What a query gives, read once and in order."""
        ...

    def run(self, clause: Clause) -> int:
        """Carries a statement out; how many rows it touched."""
        ...

    def changes(self) -> int | None:
        """How many rows were ever touched here, cascades and triggers included; None where nobody counts."""
        ...

    def read(self, run: Callable[[], T]) -> T:
        """What `run` sees in one read transaction, which ends with it."""
        ...

    def within(self, run: Callable[[], T]) -> T:
        """What `run` sees within the transaction that is open, which an error in it leaves open."""
        ...

    def write(self) -> AbstractContextManager[None]:
        """One transaction; it commits, or leaves no trace."""
        ...

    def claim(self, table: str) -> None:
        """Keeps the table's shape, and who refers to it, as they are until the transaction ends."""
        ...

    def parts(self, table: str) -> Sequence[str]:
        """What stands in a FROM for each partition by range of a table; nothing where not every one may be read by itself."""
        ...

    def partitions(self, table: str) -> Sequence[tuple[str, str]]:
        """The partitions of a table that may be dropped, oldest first: the name of each, and what stands for it in a FROM."""
        ...

    def drop_partition(self, table: str, partition: str, compare: Callable[[], None], agree: Callable[[], None]) -> None:
        """Lets nobody write to a partition while `compare` looks at it, and drops it unless that raises: one act.

        `agree` is called last before it cannot be undone; whatever it raises undoes everything.
        """
        ...

    def lag(self) -> float | None:
        """How many seconds a replica is behind the server that it follows; None where it does not know."""
        ...

    def guard(self) -> AbstractContextManager[None]:
        """Within it the driver's errors become ours."""
        ...

    @property
    def in_transaction(self) -> bool: ...

    def named(self, query: str, known: Mapping[str, str]) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """The columns and rows of an operator's query that takes values by name (`:kind`)."""
        ...

    def refuse_text(self, table: str, text: str) -> None:
        """Raises `StoreDenied` unless a text is one whole condition on a table, without parameters."""
        ...

    def refuse_query(self, query: str, values: Mapping[str, str | None]) -> None:
        """Raises `StoreDenied` unless a text is one query, without other parameters than these."""
        ...

    # Privileges

    @property
    def account(self) -> str:
        """Whose session it is, as a GRANT names them."""
        ...

    @property
    def locking_updates(self) -> bool:
        """Whether locking a row takes the privilege to update one of its columns."""
        ...

    def may(self, table: str, privilege: str, column: str | None) -> bool | None:
        """Whether the account has a privilege; None where that is not to be known, or nobody needs one."""
        ...

    # The schema. Tables go by their name in keys, which leaves the default schema out.

    def schema_version(self, table: str) -> Any:
        """Something that changes with every change that concerns a table."""
        ...

    def forget(self) -> None:
        """Lets go of what is remembered of a schema that has changed."""
        ...

    def tables(self) -> Sequence[str]: ...

    def views(self) -> Sequence[str]: ...

    @property
    def default(self) -> str:
        """The schema that a name without one means."""
        ...

    def refuse_table(self, table: str) -> None:
        """`StoreDenied` for a table whose rows cannot be let go one by one, for good."""
        ...

    def source(self, table: str) -> str:
        """The table in a FROM."""
        ...

    def label(self, table: str) -> str:
        """The table before a column."""
        ...

    def columns(self, table: str) -> Mapping[str, Column]:
        """The columns in order, generated ones left out."""
        ...

    def primary(self, table: str) -> Sequence[str]: ...

    def indexes(self, table: str, *, unique: bool) -> Sequence[Mapping[str, str]]:
        """The whole-table indexes over plain columns: each column with its collation, in order."""
        ...

    def is_own_collation(self, table: str, column: str, collation: str) -> bool:
        """Whether a column compares by a collation without being told to."""
        ...

    def never_null(self, table: str) -> set[str]: ...

    def row_number(self, table: str) -> str | None:
        """The column that is another name for the row id, if there is one."""
        ...

    def row_id(self, table: str) -> str | None:
        """A name that means the row id and no column; None for a table without."""
        ...

    def foreign_keys(self, table: str) -> Iterable[ForeignKey]:
        """Who refers to a table, from all that the database has."""
        ...

    def triggers(self, table: str | None = None) -> Sequence[str]:
        """The triggers of a table, or of all, and whatever else runs when its rows go."""
        ...

    def tells_triggers(self, table: str) -> bool:
        """Whether the account sees the triggers of a table; in doubt it does."""
        ...

    def checks(self, table: str) -> Sequence[str]:
        """The CHECK conditions of a table, as statements have them; none where the database does not tell them apart."""
        ...

    def column_facts(self, table: str) -> Mapping[str, ColumnFacts]:
        """What the schema says of each column, generated ones included."""
        ...
