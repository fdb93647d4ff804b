"""SQL, done rows: only those are left unread, each is counted, and a process killed at any arrow leaves whole rows."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retentiond.core.anonymise import Constant, Hash, Mask, Null, Truncate
from retentiond.stores.sql.masking import certainly_done
from retentiond.stores.sql.spelling_sqlite import SQLITE
from tests.stores.masks import TABLE, anonymise, due, what
from tests.stores.tables import act, connect, look, sql


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


ODD = [None, "", " ", "#", "#abc", "#abcdef0", "#ABCDEF0", "removed", "Removed", 5, "5", 5.0, b"x", "****", "A***", "A**x",
       "É***", "192.0.2.0", "192.0.2.1", "999.0.2.0", "01.2.3.0", "1..2.0", "1.2.0", "1.2.3.4.0", "1.2.3.0 ", "-1.2.3.0",
       "0.0.0.0", "::",
       "2001:db8::", "1980-01-01", "1980-05-01", "1980-13-01", "0000-01-01", "1980-01-01 00:00:00", "1980-01-01T00:00Z",
       "1980-01-01 00:00:01", "a\0b", "#abcdef\0", "192.0.2.0\0", "****\0x"]  # fmt: skip


@pytest.mark.parametrize(
    "strategy",
    [
        *(Constant(v) for v in ("removed", "5", 5, "")),
        Null(),
        Hash(8),
        Mask(0),
        Mask(1),
        *(Truncate(n) for n in (24, 17, 64, "year", "month")),
    ],
    ids=repr,
)
@pytest.mark.parametrize("declared", ["x", "x TEXT", "x TEXT COLLATE NOCASE", "x DATE"])
def test_what_is_left_unread_is_done_and_is_counted(path, strategy, declared):
    with closing(connect(path)) as con:
        con.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, at TEXT, {declared})")
        con.executemany("INSERT INTO t (at, x) VALUES ('2020-01-01', ?)", [(v,) for v in ODD])
        con.execute("INSERT INTO t (at, x) VALUES ('2020-01-01', CAST(x'41ff2a2a' AS TEXT))")
    check_left_out(path, strategy, len(ODD) + 1)


def check_left_out(path, strategy, rows):
    sc = what([("x", strategy)], "t")
    with look(path) as view:
        (whole,) = view.scan(sc)
        pages = list(view.scan(replace(sc, leave_done=True)))
        keys = {key for page in pages for key in page.keys}
        unread = set(whole.keys) - keys
        assert unread <= {whole.keys[i] for i in whole.done}
        assert (len(unread), 0) == (sum(p.unseen_done for p in pages), sum(p.unseen for p in pages))
        assert rows == len(keys) + len(unread)
        if not isinstance(strategy, Truncate | Constant):
            assert not (whole.done and not unread), "something is left out"


octets = st.integers(0, 299).map(str) | st.sampled_from(["0", "00", "", "-0", "1e1", "0x1"])


@settings(max_examples=200, deadline=None)
@given(st.lists(octets, min_size=3, max_size=5).map(".".join), st.sampled_from([1, 8, 16, 23, 24, 31]))
def test_only_addresses_in_their_one_spelling_are_left_unread(address, bits):
    clause = certainly_done(SQLITE, [("x", Truncate(bits))])
    with closing(sqlite3.connect(":memory:")) as con:
        (told,) = con.execute(f"SELECT {clause.sql} FROM (SELECT ? AS x)", [*clause.values, address]).fetchone()
    assert bool(told) == Truncate(bits).is_done(address)


# Dying


CHILD = """
import os, signal, sys
from retentiond.engine import failpoints
from tests.stores.tables import act
from tests.stores.masks import anonymise, due, what
path, arrow = sys.argv[1:]
with act(path) as store:
    plan = due(store, what())
    store.database.con.execute("PRAGMA cache_size=10")
    failpoints.watch(lambda reached: os.kill(os.getpid(), signal.SIGKILL) if reached == arrow else None)
    anonymise(store, what(), plan)
"""


@pytest.mark.parametrize(
    ("arrow", "done"), [("claimed", 0), ("compared", 0), ("destroyed", 0), ("settled", 1000), ("never", 1000)]
)
@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_process_killed_at_any_arrow_has_done_all_or_nothing(path, arrow, done, mode):
    with closing(connect(path)) as con:
        con.execute(f"PRAGMA journal_mode={mode}")
        con.execute(TABLE)
        rows = [("2020-01-01", f"192.0.{i % 200}.7", f"p{i}@example.org", f"Anna{i}") for i in range(1000)]
        con.executemany("INSERT INTO people (at, ip, email, name) VALUES (?, ?, ?, ?)", rows)
    child = subprocess.run([sys.executable, "-c", CHILD, str(path), arrow], capture_output=True, text=True, check=False)
    assert (0 if arrow == "never" else -signal.SIGKILL) == child.returncode, child.stderr
    with act(path) as store:
        assert 1000 - done == len(due(store, what()))
        anonymise(store, what(), due(store, what()))
        assert {} == due(store, what())
    assert [("ok",)] == sql(path, "PRAGMA integrity_check")
