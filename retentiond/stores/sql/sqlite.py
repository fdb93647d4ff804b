"""One open SQLite database: how it is opened, read, written, and how its errors are understood.

Looking opens `mode=ro` and sets `query_only`; acting opens `mode=rw`, and is `query_only` too but
for the moments of `write`. Neither makes a file or changes a journal mode. No transaction is left
open. Looking at a database in WAL mode may leave SQLite's own `-wal` and `-shm` files beside it.

https://sqlite.org/c3ref/open.html (mode), https://sqlite.org/rescode.html (codes)
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from retentiond.errors import RetentiondError, StoreDenied, StoreUnavailable
from retentiond.stores.sql.database import ColumnFacts, ForeignKey, Parent, Violated
from retentiond.stores.sql.keys import Kind, is_utf8
from retentiond.stores.sql.spelling import Clause, Column, fold, without_data
from retentiond.stores.sql.spelling_sqlite import SQLITE, quoted_names

if TYPE_CHECKING:
    from sqlalchemy import Inspector

T = TypeVar("T")
_INSTRUCTIONS = 10_000
_CACHE = "-65536"
_WAL = "its journal mode is WAL: looking may leave -wal and -shm files beside it"
_NEEDS_FOLDER = "the file or its folder does not allow it; a database in WAL mode needs a -shm file beside it, even for looking"


class Sqlite:
    """A connection to one file. Errors of the driver leave it as errors of ours, without data."""

    spelling = SQLITE
    whole = range(-(2**63), 2**63)
    clock: datetime | None = None
    default = "main"

    def __init__(self, path: str, *, acting: bool, lock_timeout: float, statement_timeout: float | None) -> None:
        self.path, self.acting = os.path.realpath(path), acting
        _look_at(self.path, acting=acting)
        self._deadline, self._timeout = float("inf"), statement_timeout
        uri = f"file:{quote(os.fsencode(self.path))}?mode={'rw' if acting else 'ro'}"
        with self.guard():
            self.con = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=lock_timeout)
        try:
            self._prepare()
        except BaseException:
            self.con.close()
            raise

    def _prepare(self) -> None:
        with self.guard():
            self.one("SELECT count(*) FROM sqlite_schema")
            for pragma in ("foreign_keys=ON", f"cache_size={_CACHE}", "query_only=ON"):
                self.con.execute("PRAGMA " + pragma)
            if self.acting:
                self.con.execute("PRAGMA synchronous=FULL")
                self.con.execute("PRAGMA secure_delete=ON")
            self.any_bytes = self.one("PRAGMA encoding") == "UTF-8"
            wal = self.one("PRAGMA journal_mode") == "wal"
            self.notes: tuple[str, ...] = (_WAL,) if wal else ()
            if self.one("PRAGMA foreign_keys") != 1:
                raise StoreDenied("this SQLite cannot enforce foreign keys", do="use a build without SQLITE_OMIT_FOREIGN_KEY")
        if self._timeout is not None:
            self.con.set_progress_handler(self._is_late, _INSTRUCTIONS)

    @property
    def place(self) -> str:
        """The machine and the file: 16 hex digits of the SHA-256 of its id, and the real path."""
        return f"{_machine()}/sqlite:{self.path}"

    def close(self) -> None:
        self.con.close()

    def one(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """The first value of a query."""
        row = self.con.execute(sql, values).fetchone()
        return row[0] if row else None

    def rows(self, clause: Clause) -> sqlite3.Cursor:
        return self.con.execute(*clause)

    def run(self, clause: Clause) -> int:
        with self.guard():
            return self.con.execute(*clause).rowcount

    def changes(self) -> int:
        return self.con.total_changes

    @property
    def in_transaction(self) -> bool:
        return self.con.in_transaction

    def named(self, query: str, known: Mapping[str, str]) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        with closing(self.con.execute(f"SELECT * FROM (\n{query}\n)", dict(known))) as cursor:
            return [column[0] for column in cursor.description], cursor.fetchall()

    def read(self, run: Callable[[], T]) -> T:
        """What `run` sees in one read transaction, which ends with it."""
        with self.guard():
            self.con.execute("BEGIN")
            try:
                return self.tolerant(run)
            finally:
                self._roll_back()

    def within(self, run: Callable[[], T]) -> T:
        """What `run` sees within the transaction that is open."""
        with self.guard():
            return self.tolerant(run)

    @contextmanager
    def write(self) -> Iterator[None]:
        """One transaction that holds the write lock from its beginning; it commits, or leaves no trace."""
        with self.guard():
            self.con.execute("PRAGMA query_only=OFF")
            try:
                self.con.execute("BEGIN IMMEDIATE")
                yield
                self.con.execute("COMMIT")
            finally:
                self._roll_back()
                self.con.execute("PRAGMA query_only=ON")

    def claim(self, table: str) -> None:
        """The write lock is the whole database's."""

    def parts(self, table: str) -> Sequence[str]:
        return ()

    def partitions(self, table: str) -> Sequence[tuple[str, str]]:
        return ()

    def drop_partition(self, table: str, partition: str, compare: Callable[[], None], agree: Callable[[], None]) -> None:
        raise StoreDenied("SQLite has no partitions")

    def checks(self, table: str) -> Sequence[str]:
        return ()

    def lag(self) -> float | None:
        return None

    account = ""
    lanes = 1
    locking_updates = False

    def may(self, table: str, privilege: str, column: str | None) -> bool | None:
        """A file has permissions, and no grants."""
        return None

    def _roll_back(self) -> None:
        if self.con.in_transaction:
            with suppress(sqlite3.Error):
                self.con.execute("ROLLBACK")

    def tolerant(self, run: Callable[[], T]) -> T:
        """`run`, and once more with text as bytes where it met text that is not UTF-8."""
        try:
            return run()
        except sqlite3.OperationalError as error:
            if not str(error).startswith("Could not decode to UTF-8"):
                raise
            self.con.text_factory = _text
            return run()

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Within it the driver's errors become ours, and `statement_timeout` counts."""
        if self._timeout is not None:
            self._deadline = time.monotonic() + self._timeout
        try:
            yield
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise self._understood(error) from None

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline

    def _understood(self, error: Exception) -> RetentiondError:
        """What an error of the driver means; its text is used only where it speaks of a statement."""
        code = getattr(error, "sqlite_errorcode", None) or 0
        if isinstance(error, sqlite3.IntegrityError):
            kinds = {sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: "foreign-key", sqlite3.SQLITE_CONSTRAINT_TRIGGER: "trigger"}
            return Violated(kinds.get(code, "constraint"))
        if code == sqlite3.SQLITE_READONLY_ROLLBACK:
            return StoreUnavailable(
                "a write to the database was cut short",
                why="its journal has to be rolled back first, and looking may not write",
                do="open it once with its own application, or apply a plan",
            )
        unwritten = code & 0xFF == sqlite3.SQLITE_READONLY and not self.acting
        known = _CODES.get(sqlite3.SQLITE_CANTOPEN if unwritten else code & 0xFF)
        if known is not None:
            kind, what, why, do = known
            return kind(what, why=why, do=do)
        return StoreDenied("the database does not accept a statement", why=without_data(str(error)))

    # What follows is what reflection has to ask SQLite itself.

    def _inspector(self) -> Inspector:
        """SQLAlchemy's view of the schema, through this connection."""
        from sqlalchemy import create_engine, inspect
        from sqlalchemy.pool import StaticPool

        return inspect(create_engine("sqlite://", creator=lambda: self.con, poolclass=StaticPool))

    def schema_version(self, table: str) -> int:
        """A number that changes with every change of the schema."""
        return int(self.one("PRAGMA schema_version"))

    def forget(self) -> None:
        """SQLite itself notices."""

    def tables(self) -> list[str]:
        return self._inspector().get_table_names()

    def views(self) -> list[str]:
        return self._inspector().get_view_names()

    def refuse_table(self, table: str) -> None:
        if self.one("SELECT type <> 'table' FROM pragma_table_list WHERE schema = 'main' AND name = ?", [table]):
            raise StoreDenied("a rule's table is virtual", why="its rows are made by a module of the database")

    def source(self, table: str) -> str:
        return SQLITE.quoted(table)

    def label(self, table: str) -> str:
        return SQLITE.quoted(table)

    def columns(self, table: str) -> dict[str, Column]:
        """Each with what it can hold as part of a key, by its affinity; None where 1 and '1' would be two values."""
        rows = self.con.execute("SELECT name, type FROM pragma_table_xinfo(?)", [table]).fetchall()
        kinds = {name: Column(_kind(declared.upper()), declared) for name, declared in rows}
        return {c["name"]: kinds[c["name"]] for c in self._inspector().get_columns(table) if "computed" not in c}

    def primary(self, table: str) -> list[str]:
        return list(self._inspector().get_pk_constraint(table)["constrained_columns"])

    def foreign_keys(self, table: str) -> Iterable[ForeignKey]:
        found = self._inspector().get_multi_foreign_keys()
        for (_, child), keys in found.items():
            for key in keys:
                if fold(key["referred_table"]) == fold(table):
                    columns = key["constrained_columns"]
                    led = [set(list(index)[: len(columns)]) for index in self.indexes(child, unique=False)]
                    indexed = set(columns) in led or list(columns) == [self.row_number(child)]
                    itself = fold(child) == fold(table)
                    told = self._on_delete(child, columns)
                    yield ForeignKey(self.source(child), child, columns, key["referred_columns"], indexed, itself, told)

    def _on_delete(self, child: str, columns: Sequence[str]) -> str:
        """What a foreign key of these columns says; of several the one that changes the row."""
        wanted = 'SELECT id, "from", on_delete FROM pragma_foreign_key_list(?)'
        found: dict[int, tuple[set[str], str]] = {}
        for number, column, told in self.con.execute(wanted, [child]).fetchall():
            found.setdefault(number, (set(), told))[0].add(fold(column))
        mine = {told for names, told in found.values() if names == set(map(fold, columns))}
        return next((told for told in ("SET NULL", "SET DEFAULT", "CASCADE") if told in mine), "")

    def never_null(self, table: str) -> set[str]:
        """The columns that cannot be NULL."""
        strict = "SELECT wr OR strict FROM pragma_table_list WHERE schema = 'main' AND name = ?"
        clean = bool(self.one(strict, [table]))
        rows = self.con.execute('SELECT name, "notnull", pk FROM pragma_table_xinfo(?)', [table]).fetchall()
        number = self.row_number(table)
        return {name for name, notnull, pk in rows if notnull or (clean and pk) or name == number}

    def row_number(self, table: str) -> str | None:
        """The column that is another name for the row id (INTEGER PRIMARY KEY), if there is one."""
        keys = self.con.execute("SELECT name FROM pragma_table_xinfo(?) WHERE pk > 0", [table]).fetchall()
        has_index = self.one("SELECT 1 FROM pragma_index_list(?) WHERE origin = 'pk'", [table])
        return str(keys[0][0]) if len(keys) == 1 and not has_index else None

    def indexes(self, table: str, *, unique: bool) -> list[dict[str, str]]:
        """The whole-table indexes over plain columns: each column with its collation, in order."""
        wanted = 'SELECT name FROM pragma_index_list(?) WHERE NOT partial AND ("unique" OR NOT ?)'
        found = []
        for (name,) in self.con.execute(wanted, [table, unique]).fetchall():
            rows = self.con.execute("SELECT name, coll FROM pragma_index_xinfo(?) WHERE key", [name]).fetchall()
            if all(column is not None for column, _ in rows):
                found.append(dict(rows))
        return found

    def column_facts(self, table: str) -> dict[str, ColumnFacts]:
        """What the schema says of each column, generated ones included."""
        unique = self._unique_columns(table)
        refers: dict[str, list[Parent]] = {}
        keys = 'SELECT "from", "table", "to", seq FROM pragma_foreign_key_list(?)'
        for mine, parent, theirs, at in self.con.execute(keys, [table]).fetchall():
            name = theirs or dict(enumerate(self.primary(parent) if parent in self.tables() else ())).get(at, "")
            refers.setdefault(fold(mine), []).append(Parent(SQLITE.quoted(parent), name))
        never_null = self.never_null(table)
        rows = self.con.execute("SELECT name, type, pk, hidden FROM pragma_table_xinfo(?)", [table]).fetchall()
        return {
            name: ColumnFacts(
                declared=declared,
                never_null=name in never_null,
                primary=bool(pk),
                generated=bool(hidden),
                unique=unique(name),
                refers=refers.get(fold(name), ()),
                numeric=bool(declared) and _kind(declared.upper()) != "text" and "BLOB" not in declared.upper(),
            )
            for name, declared, pk, hidden in rows
        }

    def _unique_columns(self, table: str) -> Callable[[str], bool]:
        """Whether a unique index may depend on a column: partial ones count, and expressions that have its name in them."""
        names: set[str] = set()
        texts: list[str] = []
        found = self.con.execute('SELECT name FROM pragma_index_list(?) WHERE "unique"', [table]).fetchall()
        for (index,) in found:
            columns = self.con.execute("SELECT name FROM pragma_index_xinfo(?) WHERE key", [index]).fetchall()
            names |= {fold(name) for (name,) in columns if name is not None}
            if any(name is None for (name,) in columns):
                texts.append(fold(self.one("SELECT sql FROM sqlite_schema WHERE name = ?", [index]) or ""))
        return lambda name: fold(name) in names or any(fold(name) in text for text in texts)

    def is_own_collation(self, table: str, column: str, collation: str) -> bool:
        """Whether a column compares by a collation without being told to, as far as `a`, `A` and a blank show."""
        name = f"{SQLITE.quoted(table)}.{SQLITE.quoted(column)}"
        own = f"SELECT x = 'A', x = 'a ' FROM (SELECT {name} AS x FROM {SQLITE.quoted(table)} WHERE 0 UNION ALL SELECT 'a')"
        told = f"SELECT 'a' COLLATE {SQLITE.quoted(collation)} = 'A', 'a' COLLATE {SQLITE.quoted(collation)} = 'a '"
        return bool(self.con.execute(own).fetchone() == self.con.execute(told).fetchone())

    def row_id(self, table: str) -> str | None:
        """A name that means the row id and no column; None for a table without."""
        rows = self.con.execute("SELECT name FROM pragma_table_xinfo(?)", [table]).fetchall()
        free = {"rowid", "oid", "_rowid_"} - {fold(name) for (name,) in rows}
        without = self.one("SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?", [table])
        return min(free) if free and not without else None

    def triggers(self, table: str | None = None) -> list[str]:
        """The triggers of a table, or of all."""
        rows = self.con.execute("SELECT name, tbl_name FROM sqlite_schema WHERE type = 'trigger' ORDER BY name").fetchall()
        return [name for name, of in rows if table is None or fold(of) == fold(table)]

    def tells_triggers(self, table: str) -> bool:
        return True

    def refuse_text(self, table: str, text: str) -> None:
        """Raises `StoreDenied` unless a text is one whole condition on a table, without parameters.

        It has to parse in parentheses, so that it has no tail, and alone, so that its parentheses
        are its own. A name in double quotes has to be one: SQLite takes others for text.
        """
        self._refuse_names(text, table)
        for form in (f"(\n{text}\n)", f"\n{text}\n"):
            self._explain(f"SELECT 1 FROM {SQLITE.quoted(table)} WHERE {form}")

    def refuse_query(self, query: str, values: Mapping[str, str | None]) -> None:
        """Raises `StoreDenied` unless a text is one query, without other parameters than these.

        As a derived table first: some pragmas take effect even when they are only explained.
        """
        self._refuse_names(query, None)
        for form in (f"SELECT 1 FROM (\n{query}\n) WHERE 1", query):
            self._explain(form, values)

    def _explain(self, statement: str, values: Mapping[str, str | None] | None = None) -> None:
        with self.guard():
            if "\0" in statement or not is_utf8(statement):
                raise StoreDenied("the database does not accept a statement", why="it is no SQL")
            self.con.execute("EXPLAIN " + statement, dict(values or {})).close()

    def _refuse_names(self, text: str, table: str | None) -> None:
        used = quoted_names(text)
        if not used:
            return
        wanted = None if table is None or re.search(r"\bselect\b", text, re.IGNORECASE) else table
        columns = "SELECT s.name, x.name FROM sqlite_schema s, pragma_table_xinfo(s.name) x WHERE s.type IN ('table', 'view')"
        with self.guard():
            rows = self.con.execute(columns).fetchall()
        known = {"rowid", "oid", "_rowid_"} | {fold(n) for row in rows if wanted in (None, row[0]) for n in row}
        strange = [name for name in used if fold(name) not in known]
        if strange:
            raise StoreDenied(
                "a name in double quotes is no column",
                why="SQLite would take it for a text",
                do="write a text in single quotes, and correct the name of a column",
            )


