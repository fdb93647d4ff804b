"""Look, judge, draft: from a view of a store to the lines of a plan. Nothing here can destroy.

The pipeline holds one page at a time, but for generations, which need all items of a rule
(`engine.setwise`). Whatever the stores show is judged against one `now` and
the registers of one moment; a plan says which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from retentiond.core.anonymise import DONE
from retentiond.core.forbid import Forbid
from retentiond.core.item import Page
from retentiond.core.ladder import APPROVED, DEFAULT, KEPT, REFERRED, Bench, Group, Judgement, reason_of
from retentiond.core.lifecycle import expiry_of
from retentiond.core.period import DueDates
from retentiond.core.plan import RuleCounts
from retentiond.core.policy import Action, Category, Rule
from retentiond.core.registers import Hold
from retentiond.core.request import REASON
from retentiond.core.selector import HoldIndex
from retentiond.engine.codec import StayLine, StepLine
from retentiond.engine.families import Gathering, gathered
from retentiond.engine.lanes import scan
from retentiond.engine.ports import Events, Scope, View
from retentiond.engine.rivals import contested, judged_beside
from retentiond.engine.setwise import Together

_MARGIN = timedelta(days=3)
"""Pushed-down bounds are generous by so much, so that zones, precision and month ends cannot matter."""


Watch = Callable[[int], None]
"""Told how many more items a scan has met, page by page."""


def unwatched(_items: int) -> None:
    """Nobody watches."""


PASSES = "only if a person passes its lock (--bypass-governance), which keeps it in governance mode"


class Draft(Protocol):
    """Where drafted lines go: a plan being written."""

    @property
    def total(self) -> int: ...

    def add(self, rows: list[StepLine]) -> None: ...

    def add_stays(self, rows: list[StayLine]) -> None: ...


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What planning saw of one rule: its counts, and how many due rows stay because others refer to them.

    `along` are counted among the scanned, and are no part of what the rule selects: they go with others.
    """

    counts: RuleCounts
    children: int
    along: int = 0


def bench_for(category: Category, rule: Rule, zone: ZoneInfo, now: datetime, holds: Iterable[Hold]) -> Bench:
    """A rule ready to judge by."""
    settles = rule.start.kind == "event" and rule.forbid is None
    settle = category.events[rule.start.name].settle if settles else None
    return Bench(category.name, rule, zone, now, HoldIndex(holds, category.name, rule), settle)


def scope_for(bench: Bench, *, everything: bool = False) -> Scope:
    """What to look at for a rule. `everything` shows items that are certainly waiting, too; so does a rule that inspects."""
    rule = bench.rule
    waiting_from = None if everything or rule.inspects else _waiting_from(bench)
    return Scope(
        rule.selection,
        rule.start,
        rule.fields,
        bench.holds.predicates,
        waiting_from,
        bench.now,
        rule.action.columns,
        leave_done=not everything,
        category=bench.category,
        rule=rule.name,
        require=rule.require,
        copy=rule.copy,
        subject=tuple(rule.subject.items()),
        bypass=rule.bypass_governance,
    )


def scope_of_steps(bench: Bench, action: Action) -> Scope:
    """What the steps of an action are about: items of the rule, or the rule that its store is to keep by itself."""
    scope, rule = scope_for(bench, everything=True), bench.rule
    if action.kind != "lifecycle":
        return scope
    return replace(scope, expiry=expiry_of(bench.category, rule.name, rule.retention, bench.zone))


def _waiting_from(bench: Bench) -> datetime | None:
    """The instant from which on every start is certainly waiting: found by trying civil days backwards."""
    rule, now = bench.rule, bench.now
    if rule.start.kind == "event" or rule.action.keeps or rule.generations is not None or bench.erased:
        return None
    ends = DueDates(rule.retention, bench.zone)
    low, high = 0, 50_000
    while low < high:
        middle = (low + high) // 2
        end = ends.of(now - timedelta(days=middle))
        if end is not None and end <= now:
            high = middle
        else:
            low = middle + 1
    return now - timedelta(days=low) + _MARGIN if low > _MARGIN.days else None


def survey(
    view: View,
    scope: Scope,
    bench: Bench,
    events: Events,
    watch: Watch = unwatched,
    open_view: Callable[[], View] | None = None,
) -> Iterator[Judgement]:
    """Every page of a scope, judged; `watch` hears of items while they are scanned, whenever they are judged.

    With `open_view`, which gives further handles, parts of the scope are scanned side by side where the store can do that.
    """
    pages = _watched(scan(view, scope, open_view) if open_view is not None else view.scan(scope), watch)
    if bench.rule.generations is not None:
        apart: list[Judgement] = []
        others = _others(pages, bench, view, apart)
        yield from together(beside_rivals(others, bench, view), bench, events, acting=False).judgements()
        yield from apart
        return
    family = Gathering(view, scope, bench, lambda page: with_events(page, bench, events, acting=False))
    for page in pages:
        yield gathered(judged_beside(with_events(page, bench, events, acting=False), bench, view), family)


