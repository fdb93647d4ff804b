"""What people tell us: holds, events and approvals, and what each of them comes to."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from retentiond.app.holding import as_meant_now, not_looked_up
from retentiond.app.house import House
from retentiond.app.lifecycles import take_away
from retentiond.app.projecting import Projected, project
from retentiond.config.suggest import did_you_mean
from retentiond.core.item import ENCODED, raw_of
from retentiond.core.ladder import Bench
from retentiond.core.pattern import compile_pattern
from retentiond.core.policy import Rule
from retentiond.core.registers import Hold
from retentiond.core.selector import in_scope, through_sets, uncovered
from retentiond.engine.pipeline import bench_for, scope_for
from retentiond.engine.ports import Evaluating, View
from retentiond.errors import RetentiondError, StoreTrouble, UsageError

_TAKEN = re.compile(r"(?<!:):(\w+)")
"""The kinds of identifiers that a look-up takes."""
_GLANCE = 0.05
"""Seconds between two looks at a batch that is in flight."""


@dataclass(slots=True)
class Placed:
    """A hold that was placed: what it covers now, which rules it cannot cover, and what was in flight.

    `through_sets` are rules whose items name nobody of the hold, and stay with another item of their set that it covers.
    `expiring` has the rules that their bucket keeps by itself and that could not be taken away there, each with why;
    `projected` says what became of legal holds in buckets.
    """

    hold: Hold
    covers: dict[tuple[str, str], int] = field(default_factory=dict)
    uncovered: Sequence[tuple[str, str]] = ()
    through_sets: Sequence[tuple[str, str]] = ()
    in_flight: int = 0
    went: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    expiring: dict[str, RetentiondError] = field(default_factory=dict)
    projected: Projected = field(default_factory=Projected)


def check_hold(house: House, hold: Hold) -> None:
    """`UsageError` for a hold without a scope, with a scope that names nothing there is, or a broken pattern."""
    if not hold.id.strip():
        raise UsageError("the hold has no id", do="name it, for instance by its case")
    if not hold.mandate.strip():
        raise UsageError("the mandate is empty", why="it is the ground on which something is kept", do="say which it is")
    _refuse_no_reason(hold.reason)
    _refuse_unknown_kind(house, hold)
    scopes = (hold.category, hold.store, hold.path, hold.where)
    if hold.everything and (any(scopes) or hold.subjects):
        raise UsageError("--everything stands alone", why="scopes make a hold smaller, everything makes it whole")
    if not (any(scopes) or hold.subjects or hold.everything):
        raise UsageError("the hold has no scope", why="it would cover everything", do="give a scope, or say --everything")
    if hold.category is not None:
        house.categories([hold.category])
    if hold.store is not None and hold.store not in house.rulebook.stores:
        raise UsageError(f"there is no store '{hold.store}'", do="the stores are: " + ", ".join(house.rulebook.stores))
    if hold.path is not None:
        refuse_broken_path(hold.path)
    if hold.where is not None and hold.store is None:
        raise UsageError("a predicate needs a store", why="it is SQL for the tables of one database", do="add --store")


def _refuse_no_reason(reason: str) -> None:
    if not reason.strip():
        raise UsageError("the reason is empty", why="somebody will ask for it later", do="say why, in words for people")


def _refuse_unknown_kind(house: House, hold: Hold) -> None:
    """`UsageError` for an identifier of a kind that no rule maps and no look-up takes: the hold would mean nobody by it."""
    kinds = {kind for category in house.rulebook.categories.values() for rule in category.rules for kind in rule.subject}
    kinds |= {kind for identity in house.settings.identities.values() for kind in _TAKEN.findall(identity.query)}
    for kind, _ in hold.subjects:
        if kind not in kinds:
            known = f"the kinds are: {', '.join(sorted(kinds))}" if kinds else "add `subject` to the rules"
            why = "no rule maps it by `subject`, and no look-up takes it, so nothing would be covered by it"
            raise UsageError("a subject is of an unknown kind", why=why, do=did_you_mean(kind, kinds, known))


def _strange(house: House, hold: Hold, rules: Sequence[tuple[str, Rule]]) -> list[str]:
    """What a person may not have meant: scopes that no rule has together, and a day of review that is past."""
    found = []
    if not any(in_scope(hold, category, rule) for category, rule in rules):
        found.append(f"it covers nothing: no rule{f' of {hold.category}' if hold.category else ''} is in {hold.store}")
    if hold.review_on is not None and hold.review_on < house.now.astimezone(house.rulebook.zone).date().isoformat():
        found.append(f"its day of review, {hold.review_on}, is past")
    return found


def refuse_broken_path(path: str) -> None:
    """`UsageError` for a path that is neither a key nor a pattern."""
    try:
        if path.startswith(ENCODED):
            raw_of(path)
        else:
            compile_pattern(path.strip("/"))
    except ValueError as error:
        raise UsageError("the path cannot be read", why=str(error)) from error


def place_hold(house: House, hold: Hold, *, dry_run: bool) -> Placed:
    """Places a hold and waits for the batches that are in flight. `dry_run` only says what it would cover."""
    check_hold(house, hold)
    if hold.subjects:
        (hold,) = as_meant_now(house, [hold])
    rules = [(category.name, rule) for category in house.rulebook.categories.values() for rule in category.rules]
    placed = Placed(hold, uncovered=uncovered(hold, rules), through_sets=through_sets(hold, rules))
    placed.warnings += [*not_looked_up([hold]), *_strange(house, hold, rules)]
    if not dry_run:
        entry = house.holds.place(hold, house.word)
        placed.in_flight, placed.went = await_flight(house, entry)
        placed.expiring = take_away(house)
        placed.projected = project(house)
    _count_covered(house, placed)
    return placed


def release_hold(house: House, hold_id: str, reason: str) -> Projected:
    """Releases a hold; what it meant is judged by the other rungs again, and loses the legal hold that we put on it."""
    _refuse_no_reason(reason)
    house.holds.release(hold_id, reason, house.word)
    return project(house)


def await_flight(house: House, entry: int) -> tuple[int, int]:
    """Waits until no live run has an intent from before an entry: (intents, items that went or may have gone)."""
    flying = house.holds.in_flight(entry)
    while any(outcome is None for _, outcome in flying) and house.is_locked("execute"):
        time.sleep(_GLANCE)
        flying = house.holds.in_flight(entry)
    return len(flying), house.runs.items_of([intent for intent, _ in flying])


def _count_covered(house: House, placed: Placed) -> None:
    """How many items of each rule in its scope the hold covers now; a store that fails is named."""
    for category in house.rulebook.categories.values():
        for rule in category.rules:
            hold = placed.hold
            if not in_scope(hold, category.name, rule):
                continue
            if (category.name, rule.name) in (*placed.uncovered, *placed.through_sets):
                continue
            bench = bench_for(category, rule, house.rulebook.zone, house.now, [hold])
            try:
                placed.warnings += unevaluated(house.view(rule.store), bench)
                placed.covers[category.name, rule.name] = _covered(house, bench)
            except Exception as error:  # noqa: BLE001 the hold stands; what it covers is only a courtesy
                placed.failed[f"{category.name}/{rule.name}"] = getattr(error, "what", type(error).__name__)


def unevaluated(view: View, bench: Bench) -> list[str]:
    """A warning for each hold of a bench whose `--where` the store cannot evaluate, so that it covers all of the rule."""
    scope = scope_for(bench)
    if not scope.predicates:
        return []
    others = dict.fromkeys((p.hold for p in scope.predicates), "such a store evaluates no SQL")
    found = view.unaskable(scope) if isinstance(view, Evaluating) else others
    where = f"{bench.category}/{bench.rule.name}"
    return [
        f"the --where of the hold {hold} cannot be evaluated for {where}: {why}; so it covers all that its other scopes cover"
        for hold, why in found.items()
    ]


def hold_warnings(house: House) -> list[str]:
    """The same for every active hold and rule; a store that cannot be looked at is named, and a look-up that cannot be made."""
    every = house.registers().holds
    found = not_looked_up(every)
    holds = [hold for hold in every if hold.where is not None]
    for category in house.rulebook.categories.values() if holds else ():
        for rule in category.rules:
            bench = bench_for(category, rule, house.rulebook.zone, house.now, holds)
            if not bench.holds.predicates:
                continue
            try:
                found += unevaluated(house.view(rule.store), bench)
            except StoreTrouble as error:
                where = f"{category.name}/{rule.name}"
                found.append(f"{where} could not be looked at, so the --where of its holds was not tried: {error.what}")
    return found


def _covered(house: House, bench: Bench) -> int:
    scope = scope_for(bench, everything=True)
    total = 0
    for page in house.view(bench.rule.store).scan(scope):
        total += len(bench.holds.means(page))
    return total


def holds_covering(house: House, store: str, key: str) -> list[Hold]:
    """The active holds that cover one item; `UsageError` for a store that there is not."""
    if store not in house.rulebook.stores:
        raise UsageError(f"there is no store '{store}'", do="the stores are: " + ", ".join(house.rulebook.stores))
    found: dict[str, Hold] = {}
    for category in house.rulebook.categories.values():
        for rule in category.rules:
            if rule.store != store:
                continue
            for hold in house.registers().holds:
                bench = bench_for(category, rule, house.rulebook.zone, house.now, [hold])
                page = house.view(store).probe(scope_for(bench, everything=True), [key])
                if bench.holds.means(page):
                    found[hold.id] = hold
    return list(found.values())


def record_event(house: House, name: str, subject: str, at: datetime) -> None:
    """Records an event that some category declares as recorded; `UsageError` otherwise, and for a subject without a name."""
    _declared(house, name)
    if not subject.strip():
        raise UsageError("the event is about nobody", why="its subject is empty", do=f"retentiond event record {name} SUBJECT")
    house.recorded.record(name, subject, at, house.word)


def withdraw_event(house: House, name: str, subject: str, at: datetime | None) -> int:
    """Withdraws recorded events; how many."""
    _declared(house, name)
    return house.recorded.withdraw(name, subject, at, house.word)


def _declared(house: House, name: str) -> None:
    declared = {e.name: e for c in house.rulebook.categories.values() for e in c.events.values()}
    if name not in declared:
        raise UsageError(
            f"no category declares the event '{name}'", do="declared are: " + (", ".join(sorted(declared)) or "none")
        )
    if not any(c.events[name].recorded for c in house.rulebook.categories.values() if name in c.events):
        raise UsageError(
            f"the event '{name}' comes from a query",
            why="it is not declared as recorded",
            do="write `recorded: yes` beside its query",
        )
