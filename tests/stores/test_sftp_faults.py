"""Cut off, killed, disturbed: what is not yet done is still there, what was said is a fact, and the next try finishes it."""

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest

from retentiond.core.policy import Action
from retentiond.engine.fates import inferred_fates
from retentiond.engine.ports import Batch
from retentiond.errors import Occupied, StoreUnavailable
from retentiond.stores.sftp import SftpType
from retentiond.testing.wire import DOWN, UP, Wire
from tests.stores.places import batch, claims_in, dispose, scope, seen
from tests.stores.test_files_claims import at, interrupt

FILES = 24
SESSION = 24_000
"""So many bytes either way are more than a connection and a disposal of these files take."""


@pytest.fixture
def place(served_files):
    return served_files


@pytest.fixture
def wire(sshd):
    with Wire(sshd.host, sshd.port) as line:
        yield line


def through(place, wire, **others):
    return closing(SftpType().act(place.options(port=wire.port, timeout=2, **others)))


def filled(place):
    return [place.make(f"{folder}/{i}") for folder in "abc" for i in range(FILES // 3)]


def disposed(store, planned):
    """The keys that the store said it has disposed of, and the error that ended it."""
    said, keys = [], list(planned)
    try:
        for settled in store.dispose(batch(planned)):
            said += [keys[i] for i in settled.positions if settled.outcome == "disposed"]
    except StoreUnavailable as error:
        return said, error
    return said, None


def looked_into(store, planned):
    """What became of each. A line that was cut behind the last answer is found to be lost by the next question only."""
    for last in (False, True):
        try:
            return inferred_fates(store, batch(planned), range(len(planned)))
        except StoreUnavailable:
            if last:
                raise
    raise AssertionError


def check_half_way(place, store, planned, said):
    """Facts are facts, the rest is as it was or gone, can be put back, and a second try finishes it."""
    left = seen(store)
    assert left.items() <= planned.items()
    assert not set(said) & set(left)
    keys = list(planned)
    fates = looked_into(store, planned)
    assert {keys[i] for fate in fates if fate.outcome == "disposed" for i in fate.positions} == set(planned) - set(left)
    assert all(place.content(key) == b"content" for key in left)
    assert not claims_in(place.path)
    assert dispose(store, planned) == {key: "disposed" if key in left else "gone" for key in planned}
    assert not claims_in(place.path)


@pytest.mark.parametrize("way", [UP, DOWN])
def test_a_connection_cut_anywhere_in_a_disposal(place, wire, way):
    """The same handle connects again, looks, and says what came of it."""
    reached, cuts = 0, 0
    for after in range(100, SESSION, 1300):
        filled(place)
        with through(place, wire) as store:
            planned = seen(store)
            wire.cut_after(way, after)
            said, error = disposed(store, planned)
            wire.mend()
            cuts += error is not None
            check_half_way(place, store, planned, said)
        reached = after
        if error is None:
            break
    assert cuts >= 3
    assert reached < SESSION - 1300, "the last cut came after the end"


def test_putting_back_leaves_the_claims_of_another_lane_alone(place):
    """A claim that is empty has just been made, or is about to go: its lane would find no way into it any more."""
    keys = [place.make(f"{i:03}") for i in range(120)]
    with closing(place.act()) as store, closing(place.act()) as other, ThreadPoolExecutor(1) as lane:
        planned = seen(store)
        letting_go = lane.submit(lambda: [dispose(other, {key: planned[key]})[key] for key in keys])
        while not letting_go.done():
            store.put_back(scope(), ["in/none"])
        assert set(letting_go.result()) == {"disposed"}


def test_a_server_that_falls_silent_in_a_disposal(place, wire):
    filled(place)
    with through(place, wire) as store:
        planned = seen(store)
        wire.silence_after(DOWN, 1500)
        said, error = disposed(store, planned)
        assert "does not answer" in str(error)
        with pytest.raises(StoreUnavailable):
            store.probe(scope(), list(planned))
        wire.mend()
        check_half_way(place, store, planned, said)


def test_a_connection_cut_in_a_scan_is_an_error_and_never_a_shorter_listing(place, wire):
    keys = filled(place)
    for after in range(200, 4000, 600):
        with through(place, wire) as store:
            wire.cut_after(DOWN, after)
            with suppress(StoreUnavailable):
                assert set(seen(store)) == set(keys)
            wire.mend()
            assert set(seen(store)) == set(keys)


def test_a_copy_whose_connection_is_cut_is_whole_or_not_there(place, wire):
    content = bytes(range(256)) * 2000
    for after in (100, 5000, 300_000, 515_000, 516_500, 517_000, 517_500, 518_500):
        key = place.key(f"copy-{after}")
        with through(place, wire) as store:
            wire.cut_after(UP, after)
            try:
                taken = store.take(key, iter([content]))
            except StoreUnavailable:
                taken = None
            wire.mend()
            found = place.content(key)
            assert found == (content if taken else None)
            if taken is None:
                assert store.take(key, iter([content])).size == len(content)
            with pytest.raises(Occupied):
                store.take(key, iter([b""]))
        assert not claims_in(place.path)


def test_a_newcomer_during_the_claim_is_not_overwritten(place, store):
    key, other = place.make("file"), place.make("other")
    planned = seen(store)
    place.change(key)
    with at("claimed", lambda: place.make("file", content=b"newcomer")):
        assert dispose(store, planned) == {key: "changed:left-in-claim", other: "disposed"}
    assert place.content(key) == b"newcomer"
    place.remove(key)
    assert list(seen(store)) == [key]
    store.put_back(scope(), [key])
    assert place.content(key) == b"content changed"
    assert not claims_in(place.path)


def test_a_claimed_item_is_let_go_by_the_next_disposal_even_beside_a_newcomer(place, store):
    keys = [place.make(name) for name in ("one", "two")]
    planned = seen(store)
    with pytest.raises(KeyboardInterrupt), at("compared", interrupt):
        dispose(store, planned)
    place.make("one", content=b"newcomer")
    assert store.probe(scope(), keys).revisions == [seen(store)["in/one"], planned["in/two"]]
    assert b"".join(store.read(scope(), "in/one", planned["in/one"])) == b"content"
    assert dispose(store, planned) == {"in/one": "disposed", "in/two": "disposed"}
    assert place.content("in/one") == b"newcomer"
    assert not claims_in(place.path)


def test_a_claim_that_somebody_empties_does_not_make_items_gone(place, store):
    keys = [place.make(f"{i}") for i in range(3)]
    planned = seen(store)
    with at("claimed", lambda: [path.unlink() for path in claims_in(place.path)[0].glob("1")]):
        fates = dispose(store, planned)
    assert fates == dict.fromkeys(keys, "disposed") | {keys[1]: "unknown:taken-from-claim"}


def test_a_directory_that_may_not_be_written_keeps_its_items(place, store):
    key, other = place.make("closed/file"), place.make("open/file")
    planned = seen(store)
    (place.path / "in/closed").chmod(0o555)
    try:
        assert dispose(store, planned) == {key: "failed:denied", other: "disposed"}
    finally:
        (place.path / "in/closed").chmod(0o755)


def test_a_key_that_stands_twice_goes_once_and_strange_keys_go_nowhere(place, store):
    key = place.make("file")
    revision = seen(store)[key]
    keys = [key, key, "../file", "in/.retentiond~x/file"]
    facts = store.dispose(Batch(0, scope(), Action("delete"), keys, [revision] * 4))
    assert {f"{s.outcome}:{s.code}": list(s.positions) for s in facts} == {
        "disposed:": [0],
        "gone:": [1],
        "failed:not-a-key": [2, 3],
    }
    with pytest.raises(ValueError, match="delete"):
        store.dispose(Batch(0, scope(), Action("keep"), [key], [revision]))


def test_directories_that_become_empty_go_if_the_selection_says_so(place, store):
    sc = scope("in/tickets/{ticket}/**", empty_directories="remove")
    for raw in ("in/tickets/t1/a/b/file", "in/tickets/t2/file", "in/tickets/t2/sub/kept.txt", "in/tickets/t3/file"):
        place.put(raw)
    planned = {key: revision for key, revision in seen(store, sc).items() if not key.endswith("kept.txt")}
    assert set(dispose(store, planned, sc).values()) == {"disposed"}
    left = sorted(str(p.relative_to(place.path)) for p in place.path.glob("**/*"))
    assert left == ["in", "in/tickets", "in/tickets/t2", "in/tickets/t2/sub", "in/tickets/t2/sub/kept.txt"]
    key = place.put("in/tickets/t4/file")
    assert dispose(store, seen(store, scope("in/tickets/t4/*")), scope("in/tickets/t4/*")) == {key: "disposed"}
    assert (place.path / "in/tickets/t4").is_dir(), "kept unless the selection says otherwise"


# A real SIGKILL at every arrow

KILLED = """
import json, os, signal, sys
sys.path.insert(0, sys.argv[1])
from retentiond.engine import failpoints
from retentiond.stores.sftp import SftpType
from tests.stores.places import *
left = [int(sys.argv[4])]
def watcher(arrow):
    if arrow == sys.argv[3]:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
failpoints.watch(watcher)
store = SftpType().act(json.loads(sys.argv[2]))
revisions = seen(store)
keys = list(revisions)
for first in (0, 4):
    some = {key: revisions[key] for key in keys[first : first + 4]}
    for settled in store.dispose(batch(some)):
        print(*(list(some)[i] for i in settled.positions), flush=True)
"""


@pytest.mark.parametrize("again", [1, 2])
@pytest.mark.parametrize("arrow", ["claimed", "compared", "destroyed", "settled"])
def test_a_kill_at_any_arrow_leaves_each_item_as_it_was_or_gone(place, arrow, again):
    for folder in "ab":
        for i in range(4):
            place.make(f"{folder}/{i}")
    with closing(place.look()) as view:
        planned = seen(view)
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parents[2]), json.dumps(place.plain()), arrow, str(again)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    said = done.stdout.split()
    assert len(said) == (again - 1) * 4
    gone = again if arrow in ("destroyed", "settled") else again - 1
    with closing(place.act()) as store:
        assert len(seen(store)) == 8 - 4 * gone
        check_half_way(place, store, planned, said)
