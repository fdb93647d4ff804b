"""One open MariaDB (or MySQL) database: how it is opened, read, written, and how its errors are understood.

A session says what would otherwise be the server's or somebody's habit: UTC; a strict SQL mode in which double
quotes are for names, so that a mistyped one is no text; time limits for locks and statements; foreign keys and
unique keys checked. It is read-only but for the transactions of `write`.

A page is read in REPEATABLE READ from one snapshot, so that it and the count of what it leaves out are of one
moment. A batch is written in READ COMMITTED: REPEATABLE READ, the default, would lock the gaps between the keys
as well, so that the application could not insert near by and deadlocks would be many, and it would go on reading
from its first snapshot, where the statement after the lock has to see what the wait for it let happen.

https://mariadb.com/kb/en/mariadb-error-codes/
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

import pymysql
from pymysql.constants import CLIENT, FIELD_TYPE
from pymysql.converters import encoders
from pymysql.cursors import Cursor, DictCursor

from retentiond.errors import RetentiondError, StoreDenied, StoreUnavailable
from retentiond.stores.sql.address import Address, is_on, named_values
from retentiond.stores.sql.database import Contended, NoSuchValue, Violated
from retentiond.stores.sql.keys import is_utf8
from retentiond.stores.sql.mysql_rows import Reading
from retentiond.stores.sql.mysql_schema import MysqlSchema
from retentiond.stores.sql.spelling import Clause
from retentiond.stores.sql.spelling_mysql import MYSQL

T = TypeVar("T")
_DECODED: dict[Any, Any] = {
    **encoders,
    **dict.fromkeys((FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.INT24, FIELD_TYPE.LONG, FIELD_TYPE.LONGLONG), int),
}
"""Whole numbers become numbers; all else comes as the text, or the bytes, that the server gives."""
_PAGE = 2**24
"""A page that is one text may have so many bytes."""
_MODE = "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,ANSI_QUOTES"
_LOST = ("the connection to the database was lost", "what it was doing may or may not have happened", "try again later")


class Mysql(MysqlSchema):
    """A connection to one database. Errors of the driver leave it as errors of ours, without data."""

    spelling = MYSQL
    any_bytes = False
    lanes = 2
    whole = range(-(2**63), 2**64)

    def __init__(self, address: Address, *, acting: bool, lock_timeout: float, statement_timeout: float) -> None:
        super().__init__()
        self.acting, self._address, self.default = acting, address, address.database
        self._limits = lock_timeout, statement_timeout
        self.in_transaction, self._claimed = False, set[str]()
        self.notes: tuple[str, ...] = ()
        self._connect()
        try:
            with self.guard():
                self._look_around()
        except BaseException:
            self.con.close()
            raise

    def _connect(self) -> None:
        address = self._address
        arguments: dict[str, Any] = {
            "host": address.host, "port": address.port, "user": address.user, "password": address.password or "",
            "database": address.database, "charset": "utf8mb4", "autocommit": True, "connect_timeout": 10, "conv": _DECODED,
            "client_flag": CLIENT.FOUND_ROWS, "program_name": "retentiond",
        }  # fmt: skip
        arguments |= {**address.options, **_verified(address.options)}
        with self.guard():
            self.con = _opened(arguments)
            self.is_mariadb = "MariaDB" in str(self._all("SELECT VERSION()")[0][0])
            lock, statement = self._limits
            seconds = max(1, round(lock))
            for setting in (
                f"sql_mode = '{_MODE}'",
                "time_zone = '+00:00'",
                f"innodb_lock_wait_timeout = {seconds}, lock_wait_timeout = {seconds}",
                f"group_concat_max_len = {_PAGE}",
                "foreign_key_checks = 1, unique_checks = 1, sql_safe_updates = 0",
                f"max_statement_time = {statement}" if self.is_mariadb else f"max_execution_time = {round(statement * 1000)}",
                "in_predicate_conversion_threshold = 0" if self.is_mariadb else "explicit_defaults_for_timestamp = 1",
                "SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY",
            ):
                self._all(f"SET {setting}")

    def _look_around(self) -> None:
        told = dict(self._all("SHOW VARIABLES WHERE Variable_name IN ('server_uid', 'server_uuid', 'hostname', 'port')"))
        server = hashlib.sha256("\0".join(f"{k}={v}" for k, v in sorted(told.items())).encode()).hexdigest()[:16]
        self._place = f"mysql:{server}/{self._all('SELECT DATABASE()')[0][0]}"
        seconds = self._all("SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) AS CHAR)")[0][0]
        self.clock = datetime.fromtimestamp(float(seconds), UTC)
        if self._unless_denied("SELECT 1 FROM information_schema.INNODB_SYS_FOREIGN LIMIT 1", ()) is None:
            self.notes = (_UNSEEN,)
        if self._all("SELECT @@log_bin, @@binlog_format")[0] == (1, "STATEMENT"):
            self.notes += (_STATEMENTS_ONLY,)

    @property
    def place(self) -> str:
        """The server, as 16 hex digits of the SHA-256 of its own id, its name and its port; and the database."""
        return self._place

    def close(self) -> None:
        with suppress(pymysql.Error):
            self.con.close()

    # Statements

    def _all(self, sql: str, values: Sequence[Any] = ()) -> Sequence[tuple[Any, ...]]:
        return self.rows(Clause(sql, values)).fetchall()

    def _unless_denied(self, sql: str, values: Sequence[Any]) -> Sequence[tuple[Any, ...]] | None:
        try:
            return self._all(sql, values)
        except pymysql.Error as error:
            if error.args[0] in (1109, 1142, 1146, 1227):
                return None
            raise

    def rows(self, clause: Clause) -> Cursor:
        if not self.con.open and not self.in_transaction:
            self._connect()
        cursor: Cursor = self.con.cursor()
        cursor.execute(clause.sql, tuple(clause.values))
        return cursor

    def run(self, clause: Clause) -> int:
        with self.guard(writing=True):
            return self.rows(clause).rowcount

    def changes(self) -> None:
        return None

    def named(self, query: str, known: Mapping[str, str]) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        text, values = named_values(query, known)
        cursor = self.rows(Clause(f"SELECT * FROM (\n{text}\n) AS asked", values))
        return [column[0] for column in cursor.description or ()], cursor.fetchall()

    def read(self, run: Callable[[], T]) -> T:
        with self.guard():
            self._begin(
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
            )
            try:
                return run()
            finally:
                self._roll_back()

    def within(self, run: Callable[[], T]) -> T:
        """An error ends a statement only, but for a deadlock, which ends the transaction and is not hidden."""
        with self.guard():
            return run()

    @contextmanager
    def write(self) -> Iterator[None]:
        with self.guard():
            self._claimed.clear()
            self._begin("START TRANSACTION READ WRITE")
            try:
                yield
                self._refuse_new_referrers()
                self._all("COMMIT")
                self.in_transaction = False
            finally:
                self._roll_back()

    def _begin(self, *statements: str) -> None:
        for statement in statements:
            self._all(statement)
        self.in_transaction = True

    def _roll_back(self) -> None:
        if self.in_transaction:
            self.in_transaction = False
            with suppress(pymysql.Error):
                self._all("ROLLBACK")

    def claim(self, table: str) -> None:
        """Whoever has read a table in a transaction keeps its shape; who refers to it is asked again before the commit."""
        with self.guard():
            self._unless_denied(f"SELECT 1 FROM {self.source(table)} LIMIT 0", ())
        self._claimed.add(table)

    def _refuse_new_referrers(self) -> None:
        """A foreign key that came since may have let rows go by a cascade: nothing of it is committed."""
        if any(map(self.referrers_changed, sorted(self._claimed))):
            self.forget()
            raise Contended("others have come to refer to the same rows", why="a foreign key was made or dropped meanwhile")

    def drop_partition(self, table: str, partition: str, compare: Callable[[], None], agree: Callable[[], None]) -> None:
        """Under LOCK TABLES nobody else gets at a row; a change of the table is a transaction of its own."""
        source = self.source(table)
        with self.guard():
            try:
                self._all("SET SESSION TRANSACTION READ WRITE")
                self._all(f"LOCK TABLES {source} WRITE")
                compare()
                agree()
                self.run(Clause(f"ALTER TABLE {source} DROP PARTITION {MYSQL.quoted(partition)}"))
            finally:
                with suppress(pymysql.Error):
                    self._all("UNLOCK TABLES")
                    self._all("SET SESSION TRANSACTION READ ONLY")

    def lag(self) -> float | None:
        """What the replica itself says; it says nothing where one of its threads does not run."""
        with closing(self.con.cursor(DictCursor)) as cursor:
            try:
                cursor.execute("SHOW SLAVE STATUS" if self.is_mariadb else "SHOW REPLICA STATUS")
            except pymysql.OperationalError as error:
                if error.args[0] != _NOT_ALLOWED:
                    raise
                wanted = "SLAVE MONITOR" if self.is_mariadb else "REPLICATION CLIENT"
                do = f"grant {wanted} on *.* to {self.account}"
                raise StoreDenied("the account may not ask how far it is behind", why="a privilege is missing", do=do) from None
            told = cursor.fetchall()
        said = [row.get("Seconds_Behind_Master", row.get("Seconds_Behind_Source")) for row in told]
        known = [float(one) for one in said if one is not None]
        return max(known) if known and len(known) == len(said) else None

    def refuse_text(self, table: str, text: str) -> None:
        """It has to parse in parentheses, so that it has no tail, and alone, so that its parentheses are its own."""
        for form in (f"(\n{MYSQL.literal(text)}\n)", f"\n{MYSQL.literal(text)}\n"):
            self._explain(f"SELECT 1 FROM {self.source(table)} WHERE {form}", ())

    def refuse_query(self, query: str, values: Mapping[str, str | None]) -> None:
        """As a derived table first: there, nothing that writes is allowed."""
        text, given = named_values(query, values) if values else (MYSQL.literal(query), [])
        for form in (f"SELECT 1 FROM (\n{text}\n) AS x", text):
            self._explain(form, given)

    def _explain(self, statement: str, values: Sequence[Any]) -> None:
        if "\0" in statement or not is_utf8(statement):
            raise StoreDenied("the database does not accept a statement", why="it is no SQL")
        with self.guard():
            self._all("EXPLAIN " + statement, values)

    # Errors

    @contextmanager
    def guard(self, *, writing: bool = False) -> Iterator[None]:
        try:
            yield
        except pymysql.Error as error:
            raise self._understood(error, writing=writing) from None

    def _understood(self, error: pymysql.Error, *, writing: bool) -> RetentiondError:
        """What an error means, by its number; its text is used only where it speaks of a statement."""
        number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        if number in _CONTENDED:
            return Contended("others are at work on the same rows", why=f"error {number}", do="try again later")
        if number in _VIOLATED and writing:
            return Violated(_VIOLATED[number])
        if number in _VALUES:
            return NoSuchValue("the database cannot work with a value", why=f"error {number}")
        if number in _REFUSED:
            what, why, do = _REFUSED[number]
            return StoreDenied(what, why=f"{why} (error {number})".lstrip(), do=do)
        if number in _UNAVAILABLE:
            what, why, do = _UNAVAILABLE[number]
            return StoreUnavailable(what, why=f"{why} (error {number})".lstrip(), do=do)
        refusal = getattr(error, "original_exception", None)
        if isinstance(refusal, ssl.SSLCertVerificationError):
            why = refusal.verify_message.rstrip(".")
            do = "look at `ssl_ca`, and at the host in `url`"
            return StoreDenied("the certificate of the database is refused", why=why, do=do)
        if number == 0 or 2000 <= number < 3000:
            if getattr(self, "con", None) is None:
                return StoreUnavailable(
                    "the database cannot be reached", why=f"error {number}", do="look at `url` and the server"
                )
            return StoreUnavailable(_LOST[0], why=f"{_LOST[1]} (error {number})", do=_LOST[2])
        why = f"{_STATEMENTS.get(number, '')} (error {number})".lstrip()
        return StoreDenied("the database does not accept a statement", why=why)


def _verified(options: Mapping[str, str]) -> dict[str, bool]:
    """What the driver verifies: where authorities are named, or the host is to be the right one, the certificate is verified."""
    identity = bool(is_on(options, "ssl_verify_identity"))
    return {"ssl_verify_cert": identity or "ssl_ca" in options or bool(is_on(options, "ssl_verify_cert")),
            "ssl_verify_identity": identity}  # fmt: skip


def _opened(arguments: dict[str, Any]) -> Reading:
    """A connection. What is no error of the driver is about a file: it reads those of TLS before it connects."""
    try:
        return Reading(**arguments)
    except OSError as error:
        why = getattr(error, "reason", None) or error.strerror or "it is no such file"
        raise StoreDenied(
            "a certificate or key cannot be used", why=why, do="look at `ssl_ca`, `ssl_cert` and `ssl_key` in `url`"
        ) from None


_NOT_ALLOWED = 1227
_UNSEEN = "foreign keys of tables that this account may not read are not known: grant it SELECT on all, or PROCESS"
_STATEMENTS_ONLY = (
    "the server keeps its binary log in statements (binlog_format STATEMENT), and then lets no row go: set it to ROW or MIXED"
)
_CONTENDED = frozenset({1213, 1020, 1637})
_STATEMENTS = {
    1064: "it is no SQL that the database understands",
    1054: "it names a column that is not there; a text stands in single quotes",
    1146: "it names a table that is not there",
    1305: "it names a function that is not there",
    1052: "it names a column that could be of several tables",
    1111: "it counts or sums up where rows are asked for",
}
_VIOLATED = {
    **dict.fromkeys((1451, 1452, 1216, 1217, 1761, 1762), "foreign-key"),
    **dict.fromkeys((1062, 1048, 1169, 1364, 1264, 1265, 1292, 1366, 1406, 1411, 1690, 3819, 4025, 1690, 1365), "constraint"),
    **dict.fromkeys((1644, 1643, 1442, 1415), "trigger"),
}
_VALUES = frozenset({1264, 1265, 1292, 1366, 1406})
_DENIED = ("the account may not do this", "a privilege is missing", "see docs/databases.md for what an account needs")
_LOCKED = ("the rows or the table are locked", "another program is writing to them", "try again later")
_LATE = ("a statement took longer than statement_timeout", "", "raise it, or try later")
_SHORT = ("the database is short of room, memory or connections", "", "look at its server")
_STOPPED = ("the database ended the connection", "what it was doing may or may not have happened", "try again later")
_READ_ONLY = ("the database does not allow writing", "it is a replica, or read-only", "name the primary in `url`")
_REFUSED = {
    **dict.fromkeys((1044, 1142, 1143, 1227, 1370), _DENIED),
    **dict.fromkeys((1045, 1698, 1130, 1862), ("the database does not let the account in", "", "look at `url` and `password`")),
    **dict.fromkeys((1290, 1836, 1792), _READ_ONLY),
    1049: ("there is no such database", "", "correct `url`"),
    1665: (
        "the server lets no row go",
        "it keeps its binary log in statements, which READ COMMITTED does not allow",
        "set binlog_format to ROW or MIXED",
    ),
    2026: ("the server of the database offers no TLS", "`url` asks for it", "look at the server"),
}
_UNAVAILABLE = {
    **dict.fromkeys((1205, 3572), _LOCKED),
    **dict.fromkeys((1969, 3024), _LATE),
    **dict.fromkeys((1021, 1114, 1037, 1038, 1040, 1041, 1203, 1226), _SHORT),
    **dict.fromkeys((1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1184, 1317, 1927), _STOPPED),
}
