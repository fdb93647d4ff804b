"""One open PostgreSQL database: how it is opened, read, written, and how its errors are understood.

A session says what would otherwise be the server's, the role's or somebody's habit: the spelling of
times and numbers, in UTC; time limits for locks, statements and idle transactions; that row-level
security refuses rather than hides; that a commit waits for the disk. It is read-only but for the
transactions of `write`. Statements go through the extended protocol, which takes one at a time.

A page is read in REPEATABLE READ, so that it and the count of what it leaves out are of one moment.
A batch is written in READ COMMITTED: its rows are locked in a first statement, and the next one has
to see what the wait for the locks let happen (a new child, a changed row), where REPEATABLE READ
would fail the batch, and SERIALIZABLE as well whenever its application is busy near by.

https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.types.string import TextLoader

from retentiond.errors import RetentiondError, StoreDenied, StoreUnavailable
from retentiond.stores.sql.address import Address, named_values
from retentiond.stores.sql.database import Contended, NoSuchValue, Violated
from retentiond.stores.sql.keys import is_utf8
from retentiond.stores.sql.postgres_schema import PostgresSchema
from retentiond.stores.sql.spelling import Clause
from retentiond.stores.sql.spelling_postgres import POSTGRES

T = TypeVar("T")
OLDEST = 140_000
_DECODED = frozenset({"bool", "int2", "int4", "int8", "oid", "text", "varchar", "_text"})
"""Types that the driver makes values of; all others come as the text that the server gives."""
_PINNED = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "row_security": "off",
    "standard_conforming_strings": "on",
    "default_transaction_read_only": "on",
    "idle_in_transaction_session_timeout": "300s",
}
_LAG = """
SELECT pg_is_in_recovery() AND EXISTS (SELECT 1 FROM pg_stat_wal_receiver),
  pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn(), extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())"""
_WAITED_FOR = "SELECT 1 FROM pg_locks WHERE locktype = 'relation' AND relation = CAST(%s AS regclass) AND NOT granted LIMIT 1"
_LOST = ("the connection to the database was lost", "what it was doing may or may not have happened", "try again later")
_DENIED = "see docs/databases.md for what an account needs"


class Postgres(PostgresSchema):
    """A connection to one database. Errors of the driver leave it as errors of ours, without data."""

    spelling = POSTGRES
    any_bytes = False
    lanes = 2
    whole = range(-(2**63), 2**63)

    def __init__(self, address: Address, *, acting: bool, lock_timeout: float, statement_timeout: float) -> None:
        super().__init__()
        self.acting, self._address, self._busy = acting, address, False
        self._limits = {"lock_timeout": lock_timeout, "statement_timeout": statement_timeout}
        self.notes: tuple[str, ...] = ()
        self._modes: dict[int, str] = {}
        self._due = ""
        self._connect()
        try:
            with self.guard():
                self._look_around()
        except BaseException:
            self.con.close()
            raise

    def _connect(self) -> None:
        address = self._address
        with self.guard():
            said = make_conninfo(
                host=address.host, port=address.port, user=address.user, password=address.password, dbname=address.database,
                connect_timeout=10, application_name="retentiond", client_encoding="UTF8", **address.options,
            )  # fmt: skip
            self.con = psycopg.connect(said, autocommit=True)
        for known in self.con.adapters.types:
            for name, oid in ((known.name, known.oid), ("_" + known.name, known.array_oid)):
                if name not in _DECODED and oid:
                    self.con.adapters.register_loader(oid, TextLoader)
        self.con.prepare_threshold = 2
        try:
            self._pin()
        except BaseException:
            self.con.close()
            raise

    def _pin(self) -> None:
        """Says what would otherwise be somebody's habit."""
        with self.guard():
            limits = {name: f"{max(1, round(seconds * 1000))}ms" for name, seconds in self._limits.items()}
            pinned = _PINNED | limits
            self._all(
                f"SELECT {', '.join(['set_config(%s, %s, false)'] * len(pinned))}", [x for pair in pinned.items() for x in pair]
            )
            self._all("SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'")

    def _look_around(self) -> None:
        if self.con.info.server_version < OLDEST:
            raise StoreDenied("this PostgreSQL is too old", why="digests of rows need version 14", do="use a newer one")
        told = self._all(
            "SELECT current_schema(), current_database(), current_setting('session_replication_role'), pg_is_in_recovery(),"
            " extract(epoch FROM clock_timestamp())"
        )
        schema, database, role, standby, now = told[0]
        self.default, self.clock = schema or "", datetime.fromtimestamp(float(now), UTC)
        if self.acting and role != "origin":
            raise StoreDenied("the account has foreign keys switched off", why="session_replication_role", do="reset it")
        if self.acting and standby:
            raise StoreDenied("the database is a standby", why="nothing can be written to it", do="name the primary in `url`")
        try:
            cluster = self._all("SELECT system_identifier FROM pg_control_system()")[0][0]
        except psycopg.errors.InsufficientPrivilege:
            cluster = f"{self.con.info.host}:{self.con.info.port}"
        self._place = f"postgresql:{cluster}/{database}"

    @property
    def place(self) -> str:
        """The cluster's own identifier and the database."""
        return self._place

    def close(self) -> None:
        self.con.close()

    # Statements

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        cursor = self.rows(Clause(sql, values))
        return cursor.fetchall() if cursor.description else []

    def rows(self, clause: Clause) -> psycopg.Cursor[tuple[Any, ...]]:
        if self.con.closed and not self._busy:
            self._connect()
        self._begin_due()
        return self.con.cursor().execute(clause.sql, tuple(clause.values), prepare=True)

    def run(self, clause: Clause) -> int:
        with self.guard(writing=True):
            return self.rows(clause).rowcount

    def changes(self) -> None:
        return None

    def named(self, query: str, known: Mapping[str, str]) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        text, values = named_values(query, known)
        cursor = self.rows(Clause(f"SELECT * FROM (\n{text}\n) AS asked", values))
        return [column.name for column in cursor.description or ()], cursor.fetchall()

    def read(self, run: Callable[[], T]) -> T:
        with self.guard():
            self._begin("REPEATABLE READ, READ ONLY")
            try:
                found = run()
                self.con.execute("COMMIT")  # after a ROLLBACK the driver would forget what it has prepared
                return found
            finally:
                self._roll_back()

    def within(self, run: Callable[[], T]) -> T:
        with self.guard(), self._aside():
            return run()

    @contextmanager
    def write(self) -> Iterator[None]:
        with self.guard():
            self._begin("READ COMMITTED, READ WRITE", at_once=False)
            try:
                yield
                if not self._due and self.con.execute("COMMIT").statusmessage != "COMMIT":
                    raise Violated("rolled-back")
            finally:
                self._roll_back()

    def _begin(self, mode: str, *, at_once: bool = True) -> None:
        """Begins now, or with the first statement: that saves a journey for each batch."""
        self._due = f"BEGIN ISOLATION LEVEL {mode}"
        if self.con.closed:
            self._connect()
        self._busy = True
        if at_once:
            self._begin_due()

    def _begin_due(self) -> None:
        due, self._due = self._due, ""
        if due:
            self.con.execute(due)

    @property
    def in_transaction(self) -> bool:
        return self.con.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)

    def forget(self) -> None:
        """Plans that the server keeps for statements fail once a column has another type."""
        self._oids.clear()
        self._modes.clear()
        with self.guard():
            self.con.execute("DEALLOCATE ALL")

    def _roll_back(self) -> None:
        self._busy, self._due = False, ""
        if self.in_transaction:
            with suppress(psycopg.Error):
                self.con.execute("ROLLBACK")

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """An error within leaves the transaction that is open as it was; where none is, there is nothing to leave."""
        self._begin_due()
        if not self.in_transaction:
            yield
            return
        self.con.execute("SAVEPOINT aside")
        try:
            yield
        except BaseException:
            if self.in_transaction:
                self.con.execute("ROLLBACK TO SAVEPOINT aside")
            raise
        self.con.execute("RELEASE SAVEPOINT aside")

    def claim(self, table: str) -> None:
        """A lock that lets others read and write rows, but change neither the table's shape nor its keys' users.

        It takes the privilege to delete. Without it rows can only be anonymised, and for those it
        does not matter who refers to them.
        """
        one = self._table(table)
        try:
            if one.oid not in self._modes:
                may = self._all("SELECT has_table_privilege(CAST(%s AS oid), 'DELETE')", [one.oid])[0][0]
                self._modes[one.oid] = "ROW EXCLUSIVE" if may else "ACCESS SHARE"
            due, self._due = self._due, ""
            lock = f"LOCK TABLE {self.source(table).replace('%%', '%')} IN {self._modes[one.oid]} MODE"
            self.con.execute(f"{due}; {lock}" if due else lock)
        except psycopg.errors.UndefinedTable:
            self._oids.clear()
            raise Contended from None

    def drop_partition(self, table: str, partition: str, compare: Callable[[], None], agree: Callable[[], None]) -> None:
        """Whoever writes to the partition waits for as long as comparing takes; who reads, only while the table loses it.

        Whoever would do the same waits before either: two who had begun would stand in each other's way. Who waits
        to write has locked the table, and we would wait for one another: such a partition does not go as a whole.
        """
        name, whole = partition, self.source(table)
        with self.write():
            self.run(Clause(f"LOCK TABLE ONLY {whole} IN SHARE UPDATE EXCLUSIVE MODE"))
            self.claim(table)
            self.run(Clause(f"LOCK TABLE ONLY {name} IN SHARE MODE"))
            compare()
            if self._all(_WAITED_FOR, [name.replace("%%", "%")]):
                raise Contended("others wait to write to a partition", do="try again later")
            self.run(Clause(f"LOCK TABLE ONLY {whole} IN ACCESS EXCLUSIVE MODE"))
            self.run(Clause(f"ALTER TABLE {whole} DETACH PARTITION {name}"))
            self.run(Clause(f"DROP TABLE {name}"))
            agree()

    def lag(self) -> float | None:
        """A standby that has replayed all that it got is not behind, unless nobody sends it anything."""
        following, replayed, behind = self._all(_LAG)[0]
        if not following:
            return None
        return 0.0 if replayed else None if behind is None else float(behind)

    def refuse_text(self, table: str, text: str) -> None:
        """It has to parse in parentheses, so that it has no tail, and alone, so that its parentheses are its own."""
        for form in (f"(\n{POSTGRES.literal(text)}\n)", f"\n{POSTGRES.literal(text)}\n"):
            self._explain(f"SELECT 1 FROM {self.source(table)} WHERE {form}", ())

    def refuse_query(self, query: str, values: Mapping[str, str | None]) -> None:
        """As a derived table first: there, nothing that writes is allowed."""
        text, given = named_values(query, values) if values else (POSTGRES.literal(query), [])
        for form in (f"SELECT 1 FROM (\n{text}\n) AS x", text):
            self._explain(form, given)

    def _explain(self, statement: str, values: Sequence[Any]) -> None:
        if "\0" in statement or not is_utf8(statement):
            raise StoreDenied("the database does not accept a statement", why="it is no SQL")
        with self.guard(), self._aside():
            self.rows(Clause("EXPLAIN " + statement, values)).close()

    # Errors

    @contextmanager
    def guard(self, *, writing: bool = False) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise self._understood(error, writing=writing) from None

    def _understood(self, error: psycopg.Error, *, writing: bool) -> RetentiondError:
        """What an error means, by its SQLSTATE; its text is used only where it speaks of a statement."""
        state = error.sqlstate or ""
        if state in ("40001", "40P01"):
            return Contended("others are at work on the same rows", why=f"SQLSTATE {state}", do="try again later")
        if state.startswith("23"):
            return Violated("foreign-key" if state == "23503" else "constraint")
        if writing and (state.startswith(("22", "27", "44")) or state in ("P0001", "P0004")):
            return Violated("trigger" if state.startswith("P0") else "constraint")
        if state.startswith("22"):
            return NoSuchValue("the database cannot work with a value", why=f"SQLSTATE {state}")
        known = None if state in _STATEMENTS else _CODES.get(state) or _CLASSES.get(state[:2])
        if known is not None:
            kind, what, why, do = known
            return kind(what, why=f"{why} (SQLSTATE {state})".lstrip(), do=do)
        if not state and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            if getattr(self, "con", None) is None:
                return _unopened(str(error))
            return StoreUnavailable(_LOST[0], why=_LOST[1], do=_LOST[2])
        why = f"{_STATEMENTS.get(state, '')} (SQLSTATE {state or 'none'})".lstrip()
        return StoreDenied("the database does not accept a statement", why=why)


