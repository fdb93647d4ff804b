"""Tables on real servers, and how a store opens them."""

from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from retentiond.core.item import key_of
from retentiond.stores.sql import SqlType
from retentiond.stores.sql.pace import MOST
from retentiond.testing.contract import LONG_AGO
from tests.stores.tables import UNUSUAL, scope

COLUMNS = {
    "postgres": '"select" BYTEA, at TIMESTAMPTZ, kind TEXT',
    "mariadb": "`select` BLOB, at DATETIME(6), kind VARCHAR(20)",
}
NAME = {"postgres": "TEXT", "mariadb": "VARCHAR(700) COLLATE utf8mb4_nopad_bin"}


def look(database, **others):
    return closing(SqlType().look({"url": database.url, **others}))


def act(database, **others):
    return closing(SqlType().act({"url": database.url, **others}))


def usual(kind):
    """The unusual names that this kind of database can hold."""
    fits = [name[:700] for name in UNUSUAL if not any("\ud800" <= c <= "\udfff" for c in name)]
    return [name for name in fits if kind == "mariadb" or "\0" not in name]


@dataclass
class Served:
    """One table of a database on a server. `key` is `number`, `name`, `pair` or `unique`."""

    database: Any
    by: str
    table: str = "items"
    numbers: dict = field(default_factory=dict)
    names: dict = field(default_factory=dict)

    def __post_init__(self):
        kind, quoted = self.database.kind, self.database.quoted
        self.unusual = usual(kind)
        keys = {
            "number": f"number BIGINT PRIMARY KEY, name {NAME[kind]}",
            "name": f"name {NAME[kind]} PRIMARY KEY, number BIGINT",
            "pair": f"name {NAME[kind]}, number BIGINT, PRIMARY KEY (number, name)",
            "unique": f"name {NAME[kind]} NOT NULL UNIQUE, number BIGINT",
        }
        if self.by == "name":
            self.table = 'it"`e/m,s %'
        self.quoted = quoted(self.table)
        self.database.sql(f"CREATE TABLE {self.quoted} ({keys[self.by]}, {COLUMNS[kind]})")
        self.doubled = self.quoted.replace("%", "%%")
        self.select = quoted("select")

    def make(self, name, *, start=LONG_AGO, content=b"content", kind="in"):
        number = self.numbers.setdefault(name, len(self.numbers) + 1)
        at = f"{start:%Y-%m-%d %H:%M:%S}" + ("+00" if self.database.kind == "postgres" else "")
        self.database.sql(
            f"INSERT INTO {self.doubled} (name, number, {self.select}, at, kind) VALUES (%s, %s, %s, %s, %s)",
            values=[name, number, content, at, kind],
        )
        table, text = (t.replace("%", "%25").replace(",", "%2C").replace("/", "%2F") for t in (self.table, name))
        part = {"number": number, "pair": f"{number},{text}"}.get(self.by, text)
        key = key_of(f"{table}/{part}")
        self.names[key] = number
        return key

    def crowd(self):
        """As many rows as a table has that is worth being split."""
        count, series = MOST + 1, "seq_1_to_{}" if self.database.kind == "mariadb" else "generate_series(1, {}) AS s (seq)"
        name = "CONCAT('crowd-', seq)" if self.database.kind == "mariadb" else "'crowd-' || seq"
        self.database.sql(
            f"INSERT INTO {self.doubled} (name, number, at, kind)"
            f" SELECT {name}, 1000000 + 7 * seq, %s, 'in' FROM {series.format(count)}", values=[f"{LONG_AGO:%Y-%m-%d %H:%M:%S}"],
        )  # fmt: skip
        for n in range(1, count + 1):
            number, text = 1_000_000 + 7 * n, f"crowd-{n}"
            self.names[f"{self.table}/" + {"number": str(number), "pair": f"{number},{text}"}[self.by]] = number
        return list(self.names)[-count:]

    def make_outside(self):
        return self.make("elsewhere", kind="out")

    def change(self, key):
        more = f"{self.select} || '\\x00'::bytea" if self.database.kind == "postgres" else f"CONCAT({self.select}, x'00')"
        self._run(f"UPDATE {self.doubled} SET {self.select} = {more} WHERE number = %s", key)

    def remove(self, key):
        self._run(f"DELETE FROM {self.doubled} WHERE number = %s", key)

    def content(self, key):
        rows = self._run(f"SELECT * FROM {self.doubled} WHERE number = %s", key)
        return rows[0] if rows else None

    def snapshot(self):
        return sorted(self.database.sql(f"SELECT * FROM {self.quoted}"), key=repr)

    def scope(self):
        return scope(self.table, "kind = 'in' -- only these", key=("name",) if self.by == "unique" else ())

    def look(self):
        return SqlType().look({"url": self.database.url})

    def act(self):
        return SqlType().act({"url": self.database.url})

    def _run(self, statement, key):
        return self.database.sql(statement, values=[self.names[key]])
