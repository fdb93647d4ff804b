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
where it names a key that is being acted on. What goes in one act (`wholesale`) goes alone, in the one thread.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from retentiond.core.item import Page
from retentiond.core.ladder import Bench, held_person
from retentiond.core.outcome import Outcome, Settled
from retentiond.core.registers import Registers
from retentiond.core.selector import FactsNeeded, HoldIndex
from retentiond.engine.lanes import Alone, Crew, Lanes
from retentiond.engine.linked import SPARED
from retentiond.engine.pipeline import with_events
from retentiond.engine.ports import (
    OUTSIDE,
    Admission,
    Batch,
    Events,
    Intent,
    Journal,
    Paced,
    Stop,
    Store,
    sighted,
)
from retentiond.engine.wholesale import PART, Attempt, Mass, attempt
from retentiond.engine.work import Result, Turned, Work, looked_again, told
from retentiond.errors import RetentiondError, StoreDenied, StoreUnavailable

_TRIES = 10
NOT_ERASABLE = "request"
"""The code of a step that is spared because its item is not about the person any more, or a minimum has come to protect it."""
UNREVIEWED = "review"
"""The code of a step that is spared because a person has taken back or put off what a review had let go."""


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
        self._crews: dict[str, Crew[Turned | Result]] = {}
        self._crew: Crew[Turned | Result] = Lanes(partial(open_lane, ""), 0)  # nobody yet
        self._rule: tuple[str, str, str] | None = None
        self._acting: list[Work] = []
        self._acted: deque[Turned] = deque()
        self._halted, self._aside = False, ThreadPoolExecutor(1, "references")
        self.stopped: str | None = None
        self.down: dict[str, RetentiondError] = {}

    def run(self, works: Iterable[Work | Mass]) -> Iterator[Result]:
        """Carries out the works in their order; yields the result of each once its outcome is committed.

        Whatever is raised here comes when no lane is at work any more.
        """
        try:
            with self._aside:
                yield from self._carry_out(works)
            yield from self._drain()
        except BaseException:
            self._halted = True
            raise
        finally:
            for crew in self._crews.values():
                crew.close()

    def _carry_out(self, works: Iterable[Work | Mass]) -> Iterator[Result]:
        for work, references in self._ahead(works):
            if isinstance(work, Mass):
                yield from self._at_once(work)
                if self.stopped:
                    return
                continue
            if not self._is_left_alone(work):
                yield from self._make_room(work)
                yield from self._wait_for_others(work.batch.store)
            self.stopped = self._stop()
            if self.stopped:
                return
            if not self._is_left_alone(work):
                yield from self._begin(work, references.result())

    def _ahead(self, works: Iterable[Work | Mass]) -> Iterator[tuple[Work | Mass, Future[bytes]]]:
        """Each work with its references, which are made while the one before it waits for the disk or for a lane."""
        before: tuple[Work | Mass, Future[bytes]] | None = None
        for work in works:
            if before is not None:
                yield before
            if isinstance(work, Mass):  # what follows depends on what becomes of it
                before = None
                yield work, Future()
            else:
                before = work, self._aside.submit(self._journal.references, work.bench.category, work.batch)
        if before is not None:
            yield before

    def _wait_for_others(self, name: str) -> Iterator[Result]:
        """Lets those who follow a store catch up while no intent is open, so that holds are placed and a stop is heard."""
        try:
            store = self._open_store(name)
            if isinstance(store, Paced) and store.is_behind():
                yield from self._drain()
                store.catch_up()
        except (StoreUnavailable, StoreDenied) as error:
            self._lose(name, error)

    def _at_once(self, mass: Mass) -> Iterator[Result]:
        """Lets a whole stretch go in one act, while no lane is at work; where that may not be, its items come as any others."""
        yield from self._drain()
        yield from self._wait_for_others(mass.store)
        self.stopped = self._stop()
        if self.stopped or mass.store in self._lost:
            return
        yield from self._turn_to(mass.bench)
        try:
            store = self._open_store(mass.store)
            self._crew.widen(1)
            registers = self._registers()
            done = attempt(mass, store, self._journal, self._holds(mass.bench, registers), registers.last_hold)
        except (StoreUnavailable, StoreDenied) as error:
            self._lose(mass.store, error)
            return
        if done is None:
            return
        mass.taken = True
        for index, work in zip(done.intents, mass.parts(PART), strict=True):
            yield from self._close(self._of_mass(done, index, work, store))
            yield from self._drain()
        if isinstance(done.trouble, StoreUnavailable):
            self._lose(mass.store, done.trouble)

    def _of_mass(self, done: Attempt, index: int, work: Work, store: Store) -> Turned:
        """One part of what went in one act; where the store has refused that in the end, its items go as any others."""
        everyone = range(len(work.batch))
        intent = Intent(index, Admission(everyone, (), done.predicates))
        if isinstance(done.trouble, StoreDenied):
            return self._act(work, work.batch, intent, store)
        facts = [Settled(everyone, Outcome.DISPOSED)] if done.trouble is None else []
        return told(Result(work, Counter(), stayed=everyone), work.batch, intent, facts, store)

    def _is_left_alone(self, work: Work) -> bool:
        return work.batch.store in self._lost or work.event in self._unheard

    def _lose(self, store: str, error: RetentiondError) -> None:
        """Leaves a store alone for the rest of the run."""
        self._lost.add(store)
        self.down[store] = error

    def _make_room(self, work: Work) -> Iterator[Result]:
        """Waits until a batch may begin beside those that are being acted on."""
        yield from self._turn_to(work.bench)
        while self._acting and not self._fits(work):
            while self._acted and not self._crew.is_ready:  # its outcome does not wait for a slow lane
                yield from self._close(self._acted.popleft())
            yield from self._take()
        while len(self._acted) > 1:
            yield from self._close(self._acted.popleft())

    def _turn_to(self, bench: Bench) -> Iterator[Result]:
        """Begins a rule when the one before has ended."""
        rule = (bench.category, bench.rule.name, bench.rule.store)
        if rule == self._rule:
            return
        yield from self._drain()
        try:
            self._crew = self._crew_for(bench.rule.store)
        except (StoreUnavailable, StoreDenied) as error:
            self._lose(bench.rule.store, error)
        else:
            self._rule = rule

    def _crew_for(self, name: str) -> Crew[Turned | Result]:
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

    def _begin(self, work: Work, references: bytes) -> Iterator[Result]:
        """Commits the intent of a batch, together with the outcome of one that has been acted on, and lets it be acted on."""
        before = self._acted[0] if self._acted else None
        try:
            store = self._open_store(work.batch.store)
            self._crew.widen(1)
            intent, batch = self._intend(work, references, store, before)
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

    def _close(self, turned: Turned) -> Iterator[Result]:
        """Commits an outcome by itself, where no intent goes with it."""
        self._journal.turn(turned.closing, None, _nothing)
        yield from self._look_again(turned)

    def _look_again(self, turned: Turned) -> Iterator[Result]:
        """Lets the crew look for what was let go, after its outcome was committed; yields what is ready."""
        if not turned.gone or turned.batch.store in self._lost:
            yield turned.result
            return
        self._crew.begin(partial(looked_again, turned))
        while self._crew.is_ready:
            yield from self._take()

    def _drain(self) -> Iterator[Result]:
        """Waits until every batch has come to its end."""
        while self._acted or self._crew.busy:
            if self._acted:
                yield from self._close(self._acted.popleft())
            else:
                yield from self._take()

    def _intend(self, work: Work, references: bytes, store: Store, before: Turned | None) -> tuple[Intent, Batch]:
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
                intent = self._journal.turn(closing, (bench.category, bench.rule.name, batch, references), admit)
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
        if holds and batch.action.kind == "lifecycle":
            held = everyone  # a bucket asks nobody, so that any hold that may mean something there stops it
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

    def _act(self, work: Work, batch: Batch, intent: Intent, store: Store) -> Turned:
        """Lets the admitted positions go, and gathers what became of each. It may run in a lane, and changes nothing here."""
        gone_before = {i for s in intent.admission.spared if s.outcome is Outcome.GONE for i in s.positions}
        everyone = range(len(work.batch))
        stayed = [i for i in everyone if i not in gone_before] if gone_before else everyone
        result = Result(work, Counter(), stayed=stayed)
        for s in intent.admission.spared:
            result.count(s)
        if intent.index < 0:
            return Turned(result, batch, None)
        batch = _with_predicates(batch, intent.admission)
        settled: list[Settled] = []
        try:
            settled.extend(self._until_halted(store.dispose(batch)))
        except (StoreUnavailable, StoreDenied) as error:
            result.trouble = error
        return told(result, batch, intent, settled, store)

    def _until_halted(self, facts: Iterator[Settled]) -> Iterator[Settled]:
        for fact in facts:
            if self._halted:
                raise _Halted
            yield fact


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


def _with_predicates(batch: Batch, admission: Admission) -> Batch:
    return replace(batch, predicates=admission.predicates).only(admission.admitted)


def _nothing(_registers: Registers) -> Admission:
    return Admission(())
