"""The sets of a category looked at as a whole, before its rules are planned: see `core.linked`.

Every rule with a `link` is scanned once more for it. What is due by itself, and what stays and why, is gathered
by the values of the link; then each set has one verdict, and the rules are planned by it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime

from retentiond.app.happenings import Happenings
from retentiond.app.house import House
from retentiond.app.judging import ready
from retentiond.app.requiring import seen_by
from retentiond.core.ladder import LAWFUL, Judgement
from retentiond.core.linked import Linked, Linking
from retentiond.core.policy import Category, Rule
from retentiond.core.request import ErasureRequest, Led
from retentiond.engine.linked import Member
from retentiond.engine.pipeline import scope_for, survey, with_events
from retentiond.errors import StoreDenied, StoreUnavailable
from retentiond.ledger.plans import PlanFile


class Members:
    """The items of sets that a plan has: where their lines begin, some twenty bytes for each. They are read on need."""

    def __init__(self, plan: PlanFile) -> None:
        self._plan, self._numbers, self._places, self._order = plan, array("q"), array("q"), array("I")

    def add(self, number: int, place: int) -> None:
        """One more item of a set."""
        self._numbers.append(number)
        self._places.append(place)

    def of(self, numbers: Sequence[int]) -> Iterator[tuple[int, Member]]:
        """The items of these sets, each with the number of its set."""
        if len(self._order) != len(self._numbers):
            self._order = array("I", sorted(range(len(self._numbers)), key=self._numbers.__getitem__))
        found: list[tuple[int, int]] = []
        for number in numbers:
            at = bisect_left(self._order, number, key=self._numbers.__getitem__)
            while at < len(self._order) and self._numbers[self._order[at]] == number:
                found.append((self._places[self._order[at]], number))
                at += 1
        found.sort()
        steps = self._plan.at(place for place, _ in found)
        for (_, number), s in zip(found, steps, strict=True):
            yield number, Member(s.rule, s.key, s.revision, s.request)


Looking = Callable[[Rule], Iterator[Judgement]]
"""Looks at all of a rule, as its plan will."""


def linked_rules(category: Category) -> list[Rule]:
    """The rules of a category whose items make sets."""
    return [rule for rule in category.rules if rule.link]


def led_by(house: House, category: Category, requests: Sequence[ErasureRequest], now: datetime) -> Led:
    """The sets of a category of which an item names one of the people of these requests, by the values of the link.

    A store that cannot be seen leads nowhere: its rule is told as not seen.
    """
    found: dict[int, set[int]] = {}
    rules = linked_rules(category)
    for rule in rules if len(rules) > 1 else ():
        if not any(kind in rule.subject for request in requests for kind, _ in request.subjects):
            continue
        bench, events = ready(house, category, rule, now, house.registers().holds, requests), Happenings(house)
        with suppress(StoreUnavailable, StoreDenied):
            for page in seen_by(house, category.name, rule).scan(scope_for(bench, everything=True)):
                for i, entry in bench.meant(with_events(page, bench, events, acting=False)).erased.items():
                    value = page.facts[rule.link][i]
                    if value is not None:
                        found.setdefault(hash(value), set()).add(entry)
    return {value: sorted(entries) for value, entries in found.items()}


def linked_now(house: House, category: Category, led: Led) -> Linked | None:
    """The sets of a category as a plan of this moment would judge them; None where it has none."""
    rules = linked_rules(category)

    def look(rule: Rule) -> Iterator[Judgement]:
        bench = ready(house, category, rule, house.now, house.registers().holds, led=led)
        return survey(seen_by(house, category.name, rule), scope_for(bench, everything=True), bench, Happenings(house))

    return link_up(rules, look) if len(rules) > 1 else None


def link_up(rules: Sequence[Rule], look: Looking) -> Linked:
    """The verdict of every set of these rules. A store that cannot be seen blocks them all."""
    gathered, unseen = Linking(), False
    for rule in rules:
        try:
            for judged in look(rule):
                stays = {i: group.reason for group in judged.groups for i in group.positions}
                lawful = {i for group in judged.groups if group.rung in LAWFUL for i in group.positions}
                gathered.take(rule.name, judged.page, rule.link, judged.due, stays, lawful)
        except (StoreUnavailable, StoreDenied):
            unseen = True
    return gathered.judged([rule.name for rule in rules], unseen=unseen)
