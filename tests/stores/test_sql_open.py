"""SQL, opening: what is missing, locked, broken or forbidden is said so, and nothing is made."""

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest

from retentiond.errors import StoreDenied, StoreUnavailable
from retentiond.stores.sql import SqlType
from tests.stores.tables import act, connect, everything, look, scope, sql

OPENERS = pytest.mark.parametrize("open_", [look, act])


@pytest.fixture
def path(tmp_path):
    sql(tmp_path / "store.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, at TEXT)", "INSERT INTO t (id) VALUES (1)")
    return tmp_path / "store.db"


@OPENERS
def test_a_missing_file_is_a_missing_store_and_is_not_made(tmp_path, open_):
    for missing in (tmp_path / "no.db", tmp_path / "no" / "such.db"):
        with pytest.raises(StoreUnavailable, match="not there") as refusal:
            open_(missing)
        assert "never created" in refusal.value.why
    assert [] == list(tmp_path.iterdir())


@OPENERS
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no database at all" * 100, "not an SQLite database"),
        (os.urandom(8192), "not an SQLite database"),
        (b"SQLite format 3\0" + b"\1" * 4096, "not an SQLite database|damaged"),
    ],
)
def test_what_is_no_database_is_denied(tmp_path, open_, content, words):
    strange = tmp_path / "store.db"
    strange.write_bytes(content)
    with pytest.raises(StoreDenied, match=words):
        open_(strange)
    assert content == strange.read_bytes()
    assert [strange] == list(tmp_path.iterdir())


@OPENERS
def test_what_is_no_file_is_denied(tmp_path, open_):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        with pytest.raises(StoreDenied, match="not a regular file"):
            open_(tmp_path / name)


def test_a_damaged_page_is_denied(path):
    with closing(connect(path)) as con:
        con.execute("BEGIN")
        con.executemany("INSERT INTO t (at) VALUES (?)", [("2020-01-01",)] * 5000)
        con.execute("COMMIT")
    content = bytearray(path.read_bytes())
    content[8192:16384] = b"\xff" * 8192
    path.write_bytes(content)
    with look(path) as view, pytest.raises(StoreDenied, match="damaged"):
        everything(view, scope("t"))


@OPENERS
def test_a_locked_database_is_unavailable(path, open_):
    with closing(connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailable, match="locked"):
            open_(path, lock_timeout="20 ms")


def test_a_database_that_is_locked_later_is_unavailable_then(path):
    with look(path, lock_timeout=0.02) as view, closing(connect(path)) as other:
        everything(view, scope("t"))
        other.execute("BEGIN EXCLUSIVE")
        for attempt in (
            lambda: everything(view, scope("t")),
            lambda: view.probe(scope("t"), ["t/1"]),
            lambda: view.warnings(scope("t")),
        ):
            with pytest.raises(StoreUnavailable, match="locked"):
                attempt()
        other.execute("ROLLBACK")
        assert ["t/1"] == list(everything(view, scope("t")))


def test_looking_has_no_means_to_write(path):
    before = path.read_bytes()
    with look(path) as view:
        for statement in ("DELETE FROM t", "CREATE TABLE u (id)", "PRAGMA user_version=7", "PRAGMA journal_mode=WAL"):
            with suppress(sqlite3.OperationalError):
                view.database.con.execute(statement)
        view.database.con.execute("PRAGMA query_only=OFF")
        with pytest.raises(Exception, match="readonly"):
            view.database.con.execute("DELETE FROM t")
    assert before == path.read_bytes()


def test_acting_enforces_foreign_keys_and_writes_through(path):
    with act(path) as store:
        pragma = {
            name: store.database.one(f"PRAGMA {name}")
            for name in ("foreign_keys", "synchronous", "secure_delete", "query_only", "journal_mode")
        }
    assert {"foreign_keys": 1, "synchronous": 2, "secure_delete": 1, "query_only": 1, "journal_mode": "delete"} == pragma


def test_the_place_is_the_machine_and_the_real_file(path, tmp_path):
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with look(path) as one, look(link) as two:
        assert one.place == two.place
        machine, _, file = one.place.partition("/")
    assert f"sqlite:{os.path.realpath(path)}" == file
    identity = Path("/etc/machine-id")
    if identity.exists():
        assert identity.read_text().strip() not in machine
        assert hashlib.sha256(b"retentiond/place/" + identity.read_bytes().strip()).hexdigest().startswith(machine)


