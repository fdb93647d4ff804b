"""What a store can let go in one act, of any size: its items are gone through in parts, and never held together.

A plan may have all the items of a stretch (`Partitioned`). Then they are read from it twice: to see that they are
just those and that no hold covers one, and to make their references; and to record what came of them, and to look
for each once more. The intents, one for each part, commit in one transaction while the store
keeps everybody else out, after it has compared and last before it lets go; the holds are those that were looked at, or
nothing goes.

Where one of this is not so, nothing was written and nothing touched, and the rows go as any others do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from retentiond.core.ladder import Bench
from retentiond.core.registers import Registers
from retentiond.core.selector import FactsNeeded, HoldIndex, Predicate
from retentiond.engine.ports import PAGE, Batch, Gathered, Journal, Likeness, Partitioned, Scope, Store, Stretch, sighted
from retentiond.engine.work import Work
from retentiond.errors import StoreDenied, StoreUnavailable

PART = 5 * PAGE
"""So many items share an intent here: the positions of all of them, told twice, fit into the entry of an outcome."""


@dataclass(slots=True)
class Mass:
    """Steps of a plan that seem to be a stretch of their store. `parts` reads them anew, in works of at most so many.

    `others` are the first keys of the further stretches. `taken` says that all its items have been acted on; otherwise none.
    """

    bench: Bench
    scope: Scope
    stretch: Stretch
    others: frozenset[str]
    parts: Callable[[int], Iterator[Work]]
    taken: bool = False

    @property
    def store(self) -> str:
        return self.bench.rule.store


@dataclass(frozen=True, slots=True)
class Attempt:
    """One act with its intents. `trouble` is None where it is a fact, `StoreDenied` where nothing went, else nobody knows."""

    intents: Sequence[int]
    predicates: tuple[Predicate, ...]
    trouble: StoreUnavailable | StoreDenied | None = None


class Stale(Exception):
    """A hold was placed or released between the look-up and the transaction."""


def attempt(mass: Mass, store: Store, journal: Journal, holds: HoldIndex, last_hold: int) -> Attempt | None:
    """Lets all of it go in one act, if that may be; None where nothing was begun. `last_hold` is that of `holds`."""
    if not isinstance(store, Partitioned):
        return None
    intents: list[int] = []

    def unchanged(registers: Registers) -> None:
        if registers.last_hold != last_hold:
            raise Stale

    with journal.gather(mass.bench.category, mass.bench.rule.name) as gathered:
        found = _gone_through(mass, store, holds, gathered)
        if found is None:
            return None
        likeness, predicates = found
        try:
            agree = lambda: intents.extend(gathered.commit(unchanged))  # noqa: E731 it is called once, in the store's act
            gone = store.let_go_whole(mass.scope, mass.stretch, likeness, predicates, agree)
        except Stale:
            return None
        except (StoreUnavailable, StoreDenied) as error:
            if not intents:
                raise
            return Attempt(intents, predicates, error)
    return Attempt(intents, predicates) if gone else None


def _gone_through(
    mass: Mass, store: Store, holds: HoldIndex, gathered: Gathered
) -> tuple[Likeness, tuple[Predicate, ...]] | None:
    """What the steps are like, and the predicates of all of them; None where they cannot go in one act."""
    items, likeness, predicates = 0, Likeness(), tuple[Predicate, ...]()
    last = ""
    for work in mass.parts(PART):
        batch = work.batch
        if work.bench is not mass.bench or work.is_looked_up or batch.request is not None or batch.parents:
            return None
        if (not items and batch.keys[0] != mass.stretch.first) or not mass.others.isdisjoint(batch.keys):
            return None
        asked = _asked(store, batch, holds)
        if asked is None:
            return None
        predicates, last = asked, batch.keys[-1]
        items, likeness = items + len(batch), likeness.plus(batch.revisions)
        gathered.add(batch)
    return (likeness, predicates) if (items, last) == (mass.stretch.items, mass.stretch.last) else None


def _asked(store: Store, batch: Batch, holds: HoldIndex) -> tuple[Predicate, ...] | None:
    """The predicates that the store has to ask of every item; None where a hold covers one, or asks of some only."""
    try:
        covered, predicates = holds.covered(batch.keys, {}, range(len(batch))), holds.narrowed(batch.keys, {})
    except FactsNeeded:
        facts = sighted(store, batch).facts
        covered, predicates = holds.covered(batch.keys, facts, range(len(batch))), holds.narrowed(batch.keys, facts)
    return None if covered or any(p.positions is not None for p in predicates) else predicates
