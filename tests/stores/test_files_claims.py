"""Claims: what happens between an item's name and its end, and what a kill leaves behind."""

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from retentiond.core.policy import Action
from retentiond.engine import failpoints
from retentiond.engine.ports import Batch
from retentiond.stores.columns import SHADOWED
from retentiond.stores.files.claiming import move_by_link
from tests.stores.places import batch, claims_in, dispose, doubts, scope, seen


@contextmanager
def at(arrow, act):
    """Does something when the way first comes to an arrow."""
    once = []

    def watcher(reached):
        if reached == arrow and not once:
            once.append(reached)
            act()

    failpoints.watch(watcher)
    try:
        yield
    finally:
        failpoints.watch(None)
    assert once, f"{arrow} was never reached"


def test_a_newcomer_during_the_claim_of_a_changed_item_is_not_overwritten(place, store):
    key = place.make("file")
    planned = seen(store)
    place.change(key)
    with at("claimed", lambda: place.make("file", content=b"newcomer")):
        assert dispose(store, planned) == {key: "changed:left-in-claim"}
    assert place.content(key) == b"newcomer"
    assert doubts(store) == {key: SHADOWED}
    place.remove(key)
    assert list(seen(store)) == [key]
    store.put_back(scope(), [key])
    assert place.content(key) == b"content changed"
    assert not claims_in(place.path)


def test_a_newcomer_during_the_claim_survives_the_item_it_follows(place, store):
    key = place.make("file")
    planned = seen(store)
    with at("claimed", lambda: place.make("file", content=b"newcomer")):
        assert dispose(store, planned) == {key: "disposed"}
    assert place.content(key) == b"newcomer"
    assert not claims_in(place.path)


def test_an_item_that_changes_after_its_claim_was_compared_is_a_known_limit(store):
    assert not store.traits.atomic
    assert store.traits.notes


def test_a_claimed_item_is_let_go_by_the_next_disposal_even_beside_a_newcomer(place, store):
    keys = [place.make(name) for name in ("one", "two")]
    planned = seen(store)
    with pytest.raises(KeyboardInterrupt), at("compared", interrupt):
        dispose(store, planned)
    place.make("one", content=b"newcomer")
    assert seen(store)["in/two"] == planned["in/two"]
    assert store.probe(scope(), keys).revisions == [seen(store)["in/one"], planned["in/two"]]
    assert dispose(store, planned) == {"in/one": "disposed", "in/two": "disposed"}
    assert place.content("in/one") == b"newcomer"
    assert doubts(store) == {}
    assert not claims_in(place.path)


def interrupt():
    raise KeyboardInterrupt


def test_putting_back_destroys_nothing_and_overwrites_nothing(place, store):
    key, other = place.make("one"), place.make("two")
    planned = seen(store)
    with pytest.raises(KeyboardInterrupt), at("compared", interrupt):
        dispose(store, planned)
    place.make("one", content=b"newcomer")
    store.put_back(scope(), [key, other, "in/none", "nowhere/none", "../x"])
    assert place.content(key) == b"newcomer"
    assert place.content(other) == b"content"
    assert len(claims_in(place.path)) == 1
    place.remove(key)
    store.put_back(scope(), [key])
    assert planned == seen(store)
    assert not claims_in(place.path)


def test_putting_back_leaves_the_claims_of_another_lane_alone(place, store):
    """A claim that is empty has just been made, or is about to go: its lane would find no way into it any more."""
    keys = [place.make(f"{i:04}") for i in range(600)]
    planned = seen(store)
    with closing(place.act()) as other, ThreadPoolExecutor(1) as lane:
        letting_go = lane.submit(lambda: [dispose(other, {key: planned[key]})[key] for key in keys])
        while not letting_go.done():
            store.put_back(scope(), ["in/none"])
        assert set(letting_go.result()) == {"disposed"}


def test_a_link_that_a_crash_left_beside_its_claim_is_one_item_again(place, store):
    """Where a file system cannot rename without replacing, putting back is `link` and `unlink`: cut between the two."""
    key = place.make("file")
    planned = seen(store)
    claim = place.path / "in/.retentiond~0123456789abcdef"
    claim.mkdir()
    os.link(place.at(key), claim / "file")
    assert planned == seen(store)
    store.put_back(scope(), [key])
    assert not claims_in(place.path)
    assert doubts(store) == {}
    assert dispose(store, planned) == {key: "disposed"}


def test_moving_by_link_never_replaces(place):
    place.put("from/a", content=b"claimed")
    place.put("from/b", content=b"claimed")
    place.put("from/folder/c")
    place.put("to/a", content=b"newcomer")
    source, target = (os.open(place.path / name, os.O_RDONLY) for name in ("from", "to"))
    with pytest.raises(FileExistsError):
        move_by_link(source, "a", target, "a")
    move_by_link(source, "b", target, "b")
    move_by_link(source, "folder", target, "folder")
    os.close(source)
    os.close(target)
    assert [place.content(f"to/{name}") for name in ("a", "b", "folder/c")] == [b"newcomer", b"claimed", b"content"]
    assert place.content("from/a") == b"claimed"


def test_a_key_that_stands_twice_in_a_batch_is_disposed_of_once(place, store):
    key = place.make("file")
    revision = seen(store)[key]
    facts = list(store.dispose(Batch(0, scope(), Action("delete"), [key, key], [revision, revision])))
    assert {str(s.outcome): list(s.positions) for s in facts} == {"disposed": [0], "gone": [1]}


