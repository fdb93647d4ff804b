"""Real SQLite files, and a way behind the store's back."""

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from retentiond.core.item import key_of
from retentiond.core.outcome import Outcome
from retentiond.core.policy import Action, Start, TableSelection
from retentiond.engine.ports import Batch, Scope
from retentiond.stores.sql import SqlType
from retentiond.testing.contract import LONG_AGO

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
AT = Start("column", "at")
UNUSUAL = (
    "line\nbreak",
    "a,b",
    "a/b",
    "100%",
    "%2C",
    "%",
    ",",
    "",
    " ",
    'it\'s "quoted"',
    "b64:bm90IGJhc2U2NA==",
    "émile",
    "e\u0301mile",
    "Émile",
    "\U0001f600",
    "\\u0000",
    "nul\0byte",
    "nul\0other",
    os.fsdecode(b"latin1-\xe9\xff,"),
    os.fsdecode(b"\xed\xa0\x80"),
    "007",
    "7",
    "-0",
    "1e3",
    "9223372036854775808",
    "x" * 3000,
)
TEXT_KEY = 'CREATE TABLE "it""e/m,s %" (name TEXT PRIMARY KEY, number INT, "select" BLOB, at TEXT, kind TEXT)'
NUMBER_KEY = 'CREATE TABLE items (number INTEGER PRIMARY KEY, name TEXT, "select" BLOB, at TEXT, kind TEXT)'
PAIR_KEY = (
    'CREATE TABLE items (name TEXT NOT NULL, number INT, "select" BLOB, at TEXT, kind TEXT,'
    " PRIMARY KEY (number, name)) WITHOUT ROWID"
)
NAMED_KEY = 'CREATE TABLE items (name TEXT NOT NULL UNIQUE, number INT, "select" BLOB, at TEXT, kind TEXT)'


def connect(path) -> sqlite3.Connection:
    """As another program; it need not survive a power cut."""
    con = sqlite3.connect(path, isolation_level=None)
    con.execute("PRAGMA synchronous=OFF")
    return con


def sql(path, *statements, values=()):
    """Runs statements as another program would; the rows of the last."""
    with closing(connect(path)) as con:
        for statement in statements:
            rows = con.execute(statement, values).fetchall()
    return rows


def options(path, **others):
    return {"url": f"sqlite:///{path}", **others}


def scope(table="items", where=None, start=AT, *, fields=(), predicates=(), waiting_from=None, now=NOW, **selection):
    return Scope(TableSelection(table, where, **selection), start, fields, predicates, waiting_from, now)


def look(path, **others):
    return closing(SqlType().look(options(path, **others)))


def act(path, **others):
    return closing(SqlType().act(options(path, **others)))


def shown(view, what):
    """Everything that a scan shows, as items in its order."""
    return [page[i] for page in view.scan(what) for i in range(len(page))]


def fates(store, what, revisions, predicates=()):
    """What a disposal says of each key: (outcome, code)."""
    batch = Batch(1, what, Action("delete"), list(revisions), list(revisions.values()), predicates)
    said = {batch.keys[i]: (s.outcome.value, s.code) for s in store.dispose(batch) for i in s.positions}
    assert set(said) == set(revisions), "every position has one fate"
    return said


def everything(store, what):
    """The revisions of all that a scan shows."""
    return {item.key: item.revision for item in shown(store, what)}


DISPOSED, GONE, CHANGED = (Outcome.DISPOSED.value, ""), (Outcome.GONE.value, ""), (Outcome.CHANGED.value, "")


@dataclass
class Database:
    """One table in a file of its own; an application that keeps it open, in WAL mode."""

    path: Path
    schema: str
    wal: bool = False
    key: tuple = ()
    version: str | None = None
    unusual = UNUSUAL
    numbers: dict = field(default_factory=dict)
    names: dict = field(default_factory=dict)

    def __post_init__(self):
        self.con = connect(self.path)
        self.con.text_factory = os.fsdecode
        if self.wal:
            self.con.execute("PRAGMA journal_mode=WAL")
        self.con.execute(self.schema)
        self.table = self.con.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchone()[0]
        self.quoted = '"' + self.table.replace('"', '""') + '"'

    def make(self, name, *, start=LONG_AGO, content=b"content", kind="in"):
        number = self.numbers.setdefault(name, len(self.numbers) + 1)
        values = [os.fsencode(name), number, content, f"{start:%Y-%m-%d %H:%M:%S}", kind]
        self.con.execute(
            f'INSERT INTO {self.quoted} (name, number, "select", at, kind) VALUES (CAST(? AS TEXT), ?, ?, ?, ?)', values
        )
        table, name_part = (text.replace("%", "%25").replace(",", "%2C").replace("/", "%2F") for text in (self.table, name))
        part = {TEXT_KEY: name_part, NUMBER_KEY: number, PAIR_KEY: f"{number},{name_part}", NAMED_KEY: name_part}[self.schema]
        key = key_of(f"{table}/{part}")
        self.names[key] = number
        return key

    def make_outside(self):
        return self.make("elsewhere", kind="out")

    def change(self, key):
        self._run(f'UPDATE {self.quoted} SET "select" = "select" || x\'00\' WHERE number = ?', key)

    def remove(self, key):
        self._run(f"DELETE FROM {self.quoted} WHERE number = ?", key)

    def content(self, key):
        rows = self._run(f"SELECT * FROM {self.quoted} WHERE number = ?", key).fetchall()
        return rows[0] if rows else None

    def snapshot(self):
        files = sorted(self.path.parent.glob(self.path.name + "*"))
        return {f.name: (f.read_bytes(), f.stat().st_mtime_ns) for f in files if not f.name.endswith("-shm")}

    def scope(self):
        return scope(self.table, "kind = 'in' -- only these", key=self.key)

    def look(self):
        return SqlType().look(options(self.path))

    def act(self):
        return SqlType().act(options(self.path))

    def _run(self, statement, key):
        return self.con.execute(statement, [self.names[key]])
