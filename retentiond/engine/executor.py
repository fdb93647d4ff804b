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

Where a store recommends several lanes (`Traits.lanes`), batches of one rule are let go, and looked
for once more, side by side, each lane with a handle of its own; 1, 2 and 4 stay with the one thread
that runs the executor. A batch waits for the others where its order may matter: at the begin and
the end of a rule, where items go with one another, where a rule judges all its items together, and
where it names a key that is being acted on.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from operator import eq

from retentiond.core.item import Page
from retentiond.core.ladder import Bench, held_person
from retentiond.core.outcome import Outcome, Settled
from retentiond.core.registers import Registers
from retentiond.core.selector import FactsNeeded, HoldIndex
from retentiond.engine.failpoints import reach
from retentiond.engine.fates import inferred_fates
from retentiond.engine.lanes import Alone, Crew, Lanes
from retentiond.engine.linked import SPARED, Sets
from retentiond.engine.pipeline import with_events
from retentiond.engine.ports import (
    OUTSIDE,
    PAGE,
    Admission,
    Batch,
    Closing,
    Events,
    Intent,
    Journal,
    Stop,
    Store,
    sighted,
)
from retentiond.engine.setwise import SecondLook
from retentiond.errors import RetentiondError, StoreDenied, StoreUnavailable

_TRIES = 10
_AWAY = frozenset({Outcome.DISPOSED, Outcome.GONE})
NOT_ERASABLE = "request"
"""The code of a step that is spared because its item is not about the person any more, or a minimum has come to protect it."""
UNREVIEWED = "review"
"""The code of a step that is spared because a person has taken back or put off what a review had let go."""


@dataclass(frozen=True, slots=True)
class Work:
    """A batch with the rule that it belongs to, ready to judge by. Works of one rule of generations share a second look.

    Works of one category with sets share what is known of them; `numbers` has the set of each position.
    """

    bench: Bench
    batch: Batch
    sizes: Sequence[int] = ()
    again: SecondLook | None = None
    sets: Sets | None = None
    numbers: Sequence[int | None] = ()

    def unreviewed(self) -> set[int]:
        """The positions that a person has not let go, or not any more; none where nobody has to."""
        if not self.reviewed:
            return set()
        decided = self.bench.reviews(self.batch.keys, self.batch.revisions)
        return {i for i, one in enumerate(decided) if one is None or one.until is not None}

    @property
    def reviewed(self) -> bool:
        """Whether it hangs on what a person decided about each item."""
        return self.bench.rule.action.reviewed and self.batch.request is None

    @property
    def event(self) -> tuple[str, str] | None:
        """The category and the name of the event that it hangs on; None where it hangs on none.

        What goes on the ground of an erasure request hangs on its event only where a minimum is counted from it.
        """
        start = self.bench.rule.start
        hangs = start.kind == "event" and (self.batch.request is None or self.bench.minimum is not None)
        return (self.bench.category, start.name) if hangs else None

    @property
    def is_looked_up(self) -> bool:
        """Whether something is looked up for it that may change before its intent commits."""
        return bool(self.event or self.reviewed or self.sets)

    def seen(self, registers: Registers) -> tuple[int, int, int]:
        """The newest entries that what was looked up for it hangs on."""
        event, review = registers.last_event if self.event else -1, registers.last_review if self.reviewed else -1
        return event, review, registers.last_hold if self.sets else -1

    def with_mates(self, positions: Collection[int]) -> set[int]:
        """Some positions with those that belong to the same sets."""
        numbers = {self.numbers[i] for i in positions} - {None} if self.numbers else ()
        return {*positions, *(i for i, number in enumerate(self.numbers) if number in numbers)} if numbers else {*positions}

    @property
    def is_ordered(self) -> bool:
        """Whether it is acted on alone: its items go with one another, or in one act, or are judged together."""
        return self.again is not None or bool(self.batch.parents) or len(self.batch) > PAGE


@dataclass(slots=True)
class Result:
    """What came of one batch: counts by outcome (`inferred` are among `disposed`), and what looking again found.

    `stayed` are the positions that are not known to be gone.
    """

    work: Work
    counts: Counter[str]
    looked: int = 0
    absent: int = 0
    trouble: RetentiondError | None = None
    stayed: Sequence[int] = ()


