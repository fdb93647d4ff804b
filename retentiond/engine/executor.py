"""Act: carry out the steps of a plan, never more. Applying and resuming are the same act.

For each batch, in this order, and safe to be killed between any two:

1. what has to be known is looked up (the fields that holds and events are about; of generations, the whole rule again);
2. the intent commits, together with the outcome of the batch before, after the holds were read
   in that same transaction; what a hold covers, or an event no longer makes due, is left out;
3. the store compares and lets go, and says what is a fact;
4. the outcome commits with the next turn;
5. what was let go is looked for once more.

When a store fails in the middle, the facts it gave stand, and the rest is looked at: what is
still there in its revision did not happen, what is absent (or anonymised, where that was the step)
is `disposed` and marked as inferred.
If it cannot be looked at, the intent stays open and its items are `unknown`, until a later run
has recovered them. An open intent is never acted on.

Where an event cannot be looked up, whatever hangs on it stays, and the rest of its store goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from operator import eq

from retentiond.core.item import Page
from retentiond.core.ladder import Bench
from retentiond.core.outcome import Outcome, Settled
from retentiond.core.registers import Registers
from retentiond.core.selector import FactsNeeded, HoldIndex
from retentiond.engine.failpoints import reach
from retentiond.engine.pipeline import with_events
from retentiond.engine.ports import OUTSIDE, Admission, Batch, Closing, Events, Intent, Journal, Restoring, Stop, Store, sighted
from retentiond.engine.setwise import SecondLook
from retentiond.errors import RetentiondError, StoreDenied, StoreUnavailable

_TRIES = 10
UNREVIEWED = "review"
"""The code of a step that is spared because a person has taken back or put off what a review had let go."""


@dataclass(frozen=True, slots=True)
class Work:
    """A batch with the rule that it belongs to, ready to judge by. Works of one rule of generations share a second look."""

    bench: Bench
    batch: Batch
    sizes: Sequence[int] = ()
    again: SecondLook | None = None

    def unreviewed(self) -> set[int]:
        """The positions that a person has not let go, or not any more; none where nobody has to."""
        if not self.bench.rule.action.reviewed:
            return set()
        decided = self.bench.reviews(self.batch.keys, self.batch.revisions)
        return {i for i, one in enumerate(decided) if one is None or one.until is not None}

    @property
    def event(self) -> tuple[str, str] | None:
        """The category and the name of the event that it hangs on; None where it hangs on none."""
        start = self.bench.rule.start
        return (self.bench.category, start.name) if start.kind == "event" else None

    def seen(self, registers: Registers) -> tuple[int, int]:
        """The newest entries that what was looked up for it hangs on."""
        rule = self.bench.rule
        return registers.last_event if rule.start.kind == "event" else -1, registers.last_review if rule.action.reviewed else -1


@dataclass(slots=True)
class Result:
    """What came of one batch: counts by outcome (`inferred` are among `disposed`), and what looking again found."""

    work: Work
    counts: Counter[str]
    looked: int = 0
    absent: int = 0
    trouble: RetentiondError | None = None


@dataclass(slots=True)
class _Turned:
    """A batch between its disposal and the commit of its outcome."""

    result: Result
    batch: Batch
    closing: Closing | None
    gone: Sequence[int] = field(default=())


class Stale(Exception):
    """An event or a review was recorded between the look-up and the transaction, so the look-up is repeated."""


class Executor:
    """Carries out the batches of one run with one handle on each store."""

    def __init__(
        self, open_store: Callable[[str], Store], journal: Journal, events: Events, registers: Callable[[], Registers], stop: Stop
    ) -> None:
        self._open_store, self._journal, self._events, self._registers, self._stop = open_store, journal, events, registers, stop
        self._indexes: dict[tuple[str, str], tuple[int, HoldIndex]] = {}
        self._lost: set[str] = set()
        self._unheard: set[tuple[str, str]] = set()
        self.stopped: str | None = None
        self.down: dict[str, RetentiondError] = {}

    def run(self, works: Iterable[Work]) -> Iterator[Result]:
        """Carries out the works in their order; yields the result of each once its outcome is committed."""
        before: _Turned | None = None
        for work in works:
            self.stopped = self._stop()
            if self.stopped:
                break
            if work.batch.store in self._lost or work.event in self._unheard:
                continue
            try:
                store = self._open_store(work.batch.store)
                intent, batch = self._intend(work, store, before)
            except (StoreUnavailable, StoreDenied) as error:
                if error.event_store and work.event:
                    self._unheard.add(work.event)
                    self.down.setdefault(error.event_store, error)
                else:
                    self._lose(work.batch.store, error)
                continue
            if before is not None:
                yield self._look_again(before)
            before = self._act(work, batch, store, intent)
        if before is not None:
            self._journal.turn(before.closing, None, _nothing)
            yield self._look_again(before)

    def _lose(self, store: str, error: RetentiondError) -> None:
        """Leaves a store alone for the rest of the run."""
        self._lost.add(store)
        self.down[store] = error

    def _intend(self, work: Work, store: Store, before: _Turned | None) -> tuple[Intent, Batch]:
        """Commits the outcome of the batch before and the intent of this one, in one turn."""
        bench, batch = work.bench, work.batch
        closing = before.closing if before is not None else None
        page: Page | None = None
        is_event = bench.rule.start.kind == "event"
        spared = work.again.spared(store, batch) if work.again is not None else []
        for _ in range(_TRIES):
            seen = work.seen(self._registers()) if is_event or work.bench.rule.action.reviewed else (-1, -1)
            stays = _with_unreviewed(work, spared)
            if page is None and is_event:
                page = sighted(store, batch)
            current = with_events(page, bench, self._events, acting=True) if page is not None else None
            try:
                admit = partial(self._admit, work, stays, current, seen)
                intent = self._journal.turn(closing, (bench.category, bench.rule.name, batch), admit)
            except FactsNeeded:
                page = sighted(store, batch)
            except Stale:
                pass
            else:
                assert intent is not None
                return intent, batch
        raise StoreUnavailable("events or reviews are recorded faster than they can be read", do="try again later")

    def _admit(
        self, work: Work, stays: Sequence[Settled], page: Page | None, seen: tuple[int, int], registers: Registers
    ) -> Admission:
        """Which positions may go, by the registers of this transaction; those in `stays` do not."""
        bench, batch = work.bench, work.batch
        is_event = bench.rule.start.kind == "event"
        if work.seen(registers) != seen:
            raise Stale
        facts = page.facts if page is not None else {}
        holds = self._holds(bench, registers)
        kept = {i for s in stays for i in s.positions}
        everyone: Sequence[int] = [i for i in range(len(batch)) if i not in kept] if kept else range(len(batch))
        held: Collection[int] = holds.covered(batch.keys, facts, everyone) if holds else ()
        if work.again is not None:
            held = work.again.joined(batch, held) - kept
        held = batch.whole(held) - kept if batch.parents else held
        spared = [*stays, Settled(sorted(held), Outcome.HELD)] if held else [*stays]
        admitted: Sequence[int] = [i for i in everyone if i not in held] if held else everyone
        if is_event and page is not None:
            forbid = bench.rule.forbid
            due = bench.still_due(page.starts) if forbid is None else forbid.still_due(page)
            undue = {i for i in admitted if not due[i] and page.revisions[i] is not None and not _is_led(batch, page, i)}
            withdrawn = [i for i in admitted if i in batch.whole(undue)] if undue else []
            if withdrawn:
                spared.append(Settled(withdrawn, Outcome.CHANGED, "event-gone" if forbid is None else "event-came"))
                gone = set(withdrawn)
                admitted = [i for i in admitted if i not in gone]
        predicates = holds.narrowed(batch.keys, facts) if holds else ()
        return Admission(admitted, spared, predicates)

    def _holds(self, bench: Bench, registers: Registers) -> HoldIndex:
        """The holds that concern a rule, arranged anew only when the register has changed."""
        name = (bench.category, bench.rule.name)
        known = self._indexes.get(name)
        if known is None or known[0] != registers.last_hold:
            known = (registers.last_hold, HoldIndex(registers.holds, bench.category, bench.rule))
            self._indexes[name] = known
        return known[1]

    def _act(self, work: Work, batch: Batch, store: Store, intent: Intent) -> _Turned:
        """Lets the admitted positions go, and gathers what became of each."""
        counts: Counter[str] = Counter()
        for s in intent.admission.spared:
            counts[s.outcome.value] += len(s.positions)
        result = Result(work, counts)
        if intent.index < 0:
            return _Turned(result, batch, None)
        batch = _with_predicates(batch, intent.admission)
        settled: list[Settled] = []
        inferred: Sequence[int] = ()
        try:
            settled.extend(store.dispose(batch))
        except (StoreUnavailable, StoreDenied) as error:
            result.trouble = error
            self._lose(batch.store, error)
        missing = _unsettled(len(batch), settled)
        if missing:
            looked = self._look_at(store, batch, missing)
            if looked is None:
                counts["unknown"] += len(batch)
                return _Turned(result, batch, None)
            settled += looked
            inferred = [i for s in looked if s.outcome is Outcome.DISPOSED for i in s.positions]
        for s in settled:
            counts[s.outcome.value] += len(s.positions)
        counts["inferred"] += len(inferred)
        gone = [i for s in settled if s.outcome is Outcome.DISPOSED for i in s.positions]
        return _Turned(result, batch, Closing(intent.index, len(batch), settled, inferred), gone)

    def _look_at(self, store: Store, batch: Batch, positions: Sequence[int]) -> list[Settled] | None:
        """What became of positions that the store said nothing about; None if it cannot be seen."""
        try:
            return inferred_fates(store, batch.only(positions), positions)
        except (StoreUnavailable, StoreDenied):
            return None

    def _look_again(self, turned: _Turned) -> Result:
        """Once more at what was let go, after its outcome was committed."""
        result, gone = turned.result, turned.gone
        if gone and turned.batch.store not in self._lost:
            batch = turned.batch.only(gone)
            try:
                page = sighted(self._open_store(batch.store), batch)
            except (StoreUnavailable, StoreDenied) as error:
                result.trouble = error
                self._lose(batch.store, error)
                return result
            back = _back(batch, page)
            result.looked, result.absent = len(gone), len(gone) - back
            reach("absence-verified")
        return result


def inferred_fates(store: Store, batch: Batch, positions: Sequence[int]) -> list[Settled]:
    """What must have become of a batch that was cut short, by looking: nothing is destroyed.

    Present in its revision: nothing happened. Another revision: changed. Absent: disposed, by
    inference, since an intent of ours stood before it. What was to be anonymised is disposed of
    where it is done now, whatever its revision says; absent, somebody else removed it.
    """
    anonymises = batch.action.anonymises
    if isinstance(store, Restoring):
        store.put_back(batch.scope, batch.keys)
    page = sighted(store, batch)
    fates: dict[tuple[Outcome, str], list[int]] = {}
    for i, (position, now, then) in enumerate(zip(positions, page.revisions, batch.revisions, strict=True)):
        if now is None:
            fate = (Outcome.GONE, "") if anonymises else (Outcome.DISPOSED, "")
        elif anonymises and i in page.done:
            fate = (Outcome.DISPOSED, "")
        elif now == then:
            fate = (Outcome.FAILED, "cut-short")
        else:
            fate = (Outcome.CHANGED, "")
        fates.setdefault(fate, []).append(position)
    return [Settled(found, outcome, code) for (outcome, code), found in fates.items()]


def _with_unreviewed(work: Work, spared: Sequence[Settled]) -> list[Settled]:
    """The spared positions with those that a review does not let go any more, and what stays together with these."""
    found = work.unreviewed()
    if found and work.again is not None:
        found = work.again.joined(work.batch, found)
    found -= {i for s in spared for i in s.positions}
    return [*spared, Settled(sorted(found), Outcome.CHANGED, UNREVIEWED)] if found else [*spared]


def _is_led(batch: Batch, page: Page, i: int) -> bool:
    """Whether an item is due only because another is that it goes with: its rule does not select it."""
    return bool(batch.parents) and batch.parents[i] is not None and page.doubts.get(i) == OUTSIDE


def _back(batch: Batch, page: Page) -> int:
    """How many of a batch that was let go are there again: as they were, or, anonymised, as anything but done."""
    if batch.action.anonymises:
        return sum(now is not None and i not in page.done for i, now in enumerate(page.revisions))
    return sum(map(eq, page.revisions, batch.revisions))


def _with_predicates(batch: Batch, admission: Admission) -> Batch:
    return replace(batch, predicates=admission.predicates).only(admission.admitted)


def _unsettled(size: int, settled: Sequence[Settled]) -> list[int]:
    known = sum(len(s.positions) for s in settled)
    if known == size:
        return []
    told = {i for s in settled for i in s.positions}
    return [i for i in range(size) if i not in told]


def _nothing(_registers: Registers) -> Admission:
    return Admission(())
