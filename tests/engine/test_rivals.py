"""Rivals are asked about what is due and nothing else; a rule without rivals asks nothing."""

from dataclasses import replace

import pytest

from retentiond.config.overlap import rivals
from retentiond.core.policy import MailSelection, PathSelection, TableSelection
from retentiond.engine.pipeline import scope_for, survey
from retentiond.errors import StoreDenied
from tests.engine.office import NOW, Office


class Counting:
    """A view that notes what is probed, and may refuse."""

    def __init__(self, view, refuses=False):
        self._view, self._refuses, self.probed = view, refuses, []

    def scan(self, scope):
        return self._view.scan(scope)

    def probe(self, scope, keys):
        self.probed.append((scope.selection, list(keys)))
        if self._refuses:
            raise StoreDenied("no")
        return self._view.probe(scope, keys)


@pytest.fixture
def office(tmp_path):
    office = Office(tmp_path, items=6)
    office.place.put("item-00", NOW, b"x")
    return office


def surveyed(office, view):
    return list(survey(view, scope_for(office.bench, everything=True), office.bench, office.events))


def test_a_rule_without_rivals_probes_nothing(office):
    view = Counting(office.place.look())
    assert 5 == sum(len(judged.due) for judged in surveyed(office, view))
    assert [] == view.probed


def test_only_what_is_due_is_asked_about_once_for_a_rival(office):
    rule = office.bench.rule
    office.bench.rivals = [("d", replace(rule, name="s", selection=PathSelection("*2")))]
    view = Counting(office.place.look())
    (judged,) = surveyed(office, view)
    assert [(PathSelection("*2"), office.keys[1:])] == view.probed
    assert [office.keys[i] for i in (1, 3, 4, 5)] == [judged.page.keys[i] for i in judged.due]
    (group,) = [g for g in judged.groups if g.verdict == "undetermined"]
    assert ("c/r and d/s both select it, and only one rule can decide", [2]) == (group.reason, list(group.positions))


def test_a_rival_that_cannot_be_asked_leaves_all_in_doubt(office):
    office.bench.rivals = [("d", replace(office.bench.rule, name="s"))]
    (judged,) = surveyed(office, Counting(office.place.look(), refuses=True))
    assert [] == list(judged.due)
    assert {"undetermined": 5, "waiting": 1} == {g.verdict: len(g.positions) for g in judged.groups}


def test_rivals_share_a_store_and_a_table_or_a_folder(office):
    rule = office.bench.rule

    def found(one, other, **changed):
        first, second = replace(rule, selection=one), replace(rule, **{"name": "s", "selection": other} | changed)
        category = replace(office.category, rules=(first, second))
        return [name for name, _ in rivals([category], "c", first)]

    a, b = TableSelection("t", "x = 1"), TableSelection("T", "x = 2")
    assert ["c"] == found(a, b)
    assert ["c"] == found(MailSelection("in/*", ("a@*",)), MailSelection("*/x", ("b@*",)))
    assert [] == found(a, b, store="elsewhere") == found(a, TableSelection("u", "x = 2"))
    assert (
        []
        == found(MailSelection("in", ("a@*",)), MailSelection("out", ("b@*",)))
        == found(PathSelection("a"), PathSelection("b"))
    )
    masks = replace(rule.action, kind="anonymise")
    assert [] == found(a, b, action=masks)
    assert ["c"] == found(a, b, action=replace(rule.action, kind="keep"))
