"""Several lanes: what one thread keeps, many keep too, in whatever order they come to an end."""

import threading
from contextlib import contextmanager
from dataclasses import replace

import pytest

from retentiond.audit.meaning import Meaning
from retentiond.engine import failpoints
from retentiond.engine.failpoints import ARROWS
from retentiond.engine.pipeline import bench_for
from retentiond.errors import StoreDenied, StoreUnavailable
from retentiond.testing.faults import Fault, FaultyStore
from tests.engine.office import NOW, UTC_ZONE, Office
from tests.engine.test_executor import check_truth

LANES, ITEMS = 4, 70
PATIENCE = 30
"""Seconds after which a thread that nobody wakes gives a test up."""


def opened(folder, lanes=LANES):
    folder.mkdir(exist_ok=True)
    office = Office(folder, items=ITEMS)
    office.place.lanes = lanes
    with office.ledger.transaction() as change:
        change.write("plan-made", plan=office.plan, rulebook="0" * 64, at=change.time, steps=ITEMS, forecast=0)
    return office


@pytest.fixture
def office(tmp_path):
    before = threading.active_count()
    made = opened(tmp_path)
    yield made
    made.ledger.close()
    assert threading.active_count() == before, "a lane is left behind"


def check_meaning(office):
    """The log tells a possible story."""
    wrong = []
    meaning = Meaning(wrong.append)
    for body in office.ledger.entries(0, office.ledger.size()):
        meaning.take(body)
    assert wrong == []


def test_lanes_let_go_side_by_side_and_every_step_ends_once(office):
    """All four are inside the store at the same time, or the barrier would break."""
    door = threading.Barrier(LANES)
    first = threading.local()

    def together(_keys):
        if not hasattr(first, "come"):
            first.come = True
            door.wait(timeout=PATIENCE)

    office.place.before = together
    assert office.run() == {"disposed": ITEMS}
    assert office.place.records == {}
    assert all(fates == ["disposed"] for fates in office.fates().values())
    check_meaning(office)


def test_one_lane_needs_no_thread(tmp_path):
    office = opened(tmp_path, lanes=1)
    threads = set()
    office.place.before = lambda _keys: threads.add(threading.current_thread())
    assert office.run() == {"disposed": ITEMS}
    assert threads == {threading.main_thread()}
    office.ledger.close()


class Watched:
    """A store that says in which thread each of its calls is made."""

    def __init__(self, store, calls):
        self._store, self._calls = store, calls
        self._opened = threading.get_ident()

    def __getattr__(self, name):
        self._calls.append((name, threading.get_ident() == self._opened))
        return getattr(self._store, name)


def test_a_handle_stays_in_the_thread_that_opened_it(office):
    calls = []
    office.run(lane=lambda: Watched(office.place.act(), calls))
    assert {name for name, _ in calls} >= {"dispose", "probe", "close"}
    assert all(own for _, own in calls)
    assert sum(name == "close" for name, _ in calls) == LANES


@pytest.mark.parametrize("shared", [True, False], ids=["the store goes", "one lane goes"])
def test_a_fault_at_every_call_leaves_true_evidence_and_the_next_run_finishes(tmp_path, shared):
    counting = opened(tmp_path / "counting")
    every = Fault()
    counting.run(lane=lambda: FaultyStore(counting.place.act(), every))
    assert every.points == 21, "seven batches: dispose, its fact, and the look after it"
    for n in range(1, every.points + 1 if shared else 7):
        office = opened(tmp_path / str(n))
        fault, lanes = Fault(n), iter(range(99))

        def lane(office=office, fault=fault, lanes=lanes):
            return FaultyStore(office.place.act(), fault if shared or next(lanes) == 1 else 0)

        office.run(lane=lane)
        office.recover()
        check_truth(office)
        check_meaning(office)
        office.finish()
        check_truth(office)
        assert office.place.records == {}
        office.ledger.close()


class Crash(BaseException):
    """The process ends here."""


@contextmanager
def crash_at(arrow, nth):
    """Lets whoever comes to an arrow for the nth time die there, and from then on everybody, as the threads of a process do."""
    seen, lock = [0], threading.Lock()

    def watcher(reached):
        with lock:
            seen[0] += reached == arrow
            dead = seen[0] >= nth
        if dead:
            raise Crash

    failpoints.watch(watcher)
    try:
        yield seen
    finally:
        failpoints.watch(None)


ON_THE_WAY = ARROWS[ARROWS.index("intent-written") : ARROWS.index("absence-verified") + 1]


@pytest.mark.parametrize("nth", [1, 3, 6])
@pytest.mark.parametrize("arrow", ON_THE_WAY)
def test_a_crash_at_any_arrow_with_several_open_intents_is_recovered_from(office, arrow, nth):
    with pytest.raises(Crash), crash_at(arrow, nth):
        office.run()
    assert len(office.runs.open_intents()) <= LANES + 1
    office.recover()
    check_truth(office)
    check_meaning(office)
    office.finish()
    check_truth(office)
    assert office.place.records == {}


def test_a_crash_leaves_an_open_intent_for_each_lane(office):
    door = threading.Barrier(LANES)

    def die(_keys):
        door.wait(timeout=PATIENCE)
        raise Crash

    office.place.before = die
    with pytest.raises(Crash):
        office.run()
    office.place.before = lambda _keys: None
    assert len(office.runs.open_intents()) == LANES
    assert len(office.place.records) == ITEMS
    office.finish()
    check_truth(office)
    assert office.place.records == {}


