"""What is carried out together, and what came of it.

When a store fails in the middle, the facts it gave stand, and the rest is looked at: what is
still there in its revision did not happen, what is absent (or anonymised, where that was the step)
is `disposed` and marked as inferred.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from operator import eq

from retentiond.core.item import Page
from retentiond.core.ladder import Bench
from retentiond.core.outcome import Outcome, Settled
from retentiond.core.registers import Registers
from retentiond.engine.failpoints import reach
from retentiond.engine.fates import inferred_fates
from retentiond.engine.linked import Sets
from retentiond.engine.ports import Batch, Closing, Intent, Store, sighted
from retentiond.engine.setwise import SecondLook
from retentiond.errors import RetentiondError, StoreDenied, StoreUnavailable

_AWAY = frozenset({Outcome.DISPOSED, Outcome.GONE})


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
        """Whether it is acted on alone: its items go with one another, or are judged together."""
        return self.again is not None or bool(self.batch.parents)


@dataclass(slots=True)
class Result:
    """What came of one batch: counts by outcome (`inferred` are among `disposed`), and what looking again found.

    `why` counts by outcome and code, where a store says why. `stayed` are the positions that are not known to be gone,
    where the work has sets.
    """

    work: Work
    counts: Counter[str]
    looked: int = 0
    absent: int = 0
    trouble: RetentiondError | None = None
    stayed: Sequence[int] = ()
    why: Counter[tuple[str, str]] = field(default_factory=Counter)

    def count(self, settled: Settled) -> None:
        """Counts what became of some positions."""
        self.counts[settled.outcome.value] += len(settled.positions)
        if settled.code:
            self.why[settled.outcome.value, settled.code] += len(settled.positions)


@dataclass(slots=True)
class Turned:
    """A batch between its disposal and the commit of its outcome."""

    result: Result
    batch: Batch
    closing: Closing | None
    gone: Sequence[int] = field(default=())


def told(result: Result, batch: Batch, intent: Intent, settled: list[Settled], store: Store) -> Turned:
    """What became of an intent's items, by what the store has said of some and by looking at the others."""
    counts, inferred = result.counts, list[int]()
    missing = _unsettled(len(batch), settled)
    if missing:
        looked = _looked_at(store, batch, missing)
        if looked is None:
            counts["unknown"] += len(batch)
            return Turned(result, batch, None)
        settled += looked
        inferred = [i for s in looked if s.outcome is Outcome.DISPOSED for i in s.positions]
    for s in settled:
        result.count(s)
    counts["inferred"] += len(inferred)
    disposed = [s.positions for s in settled if s.outcome is Outcome.DISPOSED]
    gone = disposed[0] if len(disposed) == 1 else [i for positions in disposed for i in positions]
    if result.work.sets is not None:
        away = {intent.admission.admitted[i] for s in settled if s.outcome in _AWAY for i in s.positions}
        result.stayed = [i for i in result.stayed if i not in away]
    return Turned(result, batch, Closing(intent.index, len(batch), settled, inferred), gone)


def _looked_at(store: Store, batch: Batch, positions: Sequence[int]) -> list[Settled] | None:
    """What became of positions that the store said nothing about; None if it cannot be seen."""
    try:
        return inferred_fates(store, batch.only(positions), positions)
    except (StoreUnavailable, StoreDenied):
        return None


def looked_again(turned: Turned, store: Store) -> Result:
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


def _back(batch: Batch, page: Page) -> int:
    """How many of a batch that was let go are there again: as they were, or, anonymised, as anything but done."""
    if batch.action.anonymises:
        return sum(now is not None and i not in page.done for i, now in enumerate(page.revisions))
    return sum(map(eq, page.revisions, batch.revisions))


def _unsettled(size: int, settled: Sequence[Settled]) -> list[int]:
    known = sum(len(s.positions) for s in settled)
    if known == size:
        return []
    told = {i for s in settled for i in s.positions}
    return [i for i in range(size) if i not in told]
