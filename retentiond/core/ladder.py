"""Who wins: the whole of precedence as one table, first match wins.

    hold → store's own lock → statutory minimum → exempt from erasure → referred to → in doubt
    → without a copy → cooling off → review → set
    → erasure request → kept by rule → clock not started → due → default keep

The upper ten beat what is otherwise due, so they are asked only about that, and `held` and
`locked` count items that would go without them. A rule may be exempt from erasure; copies, cooling off and
review are about what is due by the rule, and an erasure request beats them. Whatever no rung names stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Literal
from zoneinfo import ZoneInfo

from retentiond.core import anonymise, generations
from retentiond.core.forbid import NO_SUBJECT
from retentiond.core.item import NOTHING, WITHOUT_END, Kin, Page
from retentiond.core.linked import Linked
from retentiond.core.period import EARLIEST, DueDates, Period
from retentiond.core.policy import Rule
from retentiond.core.registers import Reviewed
from retentiond.core.request import GROUNDS, NO_GROUND, REASON, Erased, Meant
from retentiond.core.selector import HoldIndex

Verdict = Literal["due", "waiting", "kept", "held", "locked", "undetermined"]
VERDICTS: tuple[Verdict, ...] = ("due", "waiting", "kept", "held", "locked", "undetermined")
REFERRED = "other rows refer to it"
"""How each doubt begins of a row that stays because others refer to it."""
CHILDREN = f"{REFERRED} (children: forbid)"
OTHERS = f"{REFERRED}, and do not go with it (see `children`)"
"""Its doubt where some rows go with it, but not these."""
KEEP = "the action of the rule is keep"
WAITS = "waits for review"
APPROVED = "a review approved it"
SET = "set"
"""The rung of what stays because another item of its set does."""
REVIEW = "review"
"""The rung of what a person has not let go."""
KEPT, DEFAULT = "kept by rule", "default keep"
MINIMUM, COOLING = "statutory minimum", "cooling off"

Reviews = Callable[[Sequence[str], Sequence[str | None]], Sequence[Reviewed | None]]
"""(keys, revisions) → what a review decided about each item in exactly this revision; None where nothing."""


def unreviewed(keys: Sequence[str], _revisions: Sequence[str | None]) -> list[Reviewed | None]:
    """Nothing was decided about anything."""
    return [None] * len(keys)


class Bench:
    """One rule, ready to judge by: its due dates, its holds, and the one `now` of the run.

    `settle` is how long after its event an item must wait in any case. `reviews` looks up what
    people decided, where the action is `review`. `rivals` are the rules, each with the name of its category, that may
    select the same items.
    """

    def __init__(
        self, category: str, rule: Rule, zone: ZoneInfo, now: datetime, holds: HoldIndex, settle: Period | None = None
    ) -> None:
        self.category, self.rule, self.zone, self.now, self.holds = category, rule, zone, now, holds
        self.retention = DueDates(rule.retention, zone)
        self.settle = DueDates(settle, zone) if settle else None
        self.minimum = DueDates(rule.minimum.period, zone) if rule.minimum else None
        self.deletion = DueDates(rule.deletion, zone)
        self.cooling: Sequence[Cooling] = ()
        self.reviews: Reviews = unreviewed
        self.erased: Erased | None = None
        self.linked: Linked | None = None
        self.rivals: Sequence[tuple[str, Rule]] = ()

    def due(self, starts: Sequence[datetime | None]) -> list[datetime | None]:
        """The earliest disposal of each start, statutory minimum apart."""
        ends = self.retention.each(starts)
        if self.settle is None:
            return ends
        return [_later(a, b) for a, b in zip(ends, self.settle.each(starts), strict=True)]

    def still_due(self, starts: Sequence[datetime | None]) -> list[bool]:
        """Asked again at the moment of disposal: whether settling, retention and minimum are over for each start.

        Of generations, which are judged all together, only whether there still is a usable start.
        """
        if self.rule.generations is not None:
            return [s is not None and EARLIEST <= s <= self.now for s in starts]
        lasts = self.due(starts)
        if self.minimum is not None:
            lasts = [_later(a, b) for a, b in zip(lasts, self.minimum.each(starts), strict=True)]
        return [
            s is not None and EARLIEST <= s <= self.now and e is not None and e <= self.now
            for s, e in zip(starts, lasts, strict=True)
        ]

    def meant(self, page: Page) -> Meant:
        """What the erasure requests that stand mean of a page."""
        return self.erased.meant(page) if self.erased else Meant()

    def still_erasable(self, page: Page, request: int) -> list[bool]:
        """Asked again at the moment of disposal: which items are about whom a request means, and under no minimum."""
        about = self.erased.still(page, request) if self.erased else [False] * len(page)
        ends = self.minimum.each(page.starts) if self.minimum else [self.now] * len(page)
        exempt = self.rule.exempt is not None or self.rule.action.keeps
        return [not exempt and mine and end is not None and end <= self.now for mine, end in zip(about, ends, strict=True)]

    def overdue(self, starts: Sequence[datetime | None]) -> int:
        """How many of the starts are past their deletion period."""
        return sum(end is not None and end <= self.now for end in self.deletion.each(starts))


@dataclass(frozen=True, slots=True)
class Cooling:
    """One change of a rule: until when items wait that it has made due, and the rule as it was.

    `before` is None where it looked at other items or another start; then all of them wait.
    """

    until: datetime
    before: Bench | None


@dataclass(frozen=True, slots=True)
class Group:
    """Positions of a page that share a verdict and its reason. `reasons` has each by itself where there are several."""

    verdict: Verdict
    rung: str
    reason: str
    positions: Sequence[int]
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the rules say about one page: the due positions with their due dates, and the rest in groups.

    `overdue` counts those past their deletion period, among the due and among the others that stay against the promise;
    the latter are `staying`.
    `kept_by` counts the items that each of a rule's own words keeps. `families` are the items that go
    with a due one, before it and in this order.
    """

    page: Page
    due: Sequence[int]
    due_at: Sequence[datetime | None]
    overdue: int
    groups: Sequence[Group]
    kept_by: Mapping[str, int] = field(default_factory=lambda: NOTHING)
    staying: Sequence[int] = ()
    families: Mapping[int, Sequence[Kin]] = field(default_factory=lambda: NOTHING)
    meant: Meant = field(default_factory=Meant)


