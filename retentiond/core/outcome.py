"""What really happened to one step. Announced after it is a fact, never before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """The fate of one step.

    `gone` means that it was absent before we did anything; `disposed` that we destroyed it.
    Neither ever stands for the other.
    """

    DISPOSED = "disposed"
    GONE = "gone"
    CHANGED = "changed"
    HELD = "held"
    LOCKED = "locked"
    FAILED = "failed"
    UNKNOWN = "unknown"


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
