"""What of a person cannot be searched or erased now, and by when it is gone: copies beyond use, and places that name nobody.

A backup that is kept by generations goes by its rule. An archive or copy that holds nobody else's is erased with the rest where
a rule disposes of what lies there; one that holds others', too, stays until that rule lets it go. Whom archives and copies
are about was noted when they were written, as keyed digests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from retentiond.app.house import House
from retentiond.app.planning import is_searched
from retentiond.core.copied import Copied
from retentiond.core.generations import Generations
from retentiond.core.period import Period
from retentiond.core.policy import Category, Rule
from retentiond.core.request import ErasureRequest
from retentiond.core.selector import selects
from retentiond.ledger.clock import moment
from retentiond.ledger.memory import Counted


@dataclass(frozen=True, slots=True)
class Beyond:
    """A rule whose items nobody can tell to be about this person or not, and until when they stay.

    `until` is the day by which what lies there today is gone by the rule; None where the rule sets no end. `items` is how
    many they are, where that is known.
    """

    category: str
    rule: str
    store: str
    backup: bool
    words: str
    until: date | None
    items: int | None = None


def beyond(house: House, request: ErasureRequest) -> list[Beyond]:
    """Every rule that was not searched, as nothing says whose its items are: copies that nobody uses, and when they go."""
    rules = [(category, rule) for category in house.rulebook.categories.values() for rule in category.rules]
    counted = house.memory.counted()
    found = [
        _beyond(house, category, rule, counted.get((category.name, rule.name)))
        for category, rule in rules
        if not is_searched(category, rule, [request])
    ]
    return found + _copies(house, request)


def _beyond(house: House, category: Category, rule: Rule, counted: Counted | None) -> Beyond:
    names, items = (category.name, rule.name, rule.store), counted.counts["scanned"] if counted is not None else None
    end = _day(house, _reach(rule), house.now)
    if rule.generations is not None:
        words = "backups that may hold this person, kept by generations"
        return Beyond(*names, True, words if end else f"{words} without an end in time", end, items)
    words = "its items say of nobody whose they are (no `subject`)"
    if rule.subject:
        words = f"its items say whose they are by {', '.join(sorted(rule.subject))}, and none of this person's is known"
    return Beyond(*names, False, words, end, items)


def _copies(house: House, request: ErasureRequest) -> list[Beyond]:
    """Archives and copies that stay: those that hold others' items too, that no rule may let go, or that do not say."""
    rules = [rule for category in house.rulebook.categories.values() for rule in category.rules]
    known, found = house.requests.get(request.entry).copies, list[Beyond]()
    alone = [one for one in house.copies.of(known.alone) if keeper_of(rules, one) is None]
    for words, copies in (
        ("archives and copies of this person's, in a store of which no rule disposes", alone),
        ("archives and copies that hold this person among others", house.copies.of(known.shared)),
    ):
        by: dict[tuple[str, str, str], list[Copied]] = {}
        for one in copies:
            by.setdefault((one.category, one.rule, one.destination), []).append(one)
        found += [Beyond(*names, True, words, end_of(house, rules, mine), len(mine)) for names, mine in sorted(by.items())]
    words = "archives and copies that do not say whose they are, and may hold this person"
    for category, name, destination, items, newest in house.copies.unsaid():
        reaches = [_reach(rule) for rule in rules if rule.store == destination]
        ends = [_day(house, reach, moment(newest)) for reach in reaches]
        until = None if None in ends else max((end for end in ends if end is not None), default=None)
        found.append(Beyond(category, name, destination, True, words, until, items))
    return found


def keeper_of(rules: Iterable[Rule], one: Copied) -> Rule | None:
    """The rule that disposes of a copy where it lies; None where none does."""
    return next((rule for rule in rules if selects(rule, one.destination, one.key)), None)


def end_of(house: House, rules: Sequence[Rule], copies: Iterable[Copied]) -> date | None:
    """By when the last of these copies is gone by the rules about where they lie; None where one sets no end, or is missing."""
    ends = []
    for one in copies:
        keeper = keeper_of(rules, one)
        ends.append(_day(house, _reach(keeper), moment(one.at)) if keeper is not None else None)
    return None if None in ends else max(end for end in ends if end is not None)


def _reach(rule: Rule) -> Period | None:
    """How long what a rule sees today may stay by it at most; None where nothing tells."""
    if rule.generations is not None:
        return longest(rule.generations)
    kept = rule.action.keeps or rule.forbid is not None or rule.start.kind == "event"
    return None if kept else rule.deletion


def _day(house: House, period: Period | None, start: datetime) -> date | None:
    end = period.end(start, house.rulebook.zone) if period is not None else None
    return end.astimezone(house.rulebook.zone).date() if end is not None else None


def longest(generations: Generations) -> Period | None:
    """How long a generation stays that is made today, as long as newer ones are made; None where nothing tells.

    Each count of years, months, weeks or days says so by itself; of `last: N` and of a count without end nothing does.
    """
    if generations.last or any(count == "all" for _, count in generations.counts):
        return None
    months = max(12 * int(generations.yearly), int(generations.monthly))
    days = max(7 * int(generations.weekly), int(generations.daily), int(generations.hourly) // 24 + 1)
    within = generations.within
    reaches = [Period(months=months + 1 if months else 0, days=1), Period(days=days + 7), *([within] if within else [])]
    return max(reaches, key=lambda p: (p.forever, p.months * 31 + p.days))
