"""Every rung of the ladder for one item, present or gone, by the same code that judges it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from retentiond.app.happenings import Happenings
from retentiond.app.house import House
from retentiond.app.judging import ready, standing_requests
from retentiond.app.linking import led_by, linked_now
from retentiond.app.requiring import seen_by
from retentiond.core.item import NOTHING, Page
from retentiond.core.ladder import Bench, Judgement, climb
from retentiond.core.policy import Category, Rule
from retentiond.engine.families import Gathering, gathered
from retentiond.engine.pipeline import beside_rivals, scope_for, together, with_events
from retentiond.engine.ports import OUTSIDE, Scope
from retentiond.engine.rivals import judged_beside
from retentiond.errors import StoreDenied, StoreUnavailable, UsageError


@dataclass(frozen=True, slots=True)
class Explained:
    """What one rule says about an item. `rungs` are (name, reason or None), in the order of precedence.

    `minimum_until` is when a statutory minimum ends, `gone_by` when the deletion period does: what was promised. None where
    the rule has none, or no start to count it from. `breaks` is what of the rule's requirements it
    breaks, as a code; empty where it breaks none.
    """

    category: str
    rule: str
    present: bool
    selected: bool
    verdict: str
    reason: str
    start: datetime | None = None
    due: datetime | None = None
    overdue: bool = False
    rungs: list[tuple[str, str | None]] = field(default_factory=list)
    minimum_until: datetime | None = None
    gone_by: datetime | None = None
    breaks: str = ""


def explain(house: House, store: str, key: str) -> list[Explained]:
    """What each rule on a store says about one item; `StoreDenied` where none of them could look."""
    if store not in house.rulebook.stores:
        raise UsageError(f"there is no store '{store}'", do="the stores are: " + ", ".join(house.rulebook.stores))
    rules = [(c, r) for c in house.rulebook.categories.values() for r in c.rules if r.store == store]
    if not rules:
        raise UsageError(f"no rule is about the store '{store}'", do="retentiond check")
    found: list[Explained] = []
    denied: list[StoreDenied] = []
    for category, rule in rules:
        try:
            found.append(_explain(house, category, rule, key))
        except StoreDenied as error:
            denied.append(error)
            found.append(_unseen(category, rule, error))
    if len(denied) == len(rules):
        raise denied[0]
    return found


def _unseen(category: Category, rule: Rule, error: StoreDenied) -> Explained:
    """What a rule says that could not look, while others could."""
    why = f"{error.what}; {error.why}"
    return Explained(category.name, rule.name, present=False, selected=False, verdict="unseen", reason=why)


def _explain(house: House, category: Category, rule: Rule, key: str) -> Explained:
    led = led_by(house, category, standing_requests(house), house.now) if rule.link else NOTHING
    bench = ready(house, category, rule, house.now, house.registers().holds, led=led)
    if rule.link:
        bench.linked = linked_now(house, category, led)
    scope = scope_for(bench, everything=True)
    view, events = seen_by(house, category.name, rule), Happenings(house)
    page = view.probe(scope, [key])
    if page.revisions[0] is None:
        return Explained(category.name, rule.name, present=False, selected=False, verdict="absent", reason="it is not there")
    if page.doubts.get(0) == OUTSIDE:
        return Explained(category.name, rule.name, present=True, selected=False, verdict="unselected", reason=OUTSIDE)
    page, breaks = with_events(page, bench, events, acting=False), page.breaches.get(0, "")
    if rule.generations is not None and 0 not in page.done:
        return replace(_explain_beside_others(house, page, scope, bench), breaks=breaks)
    family = Gathering(view, scope, bench, lambda p: with_events(p, bench, events, acting=False))
    judged = gathered(judged_beside(page, bench, view), family)
    page, start = judged.page, page.starts[0]
    rungs = _default_last([(rung.name, reason) for rung, reason in climb(page, bench)])
    verdict, reason = _verdict(judged, rungs)
    names, due, overdue = (category.name, rule.name), _due(bench, start), bool(judged.overdue)
    floor, gone_by = bench.minimum.each([start])[0] if bench.minimum is not None else None, bench.deletion.each([start])[0]
    return Explained(*names, True, True, verdict, reason, start, due, overdue, rungs, floor, gone_by, breaks)


def _explain_beside_others(house: House, page: Page, scope: Scope, bench: Bench) -> Explained:
    """What generations say about an item, which takes a look at all the others."""
    view = seen_by(house, bench.category, bench.rule)
    page = next(beside_rivals([page], bench, view))
    whole = together(beside_rivals(view.scan(scope), bench, view), bench, Happenings(house), acting=False)
    at = whole.find(page.keys[0])
    if at is None:
        raise StoreUnavailable("the item changed while it was looked at", do="try again")
    found = whole.decision(at)
    reason = "; ".join(found.reasons)
    told = {0: (found.verdict, reason)} if found.rung in ("kept by rule", "clock not started", "due") else {}
    rungs = [
        (rung.name, reason if rung.name == found.rung else said if rung.beats_due else None)
        for rung, said in climb(page, bench, told)
    ]
    name, rule = bench.category, bench.rule.name
    return Explained(name, rule, True, True, found.verdict, reason, page.starts[0], rungs=rungs)


def _default_last(rungs: list[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    """The rungs with the last one, which keeps by default, matching only where no other does."""
    *others, (name, reason) = rungs
    return [*others, (name, None if any(found for _, found in others) else reason)]


def _verdict(judged: Judgement, rungs: Sequence[tuple[str, str | None]]) -> tuple[str, str]:
    if judged.due:
        return "due", dict(rungs)["due"] or ""
    return judged.groups[0].verdict, judged.groups[0].reason


def _due(bench: Bench, start: datetime | None) -> datetime | None:
    ends = [bench.due([start])[0]]
    if bench.minimum is not None:
        ends.append(bench.minimum.each([start])[0])
    return None if start is None or None in ends else max(e for e in ends if e is not None)