@dataclass(slots=True)
class _Turned:
    """A batch between its disposal and the commit of its outcome."""

    result: Result
    batch: Batch
    closing: Closing | None
    gone: Sequence[int] = field(default=())


class Stale(Exception):
    """An event or a review was recorded between the look-up and the transaction, so the look-up is repeated."""


class _Halted(Exception):
    """The run ends here by an error; what is left of a batch is left."""


class Executor:
    """Carries out the batches of one run. `open_store` gives the run's handle on a store, `open_lane` a further one."""

    def __init__(
        self,
        open_store: Callable[[str], Store],
        open_lane: Callable[[str], Store],
        journal: Journal,
        events: Events,
        registers: Callable[[], Registers],
        stop: Stop,
    ) -> None:
        self._open_store, self._open_lane = open_store, open_lane
        self._journal, self._events, self._registers, self._stop = journal, events, registers, stop
        self._indexes: dict[tuple[str, str], tuple[int, HoldIndex]] = {}
        self._lost: set[str] = set()
        self._unheard: set[tuple[str, str]] = set()
        self._crews: dict[str, Crew[_Turned | Result]] = {}
        self._crew: Crew[_Turned | Result] = Lanes(partial(open_lane, ""), 0)  # nobody yet
        self._rule: tuple[str, str, str] | None = None
        self._acting: list[Work] = []
        self._acted: deque[_Turned] = deque()
        self._halted = False
        self.stopped: str | None = None
        self.down: dict[str, RetentiondError] = {}

    def run(self, works: Iterable[Work]) -> Iterator[Result]:
        """Carries out the works in their order; yields the result of each once its outcome is committed.

        Whatever is raised here comes when no lane is at work any more.
        """
        try:
            for work in works:
                if not self._is_left_alone(work):
                    yield from self._make_room(work)
                self.stopped = self._stop()
                if self.stopped:
                    break
                if not self._is_left_alone(work):
                    yield from self._begin(work)
            yield from self._drain()
        except BaseException:
            self._halted = True
            raise
        finally:
            for crew in self._crews.values():
                crew.close()

    def _is_left_alone(self, work: Work) -> bool:
        return work.batch.store in self._lost or work.event in self._unheard

    def _lose(self, store: str, error: RetentiondError) -> None:
        """Leaves a store alone for the rest of the run."""
        self._lost.add(store)
        self.down[store] = error

    def _make_room(self, work: Work) -> Iterator[Result]:
        """Waits until a batch may begin beside those that are being acted on."""
        rule = (work.bench.category, work.bench.rule.name, work.batch.store)
        if rule != self._rule:
            yield from self._drain()
            try:
                self._crew = self._crew_for(work.batch.store)
            except (StoreUnavailable, StoreDenied) as error:
                self._lose(work.batch.store, error)
                return
            self._rule = rule
        while self._acting and not self._fits(work):
            while self._acted and not self._crew.is_ready:  # its outcome does not wait for a slow lane
                yield from self._close(self._acted.popleft())
            yield from self._take()
        while len(self._acted) > 1:
            yield from self._close(self._acted.popleft())

    def _crew_for(self, name: str) -> Crew[_Turned | Result]:
        if name not in self._crews:
            store = self._open_store(name)
            lanes = store.traits.lanes
            self._crews[name] = Lanes(partial(self._open_lane, name), lanes) if lanes > 1 else Alone(store)
        return self._crews[name]

    def _fits(self, work: Work) -> bool:
        """Whether a batch may be acted on beside the others: there is a lane for it, and order does not matter."""
        if work.is_ordered or self._acting[-1].is_ordered:
            return False
        if len(self._acting) >= self._crew.widen(len(self._acting) + 1):
            return False
        keys = set(work.batch.keys)
        return all(keys.isdisjoint(other.batch.keys) for other in self._acting)

    def _begin(self, work: Work) -> Iterator[Result]:
        """Commits the intent of a batch, together with the outcome of one that has been acted on, and lets it be acted on."""
        before = self._acted[0] if self._acted else None
        try:
            store = self._open_store(work.batch.store)
            self._crew.widen(1)
            intent, batch = self._intend(work, store, before)
        except (StoreUnavailable, StoreDenied) as error:
            if error.event_store and work.event:
                self._unheard.add(work.event)
                self.down.setdefault(error.event_store, error)
            else:
                self._lose(work.batch.store, error)
            return
        if before is not None:
            self._acted.popleft()
            yield from self._look_again(before)
        self._acting.append(work)
        self._crew.begin(partial(self._act, work, batch, intent))

    def _take(self) -> Iterator[Result]:
        """Takes the crew's next answer: a batch that has been acted on, or a result, which has been looked at again."""
        answer = self._crew.wait()
        result = answer if isinstance(answer, Result) else answer.result
        if result.trouble is not None:
            self._lose(result.work.batch.store, result.trouble)
        if isinstance(answer, Result):
            yield answer
            return
        if result.work.sets is not None:
            result.work.sets.hear(result.work.numbers, result.stayed)
        self._acting = [work for work in self._acting if work is not result.work]
        self._acted.append(answer)

    def _close(self, turned: _Turned) -> Iterator[Result]:
        """Commits an outcome by itself, where no intent goes with it."""
        self._journal.turn(turned.closing, None, _nothing)
        yield from self._look_again(turned)

    def _look_again(self, turned: _Turned) -> Iterator[Result]:
        """Lets the crew look for what was let go, after its outcome was committed; yields what is ready."""
        if not turned.gone or turned.batch.store in self._lost:
            yield turned.result
            return
        self._crew.begin(partial(_looked_again, turned))
        while self._crew.is_ready:
            yield from self._take()

    def _drain(self) -> Iterator[Result]:
        """Waits until every batch has come to its end."""
        while self._acted or self._crew.busy:
            if self._acted:
                yield from self._close(self._acted.popleft())
            else:
                yield from self._take()

    def _intend(self, work: Work, store: Store, before: _Turned | None) -> tuple[Intent, Batch]:
        """Commits the outcome of the batch before and the intent of this one, in one turn."""
        bench, batch = work.bench, work.batch
        closing = before.closing if before is not None else None
        page: Page | None = None
        spared = work.again.spared(store, batch) if work.again is not None else []
        for _ in range(_TRIES):
            registers = self._registers() if work.is_looked_up else Registers()
            seen = work.seen(registers)
            if work.sets is not None:
                work.sets.look(bench.rule.name, work.numbers, registers.holds, self._open_store, self._events)
            stays = _with_stopped(work, _with_unreviewed(work, spared))
            if page is None and (work.event or batch.request is not None):
                page = sighted(store, batch)
            current = with_events(page, bench, self._events, acting=True) if page is not None and work.event else page
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
        self, work: Work, stays: Sequence[Settled], page: Page | None, seen: tuple[int, int, int], registers: Registers
    ) -> Admission:
        """Which positions may go, by the registers of this transaction; those in `stays` do not."""
        bench, batch = work.bench, work.batch
        if work.seen(registers) != seen:
            raise Stale
        facts = page.facts if page is not None else {}
        holds = self._holds(bench, registers)
        kept = {i for s in stays for i in s.positions}
        everyone: Sequence[int] = [i for i in range(len(batch)) if i not in kept] if kept else range(len(batch))
        held: Collection[int] = holds.covered(batch.keys, facts, everyone) if holds else ()
        if batch.request is not None:
            request = dict.fromkeys(everyone, batch.request)
            held = {*held, *held_person(bench.erased, holds, batch.keys, request, everyone)}
        if work.again is not None:
            held = work.again.joined(batch, held) - kept
        held = work.with_mates(held) - kept if work.numbers else held
        held = batch.whole(held) - kept if batch.parents else held
        spared = [*stays, Settled(sorted(held), Outcome.HELD)] if held else [*stays]
        admitted: Sequence[int] = [i for i in everyone if i not in held] if held else everyone
        if page is not None and (work.event or batch.request is not None):
            due, code = _still(bench, batch, page)
            undue = {i for i in admitted if not due[i] and page.revisions[i] is not None and not _is_led(batch, page, i)}
            undue = work.with_mates(undue) if undue else undue
            withdrawn = [i for i in admitted if i in batch.whole(undue)] if undue else []
            if withdrawn:
                spared.append(Settled(withdrawn, Outcome.CHANGED, code))
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

    def _act(self, work: Work, batch: Batch, intent: Intent, store: Store) -> _Turned:
        """Lets the admitted positions go, and gathers what became of each. It may run in a lane, and changes nothing here."""
        counts: Counter[str] = Counter()
        for s in intent.admission.spared:
            counts[s.outcome.value] += len(s.positions)
        gone_before = {i for s in intent.admission.spared if s.outcome is Outcome.GONE for i in s.positions}
        result = Result(work, counts, stayed=[i for i in range(len(work.batch)) if i not in gone_before])
        if intent.index < 0:
            return _Turned(result, batch, None)
        batch = _with_predicates(batch, intent.admission)
        settled: list[Settled] = []
        inferred: Sequence[int] = ()
        try:
            settled.extend(self._until_halted(store.dispose(batch)))
        except (StoreUnavailable, StoreDenied) as error:
            result.trouble = error
        missing = _unsettled(len(batch), settled)
        if missing:
            looked = _looked_at(store, batch, missing)
            if looked is None:
                counts["unknown"] += len(batch)
                return _Turned(result, batch, None)
            settled += looked
            inferred = [i for s in looked if s.outcome is Outcome.DISPOSED for i in s.positions]
        for s in settled:
            counts[s.outcome.value] += len(s.positions)
        counts["inferred"] += len(inferred)
        gone = [i for s in settled if s.outcome is Outcome.DISPOSED for i in s.positions]
        away = {intent.admission.admitted[i] for s in settled if s.outcome in _AWAY for i in s.positions}
        result.stayed = [i for i in result.stayed if i not in away]
        return _Turned(result, batch, Closing(intent.index, len(batch), settled, inferred), gone)

    def _until_halted(self, facts: Iterator[Settled]) -> Iterator[Settled]:
        for fact in facts:
            if self._halted:
                raise _Halted
            yield fact


