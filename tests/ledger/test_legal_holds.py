"""Which legal holds of buckets are ours: remembered for each hold, forgotten with its release, in either database."""

from contextlib import closing

import pytest

from retentiond.core.registers import Hold
from retentiond.ledger.clock import Reading
from retentiond.ledger.ledger import Ledger
from retentiond.ledger.legal_holds import LegalHoldRegister, Removed
from retentiond.ledger.registers import HoldRegister

NOW = 1_795_000_000_000_000
PLACE, STORE = "s3:x/calls/ (enabled)", "calls"
A, B, C = ("a", "1"), ("a", "2"), ("b", "1")


def word(kind, text):
    return "0" * 32


@pytest.fixture
def ledger(database):
    with closing(Ledger(database, lambda: Reading(NOW, NOW, "boot"))) as ledger:
        ledger.begin_log()
        for name in ("H-1", "H-2"):
            HoldRegister(ledger).place(Hold(name, "r", "m", everything=True), word)
        yield ledger


def test_what_is_ours_is_known_by_version_and_hold_until_each_is_released(ledger):
    register, holds = LegalHoldRegister(ledger), HoldRegister(ledger)
    assert not register.any()
    register.begin(STORE, PLACE, "H-1", [A, B])
    assert register.known(PLACE, [A, B, C]) == {A: {"H-1": "begun"}, B: {"H-1": "begun"}}
    register.put_on(STORE, PLACE, "H-1", {A: "ours", C: "theirs"}, word("", ""))
    register.forget(PLACE, "H-1", [B])
    register.put_on(STORE, PLACE, "H-2", {A: "ours"}, word("", ""))
    assert register.known(PLACE, [A, B, C]) == {A: {"H-1": "ours", "H-2": "ours"}, C: {"H-1": "theirs"}}
    assert register.known("another place", [A]) == {}
    assert (register.over(), register.next_over(PLACE, 9)) == ([], [])
    holds.release("H-1", "over", word)
    assert register.over() == [(STORE, PLACE)]
    assert register.next_over(PLACE, 1) == [A]
    assert register.next_over(PLACE, 9) == [A, C]
    assert register.standing(PLACE, [A, C]) == {A}
    register.taken_off(STORE, PLACE, [A, C], Removed(0, 2, 0))
    assert (register.over(), register.known(PLACE, [A, C])) == ([], {A: {"H-2": "ours"}})
    holds.release("H-2", "over", word)
    register.taken_off(STORE, PLACE, [A], Removed(1, 0, 0))
    assert not register.any()


def test_what_becomes_ours_for_one_hold_is_ours_for_every_other(ledger):
    """Somebody takes their legal hold off while a hold of ours stands, and another one of ours puts it on again."""
    register = LegalHoldRegister(ledger)
    register.put_on(STORE, PLACE, "H-1", {A: "theirs"}, word("", ""))
    register.put_on(STORE, PLACE, "H-2", {A: "ours"}, word("", ""))
    HoldRegister(ledger).release("H-2", "over", word)
    register.taken_off(STORE, PLACE, [A], Removed(0, 1, 0))
    assert register.known(PLACE, [A]) == {A: {"H-1": "ours"}}, "so that it goes with the last of them"
