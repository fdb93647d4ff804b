"""Between the original and its copy anything may fail: the original is still there, and nothing half written has a name."""

import os
from contextlib import closing
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from retentiond.archive.archiving import Archiving
from retentiond.archive.reading import EVERYTHING
from retentiond.archive.sealing import Sealing
from retentiond.archive.writing import Vault
from retentiond.core.outcome import Outcome
from retentiond.core.policy import Action, Archive, PathSelection, Start
from retentiond.engine.ports import PIECE, Batch, Scope
from retentiond.errors import StoreUnavailable
from retentiond.testing.faults import FaultyStore
from retentiond.testing.memory import MemoryPlace, MemoryStore

AT = datetime(2020, 1, 1, tzinfo=UTC)
SCOPE = Scope(PathSelection("**"), Start("modified"), now=datetime(2026, 1, 1, tzinfo=UTC), category="post", rule="letters")


@pytest.fixture
def desk():
    place = MemoryPlace("desk")
    for n in range(3):
        place.put(f"letters/{n}", AT, os.urandom(3 * PIECE // 2))
    return place


@pytest.fixture
def vault():
    return MemoryPlace("vault")


@pytest.fixture
def sealing(work):
    with closing(Sealing([work.identity()])) as found:
        yield found


def batch(place):
    keys = sorted(place.records)
    revisions = [str(place.records[key].revision) for key in keys]
    return Batch(
        1, SCOPE, Action("archive", archive=Archive("vault", "{category}/{key}.age", ("age1",))), keys, revisions, store="desk"
    )


def dispose(place, there, register, sealing, planned=None, source=None):
    """What becomes of each item: its outcome and code."""

    def open_vault(archive):
        return Vault(there, archive.recipients, lambda _: sealing)

    store = Archiving(source or place.act(), "desk", open_vault, register, ZoneInfo("UTC"), lambda *_: None)
    planned = planned or batch(place)
    fates = {}
    for settled in store.dispose(planned):
        fates |= {planned.keys[i]: (settled.outcome.value, settled.code) for i in settled.positions}
    return fates


def kept(register):
    return [one.key for one in register.all() if one.state == "kept" and one.purpose == "archive"]


def test_the_way_without_trouble(desk, vault, register, sealing):
    found = dispose(desk, vault.act(), register, sealing)
    assert {"disposed"} == {outcome for outcome, _ in found.values()}
    assert {} == desk.records
    assert sorted(kept(register)) == [f"post/letters/{n}.age" for n in range(3)]


class Changing(MemoryStore):
    """A store whose items are written to by their users while they are read."""

    def read(self, scope, key, revision):
        pieces = super().read(scope, key, revision)
        yield next(pieces)
        self._place.change(key)
        yield from pieces


def test_what_changes_while_it_is_read_is_left_alone(desk, vault, register, sealing):
    planned = batch(desk)
    found = dispose(desk, vault.act(), register, sealing, planned, Changing(desk))
    assert {("changed", "")} == {*found.values()}
    assert 3 == len(desk.records)
    assert {} == vault.records
    assert [] == register.all()


class Cut(MemoryStore):
    """A store that loses its connection when most of a copy has come."""

    def take(self, key, pieces):
        def most():
            size = 0
            for piece in pieces:
                size += len(piece)
                if size > 1.35 * PIECE:
                    raise StoreUnavailable("the connection was lost")
                yield piece

        return super().take(key, most())


def test_a_connection_that_is_lost_at_nine_tenths_leaves_nothing_behind(desk, vault, register, sealing):
    found = dispose(desk, Cut(vault), register, sealing)
    assert {("failed", "not-archived")} == {*found.values()}
    assert 3 == len(desk.records)
    assert {} == vault.records
    assert {"disposed"} == {outcome for outcome, _ in dispose(desk, vault.act(), register, sealing).values()}


@pytest.mark.parametrize("of", ["archive", "source"])
def test_whichever_call_fails_each_item_is_here_or_whole_there_and_another_run_finishes(of, register, sealing):
    points, fail_at = 1, 0
    while fail_at < points:
        desk, there = MemoryPlace(f"desk-{fail_at}"), MemoryPlace(f"vault-{fail_at}")
        for n in range(3):
            desk.put(f"letters/{n}", AT, bytes([n]) * 1000)
        faulty = FaultyStore(there.act() if of == "archive" else desk.act(), fail_at)
        _attempt(desk, *((faulty, None) if of == "archive" else (there.act(), faulty)), register, sealing)
        for key in {f"letters/{n}" for n in range(3)} - {*desk.records}:
            assert f"post/{key}.age" in there.records, (fail_at, key)
        _attempt(desk, there.act(), None, register, sealing)
        assert {} == desk.records | desk.half_done
        points, fail_at = max(points, faulty.points), fail_at + 1
    assert points > 8


def _attempt(desk, there, source, register, sealing):
    desk.act().put_back(EVERYTHING, list(desk.half_done))
    if not desk.records:
        return
    try:
        dispose(desk, there, register, sealing, source=source)
    except StoreUnavailable:
        assert source is not None, "only the source's own trouble ends the batch"
    desk.act().put_back(EVERYTHING, list(desk.half_done))


def test_an_archive_in_the_same_place_is_refused(desk, register, sealing):
    assert {("failed", "no-archive")} == {*dispose(desk, desk.act(), register, sealing).values()}
    assert 3 == len(desk.records)


def test_a_place_under_two_names_is_refused_and_nothing_is_left_in_it(desk, register, sealing):
    """As a bucket that is reached by two names of its server."""
    other = MemoryPlace("the same by another name")
    other.records = desk.records
    assert {("failed", "not-archived")} == {*dispose(desk, other.act(), register, sealing).values()}
    assert {f"letters/{n}" for n in range(3)} == {*desk.records}
    assert [] == register.all()


def test_a_process_that_encrypts_no_more_lets_nothing_go(desk, vault, register):
    with closing(Sealing(["age1nobody"])) as broken:
        assert {(Outcome.FAILED.value, "not-encrypted")} == {*dispose(desk, vault.act(), register, broken).values()}
    assert {} == vault.records
    assert 3 == len(desk.records)