@dataclass(frozen=True, slots=True)
class Look:
    """One page on the bench: what the rungs need, worked out once.

    `told` is what was judged of all items of the rule together, by position: verdict and reason. `meant` is
    what erasure requests mean of the page.
    """

    page: Page
    bench: Bench
    due_at: Sequence[datetime | None]
    told: Mapping[int, tuple[Verdict, str]] = field(default_factory=lambda: NOTHING)
    meant: Meant = field(default_factory=Meant)


Test = Callable[[Look, Iterable[int]], Mapping[int, str]]


@dataclass(frozen=True, slots=True)
class Rung:
    """One line of the table. `test` names the positions that it matches, with the reason.

    `beats_due` rungs are asked only about what is otherwise due; a `lawful` one may outlast the deletion period, for all of
    a set, and what another one keeps longer is overdue.
    """

    name: str
    verdict: Verdict
    test: Test
    beats_due: bool = False
    lawful: bool = False


def _hold(look: Look, positions: Iterable[int]) -> Mapping[int, str]:
    wanted = list(positions)
    page, holds = look.page, look.bench.holds
    found = holds.confirmed(page.held, page.keys, page.facts, wanted) if page.held else {}
    if holds:
        found |= holds.covered(page.keys, page.facts, wanted)
        found |= held_person(look.bench.erased, holds, page.keys, look.meant.erased, [i for i in wanted if i not in found])
    return {i: f"hold {hold} covers it" for i, hold in found.items()}


