"""Files: the contract on two file systems, and what EDGE_CASES says of local files; claims have their own file."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from retentiond.core.policy import Start, TableSelection
from retentiond.core.selector import Predicate
from retentiond.engine.ports import OUTSIDE, Scope
from retentiond.errors import StoreDenied, StoreUnavailable
from retentiond.stores.files import FilesType
from retentiond.stores.files.columns import LINKED
from retentiond.testing.contract import LONG_AGO, StoreContract
from retentiond.testing.copying import ReadableContract, WritableContract
from tests.stores.places import Directory, claims_in, dispose, doubts, scope, seen, utc

MEMORY = Path("/dev/shm")


class TestOnDisk(StoreContract):
    @pytest.fixture
    def place(self, tmp_path):
        return Directory(tmp_path)


class TestCopies(ReadableContract, WritableContract):
    @pytest.fixture
    def place(self, tmp_path):
        return Directory(tmp_path)


class TestInMemory(StoreContract):
    @pytest.fixture
    def place(self):
        if not os.access(MEMORY, os.W_OK):
            pytest.skip("THERE IS NO /dev/shm: the contract was not run on tmpfs")
        place = Directory(Path(tempfile.mkdtemp(dir=MEMORY)))
        yield place
        place.empty()


# The root and its place


def test_a_missing_root_is_unavailable_and_not_empty(tmp_path):
    with pytest.raises(StoreUnavailable, match="missing"):
        FilesType().look({"path": str(tmp_path / "nothing")})


@pytest.mark.parametrize("ending", ["", "/", "/."])
def test_a_symbolic_link_is_no_root_and_the_real_path_is_named(place, tmp_path, ending):
    (tmp_path / "link").symlink_to(place.path)
    with pytest.raises(StoreDenied, match="symbolic link") as denied:
        FilesType().act({"path": f"{tmp_path}/link{ending}"})
    assert str(place.path) in denied.value.do


def test_a_file_is_no_root(place):
    with pytest.raises(StoreDenied, match="not a directory"):
        FilesType().look({"path": str(place.at(place.make("file")))})


def test_the_place_names_host_path_and_what_is_mounted(place, view):
    host, path, mounted = (
        view.place.partition(" on ")[0].partition(":")[0],
        view.place.split(":")[1],
        view.place.partition(" on ")[2],
    )
    assert len(host) == 16
    assert path.startswith(str(place.path))
    assert mounted
    assert str(os.stat(place.path).st_dev) not in view.place.split(":")


def test_a_mounted_disk_and_the_directory_below_it_are_two_places(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    with closing(FilesType().look({"path": str(root)})) as bare:
        without = bare.place
    with mounted(root), closing(FilesType().look({"path": str(root)})) as disk:
        assert disk.place != without


def test_a_bind_mount_of_the_same_disk_is_another_place(tmp_path):
    root, other = tmp_path / "root", tmp_path / "other"
    root.mkdir()
    other.mkdir()
    with closing(FilesType().look({"path": str(root)})) as bare:
        without = bare.place
    with mounted(root, "--bind", str(other)), closing(FilesType().look({"path": str(root)})) as bound:
        assert bound.place != without


def test_options():
    kind = FilesType()
    assert not list(kind.problems({"path": "/srv/desk", "location": "GB"}))
    for options in ({}, {"path": "desk"}, {"path": "/"}, {"path": "/x\0"}, {"path": 3}):
        assert [option for option, _ in kind.problems(options)] == ["path"]
    assert [option for option, _ in kind.problems({"path": "/srv/desk", "bucket": "x"})] == ["bucket"]


def test_the_looking_half_holds_no_call_that_changes_anything():
    rooms = Path(__import__("retentiond.stores.files").stores.files.__file__).parent
    looking = ["__init__", "claims", "columns", "content", "view"]
    code = "import sys, retentiond.stores.files; print([m for m in sys.modules if m.startswith('retentiond.stores.files.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=rooms.parents[2])
    assert set(eval(done.stdout)) == {f"retentiond.stores.files.{room}" for room in looking[1:]}
    changing = "unlink remove rename replace rmdir removedirs mkdir makedirs link symlink utime truncate write"
    for word in (*(f"os.{call}(" for call in changing.split()), "O_WRONLY", "O_RDWR", "O_CREAT"):
        assert not [room for room in (*looking, "../tree") if word in (rooms / f"{room}.py").read_text()]


# What is an item


def test_only_regular_files_are_items(place, view):
    key = place.make("file")
    folder = place.path / "in"
    (folder / "directory").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("file")
    (folder / "dangling").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as door:
        here = os.getcwd()
        os.chdir(folder)
        door.bind("socket")
        os.chdir(here)
    assert [key] == list(seen(view))
    others = [f"in/{name}" for name in ("directory", "pipe", "link", "dangling", "socket")]
    assert view.probe(scope(), others).revisions == [None] * 5


def test_special_files_that_take_an_items_name_are_never_touched(place, store):
    planned = {place.make(name): "" for name in ("pipe", "link", "directory")}
    planned |= seen(store)
    for key in planned:
        place.remove(key)
    os.mkfifo(place.at("in/pipe"))
    place.at("in/link").symlink_to("/etc/passwd")
    place.at("in/directory").mkdir()
    place.put("in/directory/inner")
    assert set(dispose(store, planned).values()) == {"changed"}
    assert place.at("in/pipe").is_fifo()
    assert os.readlink(place.at("in/link")) == "/etc/passwd"
    assert place.content("in/directory/inner") == b"content"
    assert not claims_in(place.path)


def test_a_hard_linked_file_is_doubted_and_never_disposed_of(place, store):
    key = place.make("file")
    planned = seen(store)
    os.link(place.at(key), place.path / "other-name")
    assert doubts(store) == {key: LINKED}
    assert store.probe(scope(), [key]).doubts == {0: LINKED}
    assert dispose(store, planned) == {key: "changed:hard-links"}
    assert place.content(key) == b"content"


LEADING_OUT = ["../root/in/file", "/etc/passwd", "in//file", "in/./file", "in/../in/file", "", ".", "in/", "in/\0"]
MISSPELT = ["b64:aW4vZmlsZQ==", "b64:%", "in/\ud800"]
TOO_LONG = ["in/" + "n" * 300, "n" * 300 + "/x"]


@pytest.mark.parametrize("key", [*LEADING_OUT, *MISSPELT, *TOO_LONG])
def test_what_is_no_key_is_absent_and_never_let_go(place, store, key):
    place.make("file")
    before = seen(store)
    assert store.probe(scope(), [key]).revisions == [None]
    assert dispose(store, {key: before["in/file"]})[key] in ("failed:not-a-key", "gone", "changed:outside")
    assert before == seen(store)


def test_reserved_names_are_never_items(place, view):
    place.put("in/.retentiond~stray")
    place.put("in/.retentiond~0123456789abcdef/item")
    assert list(seen(view)) == ["in/item"]
    keys = ["in/.retentiond~stray", "in/.retentiond~0123456789abcdef/item"]
    assert view.probe(scope(), keys).revisions == [None, None]


def test_the_pattern_prunes_captures_and_dates(place, view):
    for raw in ("in/t1/2024-02-29/a", "in/t1/2024-02-30/b", "in/t2/2024-02-29/x/c", "other/t1/2024-02-29/d"):
        place.put(raw)
    sc = scope("in/{ticket}/{day:%Y-%m-%d}/*", Start("path", "day", zone="Europe/London"), fields=("ticket",))
    page = next(view.scan(sc))
    rows = dict(zip(page.keys, zip(page.starts, page.facts["ticket"], strict=True), strict=True))
    assert rows == {
        "in/t1/2024-02-29/a": (utc(2024, 3, 1) - timedelta(microseconds=1), "t1"),
        "in/t1/2024-02-30/b": (None, "t1"),
    }
    probed = view.probe(sc, ["in/t2/2024-02-29/x/c", "in/t1/2024-02-29/a"])
    assert (dict(probed.doubts), probed.facts["ticket"]) == ({0: OUTSIDE}, [None, "t1"])


def test_an_event_start_is_left_to_the_engine(place, view):
    place.make("t1/file")
    page = next(view.scan(scope("in/{ticket}/**", Start("event", "closed", by="ticket"), fields=("ticket",))))
    assert (page.starts, page.facts) == ([None], {"ticket": ["t1"]})


@pytest.mark.parametrize(
    "wrong",
    [
        scope(start=Start("created")),
        scope(start=Start("path", "day")),
        scope("in/{day}", start=Start("path", "day")),
        scope(fields=("ticket",)),
        Scope(TableSelection("calls"), Start("modified")),
    ],
)
def test_a_scope_that_files_do_not_have_is_refused_at_once(view, wrong):
    with pytest.raises(ValueError, match=r"file|pattern"):
        view.scan(wrong)
    with pytest.raises(ValueError, match=r"file|pattern"):
        view.probe(wrong, [])


def test_a_time_beyond_the_calendar_is_no_date(place, view):
    key = place.make("file")
    try:
        os.utime(place.at(key), ns=(0, 2**62 * 4 // 2))
    except OSError:
        os.utime(place.at(key), ns=(0, 2**63 - 1))
    start = next(view.scan(scope())).starts[0]
    assert start is None or start.year > 2200


def test_what_a_database_alone_can_evaluate_holds_every_file(place, store):
    key = place.make("file")
    other = place.make("other")
    predicate = Predicate("H7", "customer = 7")
    assert dict(next(store.scan(scope(predicates=(predicate,)))).held) == {0: "H7", 1: "H7"}
    planned = {k: seen(store)[k] for k in (key, other)}
    assert dispose(store, planned, predicates=(Predicate("H7", "", frozenset({0})),)) == {key: "held", other: "disposed"}
    assert dispose(store, {key: planned[key]}, predicates=(predicate,)) == {key: "held"}


def test_warnings_and_samples(place, view):
    assert view.warnings(scope()) == ["the pattern matches nothing"]
    for i in range(9):
        place.make(f"{i}")
    assert view.warnings(scope()) == []
    assert len(view.samples(scope())) == 5


def test_the_age_of_an_item_is_its_modification_to_the_microsecond(place, view):
    key = place.make("file")
    os.utime(place.at(key), ns=(0, 1_582_979_415_123_456_789))
    assert next(view.scan(scope())).starts == [LONG_AGO.replace(microsecond=123456)]


# Deep, wide, linked, mounted, forbidden


def test_a_very_deep_tree_is_read_with_few_descriptors(place, store):
    names = ["d"] * 3000
    fd = os.open(place.path / "in", os.O_RDONLY)
    for depth, name in enumerate(names):
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        if depth % 100 == 0:
            os.mkdir(f"beside-{depth}", dir_fd=fd)
            os.close(os.open(f"beside-{depth}/file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        os.close(fd)
        fd = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
    try:
        before = len(os.listdir("/proc/self/fd"))
        open_most = 0
        revisions = {}
        for page in store.scan(scope()):
            open_most = max(open_most, len(os.listdir("/proc/self/fd")) - before)
            revisions |= dict(zip(page.keys, page.revisions, strict=True))
        assert len(revisions) == 31
        assert open_most < 80
        assert set(dispose(store, revisions).values()) == {"disposed"}
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        subprocess.run(["rm", "-rf", place.path], check=True)


def test_a_scan_that_is_left_early_closes_what_it_opened(place, view):
    for i in range(1500):
        place.make(f"a/b/c/{i}")
    before = len(os.listdir("/proc/self/fd"))
    pages = view.scan(scope())
    next(pages)
    assert len(os.listdir("/proc/self/fd")) > before
    pages.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_link_swapped_in_for_a_directory_leads_nowhere(place, store, tmp_path):
    key = place.make("folder/file")
    planned = seen(store)
    elsewhere = tmp_path / "elsewhere"
    shutil.move(place.path / "in/folder", elsewhere)
    (place.path / "in/folder").symlink_to(elsewhere)
    assert dispose(store, planned) == {key: "failed:not-followed"}
    assert store.probe(scope(), [key]).revisions == [None]
    assert seen(store) == {}
    assert (elsewhere / "file").read_bytes() == b"content"


def test_a_directory_that_has_gone_took_its_items_along(place, store):
    key = place.make("folder/file")
    planned = seen(store)
    shutil.rmtree(place.path / "in/folder")
    assert dispose(store, planned) == {key: "gone"}
    place.put("in/folder")
    assert dispose(store, planned) == {key: "gone"}


@contextmanager
def mounted(where, *options):
    options = options or ("-t", "tmpfs", "none")
    if subprocess.run(["mount", *options, str(where)], capture_output=True, check=False).returncode:
        pytest.skip("MOUNT IS NOT PERMITTED HERE: mounts inside a store were not tested")
    try:
        yield
    finally:
        subprocess.run(["umount", str(where)], check=True)


@pytest.mark.parametrize("bind", [False, True])
def test_a_mount_inside_is_another_place_and_never_entered(place, store, tmp_path, bind):
    key = place.make("folder/file")
    planned = seen(store)
    other = tmp_path / "other\\ disk"
    other.mkdir()
    inside = place.path / "in/folder"
    with mounted(inside, *(("--bind", str(other)) if bind else ())):
        (inside / "file").write_bytes(b"another disk's")
        assert seen(store) == {}
        assert store.probe(scope(), [key]).revisions == [None]
        assert dispose(store, planned) == {key: "failed:other-mount"}
        assert (inside / "file").read_bytes() == b"another disk's"
        assert "mounted inside" in " ".join(store.warnings(scope()))
    assert planned == seen(store)


def test_a_file_that_is_a_mount_point_is_no_item(place, store, tmp_path):
    key = place.make("file")
    planned = seen(store)
    other = tmp_path / "other"
    other.write_bytes(b"other")
    with mounted(place.at(key), "--bind", str(other)):
        assert seen(store) == {}
        assert dispose(store, planned) == {key: "failed:ebusy"}
    assert planned == seen(store)


AS_NOBODY = """
import os, sys
sys.path.insert(0, sys.argv[1])
from tests.stores.places import *
from retentiond.errors import StoreDenied
import retentiond.stores.files.store
place = Directory(Path(sys.argv[2]))
place.look().probe(scope(), [])
os.setgid(65534)
os.setuid(65534)
"""


@pytest.fixture
def shared():
    """A place that another user can reach."""
    if os.getuid() != 0:
        pytest.skip("NOT ROOT: what another user may not read was not tested")
    with tempfile.TemporaryDirectory(dir="/tmp") as top:
        Path(top).chmod(0o755)
        place = Directory(Path(top) / "root")
        (place.path / "in").mkdir(parents=True)
        yield place


def as_nobody(place, code):
    source = str(Path(__file__).parents[2])
    child = [sys.executable, "-c", AS_NOBODY + code, source, str(place.path)]
    done = subprocess.run(child, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_an_unreadable_root_is_denied(shared):
    (shared.path / "in").chmod(0o700)
    code = "try: Directory(place.path / 'in').look()\nexcept StoreDenied: print('denied')"
    assert as_nobody(shared, code) == ["denied"]


def test_an_unreadable_directory_ends_the_scan_because_a_part_must_not_look_whole(shared):
    shared.make("open/file")
    shared.make("shut/file")
    (shared.path / "in/shut").chmod(0o700)
    code = "try: print(list(seen(place.look())))\nexcept StoreDenied as e: print('denied', e.key, 'shut' in str(e))"
    assert as_nobody(shared, code) == ["denied", "in/shut", "False"]


def test_what_may_not_be_changed_is_denied_item_by_item(shared):
    shared.make("file")
    code = "print(*dispose(place.act(), seen(place.look())).values())"
    assert as_nobody(shared, code) == ["failed:denied"]


def test_an_owner_who_may_not_link_can_still_be_given_his_file_back(shared):
    """Where hard links to strangers' files are protected (proc(5)), putting back needs no link."""
    key = shared.make("file")
    (shared.path / "in").chmod(0o777)
    shared.at(key).chmod(0o600)
    code = "r = seen(place.look()); print(*dispose(place.act(), {k: v + '0' for k, v in r.items()}).values())"
    assert as_nobody(shared, code) == ["changed"]
    assert shared.content(key) == b"content"
    assert not claims_in(shared.path)
