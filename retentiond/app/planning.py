"""The dry run: looks at every store, judges, and writes down what would happen. It cannot destroy."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from retentiond.app.dropping import take_events
from retentiond.app.elsewhere import has_moved, trouble_of
from retentiond.app.following import Following
from retentiond.app.happenings import Happenings
from retentiond.app.holding import not_looked_up
from retentiond.app.house import House
from retentiond.app.identifying import Names
from retentiond.app.judging import as_it_was, lost_requests, ready, standing_requests
from retentiond.app.lifecycles import is_kept_by_bucket, note_inferred, survey_bucket
from retentiond.app.linking import led_by, link_up, linked_rules
from retentiond.app.requiring import seen_by
from retentiond.app.telling import unevaluated
from retentiond.config.load import place_of
from retentiond.core.item import NOTHING
from retentiond.core.ladder import Bench, Judgement
from retentiond.core.limits import Past, Refusal, Tally, judge_limits, trips, words
from retentiond.core.linked import Linked
from retentiond.core.plan import Header, RuleCounts
from retentiond.core.policy import Category, Rule, TableSelection
from retentiond.core.registers import Registers
from retentiond.core.request import ErasureRequest, Led, Stay, Stays
from retentiond.core.selector import selects
from retentiond.core.versions import Change
from retentiond.engine.pipeline import Surveyed, Watch, draft, scope_for, survey, survey_person
from retentiond.engine.ports import Scope, View
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


OnlyBack = Callable[[Judgement, Bench], Judgement]
"""Of a judgement, what is back of what went before."""
Followed = dict[int, dict[tuple[str, str], Stays]]
"""By erasure request, what a plan found of it in each rule."""


@dataclass(slots=True)
class Planned:
    """A plan and what was said on the way: warnings, and stores that were not seen."""

    header: Header
    counts: list[RuleCounts] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    unseen: dict[str, RetentiondError] = field(default_factory=dict)
    changes: dict[tuple[str, str], Change] = field(default_factory=dict)
    followed: Followed = field(default_factory=dict)
    linked: Mapping[str, Linked] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.header.name


class _Planner:
    """One planning: what it reads once and what it gathers."""

    def __init__(
        self,
        house: House,
        at: datetime | None,
        *,
        stays: bool,
        compare: bool,
        progress: Progress,
        whom: Sequence[ErasureRequest] | None,
        back: OnlyBack | None,
    ) -> None:
        self.house, self.forecast, self.stays, self.progress = house, at is not None, stays, progress
        self.compare, self.whom, self.back = compare, whom, back
        self.followed: Followed = {}
        self.looked: list[tuple[str, str]] = []
        self.linked: dict[str, Linked] = {}
        self.led: dict[str, Led] = {}
        self.requests = standing_requests(house) if whom is None else whom
        self.changes: dict[tuple[str, str], Change] = {}
        self.now = at or house.now
        self.registers: Registers = house.holds.current_anew()
        self.step = house.ledger.watch_clock()
        self.events = Happenings(house)
        self.counts: list[RuleCounts] = []
        self.refused: list[Refusal] = []
        self.warnings: list[str] = not_looked_up(self.registers.holds)
        self.unseen: dict[str, RetentiondError] = {}
        self.known = house.memory.places()
        self.places: dict[str, str] = {}
        self.populations: dict[tuple[str, str], int] = {}
        self.believed: list[RuleCounts] = []

    def rules(self, categories: Iterable[Category]) -> list[tuple[Category, Rule]]:
        """The rules to look at, in the order of their steps.

        Where both are due, the one that deletes acts: its steps come first, and the row is gone. Of a set rows go last.
        """
        every = [(category, rule) for category in categories for rule in category.rules]
        whom = None if self.back is not None else self.whom
        searched = [(c, rule) for c, rule in every if whom is None or is_searched(c, rule, whom)]
        return sorted(searched, key=lambda each: (each[1].action.anonymises, *_goes_last(each[1])))

    def link(self, rules: Sequence[tuple[Category, Rule]]) -> None:
        """Judges the sets of each category that has some, as a whole."""
        for name in dict.fromkeys(category.name for category, rule in rules if rule.link):
            linked = [(category, rule) for category, rule in rules if category.name == name and rule.link]
            if len(linked) > 1:
                category = linked[0][0]
                self.led[name] = led_by(self.house, category, self.requests, self.now)
                self.linked[name] = link_up([rule for _, rule in linked], partial(self._all, category))

    def _all(self, category: Category, rule: Rule) -> Iterator[Judgement]:
        """All that a plan judges of a rule."""
        self._locate(rule)
        view = seen_by(self.house, category.name, rule)
        bench = self._bench(category, rule)
        look = survey_person if self.whom is not None and self.back is None else survey
        return look(view, scope_for(bench, everything=True), bench, self.events, self._watch(f"{category.name}: sets"))

    def _bench(self, category: Category, rule: Rule) -> Bench:
        led = self.led.get(category.name, NOTHING) if rule.link else NOTHING
        return ready(self.house, category, rule, self.now, self.registers.holds, self.requests, led)

    def sets(self) -> list[dict[str, Any]]:
        """The sets of each category, counted by verdict, with how many in one rule have nothing in another."""
        return [
            {
                "category": name,
                **{str(state): n for state, n in linked.states.items()},
                "orphans": [{"rule": o.rule, "without": o.without, "count": o.count} for o in linked.orphans],
            }
            for name, linked in self.linked.items()
        ]

    def rule(self, category: Category, rule: Rule, writer: PlanWriter) -> None:
        """Looks at one rule's store and drafts its steps; a store that fails leaves no trace in the plan."""
        mark = writer.mark()
        try:
            surveyed = self._survey(category, rule, writer)
        except (StoreUnavailable, StoreDenied) as error:
            writer.back_to(mark)
            error.place = place_of(self.house.loaded, category.name, rule.name, error.word, error.destination)
            self.unseen[f"{category.name}/{rule.name}"] = error
            for request in self.whom or ():
                if not is_searched(category, rule, [request]):
                    continue
                unseen = Stays(rule.store, None, [Stay("unseen", "its store could not be looked at", 0)])
                self.followed.setdefault(request.entry, {})[category.name, rule.name] = unseen
            return
        self.counts.append(surveyed.counts)
        self.looked.append((category.name, rule.name))
        self._limits(category, rule, surveyed)

    def _survey(self, category: Category, rule: Rule, writer: PlanWriter) -> Surveyed:
        view = seen_by(self.house, category.name, rule)
        self.places[rule.store] = view.place
        self._locate(rule)
        bench = self._bench(category, rule)
        bench.linked = self.linked.get(category.name) if rule.link else None
        self.warnings += unevaluated(view, bench)
        approved = self.house.memory.approved_meaning(category.name) if self.compare else None
        scope = scope_for(bench, everything=self.stays or approved is not None or bool(rule.by))
        watch, open_view = self._watch(f"{category.name}/{rule.name}"), partial(self.house.open_view, rule.store)
        if self.whom is not None and self.back is None:
            return self._survey_person(view, scope, bench, writer, watch)
        pages = survey(view, scope, bench, self.events, watch, open_view)
        if approved is not None:
            change = self.changes[category.name, rule.name] = Change()
            pages = change.watch(pages, as_it_was(category, bench, approved))
        if self.back is not None:
            pages = (self.back(judged, bench) for judged in pages)
        following = Following(bench, partial(self._item, bench))
        if rule.by:
            judged, whether = following.watch(_met(pages, bench)), {"stays": self.stays, "forecast": self.forecast}
            surveyed = survey_bucket(self.house, view, bench, judged, writer, **whether)
        else:
            surveyed = draft(following.watch(_met(pages, bench)), bench, writer, stays=self.stays)
        self._follow(bench, following)
        return surveyed

    def _destinations(self, rule: Rule) -> Sequence[str]:
        """The stores that its archives and copies go to; none in a plan for one person, whose items go without."""
        return rule.stores[1:] if self.whom is None or self.back is not None else ()

    def _locate(self, rule: Rule) -> None:
        """Notes where they are; `StoreUnavailable` or `StoreDenied` where one cannot be seen, as every step would fail."""
        for name in self._destinations(rule):
            with trouble_of(name):
                self.places[name] = self.house.view(name).place

    def _survey_person(self, view: View, scope: Scope, bench: Bench, writer: PlanWriter, watch: Watch) -> Surveyed:
        """Looks at all of a rule, and drafts and counts the items of one person; what else there is only makes the population."""
        scanned = 0

        def more(items: int) -> None:
            nonlocal scanned
            scanned += items
            watch(items)

        following = Following(bench, partial(self._item, bench))
        pages = survey_person(view, scope, bench, self.events, more)
        surveyed = draft(following.watch(_met(pages, bench)), bench, writer, stays=self.stays)
        surveyed.counts.scanned, surveyed.counts.violations = scanned, 0
        self._follow(bench, following)
        return surveyed

    def _follow(self, bench: Bench, following: Following) -> None:
        for entry, stays in following.stays().items():
            self.followed.setdefault(entry, {})[bench.category, bench.rule.name] = stays

    def _item(self, bench: Bench, entry: int, key: str) -> str:
        """The reference of an item, by which a request knows it again."""
        year = next(request.year for request in self.requests if request.entry == entry)
        return Names(self.house).item(year, bench.category, bench.rule.store, key)

    def _watch(self, what: str) -> Watch:
        seen = 0

        def more(items: int) -> None:
            nonlocal seen
            seen += items
            self.progress(what, seen)

        return more

    def _limits(self, category: Category, rule: Rule, surveyed: Surveyed) -> None:
        counts = surveyed.counts
        bucket = is_kept_by_bucket(counts)
        due, size = (0, 0) if bucket else (counts.due, counts.bytes_due)
        tally = Tally(due, counts.scanned, size, surveyed.along)
        past = Past() if self.forecast or bucket else self.house.memory.past(category.name, rule.name)
        found = judge_limits(category.name, rule.name, category.limits, tally, past)
        if not any(r.limit == "shrunken" for r in found):
            self.populations[category.name, rule.name] = tally.selected
        if self.step:
            found.append(Refusal(category.name, rule.name, "clock", abs(self.step) // 1_000_000, 60))
        if self._moved(rule.store):
            found.append(Refusal(category.name, rule.name, "place", 1, 0))
        moved = [Refusal(category.name, rule.name, "place", 1, 0, n) for n in self._destinations(rule) if self._moved(n)]
        found += [refusal for refusal in moved if refusal.store != rule.copied_to]
        if not any(r.limit in _UNBELIEVED for r in found):
            self.believed.append(counts)
        stop, warn = trips(found, tally)
        self.refused += stop
        self.refused += [refusal for refusal in moved if refusal.store == rule.copied_to]  # it is why nothing is due
        self.warnings += [f"{words(r)}; nothing is due, so nothing is refused" for r in warn]
        if surveyed.children:
            self.refused.append(Refusal(category.name, rule.name, "children", surveyed.children, 0))

    def _moved(self, store: str) -> bool:
        return has_moved(self.house, self.known, store, self.places[store])

    def header(self, chosen: Sequence[str], writer: PlanWriter) -> Header:
        """What the plan says of itself, once every step of it is written."""
        return Header(
            salt=secrets.token_hex(16),
            at=self.now,
            expires=self.house.now + LASTS,
            categories=chosen,
            rulebook=self.house.rulebook.digest(chosen),
            holds=self.registers.last_hold,
            places=dict(sorted(self.places.items())),
            counts=[c.as_json() for c in self.counts],
            refused=self.refused,
            steps=writer.digest,
            total=writer.total,
            forecast=self.forecast,
            requests=[request.entry for request in self.whom] if self.whom is not None else None,
            sets=self.sets(),
            whole=self.whom is not None and self.back is None,
        )

    def remember(self) -> None:
        """Feeds the memory from which the next plan's limits are judged, and `status` is told; a look for one person does not.

        Of a person whose erasure stands, a plan finds more than is known to have stayed: that counts once it is carried out.
        """
        if self.whom is None:
            self.house.memory.saw(self.populations)
            self.house.memory.count(micros(self.now), [c.as_json() for c in self.believed])
        note_inferred(self.house, self.believed if self.whom is None else ())
        for request in self.requests:
            if self.whom is None or self.house.requests.get(request.entry).allowed is None:
                self.house.requests.saw(request.entry, self.followed.get(request.entry, {}), self.looked)
        self.house.inspections.forget()
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
    whom: Sequence[ErasureRequest] | None = None,
    back: OnlyBack | None = None,
    progress: Progress = silent,
) -> Planned:
    """Plans these categories (all when none is named), seals and registers the plan.

    `whom` makes it a plan of erasure requests: it is about what these mean, in every rule that maps one
    of their identifiers, and about nothing else. `back` leaves of each judgement what a replay is about.

    `at` judges as of another time; such a plan cannot be applied and feeds no memory. `compare`
    says what becomes newly due and no longer due against the approved version of each category.
    """
    categories = house.categories(names)
    chosen = sorted(category.name for category in categories)
    told = take_events(house).warnings if at is None else []
    planner = _Planner(house, at, stays=stays, compare=compare, progress=progress, whom=whom, back=back)
    planner.warnings += [*told, *lost_requests(house)]
    if not planner.step:
        house.plans.clear_old(micros(house.now))
        house.requests.forget(micros(house.now))
    load_rulebook(house)
    with PlanWriter(house.directory.plans) as writer:
        rules = planner.rules(categories)
        planner.link(rules)
        for category, rule in rules:
            planner.rule(category, rule, writer)
        header = planner.header(chosen, writer)
        writer.seal(header)
    house.plans.register(header)
    if not planner.forecast:
        planner.remember()
    return Planned(header, planner.counts, planner.warnings, planner.unseen, planner.changes, planner.followed, planner.linked)


def _met(judgements: Iterable[Judgement], bench: Bench) -> Iterator[Judgement]:
    """The same judgements; the sets of the bench see their items come past."""
    for judged in judgements:
        if bench.linked is not None:
            bench.linked.meet(bench.rule.name, judged.page, bench.rule.link)
        yield judged


def _goes_last(rule: Rule) -> tuple[bool, bool]:
    """Whether a rule's items are the rows of sets, which name the rest of them; and whether they say whose the set is."""
    return bool(rule.link) and isinstance(rule.selection, TableSelection), bool(rule.link and rule.subject)


def is_searched(category: Category, rule: Rule, whom: Sequence[ErasureRequest]) -> bool:
    """Whether items of a rule can be told to be one of these people's: by an identifier, by their set, or as copies."""
    kinds = {*rule.subject, *(kind for mate in linked_rules(category) for kind in mate.subject if rule.link)}
    by_name = any(kind in kinds for request in whom for kind, _ in request.subjects)
    copies = (key for request in whom for key in request.copies.get(rule.store, ()))
    return by_name or any(selects(rule, rule.store, key) for key in copies)


def load_rulebook(house: House) -> None:
    """Notes the rulebook in force, with an entry when it has changed."""
    book = house.rulebook
    digests = {name: book.digest([name]) for name in book.categories}
    meanings = {name: category.meaning() for name, category in book.categories.items()}
    house.memory.load_rulebook(book.digest(book.categories), digests, meanings)
