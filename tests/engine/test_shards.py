"""Parts scanned side by side: the same plan as from one scan, in the same order each time, with little in hand."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from retentiond.archive.requiring import Requiring
from retentiond.engine.lanes import AHEAD, PARTS, scan
from retentiond.engine.pipeline import draft, scope_for, survey
from retentiond.engine.ports import PAGE
from retentiond.errors import StoreUnavailable
from retentiond.testing.faults import Fault, FaultyStore
from tests.engine.office import NOW, OLD, Office
from tests.engine.test_machine import Lines

LANES, ITEMS = 3, 30_000


@pytest.fixture
def office(tmp_path):
    before = threading.active_count()
    made = Office(tmp_path, items=0)
    made.place.lanes = LANES
    for i in range(ITEMS):
        made.place.put(f"item-{i:05}", OLD if i % 2 else NOW - timedelta(days=1))
    yield made
    made.ledger.close()
    assert threading.active_count() == before, "a lane is left behind"


def planned(office, open_view):
    """The steps of a plan, what it counted, and how many items progress was told of."""
    lines, seen = Lines(), []
    scope = scope_for(office.bench)
    judged = survey(office.place.look(), scope, office.bench, office.events, seen.append, open_view)
    surveyed = draft(judged, office.bench, lines)
    return lines, surveyed.counts, sum(seen)


def test_the_plan_is_that_of_one_scan_and_its_order_the_same_each_time(office):
    whole, counts, seen = planned(office, None)
    one, counts_of_one, seen_of_one = planned(office, office.place.look)
    again, _, _ = planned(office, office.place.look)
    assert [line.key for line in one] == [line.key for line in again]
    assert sorted(line.key for line in one) == sorted(line.key for line in whole)
    assert (counts.as_json(), seen) == (counts_of_one.as_json(), seen_of_one)
    assert len(whole) == ITEMS // 2


class Counted:
    """A view that says how many pages have been read from it, and whether it was closed where it was opened."""

    def __init__(self, view, office):
        self._view, self._office, self._thread = view, office, threading.get_ident()
        self.pages, self.closed = 0, False
        office.views.append(self)

    def scan(self, scope):
        for page in self._view.scan(scope):
            self.pages += 1
            yield page

    def close(self):
        assert self._thread == threading.get_ident()
        self.closed = True


def test_no_lane_is_far_ahead_of_whoever_judges(office):
    office.views = []
    pages = scan(office.place.look(), scope_for(office.bench), lambda: Counted(office.place.look(), office))
    taken = [next(pages) for _ in range(2 * LANES)]
    assert all(len(page) <= PAGE for page in taken)
    assert len(office.views) == LANES
    assert all(view.pages <= 2 + AHEAD + 1 for view in office.views)
    pages.close()
    assert all(view.closed for view in office.views)


def test_a_store_of_one_lane_is_scanned_by_the_handle_at_hand(office):
    office.place.lanes, office.views = 1, []
    assert len(planned(office, lambda: Counted(office.place.look(), office))[0]) == ITEMS // 2
    assert office.views == []


def test_a_distant_store_is_read_ahead_by_one_further_handle_and_gives_the_plan_of_one_scan(office):
    whole, counts, _ = planned(office, None)
    office.place.lanes, office.place.distant, office.views = 1, True, []
    ahead, counts_ahead, _ = planned(office, lambda: Counted(office.place.look(), office))
    assert ([line.key for line in ahead], counts_ahead.as_json()) == ([line.key for line in whole], counts.as_json())
    assert [(view.pages, view.closed) for view in office.views] == [(ITEMS // PAGE, True)]


def test_what_stands_before_a_distant_store_is_not_passed_by(office):
    """Reading ahead takes handles of its own, which show nothing of what a rule requires of its items."""
    office.place.lanes, office.place.distant, office.views = 1, True, []
    seen = Requiring(office.place.look(), [lambda _, page: replace(page, uncopied=dict.fromkeys(range(len(page)), "no copy"))])
    pages = list(scan(seen, scope_for(office.bench), lambda: Counted(office.place.look(), office)))
    assert all(len(page.uncopied) == len(page) for page in pages)
    assert (sum(map(len, pages)), office.views) == (ITEMS, [])


@pytest.mark.parametrize("possible", [0, 1, 2])
def test_a_view_that_cannot_be_opened_beside_others_means_fewer_lanes(office, possible):
    handles = iter(range(99))

    def open_view():
        if next(handles) >= possible:
            raise StoreUnavailable("too many sessions")
        return office.place.look()

    assert len(planned(office, open_view)[0]) == ITEMS // 2


def test_a_fault_in_any_part_fails_the_whole_because_a_part_must_not_look_whole(office):
    """Whichever page is lost, no plan comes of it."""
    every = Fault()
    planned(office, lambda: FaultyStore(office.place.act(), every))
    assert every.points > LANES * PARTS
    for at in (1, 2, every.points // 2, every.points):
        fault = Fault(at)
        with pytest.raises(StoreUnavailable):
            planned(office, lambda fault=fault: FaultyStore(office.place.act(), fault))


def test_a_mistake_in_a_lane_is_not_taken_for_a_store_that_is_down(office):
    def open_view():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        planned(office, open_view)
