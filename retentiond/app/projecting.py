"""Holds carried into buckets as legal holds, where a store asks for it (`legal_holds: yes`), and taken off with their release.

It destroys nothing, so it needs no plan: it happens as a hold is placed or released, and before each run, which also sees
what has come since and finishes what was cut short. It adds to a hold, which is in force without it.

What was seen to bear somebody else's legal hold is noted as theirs, and stays as it is. Noted before it is put on, and then
that it is there; taken off only when every hold that means the version is released, and nothing of the store was overlooked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from retentiond.app.house import House
from retentiond.core.item import Page
from retentiond.core.policy import Category, Rule
from retentiond.core.registers import Hold
from retentiond.core.selector import HoldIndex
from retentiond.engine import failpoints
from retentiond.engine.pipeline import bench_for, scope_for
from retentiond.engine.ports import View
from retentiond.engine.projecting import Keeping, Projecting
from retentiond.errors import ConfigurationError, RetentiondError, StoreDenied, StoreTrouble
from retentiond.ledger.legal_holds import Removed, State, Version

_SOME = 1000
_YES = ("yes", True)


@dataclass(slots=True)
class Projected:
    """How many versions, by store, have got a legal hold, and how many have lost one; and what could not be, each with why."""

    put_on: Counter[str] = field(default_factory=Counter)
    taken_off: Counter[str] = field(default_factory=Counter)
    failed: dict[str, RetentiondError] = field(default_factory=dict)


def project(house: House) -> Projected:
    """Makes the legal holds of buckets what the holds of this moment want. A store that fails is named, and tried by each run."""
    done = Projected()
    if not house.directory.exists():
        return done
    names = [name for name in house.rulebook.stores if is_projected(house, name)]
    if not (names and house.registers().holds) and not house.legal_holds.any():
        return done
    with house.locked("holds", "carrying holds into buckets", wait=True):
        holds = [replace(hold, unasked=()) for hold in house.registers().holds]  # what is only in doubt would keep it for long
        for name in names if holds else ():
            try:
                _put_on(house, name, holds, done)
            except (StoreTrouble, ConfigurationError) as error:
                done.failed[name] = error
        for name, place in house.legal_holds.over():
            try:
                _take_off(house, name, place, done)
            except (StoreTrouble, ConfigurationError) as error:
                done.failed.setdefault(name, error)
    return done


def is_projected(house: House, store: str) -> bool:
    """Whether a store asks for it."""
    return house.rulebook.stores[store].options.get("legal_holds") in _YES


def projecting(view: View) -> Projecting:
    """A store that can be asked for it; `StoreDenied` where there is no such thing."""
    if not isinstance(view, Projecting):
        raise StoreDenied("a store of this type knows no legal holds", do="take `legal_holds` out")
    return view


def _put_on(house: House, name: str, holds: Sequence[Hold], done: Projected) -> None:
    store = _keeping(house, name)
    store.check_holds()
    rules = [(category, rule) for category in house.rulebook.categories.values() for rule in category.rules]
    for category, rule in rules:
        if rule.store == name:
            for hold, versions in _meant(house, category, rule, holds):
                done.put_on[name] += _put_on_some(house, store, name, hold, versions)
                house.keep_locks()


def _meant(house: House, category: Category, rule: Rule, holds: Sequence[Hold]) -> Iterator[tuple[str, list[Version]]]:
    """The versions that each hold means, by its id, a page at a time."""
    bench = bench_for(category, rule, house.rulebook.zone, house.now, holds)
    if not bench.holds:
        return
    store = _keeping(house, rule.store)
    single = {hold.id: HoldIndex([hold], category.name, rule) for hold in holds}
    for page in house.view(rule.store).scan(scope_for(bench, everything=True)):
        names = store.versions(page.revisions)
        some = [i for i in sorted(bench.holds.means(page)) if names[i]]
        for hold, index in single.items() if some else ():
            if index and (mine := _of_one(hold, index, page, some)):
                yield hold, [(page.keys[i], names[i]) for i in mine]


def _of_one(hold: str, index: HoldIndex, page: Page, some: Sequence[int]) -> list[int]:
    """The positions, among those that any hold means, that this one means; in doubt, it does."""
    covered = index.covered(page.keys, page.facts, some)
    reported = dict.fromkeys(some, hold) if index.predicates else {}
    return sorted({*covered, *index.confirmed(reported, page.keys, page.facts, some)})


def _put_on_some(house: House, store: Keeping, name: str, hold: str, versions: Sequence[Version]) -> int:
    """Puts a legal hold on versions for a hold of ours, unless it was done before; on how many."""
    register, place = house.legal_holds, house.store(name).place
    known = register.known(place, versions)
    wanted = [v for v in versions if known.get(v, {}).get(hold, "begun") == "begun"]
    states: dict[Version, State] = {v: "ours" for v in wanted if "ours" in known.get(v, {}).values()}
    rest = [v for v in wanted if v not in states]
    seen = dict(zip(rest, store.are_held(*_columns(rest)), strict=True))
    states |= {v: "ours" if "begun" in known.get(v, {}).values() else "theirs" for v, on in seen.items() if on}
    free = [v for v, on in seen.items() if on is False]
    gone = [v for v, on in seen.items() if on is None and v in known]
    if free:
        register.begin(name, place, hold, free)
        failpoints.reach("hold-begun")
        kept = dict(zip(free, store.keep(*_columns(free), on=True), strict=True))
        failpoints.reach("hold-kept")
        states |= {v: "ours" for v in free if kept[v]}
        gone += [v for v in free if not kept[v]]
    if gone:
        register.forget(place, hold, gone)
    if states:
        register.put_on(name, place, hold, states, house.word("hold", hold))
    return len(states)


def _take_off(house: House, name: str, place: str, done: Projected) -> None:
    """Takes legal holds off that were put on for holds which are released by now, unless another hold means the version."""
    if name in done.failed:
        return
    by_hand = "take the legal holds of that bucket off by hand, where they are not wanted otherwise"
    if name not in house.rulebook.stores:
        raise StoreDenied(f"the store {name} is not declared any more, and its bucket still has legal holds of ours", do=by_hand)
    store, register = _keeping(house, name), house.legal_holds
    if house.store(name).place != place:
        raise StoreDenied(f"the store {name} is elsewhere now, and its former bucket may have legal holds of ours", do=by_hand)
    while versions := register.next_over(place, _SOME):
        known, wanted = register.known(place, versions), register.standing(place, versions)
        ours = [v for v in versions if v not in wanted and not {"ours", "begun"}.isdisjoint(known[v].values())]
        seen = dict(zip(ours, store.are_held(*_columns(ours)), strict=True))
        on = [v for v in ours if seen[v]]
        failpoints.reach("hold-begun")
        off = store.keep(*_columns(on), on=False) if on else []
        failpoints.reach("hold-kept")
        count = sum(off)
        register.taken_off(name, place, versions, Removed(count, len(versions) - len(ours), len(ours) - count))
        done.taken_off[name] += count
        house.keep_locks()


def _keeping(house: House, name: str) -> Keeping:
    store = projecting(house.store(name))
    assert isinstance(store, Keeping), "a store that acts has both halves"
    return store


def _columns(versions: Sequence[Version]) -> tuple[list[str], list[str]]:
    return [key for key, _ in versions], [version for _, version in versions]