@pytest.mark.parametrize("name", ["a b.db", "100%25.db", "a#b.db", "é.db", "a;b&c=d.db"])
def test_a_file_may_have_any_name_that_an_address_can_say(tmp_path, name):
    sql(tmp_path / name, "CREATE TABLE t (id INTEGER PRIMARY KEY, at TEXT)", "INSERT INTO t (id) VALUES (1)")
    with look(tmp_path / name) as view:
        assert ["t/1"] == list(everything(view, scope("t")))
    assert [name] == [p.name for p in tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({}, ["url"]),
        ({"url": 7}, ["url"]),
        ({"url": "store.db"}, ["url"]),
        ({"url": "oracle://me@db/pbx"}, ["url"]),
        ({"url": "postgresql+psycopg://db/pbx"}, ["url"]),
        ({"url": "postgresql+psycopg://me@db"}, ["url"]),
        ({"url": "postgresql://me@db/"}, ["url"]),
        ({"url": "postgresql://me:secret@db/pbx"}, ["url"]),
        ({"url": "postgresql://me@db:port/pbx"}, ["url"]),
        ({"url": "postgresql://me@db/pbx?options=-c"}, ["url"]),
        ({"url": "mysql://me@db/pbx?local_infile=1"}, ["url"]),
        ({"url": "mysql://db/pbx", "lock_timeout": "soon", "replicas": ["x"]}, ["url", "lock_timeout", "replicas"]),
        (
            {
                "url": f"postgresql+psycopg://me@db/pbx?sslmode=verify-full&sslrootcert={__file__}",
                "statement_timeout": "1 minute",
            },
            [],
        ),
        ({"url": f"mariadb+pymysql://me@db:3307/pbx?ssl_ca={__file__}&ssl_verify_identity=true"}, []),
        ({"url": "sqlite://"}, ["url"]),
        ({"url": "sqlite:///"}, ["url"]),
        ({"url": "sqlite:///:memory:"}, ["url"]),
        ({"url": "sqlite:///file:x.db"}, ["url"]),
        ({"url": "sqlite://host/x.db"}, ["url"]),
        ({"url": "sqlite:////x.db?mode=rwc"}, ["url"]),
        ({"url": "sqlite:////x.db", "statement_timeout": -1, "zone": "Mars/Base"}, ["statement_timeout", "zone"]),
        ({"url": "sqlite:////x.db", "lock_timeout": True}, ["lock_timeout"]),
        ({"url": "sqlite+pysqlite:////x.db", "lock_timeout": "5 seconds", "statement_timeout": "1.5 minutes", "zone": "UTC"}, []),
        ({"url": "sqlite:////x.db", "lock_timeout": 0, "statement_timeout": "500ms", "zone": None, "password": None}, []),
    ],
)
def test_options_are_checked_without_opening_anything(given, wrong):
    found = list(SqlType().problems(given))
    assert wrong == [option for option, _ in found]
    assert all(len(what) > 5 for _, what in found)
    if "url" in wrong:
        with pytest.raises(StoreDenied):
            SqlType().look(given)


def test_another_database_is_said_to_be_for_later():
    ((_, what),) = SqlType().problems({"url": "oracle+oracledb://retentiond@db/pbx"})
    assert "not in this version" in what


def test_importing_the_kind_loads_no_database():
    heavy = ("sqlalchemy", "sqlite3", "msgspec", "psycopg", "pymysql")
    script = f"import sys, retentiond.stores.sql; print([m for m in {heavy} if m in sys.modules])"
    assert "[]" == subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True).stdout.strip()


AS_NOBODY = """
import os, sys
from tests.stores.tables import act, look, everything, scope
with look(sys.argv[2]) as warm, act(sys.argv[2]) as warmer:
    everything(warm, scope("t")), everything(warmer, scope("t"))
os.setgroups([]); os.setgid(65534); os.setuid(65534)
from retentiond.errors import RetentiondError
for open_ in (look, act):
    try:
        with open_(sys.argv[1]) as view:
            print(open_.__name__, list(everything(view, scope("t"))))
    except RetentiondError as error:
        print(open_.__name__, type(error).__name__, error.what, "|", error.why)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody who may do less")
@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (
            lambda path: path.chmod(0o600),
            ["look StoreDenied the database file cannot be read", "act StoreDenied the database file cannot be written"],
        ),
        (
            lambda path: path.parent.chmod(0o700),
            ["look StoreDenied the database file cannot be looked at", "act StoreDenied the database file cannot be looked at"],
        ),
        (lambda path: path.chmod(0o644), ["look ['t/1']", "act StoreDenied the database file cannot be written"]),
        (
            lambda path: sql(path, "PRAGMA journal_mode=WAL"),
            [
                "look StoreDenied the database cannot be opened | the file or its folder does not allow it; a database in WAL",
                "act StoreDenied",
            ],
        ),
    ],
    ids=["unreadable file", "unreadable folder", "readable", "WAL in a read-only folder"],
)
def test_what_is_not_permitted_is_denied(path, tmp_path_factory, prepare, said):
    for folder in (path.parent, *path.parent.parents):
        if folder.stat().st_mode & 0o077 == 0:
            folder.chmod(0o711)
    path.parent.chmod(0o755)
    warm = shutil.copy(path, tmp_path_factory.mktemp("warm"))
    prepare(path)
    done = subprocess.run([sys.executable, "-c", AS_NOBODY, str(path), str(warm)], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert len(said) == len(lines), done.stderr
    assert all(line.startswith(words) for line, words in zip(lines, said, strict=True)), lines
