"""Items that wait for a person: which they are, and what the person decides about them.

Nothing here disposes of anything. An approval makes an item due for the next plan; it is for the
item in the revision that was looked at, and a change of the item makes it wait again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from retentiond.app.happenings import Happenings
from retentiond.app.house import House
from retentiond.app.judging import ready, revision_word
from retentiond.app.telling import await_flight, refuse_broken_path
from retentiond.core.ladder import REVIEW, WAITS, Bench, Judgement, judge, unreviewed
from retentiond.core.policy import Category, Rule
from retentiond.core.selector import path_covers
from retentiond.engine.pipeline import scope_for, survey, with_events
from retentiond.errors import UsageError
from retentiond.ledger.reviews import Subject


@dataclass(frozen=True, slots=True)
class Waiting:
    """An item that goes only when a person has let it go."""

    category: str
    rule: str
    store: str
    key: str
    revision: str
    start: datetime | None
    size: int
    overdue: bool


@dataclass(frozen=True, slots=True)
class Extended:
    """What came of putting off: batches that had begun before, and the items in them."""

    in_flight: int
    went: int


def waiting(house: House, names: Sequence[str] = ()) -> Iterator[Waiting]:
    """What waits for review now, in these categories (in all when none is named)."""
    for category, rule in _rules(house.categories(names)):
        bench = ready(house, category, rule, house.now, house.registers().holds)
        yield from _reviewable(_all(house, bench), bench, only=WAITS)


def chosen(house: House, store: str, keys: Sequence[str]) -> tuple[list[Waiting], list[str]]:
    """What a review may decide about of these items, decided about before or not; and the keys of the others."""
    rules = [(category, rule) for category, rule in _rules(house.categories(())) if rule.store == store]
    if not rules:
        stores = ", ".join(sorted({rule.store for _, rule in _rules(house.categories(()))})) or "none"
        raise UsageError(f"no rule with review is about the store '{store}'", do=f"such stores are: {stores}")
    wanted = dict.fromkeys(keys)
    found: dict[str, Waiting] = {}
    for category, rule in rules:
        bench = ready(house, category, rule, house.now, house.registers().holds)
        bench.reviews = unreviewed
        judged = _all(house, bench) if rule.generations is not None else _these(house, bench, list(wanted))
        found |= {one.key: one for one in _reviewable(judged, bench) if one.key in wanted}
    return [found[key] for key in wanted if key in found], [key for key in wanted if key not in found]


def below(items: Sequence[Waiting], path: str) -> list[Waiting]:
    """The items that a path means as one of a hold would: itself, a pattern, and what is below it. `UsageError` for none."""
    refuse_broken_path(path)
    return [one for one in items if path_covers(path, one.key)]


def approve(house: House, items: Sequence[Waiting], reason: str, by: str) -> None:
    """A person lets these items go, in the revisions that were looked at."""
    house.reviews.record(_subjects(house, items), None, reason, by, house.word)


def extend(house: House, items: Sequence[Waiting], until: datetime, reason: str, by: str) -> Extended:
    """A person keeps these items until an instant, approved before or not; waits for a batch that may be in flight."""
    if until <= house.now:
        raise UsageError("--until is over already", why="a review puts off to a time to come", do="name a later day")
    if not items:
        return Extended(0, 0)
    entry = house.reviews.record(_subjects(house, items), until, reason, by, house.word)
    return Extended(*await_flight(house, entry))


def _subjects(house: House, items: Sequence[Waiting]) -> list[Subject]:
    year = house.now.year
    references = house.references(year)
    found = []
    for one in items:
        make = references(one.category, one.store)
        names = make.of(one.key).hex(), make.of(revision_word(one.key, one.revision)).hex()
        found.append(Subject(one.category, one.rule, one.store, year, *names))
    return found


def _rules(categories: Iterable[Category]) -> list[tuple[Category, Rule]]:
    return [(category, rule) for category in categories for rule in category.rules if rule.action.reviewed]


def _all(house: House, bench: Bench) -> Iterator[Judgement]:
    return survey(house.view(bench.rule.store), scope_for(bench), bench, Happenings(house))


def _these(house: House, bench: Bench, keys: Sequence[str]) -> Iterator[Judgement]:
    page = house.view(bench.rule.store).probe(scope_for(bench, everything=True), keys)
    yield judge(with_events(page, bench, Happenings(house), acting=False), bench)


def _reviewable(judgements: Iterable[Judgement], bench: Bench, only: str = "") -> Iterator[Waiting]:
    """The items of some judged pages that are due but for a review; `only` those for this reason."""
    rule = bench.rule
    for judged in judgements:
        page = judged.page
        groups = [g for g in judged.groups if g.rung == REVIEW and only in ("", g.reason)]
        for i in sorted(i for group in groups for i in group.positions):
            revision = page.revisions[i]
            if revision is not None:
                overdue = rule.generations is None and bool(bench.overdue([page.starts[i]]))
                names = bench.category, rule.name, rule.store, page.keys[i]
                yield Waiting(*names, revision, page.starts[i], page.sizes[i], overdue)
