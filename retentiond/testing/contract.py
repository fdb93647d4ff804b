"""The contract of stores, as a suite for pytest.

A plugin's tests subclass `StoreContract` and give it one fixture, `place`: a fresh, empty, real
place (a directory, a server), wrapped so that the suite can put items there and look behind the
store's back. Every test says which promise of `engine.ports` it proves.

    class TestTapes(StoreContract):
        @pytest.fixture
        def place(self): ...

A store that anonymises passes `AnonymisingContract` as well, with a place whose scope names columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from retentiond.core.item import Page
from retentiond.core.outcome import Outcome
from retentiond.core.policy import Action
from retentiond.engine import failpoints
from retentiond.engine.ports import OUTSIDE, PAGE, Batch, Restoring, Scope, Store, View
from retentiond.errors import StoreUnavailable
from retentiond.testing.faults import FaultyStore

LONG_AGO = datetime(2020, 2, 29, 12, 30, 15, tzinfo=UTC)
DELETE = Action("delete")
KEY = b"k" * 32
_MOST_ARROWS = 200
Seen = dict[str, str]
"""Revisions by key."""


class Place(Protocol):
    """A real place, and a way behind the store's back.

    `unusual` are names beyond letters that `make` must be able to give an item here.
    """

    unusual: Sequence[str]

    def make(self, name: str, *, start: datetime = LONG_AGO, content: bytes = b"content") -> str:
        """Puts a new item there that the scope selects, and returns its key."""
        ...

    def make_outside(self) -> str | None:
        """Puts an item there that the scope does not select, and returns its key; None if that cannot be."""
        ...

    def change(self, key: str) -> None:
        """Gives an item another content, as its users would."""
        ...

    def remove(self, key: str) -> None:
        """Removes an item, as its users would."""
        ...

    def content(self, key: str) -> object:
        """An item's content under its own name, to be compared; None where there is none."""
        ...

    def snapshot(self) -> object:
        """The whole place, to be compared byte for byte: names, contents, times, and whatever else looking might touch."""
        ...

    def scope(self) -> Scope:
        """Selects what `make` makes, by a start that `make` sets."""
        ...

    def look(self) -> View: ...

    def act(self) -> Store: ...


class AnonymisingPlace(Place, Protocol):
    """A place whose `scope` names columns; whatever is made there can be masked and is not done."""

    def values(self, key: str) -> Sequence[object] | None:
        """What an item holds in the scope's columns, in their order; None where there is no item."""
        ...

    def rest(self, key: str) -> object:
        """Whatever of an item anonymising has to leave as it was, to be compared; None where there is no item."""
        ...


class CutShort(BaseException):
    """The process dies here, as far as the store can tell."""