def held_person(
    requests: Erased | None, holds: HoldIndex, keys: Sequence[str], erased: Mapping[int, int], positions: Iterable[int]
) -> dict[int, str]:
    """The positions of an erasure that a hold covers by the person, whatever identifier of theirs the item shows."""
    found: dict[int, str] = {}
    if not requests:
        return found
    wanted = [i for i in positions if i in erased]
    for entry in dict.fromkeys(erased[i] for i in wanted):
        mine = [i for i in wanted if erased[i] == entry]
        found |= holds.of_person(partial(requests.is_about, entry), keys, mine)
    return found


def _lock(look: Look, positions: Iterable[int]) -> Mapping[int, str]:
    locked, now = look.page.locked_until, look.bench.now
    if not locked:
        return NOTHING
    return {
        i: f"the store's own lock lasts until {locked[i].astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        if locked[i] < WITHOUT_END
        else "a legal hold of the store's own, without end"
        for i in positions
        if i in locked and locked[i] > now
    }


def _minimum(look: Look, positions: Iterable[int]) -> Mapping[int, str]:
    minimum, rule = look.bench.minimum, look.bench.rule
    if minimum is None or rule.minimum is None:
        return NOTHING
    reason = f"the minimum of {rule.minimum.period.words} is not over ({rule.minimum.mandate})"
    wanted = list(positions)
    ends = minimum.each([look.page.starts[i] for i in wanted])
    return {i: reason for i, end in zip(wanted, ends, strict=True) if end is None or end > look.bench.now}


def _exempt(look: Look, positions: Iterable[int]) -> Mapping[int, str]:
    """What no erasure request reaches, of what is due only by one."""
    rule, erased = look.bench.rule, look.meant.erased
    if not erased or not (rule.exempt or rule.action.keeps):
        return NOTHING
    reason = f"{GROUNDS[rule.exempt.ground]}: {rule.exempt.because}" if rule.exempt else NO_GROUND["keep"]
    return {i: reason for i in positions if i in erased}


def _cooling(look: Look, positions: Iterable[int]) -> Mapping[int, str]:
    found: dict[int, str] = {}
    wanted = [i for i in positions if i not in look.meant.erased] if look.bench.cooling else []
    for change in look.bench.cooling:
        was = change.before.still_due([look.page.starts[i] for i in wanted]) if change.before else [False] * len(wanted)
        reason = f"a change of the rule made it due; cooling off until {change.until:%Y-%m-%d %H:%M} UTC"
        found |= {i: reason for i, before in zip(wanted, was, strict=True) if not before}
    return found


def _referred(look: Look, positions: Iterable[int]) -> Mapping[int, str]:
    doubts = look.page.doubts
    return {i: doubts[i] for i in positions if doubts.get(i, "").startswith(REFERRED)} if doubts else NOTHING


def _doubt(look: Look, positions: Iterable[int]) -> Mapping[int, str]:
    doubts = look.page.doubts
    return {i: doubts[i] for i in positions if i in doubts} if doubts else NOTHING


def _uncopied(look: Look, positions: Iterable[int]) -> Mapping[int, str]:
    """What has no verified copy where its rule wants one."""
    uncopied = look.page.uncopied
    erased = look.meant.erased
    return {i: uncopied[i] for i in positions if i in uncopied and i not in erased} if uncopied else NOTHING


def _review(look: Look, positions: Iterable[int]) -> Mapping[int, str]:
    """What a person has not let go, of what is otherwise due: of the rest there is nothing to decide."""
    bench = look.bench
    if not bench.rule.action.reviewed:
        return NOTHING
    wanted = [i for i in positions if i not in look.meant.erased]
    if bench.rule.generations is None:
        for rest in (_kept(look, wanted), _not_started(look, wanted)):
            wanted = [i for i in wanted if i not in rest]
        wanted = list(_due(look, wanted))
    else:
        wanted = [i for i in wanted if i not in look.told or look.told[i][0] == "due"]
    return stays_by_review(bench, look.page, wanted)