def _looked_at(store: Store, batch: Batch, positions: Sequence[int]) -> list[Settled] | None:
    """What became of positions that the store said nothing about; None if it cannot be seen."""
    try:
        return inferred_fates(store, batch.only(positions), positions)
    except (StoreUnavailable, StoreDenied):
        return None


def _looked_again(turned: _Turned, store: Store) -> Result:
    """Once more at what was let go."""
    result, gone = turned.result, turned.gone
    batch = turned.batch.only(gone)
    try:
        page = sighted(store, batch)
    except (StoreUnavailable, StoreDenied) as error:
        result.trouble = error
        return result
    back = _back(batch, page)
    result.looked, result.absent = len(gone), len(gone) - back
    reach("absence-verified")
    return result


def _with_unreviewed(work: Work, spared: Sequence[Settled]) -> list[Settled]:
    """The spared positions with those that a review does not let go any more, and what stays together with these."""
    found = work.unreviewed()
    if found and work.again is not None:
        found = work.again.joined(work.batch, found)
    found -= {i for s in spared for i in s.positions}
    return [*spared, Settled(sorted(found), Outcome.CHANGED, UNREVIEWED)] if found else [*spared]


def _still(bench: Bench, batch: Batch, page: Page) -> tuple[list[bool], str]:
    """Which items may go by the ground on which the plan has them, as they are now, and the code of those that may not."""
    if batch.request is not None:
        return bench.still_erasable(page, batch.request), NOT_ERASABLE
    if bench.rule.forbid is not None:
        return bench.rule.forbid.still_due(page), "event-came"
    return bench.still_due(page.starts), "event-gone"


def _with_stopped(work: Work, spared: Sequence[Settled]) -> list[Settled]:
    """The spared positions with those of which another item of the set has stayed or stays."""
    found = work.sets.spared(work.numbers) - {i for s in spared for i in s.positions} if work.sets is not None else ()
    return [*spared, Settled(sorted(found), Outcome.CHANGED, SPARED)] if found else [*spared]


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
