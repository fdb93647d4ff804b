"""Databases on the private servers: each test has one of its own, and a way behind the store's back."""

import os
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pymysql
import pytest

from tests.servers.private import serving

_NUMBERS = count(1)
_MODE = "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_CREATE_USER,NO_ENGINE_SUBSTITUTION"
"""What MariaDB is used to, if nobody changes it."""
CUT_OFF = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name = 'retentiond' AND datname = current_database()"
)
"""Ends the program's sessions on one database of PostgreSQL, and those of no other test."""


@dataclass
class Database:
    """One fresh database. `url` is what a store opens; `sql` is another program."""

    kind: str
    server: str
    name: str
    con: Any = field(repr=False, default=None)

    @property
    def url(self):
        scheme = "postgresql+psycopg" if self.kind == "postgres" else "mysql+pymysql"
        return f"{scheme}://{urlsplit(self.server).netloc}/{self.name}"

    def as_user(self, user):
        """The address for another user, without a password."""
        host = urlsplit(self.server).netloc.partition("@")[2]
        return self.url.replace(urlsplit(self.server).netloc, f"{user}@{host}")

    def sql(self, *statements, values=()):
        """Runs statements as another program would, each by itself; the rows of the last."""
        with closing(self.con.cursor()) as cursor:
            for statement in statements:
                cursor.execute(statement, values or None)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []

    def many(self, statement, rows):
        with closing(self.con.cursor()) as cursor:
            cursor.execute("BEGIN")
            cursor.executemany(statement, rows)
            cursor.execute("COMMIT")

    def connect(self):
        """A further program with a connection of its own."""
        return connected(self.kind, self.server, self.name)

    def quoted(self, name):
        mark = '"' if self.kind == "postgres" else "`"
        return mark + name.replace(mark, 2 * mark) + mark


def connected(kind, server, name):
    """A connection as the server's first user, each statement by itself."""
    if kind == "postgres":
        con = psycopg.connect(server.rpartition("/")[0] + "/" + name, autocommit=True)
        con.prepare_threshold = None
        return con
    at = urlsplit(server)
    return pymysql.connect(
        host=at.hostname,
        port=at.port,
        user=at.username,
        password=at.password or "",
        database=name,
        autocommit=True,
        charset="utf8mb4",
        init_command=f"SET time_zone = 'SYSTEM', sql_mode = '{_MODE}'",  # some test may be changing what everybody is used to
    )


@contextmanager
def made(kind, server):
    """A database for as long as the context lasts."""
    first = "postgres" if kind == "postgres" else "mysql"
    name = f"test_{os.getpid()}_{next(_NUMBERS)}"
    with closing(connected(kind, server, first)) as admin, closing(admin.cursor()) as cursor:
        cursor.execute(f"CREATE DATABASE {name} " + ("TEMPLATE template0" if kind == "postgres" else "CHARACTER SET utf8mb4"))
        try:
            with closing(connected(kind, server, name)) as con:
                yield Database(kind, server, name, con)
        finally:
            cursor.execute(f"DROP DATABASE {name}" + (" WITH (FORCE)" if kind == "postgres" else ""))


@contextmanager
def emptied(database):
    """A PostgreSQL database as good as new: making one takes long, because it waits for a checkpoint."""
    try:
        yield database
    finally:
        others = f"pg_stat_activity WHERE datname = '{database.name}' AND pid <> pg_backend_pid()"
        database.sql(f"SELECT pg_terminate_backend(pid) FROM {others}")
        own = "SELECT format('DROP SCHEMA %I CASCADE', nspname) FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema$'"
        database.sql(*[row[0] for row in database.sql(own)], "CREATE SCHEMA public", "GRANT USAGE ON SCHEMA public TO public")


@pytest.fixture(scope="session")
def postgres_server():
    with serving("postgres") as address:
        yield address


@pytest.fixture(scope="session")
def mariadb_server():
    with serving("mariadb") as address:
        yield address


@pytest.fixture(scope="session")
def postgres_database(postgres_server):
    with made("postgres", postgres_server) as database:
        yield database


@pytest.fixture
def postgres(postgres_database):
    with emptied(postgres_database):
        yield postgres_database


@pytest.fixture
def mariadb(mariadb_server):
    with made("mariadb", mariadb_server) as database:
        yield database


@pytest.fixture(params=["postgres", "mariadb"])
def served(request):
    """A database on either server."""
    return request.getfixturevalue(request.param)
