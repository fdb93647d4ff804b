"""Files given out and taken in: what the contract cannot see from outside."""

import os
import stat

import pytest

from retentiond.errors import ItemChanged, Occupied, StoreDenied, StoreUnavailable
from retentiond.stores.files import FilesType
from tests.stores.places import claims_in, dispose, scope, seen
from tests.stores.test_files import mounted
from tests.stores.test_files_claims import at, interrupt


def content(view, key, revision):
    return b"".join(view.read(scope(), key, revision))


def test_a_claimed_item_is_read_under_its_old_key(place, store):
    key = place.make("file")
    planned = seen(store)
    with pytest.raises(KeyboardInterrupt), at("compared", interrupt):
        dispose(store, planned)
    assert content(store, key, planned[key]) == b"content"
    place.make("file", content=b"newcomer")
    assert content(store, key, planned[key]) == b"content"
    assert store.edges(scope(), key, planned[key], 3, 2) == (b"con", b"nt")


def test_reading_does_not_touch_the_time_of_the_last_access(place, view):
    key = place.make("file")
    os.utime(place.at(key), ns=(0, 10**18))
    content(view, key, seen(view)[key])
    assert os.stat(place.at(key)).st_atime_ns == 0


def test_what_took_the_place_of_a_file_is_never_opened(place, view):
    """A pipe would wait for a writer, and a device might act."""
    keys = [place.make(name) for name in ("pipe", "link", "directory")]
    planned = seen(view)
    for key in keys:
        place.remove(key)
    os.mkfifo(place.at("in/pipe"))
    place.at("in/link").symlink_to("/etc/passwd")
    place.at("in/directory").mkdir()
    for key in keys:
        with pytest.raises(ItemChanged):
            content(view, key, planned[key])


@pytest.mark.parametrize("key", ["../x", "/etc/passwd", "in/.retentiond~x", "b64:aW4vZmlsZQ==", "", "in//x"])
def test_what_is_no_key_is_neither_read_nor_taken_in(place, store, key):
    before = place.snapshot()
    with pytest.raises(ItemChanged):
        content(store, key, "1:1:1")
    with pytest.raises(StoreDenied):
        store.take(key, [b"copy"])
    assert before == place.snapshot()


def test_a_copy_is_its_owners_alone_and_so_are_the_directories_that_lead_to_it(place, store):
    store.take("in/2026/11/copy", [b"copy"])
    modes = [stat.S_IMODE(os.stat(place.path / path).st_mode) for path in ("in/2026", "in/2026/11", "in/2026/11/copy")]
    assert modes == [0o700, 0o700, 0o600]


def test_a_link_in_the_way_of_a_copy_is_not_followed(place, store, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (place.path / "in/link").symlink_to(elsewhere)
    with pytest.raises(StoreDenied, match="symbolic link"):
        store.take("in/link/copy", [b"copy"])
    with pytest.raises(Occupied):
        store.take("in/link", [b"copy"])
    assert not list(elsewhere.iterdir())


def test_a_mount_in_the_way_of_a_copy_is_not_entered(place, store):
    inside = place.path / "in/folder"
    inside.mkdir()
    with mounted(inside):
        with pytest.raises(StoreDenied, match="mount"):
            store.take("in/folder/copy", [b"copy"])
        assert not list(inside.iterdir())


def test_a_file_where_a_directory_is_needed_stays(place, store):
    place.make("file")
    with pytest.raises(Occupied):
        store.take("in/file/copy", [b"copy"])
    assert place.content("in/file") == b"content"


def test_the_key_of_a_claimed_item_is_taken(place, store):
    """Else the item could not be put back."""
    key = place.make("file")
    planned = seen(store)
    with pytest.raises(KeyboardInterrupt), at("compared", interrupt):
        dispose(store, planned)
    with pytest.raises(Occupied):
        store.take(key, [b"copy"])
    store.put_back(scope(), [key])
    assert planned == seen(store)


def test_a_name_that_is_too_long_is_refused_and_leaves_nothing(place, store):
    with pytest.raises(StoreDenied):
        store.take("in/" + "n" * 300, [b"copy"])
    assert not claims_in(place.path)


def test_a_full_disk_leaves_nothing(place, store):
    inside = place.path / "in"
    with mounted(inside, "-t", "tmpfs", "-o", "size=1m", "none"):
        small = FilesType().act({"path": str(inside)})
        with pytest.raises(StoreUnavailable) as full:
            small.take("copy", [bytes(2**20), bytes(2**20)])
        assert full.value.why == "no-space"
        assert not list(inside.iterdir())
        small.close()
