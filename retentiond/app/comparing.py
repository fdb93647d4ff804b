"""What lies between two plans: items newly due, items no longer due, and those due in both.

An item is recognised by a 64-bit digest of its store and key, so that a plan of a million steps
takes eight megabytes to compare. A step of another revision is the same item.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from retentiond.core.versions import Amount
from retentiond.engine.codec import StepLine
from retentiond.engine.ports import PAGE
from retentiond.ledger.plans import PlanFile


@dataclass(slots=True)
class Difference:
    """How one rule differs between two plans, with a few of the keys on each side."""

    newly: Amount = field(default_factory=Amount)
    no_longer: Amount = field(default_factory=Amount)
    both: int = 0
    newly_keys: list[str] = field(default_factory=list)
    no_longer_keys: list[str] = field(default_factory=list)


class _Items:
    """The items of a plan, sorted for looking up."""

    def __init__(self, plan: PlanFile) -> None:
        numbers = array("Q", (_number(step) for step in _steps(plan)))
        self._sorted = array("Q", sorted(numbers))

    def __contains__(self, number: int) -> bool:
        at = bisect_left(self._sorted, number)
        return at < len(self._sorted) and self._sorted[at] == number


def differences(old: PlanFile, new: PlanFile, samples: int) -> dict[tuple[str, str], Difference]:
    """Rule by rule, what `new` would dispose of and `old` would not, and the reverse; with so many keys each."""
    found: dict[tuple[str, str], Difference] = {}
    before, after = _Items(old), _Items(new)
    for step in _steps(new):
        one = found.setdefault((step.category, step.rule), Difference())
        if _number(step) in before:
            one.both += 1
        else:
            _count(one.newly, one.newly_keys, step, samples)
    for step in _steps(old):
        if _number(step) not in after:
            one = found.setdefault((step.category, step.rule), Difference())
            _count(one.no_longer, one.no_longer_keys, step, samples)
    return dict(sorted(found.items()))


def _steps(plan: PlanFile) -> Iterator[StepLine]:
    for block in plan.full(PAGE):
        yield from block


def _number(step: StepLine) -> int:
    name = f"{step.store}\0{step.key}".encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest())


def _count(amount: Amount, keys: list[str], step: StepLine, samples: int) -> None:
    starts: list[datetime | None] = [step.start]
    amount.add(starts, [step.size], [0])
    if len(keys) < samples:
        keys.append(step.key)
