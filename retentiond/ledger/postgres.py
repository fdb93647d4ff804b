"""The ledger in PostgreSQL, for several machines, or for whoever keeps one database for everything.

A transaction begins with the ledger's own lock (an advisory lock of the database, named by the
schema), so that those that write follow one another, as in SQLite: an entry's number is its place in
the order of commits, without a gap, and what an intent has read of the holds is still so when it
commits. READ COMMITTED is what that needs: the statements after the lock see what the one before
committed, where a snapshot of REPEATABLE READ would be from before the wait.

A session says what would otherwise be the server's or the role's habit: a commit waits for the disk,
and nobody is waited for without end; a process that stands still in a transaction loses it. When a
connection is lost, the transaction in hand is unknown; the next one begins with a new connection.

https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from retentiond.errors import StateUnavailable
from retentiond.ledger import schema
from retentiond.ledger.database import Database

schema.batch_open.kwargs["postgresql_where"] = schema.batch.c.outcome.is_(None)  # named there, it would load the dialect

_CONNECT = {
    "connect_timeout": 10,
    "application_name": "retentiond",
    "client_encoding": "UTF8",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_PINNED = {
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "statement_timeout": "120s",
    "idle_in_transaction_session_timeout": "60s",
}
_WAIT, _GLANCE = "30s", "2s"


class Postgres(Database):
    """A database on a server. `password` is asked for each time a connection is made, and kept nowhere."""

    shared = True

    def __init__(self, url: str, password: Callable[[], str] | None = None) -> None:
        self._url, self._password = url, password
        self._key = 0
        self._there = False

    def exists(self) -> bool:
        if not self._there:
            try:
                with self.reader().connect() as connection:
                    self._there = connection.execute(sa.text("SELECT to_regclass('meta')")).scalar() is not None
            except sa.exc.DBAPIError as error:
                raise self.unavailable(error) from None
        return self._there

    def prepare(self) -> None:
        """The database itself is made by whoever runs the server."""

    def engine(self) -> sa.Engine:
        engine = self._engine(_WAIT)
        sa.event.listen(engine, "begin", self._take_turn)
        return engine

    def reader(self) -> sa.Engine:
        engine = self._engine(_GLANCE)
        mode = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
        sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(mode))
        return engine

    def bytes(self, connection: sa.Connection) -> int:
        return int(connection.execute(sa.text("SELECT pg_database_size(current_database())")).scalar_one())

    def _engine(self, wait: str) -> sa.Engine:
        try:
            engine = sa.create_engine(self._url, connect_args=_CONNECT, poolclass=sa.NullPool)
        except ImportError:
            raise StateUnavailable(
                "the state is in PostgreSQL, and its driver is not installed", do="pip install 'retentiond[postgres]'"
            ) from None
        sa.event.listen(engine, "do_connect", self._add_password)
        sa.event.listen(engine, "connect", lambda connection, _: self._begin_session(connection, wait))
        return engine

    def _add_password(self, _dialect: Any, _record: Any, _args: Any, options: dict[str, Any]) -> None:
        if self._password is not None:
            options["password"] = self._password()

    def _begin_session(self, connection: Any, wait: str) -> None:
        pinned = _PINNED | {"lock_timeout": wait}
        settings = ", ".join(["set_config(%s, %s, false)"] * len(pinned))
        asked = f"SELECT current_schema(), current_setting('server_encoding'), current_setting('synchronous_commit'), {settings}"
        connection.autocommit = True
        told = connection.execute(asked, [word for pair in pinned.items() for word in pair]).fetchone()
        if told[2] != "remote_apply":  # which waits for more than `on`; all others wait for less
            connection.execute("SET synchronous_commit = on")
        connection.autocommit = False
        if told[0] is None or told[1] != "UTF8":
            raise StateUnavailable(
                "this database cannot hold the state",
                why="its encoding is not UTF8" if told[0] else "the account's search_path names no schema that is there",
                do="see docs/operations.md for what it needs",
            )
        name = hashlib.blake2b(b"retentiond ledger " + told[0].encode(), digest_size=8).digest()
        self._key = int.from_bytes(name, "big", signed=True)

    def _take_turn(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (self._key,))

    def unavailable(self, error: Exception) -> StateUnavailable:
        """By the SQLSTATE: an error of the driver without one is the connection's."""
        if isinstance(error, OSError):
            return schema.unavailable(error)
        state = getattr(getattr(error, "orig", error), "sqlstate", None) or ""
        why, do = _CODES.get(state) or _CLASSES.get(state[:2]) or (type(error).__name__, "look at the server's log")
        code = f" (SQLSTATE {state})" if state else ""
        return StateUnavailable("the state cannot be used, so nothing was destroyed", why=why + code, do=do)


_SERVER = "look at the server of the state's database, then try again"
_ADDRESS = "look at `state` in retentiond.yaml, and at pg_hba.conf"
_CODES = {
    "": ("its database cannot be reached, or the connection was lost", _SERVER),
    "25006": ("its database is read-only, or a standby", "name the primary in `state`"),
    "25P03": ("this process stood still in a transaction, and the server ended it", "try again"),
    "3D000": ("there is no such database", _ADDRESS),
    "42P07": ("its schema has tables of another program", "give the state a database or a schema of its own"),
    "42501": ("the account may not do this", "see docs/operations.md for what it needs"),
    "55P03": ("another process has kept it locked", "wait, or look for a process that hangs"),
    "57014": ("a statement took too long", _SERVER),
    "57P03": ("its database is starting or stopping", _SERVER),
}
_CLASSES = {
    "08": ("the connection was lost", _SERVER),
    "28": ("its database does not let the account in", _ADDRESS),
    "53": ("its database is short of room, memory or connections", "make room; nothing is destroyed without evidence"),
    "57": ("its database ended the connection", _SERVER),
    "58": ("the disk of its database fails", _SERVER),
    "XX": ("it is damaged", "restore the database from a backup, then run `retentiond audit verify`"),
}


class instr(sa.sql.functions.GenericFunction[int]):  # noqa: N801 SQLAlchemy knows a function by the name of its class
    """Where some bytes stand in others, counted from 1; 0 where they do not."""

    type = sa.Integer()
    inherit_cache = True


@compiles(instr, "postgresql")
def _position(element: instr, compiler: Any, **options: Any) -> str:
    whole, part = (compiler.process(clause, **options) for clause in element.clauses)
    return f"position({part} IN {whole})"