class StoreContract:
    """What every store must show. Subclass it and give it the fixture `place`."""

    def test_a_scan_shows_every_item_once_in_pages_of_bounded_size(self, place: Place) -> None:
        keys = [place.make(f"item-{i:05}") for i in range(PAGE + 5)]
        with closing(place.look()) as view:
            pages = list(view.scan(place.scope()))
        shown = [key for page in pages for key in page.keys]
        assert sorted(keys) == sorted(shown)
        assert max(len(page) for page in pages) <= PAGE

    def test_columns_stand_side_by_side_and_starts_are_instants(self, place: Place) -> None:
        place.make("one")
        place.make("two", start=LONG_AGO + timedelta(days=400))
        with closing(place.look()) as view:
            for page in view.scan(place.scope()):
                _check_columns(page)
                assert all(page.revisions)

    def test_a_start_is_the_one_that_the_item_has(self, place: Place) -> None:
        late = LONG_AGO + timedelta(days=400)
        keys = [place.make("early"), place.make("late", start=late)]
        with closing(place.look()) as view:
            starts = view.probe(place.scope(), keys).starts
        assert [LONG_AGO, late] == [start and start.replace(microsecond=0) for start in starts]

    def test_probing_answers_position_by_position(self, place: Place) -> None:
        keys = [place.make(f"item-{i}") for i in range(12)]
        place.remove(keys[3])
        asked = [keys[7], keys[3], keys[0], "no-such-item", keys[7], *keys[8:]]
        with closing(place.look()) as view:
            seen, page = _seen(view, place), view.probe(place.scope(), asked)
        _check_columns(page)
        assert asked == list(page.keys)
        assert [seen.get(key) for key in asked] == list(page.revisions)

    def test_probing_for_nothing_answers_nothing(self, place: Place) -> None:
        with closing(place.look()) as view:
            assert len(view.probe(place.scope(), [])) == 0

    def test_a_probe_says_what_the_scope_does_not_select(self, place: Place) -> None:
        inside, outside = place.make("inside"), place.make_outside()
        with closing(place.look()) as view:
            if outside is None:
                return
            page = view.probe(place.scope(), [inside, outside])
            assert dict(page.doubts) == {1: OUTSIDE}
            assert [inside] == list(_seen(view, place))

    def test_looking_changes_nothing(self, place: Place) -> None:
        keys = [place.make(f"item-{i}") for i in range(5)]
        place.remove(keys[0])
        before = place.snapshot()
        for handle in (place.look(), place.act()):
            with closing(handle) as view:
                _seen(view, place)
                view.probe(place.scope(), keys)
                view.warnings(place.scope())
        assert before == place.snapshot()

    def test_a_view_has_no_means_to_let_go(self, place: Place) -> None:
        with closing(place.look()) as view:
            assert not [name for name in ("dispose", "put_back") if hasattr(view, name)]

    def test_looking_and_acting_are_at_the_same_place(self, place: Place) -> None:
        with closing(place.look()) as view, closing(place.act()) as store:
            assert view.place
            assert view.place == store.place

    def test_a_scan_may_be_left_early(self, place: Place) -> None:
        keys = [place.make(f"item-{i:05}") for i in range(PAGE + 5)]
        with closing(place.look()) as view:
            pages = view.scan(place.scope())
            next(pages)
            _close(pages)
            assert sorted(keys) == sorted(_seen(view, place))

    def test_what_waits_may_be_counted_instead_of_shown(self, place: Place) -> None:
        now = LONG_AGO + timedelta(days=900)
        old, future = place.make("old"), place.make("future", start=now + timedelta(days=1))
        young = [place.make(f"young-{i}", start=now - timedelta(days=i)) for i in range(1, 4)]
        scope = replace(place.scope(), waiting_from=now - timedelta(days=30), now=now)
        with closing(place.look()) as view:
            pages = list(view.scan(scope))
        shown = {key for page in pages for key in page.keys}
        assert {old, future} <= shown
        assert len(young) + 2 == len(shown) + sum(page.unseen for page in pages)

    def test_a_revision_stays_until_the_item_changes(self, place: Place) -> None:
        key, other = place.make("item"), place.make("other")
        with closing(place.look()) as view:
            before = _seen(view, place)
            assert before == _seen(view, place)
            place.change(key)
            after = _seen(view, place)
        assert before[key] != after[key]
        assert before[other] == after[other]

    def test_disposal_lets_go_of_the_batch_and_of_nothing_else(self, place: Place) -> None:
        keys = [place.make(f"item-{i}") for i in range(25)]
        with closing(place.act()) as store:
            seen = _seen(store, place)
            fates = _dispose(store, place, {key: seen[key] for key in keys[:20]})
            assert list(fates.values()) == [Outcome.DISPOSED] * 20
            assert list(store.probe(place.scope(), keys[:20]).revisions) == [None] * 20
            assert {key: seen[key] for key in keys[20:]} == _seen(store, place)
        assert [place.content(key) for key in keys[:20]] == [None] * 20

    def test_a_changed_item_is_left_as_it_is(self, place: Place) -> None:
        keys = [place.make(f"item-{i}") for i in range(3)]
        with closing(place.act()) as store:
            seen = _seen(store, place)
            place.change(keys[1])
            content = place.content(keys[1])
            fates = _dispose(store, place, seen)
            assert Outcome.CHANGED is fates[keys[1]]
            assert [keys[1]] == list(_seen(store, place))
        assert content is not None
        assert content == place.content(keys[1])

    def test_a_newcomer_of_the_same_name_is_left_as_it_is(self, place: Place) -> None:
        key = place.make("item")
        with closing(place.act()) as store:
            seen = _seen(store, place)
            place.remove(key)
            assert key == place.make("item", start=LONG_AGO + timedelta(days=1), content=b"newcomer")
            assert {key: Outcome.CHANGED} == _dispose(store, place, seen)
        assert place.content(key) is not None

    def test_gone_is_not_disposed(self, place: Place) -> None:
        keys = [place.make(f"item-{i}") for i in range(3)]
        with closing(place.act()) as store:
            seen = _seen(store, place)
            place.remove(keys[0])
            fates = _dispose(store, place, seen)
        assert [fates[key] for key in keys] == [Outcome.GONE, Outcome.DISPOSED, Outcome.DISPOSED]

    def test_disposing_again_finds_everything_gone(self, place: Place) -> None:
        keys = [place.make(f"item-{i}") for i in range(3)]
        with closing(place.act()) as store:
            seen = _seen(store, place)
            _dispose(store, place, {key: seen[key] for key in keys[:2]})
            assert {Outcome.GONE} == set(_dispose(store, place, {key: seen[key] for key in keys[:2]}).values())
            assert {keys[2]: seen[keys[2]]} == _seen(store, place)

    def test_what_the_scope_does_not_select_is_never_let_go(self, place: Place) -> None:
        outside = place.make_outside()
        if outside is None:
            return
        with closing(place.act()) as store:
            revision = store.probe(place.scope(), [outside]).revisions[0]
            fates = _dispose(store, place, {outside: str(revision)})
        assert Outcome.DISPOSED is not fates[outside]
        assert place.content(outside) is not None

    def test_an_empty_batch_has_no_facts(self, place: Place) -> None:
        with closing(place.act()) as store:
            assert _dispose(store, place, {}) == {}

    def test_unusual_names_go_through_the_whole_way(self, place: Place) -> None:
        keys = [place.make(name) for name in place.unusual]
        assert len(set(keys)) == len(place.unusual)
        with closing(place.act()) as store:
            seen = _seen(store, place)
            assert sorted(keys) == sorted(seen)
            assert [seen[key] for key in keys] == list(store.probe(place.scope(), keys).revisions)
            for last, key in enumerate(keys, 1):
                assert {key: Outcome.DISPOSED} == _dispose(store, place, {key: seen[key]})
                assert sorted(keys[last:]) == sorted(_seen(store, place))

    def test_a_disposal_that_is_left_early_has_done_what_it_said(self, place: Place) -> None:
        for i in range(25):
            place.make(f"item-{i}")
        with closing(place.act()) as store:
            seen = _seen(store, place)
            facts = store.dispose(_batch(place, seen))
            said = [list(seen)[i] for i in next(facts).positions]
            _close(facts)
        _check_half_way(place, seen, said)

    def test_dying_at_any_arrow_loses_nothing_and_hides_nothing(self, place: Place) -> None:
        for arrow in range(1, _MOST_ARROWS):
            for i in range(12):
                place.make(f"round-{arrow}-{i}")
            said: list[str] = []
            with closing(place.act()) as store:
                seen = _seen(store, place)
                died = _dispose_until(arrow, store, place, seen, said)
            _check_half_way(place, seen, said)
            if not died:
                return
        raise AssertionError("a disposal of twelve items has more arrows than can be")

    def test_a_fault_at_any_call_leaves_facts_and_whole_items(self, place: Place) -> None:
        for point in range(1, _MOST_ARROWS):
            for i in range(12):
                place.make(f"round-{point}-{i}")
            with closing(place.look()) as view:
                seen = _seen(view, place)
            said: list[str] = []
            with closing(FaultyStore(place.act(), point)) as store:
                try:
                    _seen(store, place)
                    for settled in store.dispose(_batch(place, seen)):
                        said += [list(seen)[i] for i in settled.positions]
                except StoreUnavailable:
                    pass
            _check_half_way(place, seen, said)
            if store.points < point:
                return
        raise AssertionError("a disposal of twelve items has more points than can be")


