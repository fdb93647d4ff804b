"""A rule of the rulebook made ready to judge by, with what the ledger remembers of its earlier versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from typing import Any

from retentiond.app.house import House
from retentiond.app.identifying import Names
from retentiond.config.overlap import rivals
from retentiond.core.item import NOTHING
from retentiond.core.ladder import Bench, Cooling
from retentiond.core.policy import Category, Rule
from retentiond.core.registers import Hold, Reviewed
from retentiond.core.request import Erased, ErasureRequest, Led
from retentiond.core.versions import comparable, rules_from
from retentiond.engine.pipeline import bench_for
from retentiond.errors import StoreDenied, StoreUnavailable
from retentiond.ledger.clock import micros, moment

FAR = datetime(9999, 12, 31, tzinfo=UTC)
"""Until when something cools off whose period has no end."""


def ready(
    house: House,
    category: Category,
    rule: Rule,
    now: datetime,
    holds: Iterable[Hold],
    requests: Sequence[ErasureRequest] | None = None,
    led: Led = NOTHING,
) -> Bench:
    """A rule ready to judge by, under these holds, beside its rivals, and with the changes that still cool off.

    `requests` are the erasure requests to obey; left out, those that stand. `led` are the sets that these people's items lead.
    """
    held = list(holds)
    bench = bench_for(category, rule, house.rulebook.zone, now, held)
    bench.rivals = rivals_of(house, category.name, rule)
    if rule.cooling_off is not None:
        bench.cooling = _cooling(house, category, bench)
    return with_requests(house, with_reviews(house, bench), requests, led)


def rivals_of(house: House, category: str, rule: Rule) -> list[tuple[str, Rule]]:
    """The rules that may select an item of this one too, under whatever name their store goes."""

    def is_same(store: str) -> bool:
        try:
            return house.view(store).place == house.view(rule.store).place
        except (StoreUnavailable, StoreDenied):
            return False  # nobody gets at it, so nothing goes from it by that name

    return rivals(house.rulebook.categories.values(), category, rule, is_same)


def with_requests(house: House, bench: Bench, requests: Sequence[ErasureRequest] | None = None, led: Led = NOTHING) -> Bench:
    """The same bench, which obeys erasure requests: these, or those that stand."""
    obeyed = standing_requests(house) if requests is None else requests
    bench.erased = Erased(obeyed, bench.category, bench.rule, Names(house), led)
    return bench


def standing_requests(house: House) -> list[ErasureRequest]:
    """The erasure requests that stand, but for those whose key was destroyed: nobody can know any more whom they meant."""
    return [request for request in _requests(house) if house.reference_keys.existing(request.year) is not None]


def lost_requests(house: House) -> list[str]:
    """A warning where requests cannot be obeyed any more, as the key under which their people are known is gone."""
    lost = [request for request in _requests(house) if house.reference_keys.existing(request.year) is None]
    years = ", ".join(sorted({str(request.year) for request in lost}))
    what = f"{len(lost):,} erasure requests cannot be obeyed again: the reference key of {years} is gone"
    return [what] if lost else []


def _requests(house: House) -> list[ErasureRequest]:
    return house.requests.standing(micros(house.now)) if house.directory.exists() else []


def with_reviews(house: House, bench: Bench) -> Bench:
    """The same bench, which sees what people have decided where the action is `review`."""
    if bench.rule.action.reviewed and house.directory.exists():
        bench.reviews = partial(_reviewed, house, bench)
    return bench


def revision_word(key: str, revision: str) -> str:
    """What the reference of an item's revision is made of."""
    return f"{key}\0{revision}"


def _reviewed(house: House, bench: Bench, keys: Sequence[str], revisions: Sequence[str | None]) -> list[Reviewed | None]:
    """The newest decision about each item, where it is about this revision. What was decided under a lost key is forgotten."""
    name, rule = bench.category, bench.rule
    found: list[Reviewed | None] = [None] * len(keys)
    newest = [-1] * len(keys)
    for year in house.reviews.years(name, rule.name, rule.store) if keys else ():
        if house.reference_keys.existing(year) is None:
            continue
        references = house.references(year)(name, rule.store)
        names = [references.of(key).hex() for key in keys]
        known = house.reviews.newest(name, rule.name, rule.store, year, names)
        for i, reference in enumerate(names):
            said = known.get(reference)
            if said is not None and said.number > newest[i]:
                newest[i] = said.number
                mine = references.of(revision_word(keys[i], revisions[i] or "")).hex()
                found[i] = said.reviewed if said.revision == mine else None
    return found


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
