"""The stores that archives and copies of a rule go to: whether they are where they were, and whose trouble it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from retentiond.app.house import House
from retentiond.engine.ports import Store
from retentiond.errors import StoreTrouble, StoreUnavailable

MOVED = "the store of its copy is not the place that it was"
"""Why an item stays whose copy would have to be looked for in such a store."""


def has_moved(house: House, known: Mapping[str, tuple[str, str]], name: str, place: str) -> bool:
    """Whether a store of the same definition is at another place than the memory has of it; not where it has none."""
    before = known.get(name)
    return before is not None and before[0] == house.definition(name) and before[1] != place


def destination(house: House, name: str) -> Store:
    """A store opened for copies. `StoreUnavailable` where it is not the place that it was: none is made or counted there."""
    with trouble_of(name):
        store = house.store(name)
        if has_moved(house, house.memory.places(), name, store.place):
            raise StoreUnavailable(
                "the store is not the place that it was",
                why="what was copied lies somewhere else, and a copy may come to a disk that nobody means",
                do="see whether a disk is not mounted; if the move is meant: retentiond approve CATEGORY",
            )
    return store


@contextmanager
def trouble_of(name: str) -> Iterator[None]:
    """What goes wrong inside is the trouble of this store, and not of the one that the rule is about."""
    try:
        yield
    except StoreTrouble as error:
        error.destination = error.destination or name
        raise
