"""The sets of a category looked at as a whole, before its rules are planned: see `core.linked`.

Every rule with a `link` is scanned once more for it. What is due by itself, and what stays and why, is gathered
by the values of the link; then each set has one verdict, and the rules are planned by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from retentiond.app.happenings import Happenings
from retentiond.app.house import House
from retentiond.app.judging import ready
from retentiond.app.requiring import seen_by
from retentiond.core.ladder import Judgement
from retentiond.core.linked import Linked, Linking
from retentiond.core.policy import Category, Rule
from retentiond.engine.pipeline import scope_for, survey
from retentiond.errors import StoreDenied, StoreUnavailable

Looking = Callable[[Rule], Iterator[Judgement]]
"""Looks at all of a rule, as its plan will."""


def linked_rules(category: Category) -> list[Rule]:
    """The rules of a category whose items make sets."""
    return [rule for rule in category.rules if rule.link]


def linked_now(house: House, category: Category) -> Linked | None:
    """The sets of a category as a plan of this moment would judge them; None where it has none."""
    rules = linked_rules(category)

    def look(rule: Rule) -> Iterator[Judgement]:
        bench = ready(house, category, rule, house.now, house.registers().holds)
        return survey(seen_by(house, category.name, rule), scope_for(bench, everything=True), bench, Happenings(house))

    return link_up(rules, look) if len(rules) > 1 else None


def link_up(rules: Sequence[Rule], look: Looking) -> Linked:
    """The verdict of every set of these rules. A store that cannot be seen blocks them all."""
    gathered, unseen = Linking(), False
    for rule in rules:
        try:
            for judged in look(rule):
                stays = {i: group.reason for group in judged.groups for i in group.positions}
                gathered.take(rule.name, judged.page, rule.link, judged.due, stays)
        except (StoreUnavailable, StoreDenied):
            unseen = True
    return gathered.judged([rule.name for rule in rules], unseen=unseen)
