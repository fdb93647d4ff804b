"""Files: trees that are large, odd or under attack while they are worked on."""

import os
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from retentiond.core.policy import Start
from retentiond.stores.files import FilesType
from retentiond.stores.files.columns import UNQUIET
from retentiond.testing.contract import LONG_AGO
from retentiond.testing.sharding import ShardableContract
from tests.stores.places import Directory, claims_in, dispose, doubts, scope, seen
from tests.stores.test_files_claims import at


class Crowded(Directory):
    def crowd(self):
        return [self.make(f"folder-{i % 7}/{i % 3}/item-{i}") for i in range(84)]


class TestParts(ShardableContract):
    @pytest.fixture
    def place(self, tmp_path):
        return Crowded(tmp_path)


def test_files_in_one_directory_cannot_be_split(place, view):
    place.make("file")
    assert view.shards(scope(), 4) == [scope()]


# What is still being written


def quiet(place, words):
    return FilesType().look({"path": str(place.path), "quiet": words})


def test_what_changed_a_moment_ago_is_in_doubt_where_the_store_says_so(place):
    now = LONG_AGO + timedelta(hours=5)
    place.put("in/2019-01-01/old", LONG_AGO)
    young = place.put("in/2019-01-01/young", now - timedelta(minutes=9))
    ahead = place.put("in/2019-01-01/ahead", now + timedelta(minutes=9))
    sc = scope("in/{day:%Y-%m-%d}/*", Start("path", "day"), now=now)
    with closing(quiet(place, "10 minutes")) as handle:
        assert doubts(handle, sc) == {young: UNQUIET, ahead: UNQUIET}
        assert handle.probe(sc, [young]).doubts == {0: UNQUIET}
    with closing(quiet(place, "9 minutes")) as handle:
        assert doubts(handle, sc) == {ahead: UNQUIET}
    with closing(place.look()) as handle:
        assert doubts(handle, sc) == {}


@pytest.mark.parametrize("words", ["", "soon", "0 minutes", "-1 hours", "5", 5, "1.5 hours", "10 days"])
def test_a_quiet_age_is_a_time(words):
    assert [option for option, _ in FilesType().problems({"path": "/srv/desk", "quiet": words})] == ["quiet"]


# Odd files


def test_a_sparse_file_counts_as_long_as_it_says_it_is(place, store):
    """In doubt it is large: a limit of bytes is tripped rather than passed."""
    key = place.make("sparse")
    with place.at(key).open("r+b") as file:
        file.truncate(2**40)
    os.utime(place.at(key), (0, 0))
    page = next(store.scan(scope()))
    assert (page.sizes, os.stat(place.at(key)).st_blocks < 100) == ([2**40], True)
    assert dispose(store, seen(store)) == {key: "disposed"}


# Long directories


def test_a_long_directory_that_has_a_subdirectory_is_not_read_again_for_every_batch(place, store):
    """Each batch would else cost as much as the directory is long: counted by the listings of it."""
    place.put("in/below/file")
    for i in range(60):
        place.make(f"{i:02}")
    planned = {key: revision for key, revision in seen(store).items() if "below" not in key}
    listed, listening = [], [True]
    sys.addaudithook(lambda event, _: listed.append(event) if listening and event == "os.scandir" else None)
    keys = list(planned)
    for first in range(0, 60, 10):
        some = {key: planned[key] for key in keys[first : first + 10]}
        assert set(dispose(store, some).values()) == {"disposed"}
        assert store.probe(scope(), list(some)).revisions == [None] * 10
    listening.clear()
    assert len(listed) == 1
    place.make("late")
    assert dispose(store, {"in/late": seen(store)["in/late"]}) == {"in/late": "disposed"}


# A link that is swapped in again and again while the run goes on

SWAPPING = """
import ctypes, os, sys
libc, folder = ctypes.CDLL(None), os.open(sys.argv[1], os.O_RDONLY)
print("begun", flush=True)
while True:
    libc.renameat2(folder, b"folder", folder, b"link", 2)  # RENAME_EXCHANGE: there is no moment without either
"""


@pytest.mark.parametrize("turn", range(3))
def test_a_link_swapped_in_during_the_run_lets_nothing_outside_go(place, tmp_path, turn):
    """A thousand disposals against a racer that exchanges the directory for a link that leads out."""
    outside = tmp_path / "outside"
    outside.mkdir()
    names = [f"{i:03}" for i in range(400)]
    for name in names:
        place.put(f"in/folder/{name}")
        (outside / name).write_bytes(b"outside")
        os.utime(outside / name, (LONG_AGO.timestamp(),) * 2)
    (place.path / "in/link").symlink_to(outside)
    before = Directory(outside).snapshot()
    with closing(place.act()) as store:
        planned = seen(store)
        racer = subprocess.Popen([sys.executable, "-c", SWAPPING, str(place.path / "in")], stdout=subprocess.PIPE)
        try:
            racer.stdout.readline()
            fates = []
            for first in range(0, len(names), 4):
                some = {f"in/folder/{name}": planned[f"in/folder/{name}"] for name in names[first : first + 4]}
                fates += dispose(store, some).values()
                seen(store)
        finally:
            racer.kill()
            racer.communicate()
    assert before == Directory(outside).snapshot(), "something outside was touched"
    assert set(fates) <= {"disposed", "failed:not-followed", "gone"}
    assert {"disposed", "failed:not-followed"} <= set(fates), "the race was one"
    assert not claims_in(outside)


def test_a_directory_moved_out_of_the_tree_during_a_disposal_is_followed_by_its_descriptor_only(place, store, tmp_path):
    """The descriptor was opened inside: what is let go is what was named, wherever its directory has gone meanwhile."""
    for name in ("a", "b"):
        place.make(f"folder/{name}")
    planned = seen(store)
    elsewhere = tmp_path / "elsewhere"
    with at("claimed", lambda: os.rename(place.path / "in/folder", elsewhere)):
        fates = dispose(store, planned)
    assert set(fates.values()) == {"disposed"}
    assert list(Path(elsewhere).iterdir()) == []
