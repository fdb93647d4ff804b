"""The ledger as one moment saw it: for whoever looks at the state and must not disturb those who work on it.

Guarantees: opening it makes no state and changes none; reading waits for no transaction, and none waits
for it, because a reader sees the last commit before it began (SQLite in WAL mode, PostgreSQL in
REPEATABLE READ); everything that is read within one snapshot is of the same moment. It belongs to the thread that opened it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import sqlalchemy as sa

from retentiond.ledger.clock import Reading
from retentiond.ledger.database import Database
from retentiond.ledger.ledger import Ledger, Transaction
from retentiond.ledger.migrating import check


class Snapshot(Ledger):
    """A ledger to read. What would change it ends in `StateUnavailable`, by the database itself."""

    def __init__(self, database: Database, connection: sa.Connection, read_clock: Callable[[], Reading]) -> None:
        self.database, self.read_clock = database, read_clock
        self._change = Transaction(connection, read_clock())

    def bytes(self) -> int:
        """The size of the database."""
        return self.database.bytes(self._change.connection)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """The one moment of this snapshot."""
        try:
            yield self._change
        except (sa.exc.DBAPIError, sqlite3.Error) as error:
            raise self.database.unavailable(error) from error

    def close(self) -> None:
        """Nothing is kept open beyond `snapshot`."""


@contextmanager
def snapshot(database: Database, read_clock: Callable[[], Reading]) -> Iterator[Snapshot]:
    """A state's ledger as it is now; `StateUnavailable` where it is not there or not to be read."""
    try:
        connection = database.reader().connect()
    except (sa.exc.DBAPIError, sqlite3.Error) as error:
        raise database.unavailable(error) from error
    with closing(connection):
        try:
            check(connection)
            found = Snapshot(database, connection, read_clock)
        except (sa.exc.DBAPIError, sqlite3.Error) as error:
            raise database.unavailable(error) from error
        yield found
