"""Acting: never without an intent, never more than the plan, and true evidence whatever fails."""

from dataclasses import replace
from datetime import timedelta

import pytest

from retentiond.core.policy import Start
from retentiond.engine.pipeline import bench_for
from retentiond.errors import StoreUnavailable
from tests.engine.office import NOW, UTC_ZONE, Office, faulty

EVENT = Start("event", "resolved", "ticket")


@pytest.fixture
def office(tmp_path):
    made = Office(tmp_path)
    yield made
    made.ledger.close()


def opened(folder):
    folder.mkdir()
    return Office(folder)


def check_truth(office):
    """What is absent was disposed of, what is there was not, and no intent is open."""
    for key, fates in office.fates().items():
        if key in office.place.records:
            assert "disposed" not in fates, f"{key} is there, and recorded as disposed"
        else:
            assert "disposed" in fates, f"{key} is gone, and the log says {fates}"
    assert office.runs.open_intents() == []


def test_a_quiet_run_disposes_of_every_step(office):
    """Every step ends as disposed, once."""
    assert office.run() == {"disposed": 25}
    assert office.place.records == {}
    assert all(fates == ["disposed"] for fates in office.fates().values())


def test_a_fault_at_every_call_leaves_true_evidence_and_the_next_run_finishes(tmp_path):
    """The store is lost at its nth call, for every n: nothing is gone without evidence, and nothing stays undone."""
    counting = opened(tmp_path / "counting")
    store = faulty(counting, 0)
    counting.run(store)
    assert store.points == 9, "three batches: dispose, its fact, and the look after it"
    for n in range(1, store.points + 1):
        office = opened(tmp_path / str(n))
        office.run(faulty(office, n))
        office.recover()
        check_truth(office)
        office.finish()
        check_truth(office)
        assert office.place.records == {}
        office.ledger.close()


def test_a_held_item_survives_and_its_neighbours_go(office):
    """A hold placed after the plan was made is read by the intent."""
    office.hold("H", path="item-03")
    assert office.run() == {"disposed": 24, "held": 1}
    assert list(office.place.records) == ["item-03"]
    assert office.fates()["item-03"] == ["held"]


def test_a_hold_by_subject_makes_the_executor_look_up_the_fields(tmp_path):
    """The fields that a hold is about are looked up before the intent, and the held item stays."""
    office = Office(tmp_path, subject={"customer": "who"})
    office.hold("H", subjects=(("customer", "7"),))
    assert office.run() == {"disposed": 24, "held": 1}
    assert list(office.place.records) == ["item-07"]


def test_a_hold_by_predicate_is_evaluated_by_the_store(office):
    """The store itself spares what the predicate of a hold covers."""
    office.hold("H", store="memory", where="item-11")
    assert office.run() == {"disposed": 24, "held": 1}
    assert list(office.place.records) == ["item-11"]


def test_a_hold_placed_between_two_batches_wins(office):
    """The next intent sees it, and names its entry as the newest one that was read."""
    results = office.executor().run(office.works())
    next(results)
    entry = office.hold("H", category="c")
    assert sum(1 for _ in results) == 2
    import json

    intents = [json.loads(b) for b in office.ledger.entries(0, office.ledger.size()) if b'"type":"intent"' in b]
    assert [i["holds"] for i in intents] == [-1, -1], "the two batches that had begun"
    assert entry > 0
    assert len(office.place.records) == 5


def test_a_changed_item_is_left_alone(office):
    """A step acts on the revision that it names."""
    office.place.change("item-04")
    assert office.run() == {"disposed": 24, "changed": 1}
    assert list(office.place.records) == ["item-04"]


def test_an_item_that_is_gone_is_called_gone(office):
    """`gone` is not `disposed`: somebody else removed it."""
    del office.place.records["item-04"]
    assert office.run() == {"disposed": 24, "gone": 1}


def test_an_event_that_was_withdrawn_keeps_its_items(tmp_path):
    """The event is asked again at the moment of disposal; a re-opened ticket keeps its files."""
    office = Office(tmp_path, start=EVENT)
    office.events.at = {str(i): NOW - timedelta(days=2) for i in range(25)}
    del office.events.at["5"]
    office.events.at["6"] = NOW - timedelta(minutes=10)
    assert office.run() == {"disposed": 23, "changed": 2}
    assert sorted(office.place.records) == ["item-05", "item-06"], "withdrawn, and not yet settled"


def test_an_event_recorded_during_the_look_up_is_not_overlooked(tmp_path):
    """If the register of events moves between the question and the intent, the question is asked again."""
    office = Office(tmp_path, start=EVENT, items=5)
    office.events.at = {str(i): NOW - timedelta(days=2) for i in range(5)}
    told = []

    def meanwhile():
        if not told:
            told.append(office.recorded.record("resolved", "3", NOW, office.word))
            office.events.at["3"] = NOW

    office.events.before_answer = meanwhile
    assert office.run() == {"disposed": 4, "changed": 1}
    assert office.events.asked == 2


def test_an_event_that_cannot_be_looked_up_is_asked_for_once_and_loses_no_store(tmp_path):
    """What hangs on it stays; the store of the items is not the one that is down."""
    office = Office(tmp_path, start=EVENT)

    def down():
        trouble = StoreUnavailable("the event cannot be looked up")
        trouble.event_store = "desk"
        raise trouble

    office.events.before_answer = down
    by_age = bench_for(office.category, replace(office.bench.rule, start=Start("modified")), UTC_ZONE, NOW, ())
    free = [replace(work, bench=by_age) for work in office.works(office.keys[20:])]
    executor = office.executor()
    results = list(executor.run([*office.works(office.keys[:20]), *free]))
    assert [r.counts["disposed"] for r in results] == [5]
    assert (list(executor.down), office.events.asked) == (["desk"], 1)
    assert sorted(office.place.records) == office.keys[:20]


def test_a_reason_to_stop_is_heard_between_batches(office):
    """The batch in hand ends with its outcome; the next does not begin."""
    reasons = iter([None, "told to stop"])
    assert office.run(stop=lambda: next(reasons)) == {"disposed": 10}
    assert len(office.place.records) == 15
    check_truth_of_stopped(office)


def check_truth_of_stopped(office):
    assert office.runs.open_intents() == []
    assert sum(fates == ["disposed"] for fates in office.fates().values()) == 10


def test_a_store_that_lies_about_a_disposal_is_found_out(office):
    """What is still there after its outcome was committed is counted as back."""
    office.place.flaw = "says disposed and keeps"
    results = list(office.executor().run(office.works()))
    assert sum(r.looked for r in results) == 25
    assert sum(r.absent for r in results) == 0


def test_a_batch_whose_fate_cannot_be_seen_is_unknown_and_recovered_later(office):
    """The store goes down in the middle and stays down: unknown, and the intent stays open until a later look."""
    store = faulty(office, 3)
    counts = office.run(store)
    assert counts["unknown"] == 10
    assert len(office.runs.open_intents()) == 1
    office.recover()
    check_truth(office)


def test_running_again_changes_nothing(office):
    """All steps are gone: a second run finds nothing that it could do."""
    office.run()
    before = office.ledger.size()
    done = office.runs.done(office.plan)
    assert all(n in done for n in range(1, 26))
    assert office.ledger.size() == before
