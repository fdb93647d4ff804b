"""What becomes of the steps of one directory, and which of them may be taken at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from retentiond.core.outcome import Outcome, Settled
from retentiond.core.pattern import PathPattern
from retentiond.engine.ports import Batch
from retentiond.stores.paths import Step


class Fates:
    """What has become of the steps of one directory. The last word about a position counts."""

    def __init__(self) -> None:
        self._of: dict[int, tuple[Outcome, str]] = {}

    def settle(self, position: int, outcome: Outcome, code: str = "") -> None:
        """The fate of one position."""
        self._of[position] = (outcome, code)

    def settle_all(self, steps: Iterable[Step], outcome: Outcome, code: str = "") -> None:
        """The same fate for many."""
        self._of.update(dict.fromkeys([position for position, _ in steps], (outcome, code)))

    def unmet(self, steps: Sequence[Step]) -> list[Step]:
        """The steps whose item was not found, or not as it was planned."""
        return [step for step in steps if self._of[step[0]][0] in (Outcome.GONE, Outcome.CHANGED)]

    def any_disposed(self) -> bool:
        """Whether at least one item has gone by our hand."""
        return any(outcome is Outcome.DISPOSED for outcome, _ in self._of.values())

    def settled(self) -> Iterator[Settled]:
        """One fact for each kind of fate."""
        by: dict[tuple[Outcome, str], list[int]] = {}
        for position, fate in self._of.items():
            by.setdefault(fate, []).append(position)
        for (outcome, code), positions in by.items():
            yield Settled(positions, outcome, code)


def sorted_out(parent: str, steps: list[Step], pattern: PathPattern, held: frozenset[int]) -> tuple[list[Step], Fates]:
    """The steps of a directory that may be taken, and the fates of the others."""
    fates = Fates()
    every = pattern.below(parent) == "all"
    if every and not held:
        return steps, fates
    prefix, left = parent and parent + "/", []
    for position, name in steps:
        if position in held:
            fates.settle(position, Outcome.HELD)
        elif not every and pattern.match(prefix + name) is None:
            fates.settle(position, Outcome.CHANGED, "outside")
        else:
            left.append((position, name))
    return left, fates


def held_in(batch: Batch) -> frozenset[int]:
    """The positions that a hold may cover: one whose predicate only a database can evaluate covers every file."""
    everything = frozenset(range(len(batch)))
    return frozenset().union(*(everything if p.positions is None else p.positions for p in batch.predicates))
