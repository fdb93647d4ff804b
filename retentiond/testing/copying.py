"""The contracts of stores that give out the bytes of their items, and of those that take in copies.

Beside `StoreContract`, with the same fixture `place`. A store that has both powers subclasses both:

    class TestTapesCopy(ReadableContract, WritableContract):
        @pytest.fixture
        def place(self): ...
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, Protocol

import pytest

from retentiond.engine.ports import PIECE, Deposit, Readable, View, Writable
from retentiond.errors import ItemChanged, Occupied
from retentiond.testing.contract import Place

LONG = b"".join(n.to_bytes(4, "big") for n in range(PIECE * 5 // 8))
"""More than two pieces, of which no part is like another."""
CONTENTS = {"empty": b"", "short": b"short", "long": LONG}


class WritablePlace(Place, Protocol):
    """A place that takes in copies under keys that its scope selects."""

    def key(self, name: str) -> str:
        """The key that `make` would give to an item of this name; nothing is made."""
        ...

    def strays(self) -> int:
        """How many temporaries of copies that never came to their end lie about."""
        ...

    def killed_taking(self, key: str) -> None:
        """Returns when a process that was taking in a copy under this key has been killed after its first piece.

        `kill_taking` does so for a type of store whose options are JSON; nothing to do where a place dies with its process.
        """
        ...


class ReadableContract:
    """What a store must show that gives out bytes, opened for looking."""

    def test_an_item_is_read_whole_in_pieces_of_bounded_size(self, place: Place) -> None:
        keys = {place.make(name, content=content): content for name, content in CONTENTS.items()}
        with closing(place.look()) as view:
            assert isinstance(view, Readable)
            for key, content in keys.items():
                pieces = list(view.read(place.scope(), key, _revision(view, place, key)))
                assert content == b"".join(pieces)
                assert all(len(piece) <= PIECE for piece in pieces)

    def test_the_edges_are_the_first_and_the_last_bytes(self, place: Place) -> None:
        long, short = place.make("long", content=LONG), place.make("short", content=b"abc")
        with closing(place.look()) as view:
            assert isinstance(view, Readable)
            found = view.edges(place.scope(), long, _revision(view, place, long), 5, 7)
            assert found == (LONG[:5], LONG[-7:])
            assert view.edges(place.scope(), short, _revision(view, place, short), 10, 2) == (b"abc", b"bc")
            assert view.edges(place.scope(), short, _revision(view, place, short), 0, 10) == (b"", b"abc")

    def test_an_item_that_is_not_there_in_this_revision_is_not_read(self, place: Place) -> None:
        changed, gone = place.make("changed", content=LONG), place.make("gone")
        with closing(place.look()) as view:
            assert isinstance(view, Readable)
            seen = {key: _revision(view, place, key) for key in (changed, gone)}
            place.change(changed)
            place.remove(gone)
            for key, revision in [(gone, seen[gone]), (place.make("other"), "no revision"), ("no-such-item", seen[gone])]:
                with pytest.raises(ItemChanged):
                    list(view.read(place.scope(), key, revision))
                with pytest.raises(ItemChanged):
                    view.edges(place.scope(), key, revision, 4, 4)
            assert _read(view, place, changed, seen[changed]) in (None, LONG), "a version may be kept, but is never another"

    def test_whoever_had_all_pieces_had_this_revision_and_nothing_else(self, place: Place) -> None:
        for name, disturb in (("changed", place.change), ("gone", place.remove)):
            key = place.make(name, content=LONG)
            with closing(place.look()) as view:
                assert isinstance(view, Readable)
                pieces = view.read(place.scope(), key, _revision(view, place, key))
                got = next(pieces)
                disturb(key)
                try:
                    got += b"".join(pieces)
                except ItemChanged:
                    continue
            assert got == LONG

    def test_reading_leaves_no_trace_and_may_be_left_early(self, place: Place) -> None:
        key = place.make("item", content=LONG)
        before = place.snapshot()
        with closing(place.look()) as view:
            assert isinstance(view, Readable)
            revision = _revision(view, place, key)
            next(view.read(place.scope(), key, revision))
            view.edges(place.scope(), key, revision, 1, 1)
            assert _read(view, place, key, revision) == LONG
        assert before == place.snapshot()

    def test_items_with_unusual_names_are_read(self, place: Place) -> None:
        keys = {place.make(name, content=name.encode("utf-8", "surrogateescape")): name for name in place.unusual}
        with closing(place.look()) as view:
            assert isinstance(view, Readable)
            for key, name in keys.items():
                assert _read(view, place, key, _revision(view, place, key)) == name.encode("utf-8", "surrogateescape")


class WritableContract:
    """What a store must show that takes in copies, opened for disposal."""

    def test_a_copy_is_taken_in_whole(self, place: WritablePlace) -> None:
        for name, content in CONTENTS.items():
            key = place.key(f"copies/{name}")
            deposit = _take(place, key, _cut(content))
            assert (deposit.key, deposit.size, deposit.sha256) == (key, len(content), hashlib.sha256(content).hexdigest())
            assert place.content(key) == place.content(place.make(f"twin-{name}", content=content))
            assert _shown(place, key)
            assert not place.strays()

    def test_a_piece_may_be_of_any_size(self, place: WritablePlace) -> None:
        key = place.key("copy")
        assert _take(place, key, iter([b"", LONG, b"x", b""])).size == len(LONG) + 1
        assert place.content(key) == place.content(place.make("twin", content=LONG + b"x"))

    def test_nothing_is_ever_overwritten(self, place: WritablePlace) -> None:
        key = place.make("item", content=b"was there before")
        before = place.content(key)
        with pytest.raises(Occupied):
            _take(place, key, iter([b"copy"]))
        assert before == place.content(key)
        assert not place.strays()

    def test_a_newcomer_during_the_copying_is_not_overwritten(self, place: WritablePlace) -> None:
        def pieces() -> Iterator[bytes]:
            yield LONG
            place.make("item", content=b"newcomer")
            yield b"end"

        with pytest.raises(Occupied):
            _take(place, place.key("item"), pieces())
        assert place.content(place.key("item")) == place.content(place.make("twin", content=b"newcomer"))
        assert not place.strays()

    def test_what_the_pieces_raise_comes_through_and_nothing_is_left(self, place: WritablePlace) -> None:
        class Torn(Exception):
            pass

        for error in (Torn, OSError, KeyboardInterrupt):

            def pieces(error: type[BaseException] = error) -> Iterator[bytes]:
                yield LONG
                raise error

            with pytest.raises(error):
                _take(place, place.key("item"), pieces())
            assert place.content(place.key("item")) is None
            assert not _shown(place, place.key("item"))
            assert not place.strays()
        _take(place, place.key("item"), iter([b"copy"]))
        assert _shown(place, place.key("item"))

    def test_a_copy_that_a_kill_cut_short_is_never_shown_and_goes_with_the_next(self, place: WritablePlace) -> None:
        key = place.key("item")
        place.killed_taking(key)
        assert place.content(key) is None
        assert not _shown(place, key)
        _take(place, key, iter([b"copy"]))
        assert place.content(key) == place.content(place.make("twin", content=b"copy"))
        assert not place.strays()

    def test_copies_with_unusual_names_are_taken_in(self, place: WritablePlace) -> None:
        for name in place.unusual:
            key = place.key(name)
            assert _take(place, key, iter([b"copy"])).key == key
            assert _shown(place, key)


KILLED = """
import json, os, signal, sys
from importlib.metadata import entry_points

