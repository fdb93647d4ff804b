"""Where the ledger is kept, and all that differs between SQLite and PostgreSQL.

Guarantees, of both: transactions that write follow one another, so that what one has read is still so
when it commits; when a commit has returned, it survives a power cut; a driver's error becomes a
`StateUnavailable` without its text; opening a state to look at it makes nothing and changes nothing.

SQLite does so with WAL, `synchronous=FULL` and `BEGIN IMMEDIATE`; PostgreSQL in `postgres.py`.
"""

from __future__ import annotations

import os
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import closing, suppress
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from threading import Event, get_ident
from typing import Any, ClassVar
from urllib.parse import quote

import sqlalchemy as sa

from retentiond.errors import StateUnavailable
from retentiond.ledger import schema

_WAIT_S, _MOMENT_S = 30.0, 0.01
_GLANCE_S = 2.0
"""Only the recovery after a crash makes a reader wait, and a scrape is asked for again."""


class Database(ABC):
    """One place of the ledger. It is cheap to make; nothing is opened before it is asked for."""

    shared: ClassVar[bool]
    """Whether processes of other machines may be at work on it."""

    @abstractmethod
    def exists(self) -> bool:
        """Whether anything was ever written there."""

    @abstractmethod
    def prepare(self) -> None:
        """Makes room for the tables where that is needed; errors are those of the system."""

    @abstractmethod
    def engine(self) -> sa.Engine:
        """Connections whose transactions have the ledger for themselves from their beginning."""

    @abstractmethod
    def reader(self) -> sa.Engine:
        """Connections whose transactions see one moment, can change nothing, and wait for nobody."""

    @abstractmethod
    def bytes(self, connection: sa.Connection) -> int:
        """The size of the database."""

    @abstractmethod
    def unavailable(self, error: Exception) -> StateUnavailable:
        """A driver's error as one of ours: what it means, without the driver's text."""


class Sqlite(Database):
    """A file, and processes of one machine."""

    shared = False

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        return self.path.exists()

    def prepare(self) -> None:
        # A file that is there is never opened beside SQLite: closing it would drop the locks that this process's own
        # connections hold, of other threads too (sqlite.org, "How To Corrupt An SQLite Database File", 2.2).
        if self.path.exists():
            return
        # It appears whole and in WAL mode: two who both switch an empty file to WAL do not wait for each other, one fails.
        made = self.path.with_name(f".{self.path.name}.{os.getpid()}-{get_ident()}")
        try:
            os.close(os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            with closing(sqlite3.connect(made, isolation_level=None)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
            with suppress(FileExistsError):
                os.link(made, self.path)
        finally:
            made.unlink(missing_ok=True)

    def engine(self) -> sa.Engine:
        connect = {"timeout": _WAIT_S, "isolation_level": None}
        engine = sa.create_engine(f"sqlite:///{self.path}", connect_args=connect, poolclass=sa.NullPool)
        sa.event.listen(engine, "connect", _make_durable)
        sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        return engine

    def reader(self) -> sa.Engine:
        # `rw` makes no file either, and unlike `ro` leaves no WAL behind when it was the last to read
        where = f"file:{quote(str(self.path))}?mode=rw"
        connect: Callable[[], sqlite3.Connection] = lambda: sqlite3.connect(  # noqa: E731 an argument with a type
            where, uri=True, timeout=_GLANCE_S, isolation_level=None
        )
        engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.NullPool)
        sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA query_only=ON"))
        sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        return engine

    def bytes(self, connection: sa.Connection) -> int:
        return self.path.stat().st_size

    def unavailable(self, error: Exception) -> StateUnavailable:
        return schema.unavailable(error)


def _make_durable(connection: Any, _record: Any) -> None:
    deadline = time.monotonic() + _WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:  # SQLite itself does not wait here for one who opens or closes just now
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            Event().wait(_MOMENT_S)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA wal_autocheckpoint=16000")


@lru_cache(maxsize=64)
def replacing(dialect: str, table: sa.Table) -> sa.Executable:
    """An INSERT that puts its row in the place of one with the same key; a row that is all key stays as it is."""
    insert: Any = import_module(f"sqlalchemy.dialects.{dialect}").insert(table)  # only the one in use, and when it is
    keys = [column.name for column in table.primary_key]
    others = {column.name: insert.excluded[column.name] for column in table.c if column.name not in keys}
    changed = insert.on_conflict_do_update(index_elements=keys, set_=others) if others else insert.on_conflict_do_nothing()
    assert isinstance(changed, sa.Executable)
    return changed