def survey_person(view: View, scope: Scope, bench: Bench, events: Events, watch: Watch = unwatched) -> Iterator[Judgement]:
    """The items of a scope that the erasure requests of a bench mean, judged; whatever the rule says of generations."""
    family = Gathering(view, scope, bench, lambda page: with_events(page, bench, events, acting=False))
    for page in _watched(view.scan(scope), watch):
        started = with_events(page, bench, events, acting=False)
        mine = started.only([*bench.meant(started).erased])
        if len(mine):
            yield gathered(judged_beside(mine, bench, view), family)


def _others(pages: Iterable[Page], bench: Bench, view: View, apart: list[Judgement]) -> Iterator[Page]:
    """The pages of a rule of generations without what an erasure request means, which is judged by itself."""
    for page in pages:
        erased = bench.meant(page).erased
        if not erased:
            yield page
            continue
        apart.append(judged_beside(page.only([*erased]), bench, view))
        rest = page.only([i for i in range(len(page)) if i not in erased])
        yield replace(rest, unseen=page.unseen, unseen_done=page.unseen_done, assurance=page.assurance)


def beside_rivals(pages: Iterable[Page], bench: Bench, view: View) -> Iterator[Page]:
    """The pages of a rule of generations, in which what a rival selects too is in doubt before all is judged together."""
    for page in pages:
        yield contested(page, bench, view, range(len(page))) if bench.rivals else page


def together(pages: Iterable[Page], bench: Bench, events: Events, *, acting: bool) -> Together:
    """All items of a rule of generations, judged as a whole."""
    return Together((with_events(page, bench, events, acting=acting) for page in pages), bench)


def _watched(pages: Iterable[Page], watch: Watch) -> Iterator[Page]:
    for page in pages:
        watch(len(page) + page.unseen + page.unseen_done)
        yield page


def with_events(page: Page, bench: Bench, events: Events, *, acting: bool) -> Page:
    """The page with the instants of its subjects' events as starts, where the rule starts at an event."""
    start = bench.rule.start
    if start.kind != "event" or not len(page):
        return page
    return replace(page, starts=events.latest(bench.category, start.name, page.facts[start.by], acting=acting))


def draft(judgements: Iterable[Judgement], bench: Bench, plan: Draft, *, stays: bool = False) -> Surveyed:
    """Writes the steps of one rule and counts everything that was seen."""
    rule = bench.rule
    counts = RuleCounts(bench.category, rule.name, rule.store, rule.action.kind)
    children = along = 0
    for judged in judgements:
        page, due = judged.page, judged.due
        _count(counts, judged)
        if rule.forbid is not None:
            _count_forbidden(counts, judged, rule.forbid)
        _count_breaches(counts, judged.page)
        children += sum(len(group.positions) for group in judged.groups if group.reason.startswith(REFERRED))
        counts.bypass += sum(i in page.passable for i in due)
        counts.erased += sum(i in judged.meant.erased for i in due)
        counts.newer += len(judged.meant.newer)
        if due:
            plan.add(_steps(judged, bench, plan.total))
        if stays and judged.groups:
            plan.add_stays(_stays(judged, bench))
        counts.bytes_due += sum([page.sizes[i] for i in due])
        for kin in judged.families.values():
            counts.due += len(kin)
            counts.children += len(kin)
            along += sum(not one.own for one in kin)
            counts.bytes_due += sum(one.size for one in kin)
    counts.scanned += along
    return Surveyed(counts, children, along)


def _count(counts: RuleCounts, judged: Judgement) -> None:
    page = judged.page
    counts.scanned += len(page) + page.unseen + page.unseen_done
    counts.waiting += page.unseen
    counts.kept += page.unseen_done
    if page.done or page.unseen_done:
        counts.kept_by[DONE] = counts.kept_by.get(DONE, 0) + len(page.done) + page.unseen_done
    counts.due += len(judged.due)
    counts.overdue += judged.overdue
    counts.overdue_staying += len(judged.staying)
    for group in judged.groups:
        counts.count(group.verdict, len(group.positions), _why(group, judged))
    for name, n in judged.kept_by.items():
        counts.kept_by[name] = counts.kept_by.get(name, 0) + n
    counts.oldest = _oldest(counts.oldest, page, judged.due)
    counts.oldest_staying = _oldest(counts.oldest_staying, page, judged.staying)