def test_a_lane_that_hangs_holds_up_no_outcome_but_its_own(office):
    """The others' outcomes are committed and told while it hangs; then it goes on as if nothing had been."""
    wake = threading.Event()
    office.place.before = lambda keys: wake.wait(PATIENCE) if "item-00" in keys else None
    results = office.executor().run(office.works())
    told = [next(results) for _ in range(6)]
    assert sum(result.counts["disposed"] for result in told) == 60
    assert len(office.runs.open_intents()) == 1
    assert sum(fates == ["disposed"] for fates in office.fates().values()) == 60
    wake.set()
    assert [result.counts["disposed"] for result in results] == [10]
    check_truth(office)


def test_a_lane_that_dies_ends_the_run_when_no_other_is_at_work(office):
    def die(keys):
        if "item-30" in keys:
            raise RuntimeError("a mistake in a store")

    office.place.before = die
    with pytest.raises(RuntimeError):
        office.run()
    office.place.before = lambda _keys: None
    office.finish()
    check_truth(office)
    check_meaning(office)
    assert office.place.records == {}


def test_an_interrupt_halts_the_lanes_between_two_facts(office):
    """Whoever waits for a batch of a thousand need not wait for its end."""
    inside, go_on = threading.Event(), threading.Event()
    batches = iter(office.works())

    def slow(_keys):
        inside.set()
        go_on.wait(PATIENCE)

    def stop():
        if next(batches).batch.first > 1:
            inside.wait(PATIENCE)
            threading.Timer(0.5, go_on.set).start()
            raise KeyboardInterrupt

    office.place.before = slow
    one, forty = office.works()[0], office.keys[:40]
    large = replace(one, batch=replace(one.batch, keys=forty, revisions=[office.revisions[key] for key in forty]))
    with pytest.raises(KeyboardInterrupt):
        office.run(stop=stop, works=[large, *office.works(office.keys[40:])])
    assert len(office.place.records) == ITEMS - 10
    office.recover()
    check_truth(office)


@pytest.mark.parametrize("possible", [1, 2])
def test_a_lane_that_cannot_be_opened_beside_others_means_fewer_lanes(office, possible):
    handles, threads = iter(range(99)), set()

    def lane():
        if next(handles) >= possible:
            raise StoreUnavailable("too many sessions")
        return office.place.act()

    office.place.before = lambda _keys: threads.add(threading.get_ident())
    assert office.run(lane=lane) == {"disposed": ITEMS}
    assert len(threads) <= possible


@pytest.mark.parametrize("error", [StoreUnavailable, StoreDenied])
def test_where_no_lane_can_be_opened_the_store_is_left_alone(office, error):
    def lane():
        raise error("nobody comes in")

    executor = office.executor(lane=lane)
    assert list(executor.run(office.works())) == []
    assert list(executor.down) == ["memory"]
    assert len(office.place.records) == ITEMS
    assert office.runs.open_intents() == []


def test_every_intent_reads_the_holds_of_its_moment(office):
    """A hold on an item of the batch that is about to begin is in time, however many batches are in flight."""
    batches = iter(office.works())
    held = []

    def stop():
        key = next(batches).batch.keys[3]
        office.hold(f"H-{key}", path=key)
        held.append(key)

    assert office.run(stop=stop) == {"disposed": ITEMS - 7, "held": 7}
    assert sorted(office.place.records) == held
    check_meaning(office)


def test_a_reason_to_stop_lets_what_has_begun_come_to_its_end(office):
    reasons = iter([None, None, None, "told to stop"])
    assert office.run(stop=lambda: next(reasons)) == {"disposed": 30}
    assert office.runs.open_intents() == []
    check_truth_of(office, 30)


def check_truth_of(office, disposed):
    assert sum(fates == ["disposed"] for fates in office.fates().values()) == disposed
    assert len(office.place.records) == ITEMS - disposed


class Pair:
    """Notices when two are inside at the same time; the first waits a moment for another."""

    def __init__(self):
        self._inside, self._lock = 0, threading.Lock()
        self._met, self.seen = threading.Event(), False

    def __call__(self, _keys):
        with self._lock:
            self._inside += 1
            if self._inside > 1:
                self.seen = True
                self._met.set()
        self._met.wait(0.05)
        with self._lock:
            self._inside -= 1


def side_by_side(office, works):
    """Whether two batches are ever inside the store at the same time."""
    office.place.before = pair = Pair()
    office.run(works=works)
    return pair.seen


def test_what_goes_with_one_another_goes_alone(office):
    """A batch with families is acted on by itself, in its place."""
    works = [replace(w, batch=replace(w.batch, parents=[None] * len(w.batch))) for w in office.works()]
    assert not side_by_side(office, works)
    assert office.place.records == {}


def test_a_key_is_acted_on_by_one_lane_at_a_time(office):
    """A key that stands in two batches (two of its versions, or one and its delete marker) keeps its order."""
    works = [replace(w, batch=replace(w.batch, keys=["item-00", *w.batch.keys[1:]])) for w in office.works()]
    assert not side_by_side(office, works)


def test_a_rule_begins_when_the_one_before_has_ended(office):
    others = bench_for(office.category, replace(office.bench.rule, name="other"), UTC_ZONE, NOW, ())
    works = [replace(w, bench=office.bench if i % 2 else others) for i, w in enumerate(office.works())]
    assert not side_by_side(office, works)
    assert office.place.records == {}


def test_the_count_of_batches_in_flight_can_see_two(office):
    """The negative control of the three tests above."""
    assert side_by_side(office, office.works())