@pytest.mark.parametrize("kind", ["keep", "anonymise"])
def test_only_delete_is_carried_out(place, store, kind):
    key = place.make("file")
    with pytest.raises(ValueError, match="delete"):
        store.dispose(Batch(0, scope(), Action(kind), [key], [seen(store)[key]]))
    assert key in seen(store)


def test_a_claim_directory_taken_away_does_not_make_items_gone(place, store):
    """ENOENT is also what a rename says whose target directory has vanished."""
    keys = [place.make(f"{i}") for i in range(3)]
    planned = seen(store)

    with at("claimed", lambda: shutil.rmtree(claims_in(place.path)[0])):
        fates = dispose(store, planned)
    assert sorted(fates.values()) == ["failed:enoent", "failed:enoent", "unknown:taken-from-claim"]
    assert [place.content(key) is not None for key in keys] == [fates[key] == "failed:enoent" for key in keys]


def test_facts_come_directory_by_directory(place, store):
    for name in ("a/0", "a/1", "b/0", "b/1"):
        place.make(name)
    planned = dict(sorted(seen(store).items()))
    place.change("in/a/0")
    facts = [(str(s.outcome), list(s.positions)) for s in store.dispose(batch(planned))]
    assert facts == [("changed", [0]), ("disposed", [1]), ("disposed", [2, 3])]


# Empty directories


def test_directories_that_become_empty_go_if_the_selection_says_so(place, store):
    sc = scope("in/tickets/{ticket}/**", empty_directories="remove")
    for raw in ("in/tickets/t1/a/b/file", "in/tickets/t2/file", "in/tickets/t2/sub/kept.txt"):
        place.put(raw)
    planned = {key: revision for key, revision in seen(store, sc).items() if not key.endswith("kept.txt")}
    assert set(dispose(store, planned, sc).values()) == {"disposed"}
    left = sorted(str(p.relative_to(place.path)) for p in place.path.glob("**/*"))
    assert left == ["in", "in/tickets", "in/tickets/t2", "in/tickets/t2/sub", "in/tickets/t2/sub/kept.txt"]


@pytest.mark.parametrize(
    ("pattern", "raw", "left"),
    [("**", "a/b/file", []), ("a/*/file", "a/b/file", ["a"]), ("a/b/*", "a/b/file", ["a", "a/b"])],
)
def test_neither_the_root_nor_the_fixed_part_of_the_pattern_is_removed(place, store, pattern, raw, left):
    (place.path / "in").rmdir()
    sc = scope(pattern, empty_directories="remove")
    place.put(raw)
    dispose(store, seen(store, sc), sc)
    assert sorted(str(p.relative_to(place.path)) for p in place.path.glob("**/*")) == left
    assert place.path.is_dir()


def test_directories_stay_unless_the_selection_says_otherwise(place, store):
    place.make("t1/file")
    dispose(store, seen(store))
    assert (place.path / "in/t1").is_dir()


# A real SIGKILL at every arrow

KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from tests.stores.places import *
from retentiond.engine import failpoints
place = Directory(Path(sys.argv[2]))
left = [int(sys.argv[4])]
def watcher(arrow):
    if arrow == sys.argv[3]:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
failpoints.watch(watcher)
store = place.act()
revisions = seen(store)
keys = list(revisions)
for settled in store.dispose(batch(revisions)):
    print(*(keys[i] for i in settled.positions), flush=True)
"""


def killed(program, place, arrow, again):
    """The keys that a child said it had disposed of before it was killed."""
    child = [sys.executable, "-c", program, str(Path(__file__).parents[2]), str(place.path), arrow, str(again)]
    done = subprocess.run(child, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("again", [1, 2])
@pytest.mark.parametrize("arrow", ["claimed", "compared", "destroyed", "settled"])
@pytest.mark.parametrize("then", ["put back", "dispose again"])
def test_a_kill_at_any_arrow_leaves_each_item_as_it_was_or_gone(place, arrow, again, then):
    keys = [place.make(f"{folder}/{i}") for folder in "ab" for i in range(4)]
    with closing(place.look()) as view:
        planned = seen(view)
    said = killed(KILLED, place, arrow, again)
    assert len(said) == (again - 1) * 4
    with closing(place.act()) as store:
        left = seen(store)
        assert left.items() <= planned.items()
        assert not set(said) & set(left)
        assert store.probe(scope(), keys).revisions == [left.get(key) for key in keys]
        gone = again if arrow in ("destroyed", "settled") else again - 1
        assert len(left) == 8 - 4 * gone
        if then == "put back":
            store.put_back(scope(), keys)
            assert left == seen(store)
            assert all(place.content(key) == b"content" for key in left)
            if arrow != "destroyed":
                assert not claims_in(place.path)
        fates = dispose(store, planned)
        assert fates == {key: "disposed" if key in left else "gone" for key in planned}
        assert seen(store) == {}
    assert not claims_in(place.path)


NAIVE = (
    KILLED.partition("for settled")[0]
    + """
for key in keys:
    os.rename(place.at(key), place.at(key).with_name(".retentiond~tmp"))
    failpoints.reach("claimed")
"""
)


def test_the_crash_test_notices_a_store_that_hides_what_it_claimed(place):
    """The negative control: claims under a name that does not say whose they are lose the item."""
    place.make("file")
    with closing(place.look()) as view:
        planned = seen(view)
    source = str(Path(__file__).parents[2])
    child = subprocess.run(
        [sys.executable, "-c", NAIVE, source, str(place.path), "claimed", "1"], capture_output=True, check=False
    )
    assert child.returncode == -9
    with closing(place.look()) as view:
        assert seen(view) != planned