def _oldest(before: datetime | None, page: Page, positions: Sequence[int]) -> datetime | None:
    found = min((start for i in positions if (start := page.starts[i]) is not None), default=before)
    return found if before is None or found is None else min(found, before)


def _why(group: Group, judged: Judgement) -> str:
    """The words that a plan counts: none for what waits for its time, or is counted by the rule's own words."""
    told = group.rung == DEFAULT or (group.rung == KEPT and judged.kept_by)
    return "" if told else group.reason


def _count_breaches(counts: RuleCounts, page: Page) -> None:
    counts.violations += len(page.breaches)
    for code in page.breaches.values():
        counts.breaches[code] = counts.breaches.get(code, 0) + 1
    for name, n in page.assurance.items():
        counts.assurance[name] = counts.assurance.get(name, 0) + n


def _count_forbidden(counts: RuleCounts, judged: Judgement, forbid: Forbid) -> None:
    """Violations are counted whatever becomes of them: one under a hold is one, too."""
    counts.violations += len(forbid.violations(judged.page))
    allowed = sum(len(group.positions) for group in judged.groups if group.reason == forbid.allowed)
    if allowed:
        name = f"event {forbid.event}"
        counts.kept_by[name] = counts.kept_by.get(name, 0) + allowed


def _steps(judged: Judgement, bench: Bench, before: int) -> list[StepLine]:
    page, rule, category = judged.page, bench.rule, bench.category
    reasons = (reason_of(rule), APPROVED) if rule.action.reviewed else (reason_of(rule),)
    name, store, action = rule.name, rule.store, rule.step_action.kind
    keys, revisions, sizes = page.keys, page.revisions, page.sizes
    starts: Sequence[datetime | None] = [None] * len(page) if rule.generations is not None else page.starts
    if judged.families or judged.meant.erased or bench.linked is not None:
        return _with_kin(judged, bench, before)
    why = [_passing(page, i, reasons) for i in judged.due] if page.passable else [reasons] * len(judged.due)
    return [
        StepLine(n, category, name, store, keys[i], revisions[i] or "", starts[i], due, action, said, sizes[i])
        for n, (i, due, said) in enumerate(zip(judged.due, judged.due_at, why, strict=True), before + 1)
    ]


def _passing(page: Page, i: int, reasons: tuple[str, ...]) -> tuple[str, ...]:
    """The reasons of an item, with the lock that it would pass."""
    until = page.passable.get(i)
    return (*reasons, f"{PASSES} until {until:%Y-%m-%d %H:%M} UTC") if until is not None else reasons


def _with_kin(judged: Judgement, bench: Bench, before: int) -> list[StepLine]:
    """The steps of a page whose items have kin, or go for several reasons: each family together, the item itself last."""
    rule, page, steps = bench.rule, judged.page, list[StepLine]()
    names = (bench.category, rule.name, rule.store)
    own = (reason_of(rule), APPROVED) if rule.action.reviewed else (reason_of(rule),)
    for i, due in zip(judged.due, judged.due_at, strict=True):
        request = judged.meant.erased.get(i)
        number = bench.linked.number(page.facts[rule.link][i]) if bench.linked is not None else None
        grounds, action = ((REASON,), rule.action.erasing.kind) if request is not None else (own, rule.action.step.kind)
        reasons = _passing(page, i, grounds)
        for kin in judged.families.get(i, ()):
            n, why = before + len(steps) + 1, (f"it goes with the row that it refers to: {reasons[0]}",)
            key, size, parent = kin.key, kin.size, kin.parent
            steps.append(StepLine(n, *names, key, kin.revision, None, due, action, why, size, parent, request, number))
        n, revision = before + len(steps) + 1, page.revisions[i] or ""
        start = None if rule.generations is not None else page.starts[i]
        key, size = page.keys[i], page.sizes[i]
        steps.append(StepLine(n, *names, key, revision, start, due, action, reasons, size, None, request, number))
    return steps


def _stays(judged: Judgement, bench: Bench) -> list[StayLine]:
    page, rule = judged.page, bench.rule
    return [
        StayLine(
            bench.category,
            rule.name,
            rule.store,
            page.keys[i],
            page.revisions[i],
            page.starts[i],
            group.verdict,
            group.reasons or (group.reason,),
            page.sizes[i],
        )
        for group in judged.groups
        for i in group.positions
    ]
