"""What really happened to one step. Announced after it is a fact, never before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """The fate of one step.

    `gone` means that it was absent before we did anything; `disposed` that we destroyed it.
    Neither ever stands for the other. `installed`: a bucket lets items go by itself from now on.
    """

    DISPOSED = "disposed"
    GONE = "gone"
    CHANGED = "changed"
    HELD = "held"
    LOCKED = "locked"
    FAILED = "failed"
    UNKNOWN = "unknown"
    INSTALLED = "installed"


@dataclass(frozen=True, slots=True)
class Settled:
    """Positions of a batch whose fate is now a fact that survives a power cut.

    `code` is a fixed word for the reason, never a driver's text.
    """

    positions: Sequence[int]
    outcome: Outcome
    code: str = ""


COUNTED = ("disposed", "inferred", "gone", "changed", "held", "locked", "failed", "unknown")
"""The counts of a run, in the order in which they are shown; `inferred` are among `disposed`."""
_RARE = ("installed",)


def counted(counts: Mapping[str, int]) -> dict[str, int]:
    """The counts of a run in their order: zeros too, but for what few runs ever do."""
    return {name: counts.get(name, 0) for name in COUNTED} | {name: counts[name] for name in _RARE if counts.get(name)}