class AnonymisingContract:
    """What a store must show that anonymises. Subclass it and give it the fixture `place`."""

    def test_the_batch_is_anonymised_wholly_and_nothing_else_is_touched(self, place: AnonymisingPlace) -> None:
        keys = [place.make(f"item-{i}") for i in range(25)]
        outside = [key for key in [place.make_outside()] if key is not None]
        before = {key: (place.values(key), place.rest(key)) for key in [*keys, *outside]}
        with closing(place.act()) as store:
            seen = _seen(store, place)
            strays = {key: str(store.probe(place.scope(), [key]).revisions[0]) for key in outside}
            fates = _dispose(store, place, {key: seen[key] for key in keys[:20]} | strays)
            assert [key for key, fate in fates.items() if fate is Outcome.DISPOSED] == keys[:20]
            assert seen.keys() == _seen(store, place).keys(), "what is anonymised stays there"
        assert all(_is_done(place, key) for key in keys[:20])
        assert [before[key][1] for key in keys[:20]] == [place.rest(key) for key in keys[:20]]
        assert [before[key] for key in keys[20:] + outside] == [(place.values(k), place.rest(k)) for k in keys[20:] + outside]

    def test_what_is_done_is_recognised_and_counted(self, place: AnonymisingPlace) -> None:
        keys = [place.make(f"item-{i}") for i in range(12)]
        with closing(place.act()) as store:
            assert not _done(store, place.scope(), keys)
            seen = _seen(store, place)
            _dispose(store, place, {key: seen[key] for key in keys[:5]})
            assert set(keys[:5]) == _done(store, place.scope(), keys)
            for leave in (False, True):
                pages = list(store.scan(replace(place.scope(), leave_done=leave)))
                done = [page.keys[i] for page in pages for i in page.done]
                assert len(done) + sum(page.unseen_done for page in pages) == 5
                assert set(keys[5:]) == {key for page in pages for key in page.keys} - set(done)

    def test_what_is_done_is_not_anonymised_again(self, place: AnonymisingPlace) -> None:
        keys = [place.make(f"item-{i}") for i in range(3)]
        with closing(place.act()) as store:
            before = _seen(store, place)
            _dispose(store, place, before)
            after, values = _seen(store, place), [place.values(key) for key in keys]
            for seen in (before, after):
                assert {Outcome.CHANGED} == set(_dispose(store, place, seen).values())
            assert after == _seen(store, place)
        assert values == [place.values(key) for key in keys]

    def test_what_has_changed_or_gone_is_left_alone(self, place: AnonymisingPlace) -> None:
        keys = [place.make(f"item-{i}") for i in range(4)]
        with closing(place.act()) as store:
            seen = _seen(store, place)
            place.change(keys[1])
            place.remove(keys[2])
            content = place.content(keys[1])
            fates = _dispose(store, place, seen)
        assert [fates[key] for key in keys] == [Outcome.DISPOSED, Outcome.CHANGED, Outcome.GONE, Outcome.DISPOSED]
        assert content == place.content(keys[1])
        assert place.content(keys[2]) is None

    def test_a_disposal_that_is_left_early_has_done_what_it_said(self, place: AnonymisingPlace) -> None:
        before = _made(place, 0)
        with closing(place.act()) as store:
            seen = _seen(store, place)
            facts = store.dispose(_batch(place, seen))
            said = [list(seen)[i] for i in next(facts).positions]
            _close(facts)
        _check_whole(place, before, seen, said)

    def test_dying_at_any_arrow_leaves_each_item_as_it_was_or_done(self, place: AnonymisingPlace) -> None:
        for arrow in range(1, _MOST_ARROWS):
            before = _made(place, arrow)
            said: list[str] = []
            with closing(place.act()) as store:
                seen = {key: revision for key, revision in _seen(store, place).items() if key in before}
                died = _dispose_until(arrow, store, place, seen, said)
            _check_whole(place, before, seen, said)
            if not died:
                return
        raise AssertionError("a disposal of twelve items has more arrows than can be")


