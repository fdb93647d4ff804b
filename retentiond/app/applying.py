"""Carrying out a plan: allowed, under the execute lock, after recovery, and never more than it says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from operator import attrgetter

from retentiond.app.copying import make_copies
from retentiond.app.dropping import take_events
from retentiond.app.erasing import meant_by
from retentiond.app.gathering import Whole, whole_families, whole_stretches
from retentiond.app.happenings import Happenings
from retentiond.app.house import House
from retentiond.app.judging import with_requests, with_reviews
from retentiond.app.letting_go import Vaults, letting_go
from retentiond.app.lifecycles import expect, take_away
from retentiond.app.linking import Members
from retentiond.app.projecting import project
from retentiond.app.recovery import recover
from retentiond.app.requiring import acted_on
from retentiond.app.trail import publish
from retentiond.archive.copying import Made
from retentiond.core.ladder import Bench
from retentiond.core.limits import UNPASSABLE, refuse
from retentiond.core.plan import SHORTEST_NAME
from retentiond.core.policy import Rule
from retentiond.core.registers import Hold, Registers
from retentiond.engine.codec import Step
from retentiond.engine.executor import Executor
from retentiond.engine.lanes import scan
from retentiond.engine.linked import Sets
from retentiond.engine.pipeline import bench_for, scope_for, scope_of_steps, together
from retentiond.engine.ports import PAGE, Batch, Paced, Partitioned, Stop, Store, Stretch, View
from retentiond.engine.setwise import SecondLook, Together
from retentiond.engine.wholesale import PART, Mass
from retentiond.engine.work import Result, Work
from retentiond.errors import (
    ClockStepped,
    PlanRefused,
    PlanUnusable,
    RetentiondError,
    StoreDenied,
    StoreTrouble,
    StoreUnavailable,
    UsageError,
)
from retentiond.ledger.clock import step, stored
from retentiond.ledger.journal import RunJournal
from retentiond.ledger.plans import PlanFile
from retentiond.ledger.spans import Done

_RULE = attrgetter("category", "rule", "request")

Progress = Callable[[int, int], None]
"""(steps settled, steps in the plan)."""


def silent(_done: int, _total: int) -> None:
    """No progress."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """Who allowed a run (`person`, `approval`, `over-limits`), and the person who lets locks be passed; "" for nobody."""

    by: str
    bypass: str = ""


@dataclass(slots=True)
class Applied:
    """What came of carrying out a plan, in sum and by category. `run` is None when there was nothing left to do.

    `why` counts by outcome and code; `troubles` has what the stores of archives and copies said when they failed.
    """

    plan: str
    run: str | None = None
    counts: Counter[str] = field(default_factory=Counter)
    by_category: dict[str, Counter[str]] = field(default_factory=dict)
    why: Counter[tuple[str, str]] = field(default_factory=Counter)
    troubles: dict[str, StoreTrouble] = field(default_factory=dict)
    recovered: Counter[str] = field(default_factory=Counter)
    looked: int = 0
    absent: int = 0
    refused: PlanRefused | None = None
    down: dict[str, RetentiondError] = field(default_factory=dict)
    stopped: str | None = None
    copies: Made = field(default_factory=Made)


def apply_plan(
    house: House,
    plan: PlanFile,
    *,
    over_limits: str | None = None,
    allowed_by: str = "person",
    bypass: str = "",
    stop: Stop,
    progress: Progress = silent,
) -> Applied:
    """Carries out a plan, or what is left of it. Errors are those of `errors.py`; nothing is destroyed before the checks.

    `bypass` is the person who lets locks be passed where a rule says that they may be.
    """
    with house.locked("execute", "a run of `retentiond apply`"):
        unseen: dict[str, RetentiondError] = {}
        recovered = recover(house, unseen)
        take_events(house)
        house.holds.current_anew()
        kept = take_away(house) | (project(house).failed if allowed_by == "person" else {})  # else it was done before the plan
        try:
            check_usable(house, plan)
            if house.plans.is_done(plan.name):
                return Applied(plan.name, recovered=recovered, down=unseen | kept)
            allowed, refused = _allowed(house, plan, over_limits)
            plan = house.plans.keep_copy(plan)
            publish(house)
        except (PlanUnusable, PlanRefused, ClockStepped) as error:
            house.plans.note_refusal(plan.name, error.code)
            raise
        allowance = "over-limits" if over_limits else allowed_by
        stop = _watching_requests(house, _watching_clock(house, stop))
        pulse = partial(progress, 0, plan.header.total)
        copies = make_copies(house, house.categories(allowed), repair=True, stop=stop, pulse=pulse)
        applied = _run(house, plan, allowed, Allowance(allowance, bypass), stop, progress)
        applied.recovered, applied.refused, applied.copies = recovered, refused, copies.made
        applied.down = unseen | applied.down | copies.down | kept
        return applied


def check_usable(house: House, plan: PlanFile) -> None:
    """`PlanUnusable` for a plan that is unknown, a forecast, expired, of a withdrawn request, or of another rulebook."""
    header = plan.header
    if not house.plans.known(plan.name):
        raise PlanUnusable("this plan was not made here", why="only a registered plan can be applied", do="retentiond plan")
    if header.forecast:
        raise PlanUnusable("this plan judges as of another time", why="it was made with --at", do="retentiond plan")
    if header.expires <= max(house.now, house.clock().now):  # it may have waited for whoever was at work
        raise PlanUnusable(
            "the plan has expired", why=f"it was good until {header.expires:%Y-%m-%d %H:%M} UTC", do="retentiond plan"
        )
    if any(house.requests.get(request).withdrawn is not None for request in header.requests or ()):
        raise PlanUnusable("the request of this plan was withdrawn", do="nothing; a new request needs a new name")
    known = all(name in house.rulebook.categories for name in header.categories)
    if not known or house.rulebook.digest(header.categories) != header.rulebook:
        raise PlanUnusable("the plan is stale", why="the rules or stores have changed since it was made", do="retentiond plan")


def _allowed(house: House, plan: PlanFile, over_limits: str | None) -> tuple[list[str], PlanRefused | None]:
    """The categories that may be carried out, and the refusal of the others; raises where none may, or none has a step left."""
    if over_limits is not None and (len(over_limits) < SHORTEST_NAME or not plan.name.startswith(over_limits)):
        raise UsageError("--over-limits names another plan", why="it takes the digest of the plan that is applied", do=plan.name)
    plan.check_steps()
    _check_places(house, plan)
    house.ledger.refuse_stepped_clock()
    standing = [r for r in plan.header.refused if r.blocks and (over_limits is None or r.limit in UNPASSABLE)]
    blocked = plan.header.blocked_by(standing)
    allowed = [c for c in plan.header.categories if c not in blocked]
    refused = refuse(plan.name, standing, whole=plan.header.whole) if standing else None
    if not allowed and refused is not None:
        raise refused
    if refused is not None:
        if not _anything_left(house, plan, set(allowed)):
            raise PlanRefused("nothing is left to do but what is refused", why=refused.why, do=refused.do)
        house.plans.note_refusal(plan.name, refused.code)
    return allowed, refused


def _anything_left(house: House, plan: PlanFile, allowed: set[str]) -> bool:
    """Whether some step of these categories has not been done with."""
    done = house.runs.done(plan.name)
    return any(s.category in allowed and s.n not in done for block in plan.blocks(PAGE) for s in block)


def _check_places(house: House, plan: PlanFile) -> None:
    """`PlanUnusable` where a store is not where it was; one that is down is left to the run, which goes on with the others."""
    for name, place in plan.header.places.items():
        try:
            found = house.store(name).place
        except (StoreUnavailable, StoreDenied):
            continue
        if found != place:
            raise PlanUnusable(f"the plan is for another place: the store {name} is not where it was", do="retentiond plan")


def _store_of(house: House, plan: PlanFile, stop: Stop, name: str) -> Store:
    """A store for the run; one that was down at the check may be elsewhere when it comes back."""
    return _heeding(stop, _where_planned(plan, name, house.store(name)))


def _lane_of(house: House, plan: PlanFile, stop: Stop, name: str) -> Store:
    """A further handle on a store, for the calling thread."""
    store = house.open_store(name)
    try:
        return _heeding(stop, _where_planned(plan, name, store))
    except StoreUnavailable:
        store.close()
        raise


def _heeding(stop: Stop, store: Store) -> Store:
    if isinstance(store, Paced):
        store.heed(stop)
    return store


def _where_planned(plan: PlanFile, name: str, store: Store) -> Store:
    if store.place != plan.header.places[name]:
        raise StoreUnavailable("the store is not where it was when the plan was made", do="retentiond plan")
    return store


def _opening(house: House, plan: PlanFile, vaults: Vaults, stop: Stop) -> Callable[[str], Store]:
    """How a run opens each of its stores, once."""
    known: dict[str, Store] = {}

    def opened(name: str) -> Store:
        store = _store_of(house, plan, stop, name)
        if name not in known:
            known[name] = letting_go(house, name, store, vaults)
        return known[name]

    return opened


def _watching_clock(house: House, stop: Stop) -> Stop:
    """Stops for what the caller says, for the stop file, and when the clock jumps in the middle of a run."""
    kept = stored(house.clock())

    def reason() -> str | None:
        if house.directory.stop_file.exists():
            return "the stop file is there"
        if step(kept, house.clock()):
            return "the clock has jumped"
        return stop()

    return reason


def _watching_requests(house: House, stop: Stop) -> Stop:
    """Stops when a person takes an erasure request back in the middle of a run: what hangs on it is for the next plan.

    A plan is made after the requests that it hangs on; where there is none by now, there is nothing to ask before each batch.
    """
    if not house.requests.all():
        return stop
    before = house.requests.withdrawals()

    def reason() -> str | None:
        return stop() or ("a request was withdrawn" if house.requests.withdrawals() != before else None)

    return reason


def _run(house: House, plan: PlanFile, allowed: Sequence[str], allowance: Allowance, stop: Stop, progress: Progress) -> Applied:
    year = plan.header.at.year
    house.memory.used_reference(year, [*allowed])
    references = house.references(year)
    for category in allowed:
        house.reference_keys.key(year, category)
    for rule in (r for category in allowed for r in house.rulebook.categories[category].rules if r.action.needs_key):
        house.anonymise_key(rule.store)
    for request, meant in meant_by(house, plan).items():
        house.requests.allow(request, plan.name, meant)
    run = house.runs.begin(plan.name, allowance.by, allowed)
    if allowance.bypass:
        house.runs.allow_bypass(run, plan.name, allowance.bypass, house.word)
    publish(house)  # whoever allowed it stands in a trail that is sound, before the first item goes
    journal = RunJournal(house.ledger, run, plan.name, references, house.holds.read, house.directory.plans)
    vaults, lane = Vaults(house, lambda: progress(settled, plan.header.total)), partial(_lane_of, house, plan, stop)
    executor = Executor(_opening(house, plan, vaults, stop), lane, journal, Happenings(house), house.holds.current, stop)
    applied = Applied(plan.name, run)
    by_rule: Counter[tuple[str, str]] = Counter()
    done = house.runs.done(plan.name)
    settled = 0
    progress(settled, plan.header.total)  # from here on, something may be let go
    with vaults:
        for result in executor.run(works(house, plan, set(allowed), done, bypass=bool(allowance.bypass))):
            settled += len(result.work.batch)
            _count(house, applied, result, by_rule)
            progress(settled, plan.header.total)
    applied.stopped, applied.down, applied.troubles = executor.stopped, executor.down, vaults.troubles
    house.memory.disposed(plan.name, by_rule, usual=plan.header.requests is None)
    unresolved = any(intent.plan == plan.name for intent in house.runs.open_intents())
    unfinished = applied.stopped or applied.down or unresolved or len(allowed) < len(plan.header.categories)
    left = sum(applied.counts[name] for name in ("held", "locked", "failed", "unknown"))
    house.runs.end(run, applied.counts, applied.looked, applied.absent, finished=not (unfinished or left))
    if allowance.by == "over-limits":
        _accept_populations(house, plan)
    return applied


def _count(house: House, applied: Applied, result: Result, by_rule: Counter[tuple[str, str]]) -> None:
    applied.counts += result.counts
    applied.why += result.why
    applied.looked += result.looked
    applied.absent += result.absent
    bench = result.work.bench
    if result.counts["installed"]:
        house.lifecycles.found(bench.category, bench.rule.name, bench.rule.store)
    applied.by_category.setdefault(bench.category, Counter()).update(result.counts)
    by_rule[bench.category, bench.rule.name] += result.counts["disposed"]


def _accept_populations(house: House, plan: PlanFile) -> None:
    """A person passed the limits, so what the plan saw is what is to be expected from now on."""
    house.memory.saw({(c["category"], c["rule"]): c["scanned"] - c["due"] for c in plan.header.counts})


def works(house: House, plan: PlanFile, allowed: set[str], done: Done, *, bypass: bool = False) -> Iterator[Work | Mass]:
    """The steps that are left, in batches of one rule with rising numbers without a gap, and what may go in one act."""
    return _Works(house, plan, allowed, done, bypass=bypass).all()


class _Works:
    """What is left of a plan, as works: what is looked up once for all of them."""

    def __init__(self, house: House, plan: PlanFile, allowed: set[str], done: Done, *, bypass: bool) -> None:
        self._bypass = bypass
        self._house, self._plan, self._allowed, self._done = house, plan, allowed, done
        self._all_allowed = len(allowed) == len(plan.header.categories)
        self._benches: dict[tuple[str, str], Bench] = {}
        self._looks: dict[tuple[str, str], SecondLook] = {}
        self._sets = _sets(house, plan)
        self._sizes: dict[str, int] = {}

    def all(self) -> Iterator[Work | Mass]:
        for found in whole_stretches(self._blocks, self._stretches):
            if isinstance(found, Whole):
                mass = self._mass(found)
                yield mass
                found.taken = mass.taken
            else:
                yield from self._of(found)

    def _blocks(self, first: int) -> Iterator[list[Step]]:
        return whole_families(self._plan.blocks(PART, first))

    def _mass(self, found: Whole) -> Mass:
        step, stretch = found.step, found.stretch
        bench = self._bench(step.category, step.rule)

        def parts(size: int) -> Iterator[Work]:
            left = stretch.items
            for block in self._plan.blocks(size, step.n):
                yield from self._of(block[:left])
                left -= len(block)
                if left <= 0:
                    return

        return Mass(bench, scope_for(bench, everything=True), stretch, found.others, parts)

    def _bench(self, category: str, rule: str) -> Bench:
        bench = self._benches.get((category, rule))
        if bench is None:
            bench = self._benches[category, rule] = bench_of(self._house, category, rule)
            if bench.rule.generations is not None:
                self._looks[category, rule] = second_look(self._house, category, bench.rule)
        return bench

    def _of(self, block: Sequence[Step]) -> Iterator[Work]:
        """The works of those steps that are left."""
        done, left = self._done, block
        if done or not self._all_allowed:
            left = [s for s in block if s.category in self._allowed and s.n not in done]
        if done and any(s.parent for s in block):
            left = _never_begun(block, left)
        for (category, rule, request), steps in groupby(left, key=_RULE):
            bench = self._bench(category, rule)
            key = self._house.anonymise_key(bench.rule.store) if bench.rule.action.needs_key else b""
            sets = self._sets.get(category)
            if bench.rule.by and request is None:
                expect(self._house, bench)
            for run in self._cut(contiguous(list(steps)), bench.rule):
                made = work(bench, run, self._looks.get((category, rule)) if request is None else None, key)
                if self._bypass and bench.rule.bypass_governance:
                    made = replace(made, batch=replace(made.batch, bypass=True))
                yield made if sets is None else replace(made, sets=sets, numbers=[s.set for s in run])

    def _cut(self, runs: Iterator[Sequence[Step]], rule: Rule) -> Iterator[Sequence[Step]]:
        """The runs, none longer than a batch of the store unless it is one family; what is archived is held whole meanwhile."""
        store = rule.store
        if store not in self._sizes:
            self._sizes[store] = PAGE
            with suppress(StoreUnavailable, StoreDenied):  # its first batch will tell
                self._sizes[store] = self._house.store(store).traits.batch
        size = PAGE if rule.action.kind == "archive" else self._sizes[store]
        for run in runs:
            yield from whole_families(list(run[low : low + size]) for low in range(0, len(run), size))

    def _stretches(self, category: str, name: str) -> Sequence[Stretch]:
        """What the store of a rule could let go in one act; nothing where it judges its items together, sets, or by events."""
        if category not in self._allowed:
            return ()
        bench = self._bench(category, name)
        rule = bench.rule
        by_itself = rule.generations is None and rule.forbid is None and rule.start.kind != "event" and not rule.link
        if not by_itself or rule.action.kind != "delete":
            return ()
        try:
            store = self._house.store(rule.store)
            scope = scope_for(bench, everything=True)
            return store.stretches(scope, self._plan.header.total) if isinstance(store, Partitioned) else ()
        except (StoreUnavailable, StoreDenied):
            return ()


def _sets(house: House, plan: PlanFile) -> dict[str, Sets]:
    """The sets of each category that has some, with all that the plan has of them."""
    found: dict[str, Members] = {}
    for place, s in plan.sets() if plan.header.sets else ():
        if s.set is not None and s.parent is None:
            found.setdefault(s.category, Members(plan)).add(s.set, place)

    def ready(category: str, rule: str, holds: Sequence[Hold]) -> Bench:
        book = house.rulebook
        named = next(r for r in book.categories[category].rules if r.name == rule)
        return bench_for(book.categories[category], named, book.zone, house.now, holds)

    return {category: Sets(category, members.of, ready) for category, members in found.items()}


def bench_of(house: House, category: str, rule: str) -> Bench:
    """A rule of the rulebook, ready to act by; its holds are read anew for each batch."""
    book = house.rulebook
    found = next(r for r in book.categories[category].rules if r.name == rule)
    bench = bench_for(book.categories[category], found, book.zone, house.now, Registers().holds)
    return with_requests(house, with_reviews(house, bench))


def second_look(house: House, category: str, rule: Rule) -> SecondLook:
    """A rule of generations, to be judged once more by the holds and events of the moment before its first batch."""
    book, events = house.rulebook, Happenings(house)

    def look(view: View) -> Together:
        bench = bench_for(book.categories[category], rule, book.zone, house.now, house.holds.current().holds)
        view = acted_on(house, category, rule, view)
        pages = scan(view, scope_for(bench, everything=True), partial(house.open_view, rule.store))
        return together(pages, with_reviews(house, bench), events, acting=True)

    return SecondLook(look)


def work(bench: Bench, steps: Sequence[Step], again: SecondLook | None = None, key: bytes = b"") -> Work:
    """A batch of these steps."""
    request = steps[0].request
    action = bench.rule.step_action if request is None else bench.rule.action.erasing
    batch = Batch(
        steps[0].n,
        scope_of_steps(bench, action),
        action,
        [s.key for s in steps],
        [s.revision for s in steps],
        store=steps[0].store,
        key=key,
        parents=[s.parent for s in steps] if any(s.parent for s in steps) else (),
        request=request,
        starts=[s.start for s in steps],
    )
    return Work(bench, batch, again=again)


def _never_begun(block: Sequence[Step], left: Sequence[Step]) -> list[Step]:
    """Those of the steps that are left whose whole family is left: one that was cut short is for the next plan."""
    wanted, found, family = {s.n for s in left}, list[Step](), list[Step]()
    for each in block:
        family.append(each)
        if each.parent is None:
            found += family if all(s.n in wanted for s in family) else []
            family = []
    return found


def contiguous(steps: Sequence[Step]) -> Iterator[Sequence[Step]]:
    """The runs of steps whose numbers follow one another."""
    if steps[-1].n - steps[0].n == len(steps) - 1:
        yield steps
        return
    start = 0
    for i in range(1, len(steps) + 1):
        if i == len(steps) or steps[i].n != steps[i - 1].n + 1:
            yield steps[start:i]
            start = i
