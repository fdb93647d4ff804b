"""The store in memory keeps the contract, and the contract notices whoever does not."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import get_args

import pytest

from retentiond.core.anonymise import Hash, Mask
from retentiond.core.policy import Action, PathSelection, Start
from retentiond.core.selector import Predicate
from retentiond.engine.ports import Batch, Restoring, Scope, StoreType
from retentiond.errors import StoreUnavailable
from retentiond.testing.contract import LONG_AGO, AnonymisingContract, StoreContract
from retentiond.testing.copying import ReadableContract, WritableContract
from retentiond.testing.faults import FaultyStore
from retentiond.testing.memory import Flaw, MemoryPlace, MemoryType
from retentiond.testing.sharding import LanesContract, ShardableContract

SCOPE = Scope(PathSelection("in/**"), Start("modified"))
MASKING = ("masks one column only", "masks what it should leave", "recognises nothing as done")
SHARDING = ("leaves a part out", "shows an item in two parts", "probes a part only")
COPYING = ("reads any revision", "overwrites with a copy", "keeps half a copy")
FLAWS = [flaw for flaw in get_args(Flaw) if flaw]
COLUMNS = (("name", Mask(1)), ("ref", Hash(16)))


@dataclass
class PlaceInMemory:
    memory: MemoryPlace = field(default_factory=MemoryPlace)
    unusual = ("line\nbreak", "émile", "e\u0301mile", " ", "-rf", "b64:x")

    def make(self, name, *, start=LONG_AGO, content=b"content"):
        self.memory.put(f"in/{name}", start, content)
        return f"in/{name}"

    def key(self, name):
        return f"in/{name}"

    def strays(self):
        return 0

    def killed_taking(self, key):
        """What was in memory dies with its process."""

    def crowd(self):
        return [self.make(f"{i % 7}/item-{i}") for i in range(100)]

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


class MaskedInMemory(PlaceInMemory):
    """The same with two facts that are anonymised."""

    def make(self, name, *, start=LONG_AGO, content=b"content"):
        self.memory.put(f"in/{name}", start, content, {"name": name, "ref": f"no. {name}", "kind": "x"})
        return f"in/{name}"

    def make_outside(self):
        self.memory.put("elsewhere", LONG_AGO, b"outside", {"name": "Ada", "ref": "no. 1"})
        return "elsewhere"

    def scope(self):
        return replace(SCOPE, columns=COLUMNS)

    def values(self, key):
        facts = self.memory.records[key].facts if key in self.memory.records else {}
        return [facts.get(name) for name, _ in COLUMNS]

    def rest(self, key):
        record = self.memory.records.get(key)
        return record and (record.start, record.content, record.facts.get("kind"))


class TestMemory(StoreContract):
    @pytest.fixture
    def place(self):
        return PlaceInMemory()


class TestMaskedMemory(AnonymisingContract):
    @pytest.fixture
    def place(self):
        return MaskedInMemory()


class TestCopiesInMemory(ReadableContract, WritableContract):
    @pytest.fixture
    def place(self):
        return PlaceInMemory()


class TestSideBySideInMemory(ShardableContract, LanesContract):
    @pytest.fixture
    def place(self):
        return PlaceInMemory(MemoryPlace(lanes=4))


def promises(contract):
    return [name for name in dir(contract) if name.startswith("test_")]


def broken(contract, place, flaw):
    """The promises that a store with this flaw breaks."""
    found = []
    for promise in promises(contract):
        try:
            getattr(contract(), promise)(place(MemoryPlace(flaw=flaw)))
        except (AssertionError, KeyError, pytest.fail.Exception):
            found.append(promise)
    return found


@pytest.mark.parametrize("flaw", [flaw for flaw in FLAWS if flaw not in (*MASKING, *COPYING, *SHARDING)])
def test_the_contract_notices(flaw):
    assert broken(StoreContract, PlaceInMemory, flaw)


@pytest.mark.parametrize("flaw", [*MASKING, "ignores the revision", "announces too early", "disposes of what is outside"])
def test_the_contract_of_anonymising_notices(flaw):
    assert broken(AnonymisingContract, MaskedInMemory, flaw)


@pytest.mark.parametrize("flaw", SHARDING)
def test_the_contract_of_parts_notices(flaw):
    assert broken(ShardableContract, PlaceInMemory, flaw)


@pytest.mark.parametrize("flaw", COPYING)
def test_the_contracts_of_copying_notice(flaw):
    assert broken(ReadableContract if flaw == "reads any revision" else WritableContract, PlaceInMemory, flaw)


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
