"""What lies on a server beside items, what its listings may say, and servers that say what cannot be true."""

import os
import subprocess
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from retentiond.core.policy import Start, TableSelection
from retentiond.engine.ports import OUTSIDE, Scope
from retentiond.errors import StoreDenied, StoreUnavailable
from retentiond.stores.columns import SHADOWED
from retentiond.stores.sftp import SftpType, listing, packets
from retentiond.stores.sftp.view import FRESH, LINKED, UNDATED
from retentiond.testing.contract import LONG_AGO
from tests.stores.places import batch, claims_in, dispose, doubts, scope, seen, utc
from tests.stores.rogue import DIRECTORY, Rogue, attributes, endless, running


@pytest.fixture
def place(served_files):
    return served_files


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    file = tmp_path_factory.mktemp("keys") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)
    return file.read_text()


def test_links_and_special_files_are_never_items(place, store):
    target = place.put("elsewhere/target")
    real = place.make("real")
    folder = place.path / "in"
    (folder / "link").symlink_to("../elsewhere/target")
    (folder / "folder").symlink_to("../elsewhere")
    os.mkfifo(folder / "pipe")
    assert list(seen(store)) == [real]
    keys = ["in/link", "in/pipe", "in/folder", "in/folder/target"]
    assert store.probe(scope(), keys).revisions == [None] * 4
    size = place.at(target).stat()
    revision = f"{size.st_size}:{int(size.st_mtime)}"
    fates = dispose(store, dict.fromkeys(keys, revision))
    assert fates == dict.fromkeys(keys[:3], "changed") | {keys[3]: "failed:not-followed"}
    assert sorted(os.listdir(folder)) == ["folder", "link", "pipe", "real"]
    assert place.content(target) == b"content"
    assert not claims_in(place.path)


def test_a_directory_that_became_a_link_leads_nowhere(place, store):
    key = place.make("folder/file")
    planned = seen(store)
    (place.path / "in/folder").rename(place.path / "outside")
    (place.path / "in/folder").symlink_to("../outside")
    assert store.probe(scope(), [key]).revisions == [None]
    assert dispose(store, planned) == {key: "failed:not-followed"}
    store.put_back(scope(), [key])
    assert (place.path / "outside/file").read_bytes() == b"content"
    assert seen(store) == {}


def test_a_file_with_further_links_stays(place, store):
    key = place.make("file")
    planned = seen(store)
    os.link(place.at(key), place.path / "other-name")
    assert doubts(store) == {key: LINKED}
    assert dispose(store, planned) == {key: "changed:hard-links"}
    assert place.content(key) == b"content"


def test_a_directory_that_may_not_be_read_ends_the_scan(place, view):
    place.make("file")
    place.make("closed/file")
    (place.path / "in/closed").chmod(0)
    try:
        with pytest.raises(StoreDenied, match="may not be read") as told:
            seen(view)
        assert told.value.key == "in/closed"
    finally:
        (place.path / "in/closed").chmod(0o755)


def test_what_was_modified_in_this_second_waits_for_the_next_look(place, view):
    now = LONG_AGO + timedelta(seconds=0.5)
    fresh, old = place.make("fresh"), place.make("old", start=LONG_AGO - timedelta(seconds=1))
    assert doubts(view, scope(now=now)) == {fresh: FRESH}
    assert set(seen(view, scope(now=now))) == {fresh, old}
    assert doubts(view, scope(now=now + timedelta(seconds=1))) == {}


def test_starts_and_fields_from_the_path(place, view):
    key = place.put("in/2024-02-29/t7/file")
    sc = scope("in/{day:%Y-%m-%d}/{ticket}/*", Start("path", "day", "UTC"), fields=("ticket",))
    (page,) = view.scan(sc)
    assert page[0].start == utc(2024, 2, 29, 23, 59, 59, 999_999)
    assert page[0].facts == {"ticket": "t7"}
    assert view.probe(scope("elsewhere/*"), [key]).doubts == {0: OUTSIDE}
    for wrong in (Scope(TableSelection("t"), Start("modified")), scope("in/*", Start("path", "day", "UTC"))):
        with pytest.raises(ValueError, match=r"path|date"):
            view.scan(wrong)


def test_a_long_directory_comes_in_parts_and_many_come_side_by_side(place, view):
    keys = {place.make(f"long/{i:05}") for i in range(listing.HELD + 300)}
    keys |= {place.make(f"many/{i:03}/file") for i in range(3 * listing.SIDE_BY_SIDE)}
    assert set(seen(view)) == keys


def test_a_claim_beside_a_newcomer_is_doubted_and_alone_is_shown(place, store):
    claim = place.path / "in/.retentiond~0123456789abcdef"
    place.put("in/.retentiond~0123456789abcdef/file", content=b"claimed")
    assert list(seen(store)) == ["in/file"]
    place.make("file", content=b"newcomer")
    assert doubts(store) == {"in/file": SHADOWED}
    place.remove("in/file")
    store.put_back(scope(), ["in/file", "in/none", "nowhere/none", "../x"])
    assert place.content("in/file") == b"claimed"
    assert not claim.exists()


