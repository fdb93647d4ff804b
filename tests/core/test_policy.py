"""The rulebook's digest: every change of what happens to data has another name, and no change of words has."""

from dataclasses import replace

import pytest

from retentiond.core.period import Period
from retentiond.core.policy import (
    Action,
    Category,
    EventSource,
    Limits,
    Minimum,
    PathSelection,
    Promise,
    Rule,
    Rulebook,
    Start,
    StoreDefinition,
    TableSelection,
)

MONTH = Period(months=1, words="1 month")
RULE = Rule(
    "old",
    "desk",
    PathSelection("tickets/{ticket}/**"),
    Start("event", "resolved", "ticket"),
    MONTH,
    MONTH.plus_day(),
    Action("delete"),
    Minimum(Period(days=1), "law"),
    {"ticket": "ticket", "customer": "owner"},
)
EVENT = EventSource("resolved", "pbx", "SELECT 1", Period(minutes=60))
CATEGORY = Category(
    "support",
    "Support",
    ("help",),
    "contract",
    ("files",),
    ("customers",),
    "dpo@example.org",
    ("GB",),
    "daily at 02:00",
    (RULE,),
    {"resolved": EVENT},
)
DESK, PBX = StoreDefinition("desk", "files", "GB", {"path": "/srv"}), StoreDefinition("pbx", "sql", "GB", {"url": "x"})


def name(category=CATEGORY, zone="Europe/London", stores=(DESK, PBX), more=()):
    book = Rulebook(zone, {c.name: c for c in (category, *more)}, {s.name: s for s in stores})
    return book.digest([category.name])


def of_rule(**changes):
    return replace(CATEGORY, rules=(replace(RULE, **changes),))


@pytest.mark.parametrize(
    "changed",
    [
        of_rule(name="older"),
        of_rule(store="pbx"),
        of_rule(selection=PathSelection("tickets/**")),
        of_rule(selection=PathSelection("tickets/{ticket}/**", "remove")),
        of_rule(selection=TableSelection("tickets")),
        of_rule(selection=TableSelection("tickets", "1 = 2")),
        of_rule(selection=TableSelection("tickets", children="reflect")),
        of_rule(selection=TableSelection("tickets", children=("notes",))),
        of_rule(selection=TableSelection("tickets", key=("id",))),
        of_rule(selection=TableSelection("tickets", version="v")),
        of_rule(start=Start("modified")),
        of_rule(start=replace(RULE.start, zone="Asia/Kathmandu")),
        of_rule(start=replace(RULE.start, unit="ms")),
        of_rule(retention=Period(months=1, days=1)),
        of_rule(retention=Period(months=1, minutes=1)),
        of_rule(retention=Period(forever=True)),
        of_rule(deletion=Period(months=2)),
        of_rule(action=Action("keep")),
        of_rule(minimum=None),
        of_rule(minimum=Minimum(Period(days=2), "law")),
        of_rule(subject={"ticket": "ticket"}),
        replace(CATEGORY, rules=(RULE, replace(RULE, name="second"))),
        replace(CATEGORY, rules=()),
        replace(CATEGORY, events={}),
        replace(CATEGORY, events={"resolved": replace(EVENT, query="SELECT 2")}),
        replace(CATEGORY, events={"resolved": replace(EVENT, settle=None)}),
        replace(CATEGORY, events={"resolved": replace(EVENT, recorded=True)}),
        replace(CATEGORY, limits=Limits(items=5)),
        replace(CATEGORY, limits=Limits(share=5)),
        replace(CATEGORY, limits=Limits(bytes=5)),
    ],
)
def test_a_change_of_what_happens_to_data_makes_plans_stale(changed):
    assert name() != name(changed)


@pytest.mark.parametrize(
    "changed",
    [
        replace(CATEGORY, title="Helping"),
        replace(CATEGORY, promise=Promise("gone at once", "notices/x.txt")),
        replace(CATEGORY, owner="else@example.org"),
        replace(CATEGORY, purpose=("helping",)),
        of_rule(retention=replace(MONTH, words="30-ish days")),
    ],
)
def test_a_change_of_words_does_not(changed):
    assert name() == name(changed)


def test_the_name_covers_the_zone_and_the_stores_in_use_and_nothing_else():
    assert name() != name(zone="Europe/Berlin")
    assert name() != name(stores=(replace(DESK, options={"path": "/mnt"}), PBX))
    assert name() != name(stores=(DESK, replace(PBX, options={"url": "y"})))
    assert name() == name(stores=(DESK, PBX, replace(PBX, name="unused")))
    assert name() == name(more=(replace(CATEGORY, name="else"),))


def test_the_order_in_which_categories_are_named_means_nothing():
    other = replace(CATEGORY, name="else", limits=Limits(items=1))
    book = Rulebook("UTC", {"support": CATEGORY, "else": other}, {"desk": DESK, "pbx": PBX})
    assert book.digest(["else", "support"]) == book.digest(["support", "else"])
    assert book.digest(["else"]) != book.digest(["support"])
    assert ["desk", "pbx"] == book.stores_of(CATEGORY)
    assert "UTC" == book.zone.key


def test_the_fields_that_a_rule_needs_to_see_come_once_each():
    assert ("ticket", "owner") == RULE.fields
    assert () == replace(RULE, start=Start("modified"), subject={}).fields
