"""Which steps of a plan go together: families, which are not cut, and stretches that their store can let go in one act."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from retentiond.engine.codec import Step
from retentiond.engine.ports import Stretch

Blocks = Callable[[int], Iterable[list[Step]]]
"""The steps of a plan from a number on."""
Stretches = Callable[[str, str], Sequence[Stretch]]
"""The stretches of the store of a rule, by its category and its name."""


def whole_families(blocks: Iterable[list[Step]]) -> Iterator[list[Step]]:
    """The same steps, cut only where a family ends: its last step has no parent."""
    held: list[Step] = []
    for block in blocks:
        rest = block
        if held:
            first = next((i + 1 for i, s in enumerate(rest) if s.parent is None), len(rest))
            held, rest = held + rest[:first], rest[first:]
            if held[-1].parent is None:
                yield held
                held = []
        end = len(rest)
        while end and rest[end - 1].parent is not None:
            end -= 1
        if end:
            yield rest[:end]
        held = held + rest[end:]
    if held:
        yield held


@dataclass(slots=True)
class Whole:
    """The first of the steps that seem to be a stretch of their store, and the first keys of its others.

    `taken` is for whoever is given it to say: that all of its steps have been seen to.
    """

    step: Step
    stretch: Stretch
    others: frozenset[str]
    taken: bool = False


def whole_stretches(read: Blocks, stretches: Stretches) -> Iterator[list[Step] | Whole]:
    """The steps; in the place of those that begin like a stretch, that, and where it is not taken, they come after it."""
    known: dict[tuple[str, str], dict[str, Stretch]] = {}
    here: int | None = 1
    while here is not None:
        found: Whole | None = None
        for block in read(here):
            at, found = _begins(block, known, stretches)
            if block[:at]:
                yield block[:at]
            if found is not None:
                yield found
                break
        here = None
        if found is not None and found.taken:
            here = found.step.n + found.stretch.items
        elif found is not None:
            here = found.step.n
            del known[found.step.category, found.step.rule][found.step.key]


def _begins(
    steps: Sequence[Step], known: dict[tuple[str, str], dict[str, Stretch]], stretches: Stretches
) -> tuple[int, Whole | None]:
    """Where among some steps a stretch begins, and which; behind the last one where none does."""
    rules = {(step.category, step.rule) for step in (steps[0], steps[-1])}
    if len(rules) == 1 and known.get(rules.pop()) == {}:  # steps of a rule stand together
        return len(steps), None
    for i, step in enumerate(steps):
        name = (step.category, step.rule)
        if name not in known:
            known[name] = {stretch.first: stretch for stretch in stretches(*name)}
        if known[name] and (found := known[name].get(step.key)) is not None:
            return i, Whole(step, found, frozenset(known[name].keys() - {step.key}))
    return len(steps), None
