"""SQL, dying: a real SIGKILL at every arrow of a disposal, and the database is whole, before or after."""

import signal
import subprocess
import sys

import pytest

from retentiond.errors import StoreUnavailable
from tests.stores.tables import DISPOSED, GONE, act, everything, fates, look, scope, sql

ROWS = 3000
CHILD = """
import os, signal, sys
from retentiond.engine import failpoints
from tests.stores.tables import act, everything, fates, scope
path, arrow = sys.argv[1:]
with act(path) as store:
    plan = everything(store, scope())
    store.database.con.execute("PRAGMA cache_size=10")
    failpoints.watch(lambda reached: os.kill(os.getpid(), signal.SIGKILL) if reached == arrow else None)
    fates(store, scope(), dict(list(plan.items())[:2000]))
"""


@pytest.fixture(params=["delete", "wal", "truncate", "persist"])
def path(request, tmp_path):
    found = tmp_path / "store.db"
    sql(
        found,
        f"PRAGMA journal_mode={request.param}",
        "CREATE TABLE items (id INTEGER PRIMARY KEY, at TEXT, note TEXT)",
        f"WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})"
        " INSERT INTO items SELECT i, '2020-01-01', hex(zeroblob(100)) FROM n",
    )
    return found


@pytest.mark.parametrize(
    ("arrow", "left"),
    [("claimed", ROWS), ("compared", ROWS), ("destroyed", ROWS), ("settled", ROWS - 1000), ("never", ROWS - 2000)],
)
def test_a_process_killed_at_any_arrow_has_done_all_or_nothing(path, arrow, left):
    before = _plan(path)
    child = subprocess.run([sys.executable, "-c", CHILD, str(path), arrow], capture_output=True, text=True, check=False)
    assert (0 if arrow == "never" else -signal.SIGKILL) == child.returncode, child.stderr
    with act(path) as store:
        now = everything(store, scope())
        assert left == len(now)
        assert now.items() <= before.items()
        said = fates(store, scope(), before)
        assert {key: DISPOSED if key in now else GONE for key in before} == said
        assert {} == everything(store, scope())
    assert [("ok",)] == sql(path, "PRAGMA integrity_check")
    assert [(0,)] == sql(path, "SELECT count(*) FROM items")


def test_looking_does_not_repair_what_a_cut_short_write_left(path):
    if sql(path, "PRAGMA journal_mode") == [("wal",)]:
        pytest.skip("a WAL needs no repair to be read")
    before = _plan(path)
    subprocess.run([sys.executable, "-c", CHILD, str(path), "destroyed"], capture_output=True, check=False)
    torn = path.read_bytes()
    with pytest.raises(StoreUnavailable, match="cut short"):
        look(path)
    assert torn == path.read_bytes()
    with act(path) as store:
        assert before == everything(store, scope())
    assert before == _plan(path)


def _plan(path):
    with look(path) as view:
        return everything(view, scope())