def stays_by_review(bench: Bench, page: Page, positions: Sequence[int]) -> dict[int, str]:
    """Those of the positions that a person has not let go in the revision that the page shows, with the reason."""
    found: dict[int, str] = {}
    decided = bench.reviews([page.keys[i] for i in positions], [page.revisions[i] for i in positions])
    for i, one in zip(positions, decided, strict=True):
        if one is None or (one.until is not None and one.until <= bench.now):
            found[i] = WAITS
        elif one.until is not None:
            found[i] = f"a review extended it until {one.until.astimezone(bench.zone):%Y-%m-%d %H:%M}"
    return found


def _set(look: Look, positions: Iterable[int]) -> Mapping[int, str]:
    """What stays because another item of its set does."""
    bench = look.bench
    if bench.linked is None:
        return NOTHING
    blocked = bench.linked.reasons(look.page, bench.rule.link)
    return {i: blocked[i] for i in positions if i in blocked}


def _lawfully(rung: Rung, look: Look) -> set[int]:
    """What stays because law, lock or hold keeps another item of its set."""
    linked = look.bench.linked
    return linked.lawfully(look.page, look.bench.rule.link) if rung.name == SET and linked is not None else set()


def _erased(look: Look, positions: Iterable[int]) -> Mapping[int, str]:
    erased = look.meant.erased
    return {i: REASON for i in positions if i in erased} if erased else NOTHING


def _kept(look: Look, positions: Iterable[int]) -> Mapping[int, str]:
    if look.bench.rule.action.keeps:
        return dict.fromkeys(positions, KEEP)
    done = look.page.done
    if done:
        wanted = list(positions)
        others = _kept_otherwise(look, [i for i in wanted if i not in done])
        return {**{i: anonymise.DONE for i in wanted if i in done}, **others}
    return _kept_otherwise(look, positions)


def _kept_otherwise(look: Look, positions: Iterable[int]) -> Mapping[int, str]:
    rule, told = look.bench.rule, look.told
    if rule.generations is not None:
        return {i: told[i][1] for i in positions if i in told and told[i][0] == "kept"}
    if rule.forbid is not None:
        starts = look.page.starts
        return {i: rule.forbid.allowed for i in positions if starts[i] is not None}
    return NOTHING


def _not_started(look: Look, positions: Iterable[int]) -> Mapping[int, str]:
    starts, now, rule = look.page.starts, look.bench.now, look.bench.rule
    if rule.generations is not None:
        alone: tuple[Verdict, str] = ("undetermined", "it was not judged together with the others")
        return {i: reason for i in positions for verdict, reason in (look.told.get(i, alone),) if verdict == "undetermined"}
    if rule.forbid is not None:
        subjects = look.page.facts[rule.forbid.by] if len(look.page) else ()
        return {i: NO_SUBJECT for i in positions if subjects[i] is None}
    found: dict[int, str] = {}
    for i in positions:
        start = starts[i]
        if start is None:
            found[i] = "no event has started its clock" if rule.start.kind == "event" else generations.NO_DATE
        elif start > now:
            found[i] = generations.FUTURE
        elif start < EARLIEST:
            found[i] = generations.EARLY
    return found


def _due(look: Look, positions: Iterable[int]) -> Mapping[int, str]:
    now, due_at = look.bench.now, look.due_at
    rule, reason = look.bench.rule, reason_of(look.bench.rule)
    if rule.generations is not None:
        return {i: reason for i in positions if i in look.told and look.told[i][0] == "due"}
    if rule.forbid is not None:
        forbidden = set(rule.forbid.violations(look.page))
        return {i: reason for i in positions if i in forbidden}
    return {i: reason for i in positions if (due := due_at[i]) is not None and due <= now}


def _default(look: Look, positions: Iterable[int]) -> Mapping[int, str]:
    return dict.fromkeys(positions, f"its retention period of {look.bench.rule.retention.words} is not over")