def _seen(view: View, place: Place) -> Seen:
    """Every item's revision, by key; no item twice."""
    shown = [
        (key, revision) for page in view.scan(place.scope()) for key, revision in zip(page.keys, page.revisions, strict=True)
    ]
    seen = {key: revision for key, revision in shown if revision is not None}
    assert len(shown) == len(seen), "an item is shown twice, or without a revision"
    return seen


def _batch(place: Place, seen: Seen) -> Batch:
    scope = place.scope()
    action = Action("anonymise", scope.columns) if scope.columns else DELETE
    return Batch(0, scope, action, list(seen), list(seen.values()), store="store", key=KEY)


def _dispose(store: Store, place: Place, seen: Seen) -> dict[str, Outcome]:
    """The fate of every step of one batch; each has exactly one."""
    fates: dict[str, Outcome] = {}
    keys = list(seen)
    for settled in store.dispose(_batch(place, seen)):
        for i in settled.positions:
            assert keys[i] not in fates, "a position is settled twice"
            fates[keys[i]] = settled.outcome
    assert set(keys) == set(fates), "a position is never settled"
    return {key: fates[key] for key in keys}


def _dispose_until(arrow: int, store: Store, place: Place, seen: Seen, said: list[str]) -> bool:
    """Whether the disposal died; `said` gathers the keys of the facts that it gave before."""
    try:
        with _dying_at(arrow):
            for settled in store.dispose(_batch(place, seen)):
                said += [list(seen)[i] for i in settled.positions]
    except CutShort:
        return True
    return False