_STATEMENTS = {
    "42601": "it is no SQL that the database understands",
    "42703": "it names a column that is not there; a text stands in single quotes",
    "42P01": "it names a table that is not there",
    "42883": "it names a function that is not there, or not for such values",
    "42702": "it names a column that could be of several tables",
    "42804": "it is no condition, or its types do not match",
    "42803": "it counts or sums up where rows are asked for",
    "42P02": "it has a parameter",
    "08P01": "it has a parameter",
}
_LATE = (StoreUnavailable, "a statement took longer than statement_timeout", "", "raise it, or try later")
_STOPPED = (
    StoreUnavailable,
    "the database ended the connection",
    "what it was doing may or may not have happened",
    "try again later",
)
_CODES: dict[str, tuple[type[RetentiondError], str, str, str]] = {
    "55P03": (StoreUnavailable, "the rows or the table are locked", "another program is writing to them", "try again later"),
    "57014": _LATE,
    "57P01": _STOPPED,
    "57P02": _STOPPED,
    "57P03": (StoreUnavailable, "the database cannot be reached", "it is starting or stopping", "try again later"),
    "57P05": _STOPPED,
    "25P03": _STOPPED,
    "25006": (StoreDenied, "the database does not allow writing", "it is a standby, or read-only", "name the primary in `url`"),
    "42501": (StoreDenied, "the account may not do this", "a privilege is missing, or row-level security hides rows", _DENIED),
    "3D000": (StoreDenied, "there is no such database", "", "correct `url`"),
}
_CLASSES: dict[str, tuple[type[RetentiondError], str, str, str]] = {
    "08": (StoreUnavailable, *_LOST),
    "28": (StoreDenied, "the database does not let the account in", "", "look at `url`, `password` and pg_hba.conf"),
    "53": (StoreUnavailable, "the database is short of room, memory or connections", "", "look at its server"),
    "58": (StoreUnavailable, "the disk of the database gave an error", "", "look at its server"),
    "XX": (StoreDenied, "the database is damaged", "", "look at its server"),
}
_OPENING = (
    ('database "', "3D000"),
    ("password", "28P01"),
    ("authentication", "28000"),
    ('role "', "28000"),
    ("pg_hba.conf", "28000"),
    ("too many", "53300"),
    ("starting up", "57P03"),
    ("shutting down", "57P03"),
)
"""What a refusal to connect speaks of; the driver gives no code then."""
_TLS = (
    ("certificate verify failed", "its certificate is refused: no authority that is trusted vouches for it"),
    ("does not match host name", "its certificate is refused: it is that of another host"),
    ("server does not support SSL", "it offers no TLS"),
    ("certificate file", "a certificate of ours cannot be used"),
    ("private key file", "the key of our certificate cannot be used"),
)
"""Why a connection was not made that was to be secure."""


def _unopened(text: str) -> RetentiondError:
    """Why no connection was made, as far as the words of the server or the library tell."""
    tls = next((why for words, why in _TLS if words in text), None)
    if tls is not None:
        return StoreDenied("the database is not trusted", why=tls, do="look at the options of TLS in `url`, and at its host")
    state = next((state for words, state in _OPENING if words in text), "57P03")
    kind, what, why, do = _CODES.get(state) or _CLASSES[state[:2]]
    return kind(
        what,
        why=why if "starting" in text or state != "57P03" else "no connection was made",
        do=do or "look at `url` and the server",
    )
