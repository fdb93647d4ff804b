"""The contract of stores whose scopes can be split, and of handles side by side.

Beside `StoreContract`, with the same fixture `place`, for a store that is `Shardable` or says in its
traits that several lanes make it faster:

    class TestTapesSideBySide(ShardableContract):
        @pytest.fixture
        def place(self): ...
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

from retentiond.core.outcome import Outcome
from retentiond.engine.ports import PAGE, Batch, Scope, Shardable
from retentiond.testing.contract import DELETE, LONG_AGO, Place, Seen

_WANTED = (1, 2, 3, 8)


class ShardablePlace(Place, Protocol):
    """A place with a way to fill it, so that its scope can be split."""

    def crowd(self) -> Sequence[str]:
        """Makes so many items, in so many folders, that the store can split its scope; their keys."""
        ...


class ShardableContract:
    """What a store must show that splits a scope: the parts share no item and leave none out, whatever comes or goes."""

    def test_the_parts_share_nothing_and_leave_nothing_out(self, place: ShardablePlace) -> None:
        keys = [*place.crowd(), *(place.make(name) for name in place.unusual)]
        place.make_outside()
        whole = _whole(place)
        assert sorted(keys) == sorted(whole)
        for wanted in _WANTED:
            parts = _parts(place, place.scope(), wanted)
            assert len(parts) == len(set(parts))
            assert len(parts) <= 4 * wanted, "about so many parts"
            assert wanted == 1 or len(parts) > 1, "a crowd can be split"
            assert _together(place, parts) == whole

    def test_what_comes_after_the_split_is_in_one_part_and_no_more(self, place: ShardablePlace) -> None:
        keys = place.crowd()
        parts = _parts(place, place.scope(), 4)
        place.remove(keys[0])
        new = [place.make(name) for name in ("0", "~~~", "new/below/it", "m", *place.unusual)]
        assert sorted([*keys[1:], *new]) == sorted(_together(place, parts))

    def test_an_empty_place_has_parts_as_well(self, place: ShardablePlace) -> None:
        parts = _parts(place, place.scope(), 3)
        assert parts
        assert _together(place, parts) == {}
        key = place.make("late")
        assert list(_together(place, parts)) == [key]

    def test_splitting_changes_nothing_and_neither_does_looking_at_a_part(self, place: ShardablePlace) -> None:
        place.crowd()
        before = place.snapshot()
        _together(place, _parts(place, place.scope(), 3))
        assert before == place.snapshot()

    def test_what_waits_is_counted_once(self, place: ShardablePlace) -> None:
        now = LONG_AGO + timedelta(days=900)
        old = place.crowd()
        for i in range(7):
            place.make(f"young-{i}", start=now - timedelta(days=1))
        scope = replace(place.scope(), waiting_from=now - timedelta(days=30), now=now)
        shown, unseen = 0, 0
        for part in _parts(place, scope, 3):
            with closing(place.look()) as view:
                for page in view.scan(part):
                    shown += len(page)
                    unseen += page.unseen
                    assert len(page) <= PAGE
        assert shown + unseen == len(old) + 7

    def test_a_part_bounds_a_scan_and_nothing_else(self, place: ShardablePlace) -> None:
        keys = list(place.crowd())[:20]
        whole = _whole(place)
        for part in _parts(place, place.scope(), 3):
            with closing(place.look()) as view:
                page = view.probe(part, keys)
            assert list(page.revisions) == [whole[key] for key in keys]
            assert not page.doubts

    def test_parts_are_scanned_side_by_side(self, place: ShardablePlace) -> None:
        place.crowd()
        whole = _whole(place)
        parts = _parts(place, place.scope(), 4)
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda part: _seen(place, part), parts))
        assert sum(map(len, found)) == len(whole)
        assert {key: revision for seen in found for key, revision in seen.items()} == whole


class LanesContract:
    """What a store must show that says `traits.lanes` > 1: handles side by side do not disturb each other."""

    def test_several_handles_let_go_side_by_side(self, place: Place) -> None:
        with closing(place.act()) as store:
            lanes = min(store.traits.lanes, 4)
        assert lanes > 1
        for i in range(120):
            place.make(f"{'ab'[i % 2]}/item-{i:03}")
        seen = _whole(place)
        keys = sorted(seen)
        changed = keys[7]
        place.change(changed)
        shares = [keys[i::lanes] for i in range(lanes)]
        with ThreadPoolExecutor(lanes) as pool:
            fates = {key: fate for share in pool.map(lambda share: _let_go(place, seen, share), shares) for key, fate in share}
        assert fates == {key: Outcome.CHANGED if key == changed else Outcome.DISPOSED for key in keys}
        assert list(_whole(place)) == [changed]


def _let_go(place: Place, seen: Seen, keys: Sequence[str]) -> list[tuple[str, Outcome]]:
    """Disposes of some items in batches, with a handle of its own."""
    with closing(place.act()) as store:
        found = []
        for first in range(0, len(keys), 10):
            some = keys[first : first + 10]
            batch = Batch(first, place.scope(), DELETE, some, [seen[key] for key in some], store="store")
            found += [(some[i], s.outcome) for s in store.dispose(batch) for i in s.positions]
        return found


def _parts(place: Place, scope: Scope, wanted: int) -> list[Scope]:
    with closing(place.look()) as view:
        assert isinstance(view, Shardable)
        parts = list(view.shards(scope, wanted))
    assert all(replace(part, part=scope.part) == scope for part in parts), "a part is the scope but for its name"
    return parts


def _whole(place: Place) -> Seen:
    return _seen(place, place.scope())


def _together(place: Place, parts: Sequence[Scope]) -> Seen:
    """What all parts show; no item twice."""
    found: Seen = {}
    for part in parts:
        seen = _seen(place, part)
        assert not found.keys() & seen.keys(), "an item is in two parts"
        found |= seen
    return found


def _seen(place: Place, scope: Scope) -> Seen:
    """Every item that a scope shows, with a handle of its own."""
    with closing(place.look()) as view:
        shown = [pair for page in view.scan(scope) for pair in zip(page.keys, page.revisions, strict=True)]
    seen = {key: str(revision) for key, revision in shown}
    assert len(shown) == len(seen), "an item is shown twice"
    return seen