_CODES: dict[int, tuple[type[RetentiondError], str, str, str]] = {
    sqlite3.SQLITE_BUSY: (StoreUnavailable, "the database is locked", "another program is writing to it", "try again later"),
    sqlite3.SQLITE_LOCKED: (StoreUnavailable, "the database is locked", "another program is writing to it", "try again later"),
    sqlite3.SQLITE_INTERRUPT: (StoreUnavailable, "a statement took longer than statement_timeout", "", "raise it, or try later"),
    sqlite3.SQLITE_FULL: (StoreUnavailable, "the disk of the database is full", "", "make room on it"),
    sqlite3.SQLITE_IOERR: (StoreUnavailable, "the disk of the database gave an error", "", "look at the machine's journal"),
    sqlite3.SQLITE_NOMEM: (StoreUnavailable, "there was not enough memory", "", "try again later"),
    sqlite3.SQLITE_CANTOPEN: (StoreDenied, "the database cannot be opened", _NEEDS_FOLDER, "let this user write in the folder"),
    sqlite3.SQLITE_READONLY: (StoreDenied, "the database cannot be written", _NEEDS_FOLDER, "let this user write in the folder"),
    sqlite3.SQLITE_PERM: (StoreDenied, "the database cannot be opened", "the file does not allow it", ""),
    sqlite3.SQLITE_NOTADB: (StoreDenied, "the file is not an SQLite database", "or it is an encrypted one", "correct `url`"),
    sqlite3.SQLITE_CORRUPT: (StoreDenied, "the database is damaged", "", "run `PRAGMA integrity_check` on it"),
}


