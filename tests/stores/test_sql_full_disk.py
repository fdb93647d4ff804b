"""SQL on servers whose disk is full: a clear error, no row half done, and the same plan finishes once there is room."""

import os
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from retentiond.core.anonymise import Constant
from retentiond.errors import StoreUnavailable
from tests.servers.databases import made
from tests.servers.own import Own
from tests.stores.masks import anonymise, what
from tests.stores.served import act
from tests.stores.tables import DISPOSED, everything

SIZE = {"postgres": "160m", "mariadb": "320m"}


@contextmanager
def small_disk(size):
    """A file system of its own, which takes the privilege to mount one."""
    folder = tempfile.mkdtemp(prefix="retentiond-small-")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=711", "tmpfs", folder], capture_output=True, check=False
    )
    if done.returncode:
        os.rmdir(folder)
        pytest.skip("a small file system cannot be mounted here: no disk can be full (run as root)")
    try:
        yield Path(folder)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        os.rmdir(folder)


@pytest.mark.parametrize("kind", SIZE)
def test_a_full_disk_is_told_and_the_work_goes_on_when_there_is_room(kind):
    columns = [("caller", Constant("x" * 900))]
    with small_disk(SIZE[kind]) as disk:
        server = Own(kind, place=str(disk))
        try:
            with made(kind, server.start().address) as database:
                database.sql("CREATE TABLE people (id INT PRIMARY KEY, at TIMESTAMP NULL, caller VARCHAR(1000))")
                database.many("INSERT INTO people VALUES (%s, '2020-01-01', %s)", [(n, f"+44{n}") for n in range(6000)])
                filler = disk / "filler"
                with act(database) as store:
                    sc = what(columns, "people")
                    plan = list(everything(store, sc).items())
                    fill(filler)
                    done = []
                    with pytest.raises(StoreUnavailable, match="short of room"):
                        batch_by_batch(store, sc, plan, done)
                    filler.unlink()
                    masked = "SELECT count(*) FROM people WHERE length(caller) = 900"
                    assert len(done) == database.sql(masked)[0][0], "a batch is done, or it is not"
                with act(database) as store:
                    left = [(k, v) for k, v in everything(store, sc).items() if (k, v) in plan]
                    batch_by_batch(store, sc, left, done)
                    assert 6000 == len(done)
                    assert 6000 == database.sql(masked)[0][0]
        finally:
            server.close()


def batch_by_batch(store, sc, plan, done):
    """Anonymises a thousand after another; `done` gathers what was."""
    for first in range(0, len(plan), 1000):
        said = anonymise(store, sc, dict(plan[first : first + 1000]))
        assert {DISPOSED} == set(said.values())
        done += said


def fill(path):
    """Takes all the room that is left."""
    with path.open("wb") as file:
        try:
            while True:
                file.write(b"\0" * 65536)
                file.flush()
        except OSError:
            return