def test_a_name_that_a_cut_short_rename_left_in_both_places_is_one_item(place, store):
    """OpenSSH renames by `link` and `unlink`: a server that dies between them leaves both names of one file."""
    key = place.make("file")
    claim = place.path / "in/.retentiond~0123456789abcdef"
    claim.mkdir()
    os.link(place.at(key), claim / "file")
    place.hand_over(claim)
    assert list(seen(store)) == [key]
    store.put_back(scope(), [key])
    assert not claims_in(place.path)
    assert doubts(store) == {}
    assert dispose(store, seen(store)) == {key: "disposed"}


def test_another_file_system_is_not_entered(place, view):
    place.make("file")
    (place.path / "in/mounted").mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "none", place.path / "in/mounted"], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("NOTHING CAN BE MOUNTED HERE: mounts below the root of a server were not tried")
    try:
        place.put("in/mounted/other")
        (place.path / "in/mounted").chmod(0o755)
        assert list(seen(view)) == ["in/file"]
    finally:
        subprocess.run(["umount", place.path / "in/mounted"], check=True)


def test_check_tells_of_a_pattern_that_matches_nothing(place, view):
    assert view.warnings(scope()) == ["the pattern matches nothing"]
    place.make("file")
    assert view.warnings(scope()) == []
    assert view.samples(scope()) == ["in/file"]


# Servers that say what cannot be true


def scanned(names, key, pattern="*"):
    with running(Rogue(names=names)) as options, closing(SftpType().look(options | {"key": key})) as view:
        return list(view.scan(scope(pattern)))


def test_names_that_come_twice_are_shown_once(key):
    part = [(f"{i}".encode(), attributes()) for i in range(100)]
    (page,) = scanned([part, part, part], key)
    assert sorted(map(int, page.keys)) == list(range(100))


def test_a_listing_that_repeats_itself_or_says_nothing_ends_the_scan(key):
    for names in (endless(), ([] for _ in count())):
        with pytest.raises(StoreUnavailable, match="does not end"):
            scanned(names, key)


def test_directories_without_end_end_the_scan(key):
    deep = ([(b"x" * 255, attributes(mode=DIRECTORY))] if i % 2 == 0 else [] for i in count())
    with pytest.raises(StoreUnavailable, match="does not end"):
        scanned(deep, key, pattern="**/x")


@pytest.mark.parametrize("name", [b"a/b", b"", b"a\0b", b"/etc/passwd", b"../x"])
def test_a_name_that_is_none_ends_the_scan(key, name):
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        scanned([[(name, attributes())]], key)


def test_what_a_server_does_not_tell_is_doubted_or_refused(key):
    (page,) = scanned([[(b"undated", attributes(modified=None)), (b"sizeless", attributes(size=None))]], key)
    assert page.doubts == {0: UNDATED, 1: UNDATED}
    assert page.starts[0] is None
    with pytest.raises(StoreDenied, match="does not tell files from directories"):
        scanned([[(b"file", attributes(mode=None))]], key)


def test_a_server_without_extensions_says_what_it_cannot_do(key):
    with running(Rogue()) as options, closing(SftpType().act(options | {"key": key})) as store:
        assert any("power cut" in note for note in store.traits.notes)
        assert any("file systems apart" in warning for warning in store.warnings(scope()))
        assert store.traits.clock is None


REMOVE, RMDIR, OPEN, FSYNC = 13, 15, 3, packets.EXTENDED


DUE = {"file": "7:1500000000"}


def durable():
    """A rogue whose every listing shows one file, and that can be told to write through."""
    return Rogue(([(b"file", attributes())] if i % 2 == 0 else None for i in count()), extensions=(b"fsync@openssh.com",))


def test_nothing_is_a_fact_before_the_server_has_written_it_to_its_disk(key):
    rogue = durable()
    with running(rogue) as options, closing(SftpType().act(options | {"key": key})) as store:
        assert not any("power cut" in note for note in store.traits.notes)
        rogue.asked.clear()
        facts = store.dispose(batch(DUE, scope("*")))
        assert [(str(fact.outcome), fact.positions) for fact in facts] == [("disposed", [0])]
        order = [kind for kind in rogue.asked if kind in (REMOVE, RMDIR, OPEN, FSYNC)]
        assert order == [REMOVE, RMDIR, OPEN, FSYNC]


def test_what_cannot_be_written_to_the_disk_is_no_fact(key):
    rogue = durable()
    with running(rogue) as options, closing(SftpType().act(options | {"key": key})) as store:
        rogue.extended = packets.FAILURE
        with pytest.raises(StoreUnavailable, match="durable"):
            list(store.dispose(batch(DUE, scope("*"))))


def test_a_server_whose_clock_is_behind_lets_nothing_go(place, store):
    key = place.make("file")
    planned = seen(store)
    ahead = replace(scope(), now=datetime.now(UTC) + timedelta(minutes=5))
    with pytest.raises(StoreDenied, match="more than a minute behind"):
        dispose(store, planned, ahead)
    assert place.content(key) == b"content"
    assert not claims_in(place.path)
    assert dispose(store, planned, replace(scope(), now=datetime.now(UTC))) == {key: "disposed"}