def _look_at(path: str, *, acting: bool) -> None:
    """Says before opening what SQLite would not say as well."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise StoreUnavailable(
            "the database file is not there",
            why="a missing file is a missing store, never created",
            do="correct `url`, or mount it",
        ) from None
    except OSError:
        raise StoreDenied("the database file cannot be looked at", why="its folder does not allow it") from None
    if not stat.S_ISREG(mode):
        raise StoreDenied("the database is not a regular file", do="correct `url`")
    if not os.access(path, os.R_OK | (os.W_OK if acting else 0)):
        raise StoreDenied(
            "the database file cannot be " + ("written" if acting else "read"), why="its permissions do not allow it"
        )


def _machine() -> str:
    """Names the machine without giving away its id, as machine-id(5) asks."""
    try:
        with open("/etc/machine-id", "rb") as file:
            name = file.read().strip()
    except OSError:
        name = os.uname().nodename.encode()
    return hashlib.sha256(b"retentiond/place/" + name).hexdigest()[:16]


def _kind(declared: str) -> Kind | None:
    """The affinity of a declared type (https://sqlite.org/datatype3.html#determination_of_column_affinity)."""
    if "INT" in declared:
        return "number"
    if any(word in declared for word in ("CHAR", "CLOB", "TEXT")):
        return "text"
    if not declared or declared == "ANY" or any(word in declared for word in ("BLOB", "REAL", "FLOA", "DOUB")):
        return None
    return "number"


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