LADDER: tuple[Rung, ...] = (
    Rung("hold", "held", _hold, beats_due=True, lawful=True),
    Rung("store's own lock", "locked", _lock, beats_due=True, lawful=True),
    Rung(MINIMUM, "waiting", _minimum, beats_due=True, lawful=True),
    Rung("exempt from erasure", "kept", _exempt, beats_due=True, lawful=True),
    Rung("referred to", "kept", _referred, beats_due=True),
    Rung("in doubt", "undetermined", _doubt, beats_due=True),
    Rung("without a copy", "kept", _uncopied, beats_due=True),
    Rung(COOLING, "waiting", _cooling, beats_due=True),
    Rung(REVIEW, "kept", _review, beats_due=True),
    Rung(SET, "kept", _set, beats_due=True),
    Rung(REASON, "due", _erased),
    Rung(KEPT, "kept", _kept),
    Rung("clock not started", "undetermined", _not_started),
    Rung("due", "due", _due),
    Rung(DEFAULT, "waiting", _default),
)

LAWFUL = frozenset(rung.name for rung in LADDER if rung.lawful)


def reason_of(rule: Rule) -> str:
    """Why an item of this rule is due, in words that hold for all of them."""
    if rule.generations is not None:
        return generations.NOT_KEPT
    if rule.forbid is not None:
        return rule.forbid.words
    if rule.start.kind == "event":
        return f"{rule.retention.words} after the event {rule.start.name}"
    return f"its retention period of {rule.retention.words} is over"


def judge(page: Page, bench: Bench) -> Judgement:
    """What the rules say about every item of a page. Pure: the same page and bench, the same answer."""
    look = Look(page, bench, bench.due(page.starts), meant=bench.meant(page))
    groups: list[Group] = []
    rest: Sequence[int] = range(len(page))
    due: list[int] = []
    staying: list[int] = []
    for rung in (r for r in LADDER if not r.beats_due):
        taken = rung.test(look, rest)
        if rung.verdict == "due":
            due += taken
        else:
            groups += _grouped(rung, taken)
        rest = [i for i in rest if i not in taken] if taken else rest
    due.sort()
    for rung in (r for r in LADDER if r.beats_due):
        taken = rung.test(look, due)
        if taken:
            groups += _grouped(rung, taken)
            due = [i for i in due if i not in taken]
            staying += () if rung.lawful else sorted({*taken} - _lawfully(rung, look))
    staying = [i for i in staying if bench.overdue([page.starts[i]])] if staying else staying
    overdue = bench.overdue([page.starts[i] for i in due]) + len(staying)
    due_at = [None if i in look.meant.erased else look.due_at[i] for i in due]
    return Judgement(page, due, due_at, overdue, groups, staying=staying, meant=look.meant)


def above(page: Page, bench: Bench) -> dict[int, tuple[Rung, str]]:
    """Whatever beats due, asked of every item of a page: the first such rung of each, with its reason."""
    look = Look(page, bench, ())
    found: dict[int, tuple[Rung, str]] = {}
    for rung in (r for r in LADDER if r.beats_due):
        taken = rung.test(look, [i for i in range(len(page)) if i not in found])
        found |= {i: (rung, reason) for i, reason in taken.items()}
    return found


def climb(page: Page, bench: Bench, told: Mapping[int, tuple[Verdict, str]] = NOTHING) -> list[tuple[Rung, str | None]]:
    """Every rung for the first item of a page, with its reason where it matches: what `explain` shows."""
    look = Look(page, bench, bench.due(page.starts), told, bench.meant(page))
    rungs = [(rung, rung.test(look, (0,)).get(0)) for rung in LADDER]
    decided = any(reason and not rung.beats_due for rung, reason in rungs[:-1])
    return [*rungs[:-1], (rungs[-1][0], None)] if decided else rungs


def _grouped(rung: Rung, taken: Mapping[int, str]) -> list[Group]:
    by: dict[str, list[int]] = {}
    for i, reason in taken.items():
        by.setdefault(reason, []).append(i)
    return [Group(rung.verdict, rung.name, reason, positions) for reason, positions in by.items()]


def _later(a: datetime | None, b: datetime | None) -> datetime | None:
    return None if a is None or b is None else max(a, b)
