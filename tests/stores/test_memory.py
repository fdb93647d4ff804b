"""The store in memory keeps the contract, and the contract notices whoever does not."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import get_args

import pytest

from retentiond.core.policy import Action, PathSelection, Start
from retentiond.core.selector import Predicate
from retentiond.engine.ports import Batch, Restoring, Scope, StoreType
from retentiond.errors import StoreUnavailable
from retentiond.testing.contract import LONG_AGO, StoreContract
from retentiond.testing.faults import FaultyStore
from retentiond.testing.memory import Flaw, MemoryPlace, MemoryType

SCOPE = Scope(PathSelection("in/**"), Start("modified"))
FLAWS = [flaw for flaw in get_args(Flaw) if flaw]
PROMISES = [name for name in dir(StoreContract) if name.startswith("test_")]


@dataclass
class PlaceInMemory:
    memory: MemoryPlace = field(default_factory=MemoryPlace)
    unusual = ("line\nbreak", "émile", "e\u0301mile", " ", "-rf", "b64:x")

    def make(self, name, *, start=LONG_AGO, content=b"content"):
        self.memory.put(f"in/{name}", start, content)
        return f"in/{name}"

    def make_outside(self):
        self.memory.put("elsewhere", LONG_AGO, b"outside")
        return "elsewhere"

    def change(self, key):
        self.memory.change(key)

    def remove(self, key):
        del self.memory.records[key]

    def content(self, key):
        record = self.memory.records.get(key)
        return None if record is None else record.content

    def snapshot(self):
        return dict(self.memory.records), dict(self.memory.half_done), self.memory.looks

    def scope(self):
        return SCOPE

    def look(self):
        return self.memory.look()

    def act(self):
        return self.memory.act()


class TestMemory(StoreContract):
    @pytest.fixture
    def place(self):
        return PlaceInMemory()


@pytest.mark.parametrize("flaw", FLAWS)
def test_the_contract_notices(flaw):
    broken = []
    for promise in PROMISES:
        try:
            getattr(StoreContract(), promise)(PlaceInMemory(MemoryPlace(flaw=flaw)))
        except (AssertionError, KeyError):
            broken.append(promise)
    assert broken


def fates(store, keys, revisions, **others):
    batch = Batch(0, SCOPE, Action("delete"), keys, revisions, **others)
    return {i: str(s.outcome) for s in store.dispose(batch) for i in s.positions}


def test_what_the_store_locks_is_shown_and_kept():
    place = MemoryPlace()
    place.put("in/a", LONG_AGO, locked_until=LONG_AGO + timedelta(days=9999))
    page = next(place.look().scan(SCOPE))
    assert list(page.locked_until) == [0]
    assert fates(place.act(), page.keys, page.revisions) == {0: "locked"}
    assert "in/a" in place.records


def test_a_predicate_holds_what_it_names():
    place = MemoryPlace()
    place.put("in/a", LONG_AGO)
    place.put("in/b", LONG_AGO)
    page = next(place.look().scan(Scope(SCOPE.selection, SCOPE.start, predicates=(Predicate("H1", "in/a"),))))
    assert dict(page.held) == {0: "H1"}
    assert fates(place.act(), page.keys, page.revisions, predicates=(Predicate("H1", "in/a"),)) == {0: "held", 1: "disposed"}


def test_a_place_that_is_down_cannot_be_opened():
    place = MemoryPlace()
    place.available = False
    with pytest.raises(StoreUnavailable):
        place.look()


def test_the_type_opens_its_places():
    kind: StoreType = MemoryType([MemoryPlace("one")])
    assert not list(kind.problems({"name": "one"}))
    assert [option for option, _ in kind.problems({"name": "two"})] == ["name"]
    assert kind.look({"name": "one"}).place == kind.act({"name": "one"}).place


def test_a_faulty_store_fails_at_its_point_and_stays_down():
    place = MemoryPlace()
    for i in range(25):
        place.put(f"in/{i}", LONG_AGO)
    store = FaultyStore(place.act(), fail_at=5)
    assert isinstance(store, Restoring)
    page = next(store.scan(SCOPE))
    facts = store.dispose(Batch(0, SCOPE, Action("delete"), page.keys, page.revisions))
    next(facts)
    with pytest.raises(StoreUnavailable):
        next(facts)
    assert len(place.records) == 5, "the second fact had happened and was not handed over"
    with pytest.raises(StoreUnavailable):
        store.warnings(SCOPE)


def test_a_faulty_store_without_a_fault_counts_its_points():
    place = MemoryPlace()
    place.put("in/a", LONG_AGO)
    store = FaultyStore(place.act())
    list(store.scan(SCOPE))
    store.probe(SCOPE, ["in/a"])
    store.put_back(SCOPE, [])
    store.warnings(SCOPE)
    store.close()
    assert (store.points, store.place, store.traits.atomic) == (5, "memory:memory", True)