@contextmanager
def _dying_at(number: int) -> Iterator[None]:
    reached = 0

    def die(_: failpoints.Arrow) -> None:
        nonlocal reached
        reached += 1
        if reached == number:
            raise CutShort

    failpoints.watch(die)
    try:
        yield
    finally:
        failpoints.watch(None)


def _check_half_way(place: Place, seen: Seen, said: Sequence[str]) -> None:
    """Facts are facts, the rest is as it was or gone, it can be put back, and a second attempt completes it."""
    with closing(place.act()) as store:
        left = _seen(store, place)
        assert not set(said) & set(left), "what was said to be disposed of is still there"
        assert left.items() <= seen.items(), "what was cut short is sighted in another revision"
        assert [left.get(key) for key in seen] == list(store.probe(place.scope(), list(seen)).revisions)
        if isinstance(store, Restoring):
            store.put_back(place.scope(), list(left))
            assert left == _seen(store, place), "putting back loses or changes an item"
        hidden = [key for key in left if place.content(key) is None]
        assert not hidden, "an item is half done, and nothing puts it back"
        fates = _dispose(store, place, seen)
        assert {key: Outcome.DISPOSED if key in left else Outcome.GONE for key in seen} == fates
        assert not _seen(store, place)
    assert all(place.content(key) is None for key in seen)


def _made(place: AnonymisingPlace, turn: int) -> dict[str, tuple[object, object]]:
    """Twelve new items, with what they hold."""
    keys = [place.make(f"round-{turn}-{i}") for i in range(12)]
    return {key: (place.values(key), place.rest(key)) for key in keys}


def _done(view: View, scope: Scope, keys: Sequence[str]) -> set[str]:
    return {keys[i] for i in view.probe(scope, keys).done}


def _is_done(place: AnonymisingPlace, key: str) -> bool:
    values = place.values(key)
    assert values is not None, "an item that was to be anonymised is gone"
    return all(strategy.is_done(value) for (_, strategy), value in zip(place.scope().columns, values, strict=True))


def _check_whole(place: AnonymisingPlace, before: dict[str, tuple[object, object]], seen: Seen, said: Sequence[str]) -> None:
    """Facts are facts, no item is half done, and a second attempt completes what is not done."""
    with closing(place.act()) as store:
        if isinstance(store, Restoring):
            store.put_back(place.scope(), list(seen))
        done, now = _done(store, place.scope(), list(seen)), _seen(store, place)
        assert set(said) <= done, "what was said to be anonymised is not done"
        for key, (values, rest) in before.items():
            assert rest == place.rest(key), "more than the columns was touched"
            assert _is_done(place, key) if key in done else (values, seen[key]) == (place.values(key), now[key])
        fates = _dispose(store, place, seen)
        assert {key: Outcome.CHANGED if key in done else Outcome.DISPOSED for key in seen} == fates
    assert all(_is_done(place, key) and before[key][1] == place.rest(key) for key in seen)


def _check_columns(page: Page) -> None:
    lengths = {len(page), len(page.revisions), len(page.starts), len(page.sizes), *map(len, page.facts.values())}
    assert len(lengths) == 1
    assert all(start is None or start.utcoffset() == timedelta(0) for start in page.starts)
    for sparse in (page.locked_until, page.doubts, page.held):
        assert set(sparse) <= set(range(len(page)))


def _close(values: Iterator[object]) -> None:
    close = getattr(values, "close", None)
    if close is not None:
        close()
