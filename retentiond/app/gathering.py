"""Which steps of a plan go together: families, which are not cut, and stretches that their store can let go in one act."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from retentiond.engine.codec import Step
from retentiond.engine.ports import PAGE, Stretch

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


def whole_stretches(blocks: Iterable[list[Step]], stretches: Stretches) -> Iterator[list[Step]]:
    """The same steps, where a stretch is planned as a whole: that one by itself, of any size. The others as they come."""
    known: dict[tuple[str, str], dict[str, Stretch]] = {}
    held: list[Step] = []
    wanted: Stretch | None = None
    for block in blocks:
        rest = block
        while rest:
            if wanted is None:
                at, wanted = _begins(rest, known, stretches)
                if rest[:at]:
                    yield rest[:at]
                rest = rest[at:]
                continue
            more = wanted.items - len(held)
            fitting = _fitting(held[-1:] or rest[:1], rest[:more])
            held, rest = held + rest[:fitting], rest[fitting:]
            if fitting == more or rest:
                yield from [held] if _is(held, wanted) else _cut(held)
                held, wanted = [], None
    yield from _cut(held)


def _begins(
    steps: Sequence[Step], known: dict[tuple[str, str], dict[str, Stretch]], stretches: Stretches
) -> tuple[int, Stretch | None]:
    """Where among some steps a stretch begins, and which; behind the last one where none does."""
    rules = {(step.category, step.rule) for step in (steps[0], steps[-1])}
    if len(rules) == 1 and known.get(rules.pop()) == {}:  # steps of a rule stand together
        return len(steps), None
    for i, step in enumerate(steps):
        name = (step.category, step.rule)
        if name not in known:
            known[name] = {stretch.first: stretch for stretch in stretches(*name)}
        if known[name] and (found := known[name].get(step.key)) is not None:
            return i, found
    return len(steps), None


def _fitting(before: Sequence[Step], steps: Sequence[Step]) -> int:
    """How many of some steps are of the same rule as the one before them."""
    name = (before[0].category, before[0].rule)
    return next((i for i, s in enumerate(steps) if (s.category, s.rule) != name), len(steps))


def _is(steps: Sequence[Step], stretch: Stretch) -> bool:
    return Stretch(steps[0].key, steps[-1].key, len(steps)) == stretch


def _cut(steps: list[Step]) -> Iterator[list[Step]]:
    yield from (steps[first : first + PAGE] for first in range(0, len(steps), PAGE))
