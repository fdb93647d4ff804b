"""The dry run: looks at every store, judges, and writes down what would happen. It cannot destroy."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from retentiond.app.happenings import Happenings
from retentiond.app.house import House
from retentiond.app.judging import as_it_was, ready
from retentiond.app.requiring import seen_by
from retentiond.app.telling import unevaluated
from retentiond.core.limits import Past, Refusal, Tally, judge_limits, trips, words
from retentiond.core.plan import Header, RuleCounts
from retentiond.core.policy import Category, Rule
from retentiond.core.registers import Registers
from retentiond.core.versions import Change
from retentiond.engine.pipeline import Surveyed, Watch, draft, scope_for, survey
from retentiond.errors import RetentiondError, StoreDenied, StoreUnavailable
from retentiond.ledger.clock import micros
from retentiond.ledger.plans import PlanWriter

LASTS = timedelta(hours=24)
"""A plan expires after so long."""

_UNBELIEVED = frozenset({"shrunken", "clock", "place"})
"""Where one of these trips, what was seen before is not forgotten for what was seen now."""

Progress = Callable[[str, int], None]
"""(what, items seen so far)."""


def silent(_what: str, _items: int) -> None:
    """No progress."""


@dataclass(slots=True)
class Planned:
    """A plan and what was said on the way: warnings, and stores that were not seen."""

    header: Header
    counts: list[RuleCounts] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    unseen: dict[str, RetentiondError] = field(default_factory=dict)
    changes: dict[tuple[str, str], Change] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.header.name


class _Planner:
    """One planning: what it reads once and what it gathers."""

    def __init__(self, house: House, at: datetime | None, *, stays: bool, compare: bool, progress: Progress) -> None:
        self.house, self.forecast, self.stays, self.progress = house, at is not None, stays, progress
        self.compare = compare
        self.changes: dict[tuple[str, str], Change] = {}
        self.now = at or house.now
        self.registers: Registers = house.holds.current()
        self.step = house.ledger.watch_clock()
        self.events = Happenings(house)
        self.counts: list[RuleCounts] = []
        self.refused: list[Refusal] = []
        self.warnings: list[str] = []
        self.unseen: dict[str, RetentiondError] = {}
        self.known = house.memory.places()
        self.places: dict[str, str] = {}
        self.populations: dict[tuple[str, str], int] = {}
        self.believed: list[RuleCounts] = []

    def rule(self, category: Category, rule: Rule, writer: PlanWriter) -> None:
        """Looks at one rule's store and drafts its steps; a store that fails leaves no trace in the plan."""
        mark = writer.mark()
        try:
            surveyed = self._survey(category, rule, writer)
        except (StoreUnavailable, StoreDenied) as error:
            writer.back_to(mark)
            self.unseen[f"{category.name}/{rule.name}"] = error
            return
        self.counts.append(surveyed.counts)
        self._limits(category, rule, surveyed)

    def _survey(self, category: Category, rule: Rule, writer: PlanWriter) -> Surveyed:
        view = seen_by(self.house, category.name, rule)
        self.places[rule.store] = view.place
        bench = ready(self.house, category, rule, self.now, self.registers.holds)
        self.warnings += unevaluated(view, bench)
        approved = self.house.memory.approved_meaning(category.name) if self.compare else None
        scope = scope_for(bench, everything=self.stays or approved is not None)
        watch, open_view = self._watch(f"{category.name}/{rule.name}"), partial(self.house.open_view, rule.store)
        pages = survey(view, scope, bench, self.events, watch, open_view)
        if approved is not None:
            change = self.changes[category.name, rule.name] = Change()
            pages = change.watch(pages, as_it_was(category, bench, approved))
        return draft(pages, bench, writer, stays=self.stays)

    def _watch(self, what: str) -> Watch:
        seen = 0

        def more(items: int) -> None:
            nonlocal seen
            seen += items
            self.progress(what, seen)

        return more

    def _limits(self, category: Category, rule: Rule, surveyed: Surveyed) -> None:
        counts = surveyed.counts
        tally = Tally(counts.due, counts.scanned, counts.bytes_due)
        past = Past() if self.forecast else self.house.memory.past(category.name, rule.name)
        found = judge_limits(category.name, rule.name, category.limits, tally, past)
        if not any(r.limit == "shrunken" for r in found):
            self.populations[category.name, rule.name] = counts.scanned
        if self.step:
            found.append(Refusal(category.name, rule.name, "clock", abs(self.step) // 1_000_000, 60))
        if self._moved(rule.store):
            found.append(Refusal(category.name, rule.name, "place", 1, 0))
        if not any(r.limit in _UNBELIEVED for r in found):
            self.believed.append(counts)
        stop, warn = trips(found, tally)
        self.refused += stop
        self.warnings += [f"{words(r)}; nothing is due, so nothing is refused" for r in warn]
        if surveyed.children:
            self.refused.append(Refusal(category.name, rule.name, "children", surveyed.children, 0))

    def _moved(self, store: str) -> bool:
        known = self.known.get(store)
        return known is not None and known[0] == self.house.definition(store) and known[1] != self.places[store]

    def remember(self) -> None:
        """Feeds the memory from which the next plan's limits are judged, and `status` is told."""
        self.house.memory.saw(self.populations)
        self.house.memory.count(micros(self.now), [c.as_json() for c in self.believed])
        for store, place in self.places.items():
            if not self._moved(store):
                self.house.memory.accept_place(store, self.house.definition(store), place, self.house.word)


def make_plan(
    house: House,
    names: Sequence[str] = (),
    *,
    at: datetime | None = None,
    stays: bool = False,
    compare: bool = False,
    progress: Progress = silent,
) -> Planned:
    """Plans these categories (all when none is named), seals and registers the plan.

    `at` judges as of another time; such a plan cannot be applied and feeds no memory. `compare`
    says what becomes newly due and no longer due against the approved version of each category.
    """
    categories = house.categories(names)
    chosen = sorted(category.name for category in categories)
    planner = _Planner(house, at, stays=stays, compare=compare, progress=progress)
    if not planner.step:
        house.plans.clear_old(int(house.now.timestamp() * 1_000_000))
    load_rulebook(house)
    with PlanWriter(house.directory.plans) as writer:
        rules = [(category, rule) for category in categories for rule in category.rules]
        # where both are due, the rule that deletes acts: its steps come first, and the row is gone for the others
        for category, rule in sorted(rules, key=lambda each: each[1].action.anonymises):
            planner.rule(category, rule, writer)
        header = Header(
            salt=secrets.token_hex(16),
            at=planner.now,
            expires=house.now + LASTS,
            categories=chosen,
            rulebook=house.rulebook.digest(chosen),
            holds=planner.registers.last_hold,
            places=dict(sorted(planner.places.items())),
            counts=[c.as_json() for c in planner.counts],
            refused=planner.refused,
            steps=writer.digest,
            total=writer.total,
            forecast=planner.forecast,
        )
        writer.seal(header)
    house.plans.register(header)
    if not planner.forecast:
        planner.remember()
    return Planned(header, planner.counts, planner.warnings, planner.unseen, planner.changes)


def load_rulebook(house: House) -> None:
    """Notes the rulebook in force, with an entry when it has changed."""
    book = house.rulebook
    digests = {name: book.digest([name]) for name in book.categories}
    meanings = {name: category.meaning() for name, category in book.categories.items()}
    house.memory.load_rulebook(book.digest(book.categories), digests, meanings)
