"""A rule of the rulebook made ready to judge by, with what the ledger remembers of its earlier versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from retentiond.app.house import House
from retentiond.core.ladder import Bench, Cooling
from retentiond.core.policy import Category, Rule
from retentiond.core.registers import Hold
from retentiond.core.versions import comparable, rules_from
from retentiond.engine.pipeline import bench_for
from retentiond.ledger.clock import moment

FAR = datetime(9999, 12, 31, tzinfo=UTC)
"""Until when something cools off whose period has no end."""


def ready(house: House, category: Category, rule: Rule, now: datetime, holds: Iterable[Hold]) -> Bench:
    """A rule ready to judge by, under these holds and with the changes that still cool off."""
    held = list(holds)
    bench = bench_for(category, rule, house.rulebook.zone, now, held)
    if rule.cooling_off is not None:
        bench.cooling = _cooling(house, category, bench)
    return bench


def as_it_was(category: Category, bench: Bench, meaning: Mapping[str, Any]) -> Bench | None:
    """The rule as another version had it, ready to judge by; None where the two cannot be compared item by item."""
    old = rules_from(meaning).get(bench.rule.name)
    if old is None or not comparable(old, bench.rule):
        return None
    return bench_for(category, old, bench.zone, bench.now, ())


def _cooling(house: House, category: Category, bench: Bench) -> list[Cooling]:
    """The changes of a rule whose newly due items still wait."""
    found = []
    for new, old in pairwise(house.memory.versions(category.name)):
        period = bench.rule.cooling_off
        until = period.end(moment(new.seen_at), bench.zone) if period else bench.now
        if until is None or until > bench.now:
            found.append(Cooling(until or FAR, as_it_was(category, bench, old.meaning)))
    return found
