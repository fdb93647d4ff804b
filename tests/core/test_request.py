"""Which items an erasure request means: by any identifier, in any spelling, and how far it reaches."""

from datetime import timedelta

import pytest

from retentiond.core.item import Page
from retentiond.core.period import IMMEDIATELY
from retentiond.core.policy import Action, MailSelection, PathSelection, Rule, Start
from retentiond.core.reference import of_word
from retentiond.core.request import Erased, ErasureRequest, spellings_of
from tests.engine.office import NOW

DAY = timedelta(days=1)
BEFORE, AFTER = NOW - DAY, NOW + DAY


class Names:
    """References under a key for each year: `core.request.Naming`."""

    def subject(self, year, kind, value):
        return of_word(str(year).encode(), kind, value)

    def item(self, year, category, store, key):
        return of_word(str(year).encode(), category + store, key)


def rule(selection=None, start="modified", **subject):
    kind = Start("event", "ended", "who") if start == "event" else Start(start)
    period, subject = IMMEDIATELY, subject or {"customer": "who"}
    return Rule("r", "s", selection or PathSelection("*"), kind, period, period, Action("delete"), subject=subject)


def asked(*subjects, reach="known", entry=7, left=None, year=2026):
    named = frozenset((kind, Names().subject(year, kind, value)) for kind, value in subjects)
    return ErasureRequest(entry, year, NOW, named, reach, {("c", "r"): left} if left != () else {})


def page(starts, who=None, done=frozenset(), **facts):
    keys = [f"k{i}" for i in range(len(starts))]
    columns = {"who": who or ["ada"] * len(starts), **facts}
    return Page(keys, ["1"] * len(keys), starts, [1] * len(keys), columns, done=done)


STAYED = frozenset({Names().item(2026, "c", "s", "k2"), Names().item(2026, "c", "s", "k1")})
REACHES = [
    ("whole", (), "modified", [0, 1, 2]),
    ("back", (), "modified", [0, 1]),
    ("known", (), "modified", [0]),
    ("known", STAYED, "modified", [0, 1, 2]),
    ("known", None, "modified", [0, 1]),
    ("back", (), "event", [0, 1, 2]),
    ("known", (), "event", [0]),
    ("known", None, "event", [0, 1, 2]),
]


@pytest.mark.parametrize(("reach", "left", "start", "meant"), REACHES)
def test_a_request_reaches_what_is_no_newer_or_is_known_to_have_stayed(reach, left, start, meant):
    """Of three items: older than the request, without a date, and newer."""
    erased = Erased([asked(("customer", "ada"), reach=reach, left=left)], "c", rule(start=start), Names())
    found = erased.meant(page([BEFORE, None, AFTER]))
    assert [*found.erased] == meant
    assert sorted([*found.erased, *found.newer]) == [0, 1, 2], "what is not reached is told as newer"
    assert erased.still(page([BEFORE, None, AFTER]), 7) == [True] * 3


def test_nobody_else_is_meant_and_nothing_that_is_anonymised():
    erased = Erased([asked(("customer", "ada"), reach="whole")], "c", rule(), Names())
    found = erased.meant(page([BEFORE] * 4, who=["ada", "Ada", None, "ada"], done=frozenset({3})))
    assert ([*found.erased], [*found.newer]) == ([0], [])
    assert erased.still(page([BEFORE] * 2, who=["bob", "ada"]), 8) == [False, False]


def test_any_of_several_identifiers_and_requests_is_enough():
    both = rule(customer="who", email="mail")
    requests = [asked(("email", "a@b.org"), entry=1), asked(("customer", "7"), entry=2, year=2025)]
    erased = Erased(requests, "c", both, Names())
    found = erased.meant(page([BEFORE] * 3, who=["7", "8", "9"], mail=["x", "a@b.org", "y"]))
    assert found.erased == {0: 2, 1: 1}
    assert not Erased(requests, "c", rule(phone="who"), Names())


def test_addresses_are_known_in_any_case_and_in_every_line_of_a_message():
    message = rule(MailSelection(), customer="from", email="to")
    spelled = [("email", one) for one in spellings_of(("email", "Ada@Example.org"), [message])]
    assert ("email", "ada@example.org") in spelled
    erased = Erased([asked(*spelled, reach="whole")], "c", message, Names())
    facts = {"from": [None, None], "to": ["bob@example.org\nada@example.org", "bob@example.org"]}
    assert [*erased.meant(page([BEFORE] * 2, **facts)).erased] == [0]
    assert erased.is_about(7, ("email", "ADA@example.org"))
    assert not erased.is_about(7, ("email", "bob@example.org"))
    assert not erased.is_about(7, ("phone", "ada@example.org"))
    assert not erased.is_about(8, ("email", "ada@example.org"))