kind, options, key = json.loads(sys.argv[1])
(found,) = entry_points(group="retentiond.stores", name=kind)

def pieces():
    yield bytes(2**20)
    os.kill(os.getpid(), signal.SIGKILL)

found.load()().act(options).take(key, pieces())
"""


def kill_taking(kind: str, options: Mapping[str, Any], key: str) -> None:
    """Lets a process of its own open a store of this kind, take in a piece under this key, and die by SIGKILL."""
    told = json.dumps([kind, dict(options), key])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", KILLED, told]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603 our own program
    assert done.returncode == -signal.SIGKILL, done.stderr


def _cut(content: bytes) -> Iterator[bytes]:
    for first in range(0, len(content), PIECE):
        yield content[first : first + PIECE]


def _take(place: WritablePlace, key: str, pieces: Iterator[bytes]) -> Deposit:
    with closing(place.act()) as store:
        assert isinstance(store, Writable)
        return store.take(key, pieces)


def _shown(place: Place, key: str) -> bool:
    with closing(place.look()) as view:
        return any(key in page.keys for page in view.scan(place.scope()))


def _revision(view: View, place: Place, key: str) -> str:
    return str(view.probe(place.scope(), [key]).revisions[0])


def _read(view: Readable, place: Place, key: str, revision: str) -> bytes | None:
    """The whole item; None where it is not there in this revision."""
    try:
        return b"".join(view.read(place.scope(), key, revision))
    except ItemChanged:
        return None
