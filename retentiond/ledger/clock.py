"""Whether the clock can be trusted: it may not go back, and may not run ahead of the uptime.

Everything that is due is due by the clock. A clock that was set a year ahead would make a year's
data due, so a reading that differs by more than a minute from what the ledger expects stops all
acting until a person accepts it. Within one boot the expectation is the last reading plus the
time that has passed by the boot clock, which nobody can set; across boots only going back shows.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

TOLERANCE = 60_000_000
"""A step of so many microseconds or fewer is slewing."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The clock at one instant: wall time and uptime in microseconds, and which boot it is."""

    wall: int
    uptime: int
    boot: str

    @property
    def now(self) -> datetime:
        return moment(self.wall)


def step(last: str | None, reading: Reading) -> int:
    """By how many microseconds the clock differs from what was to be expected; 0 within the tolerance."""
    if last is None:
        return 0
    before = Reading(**json.loads(last))
    if _same_boot(before, reading):
        difference = (reading.wall - before.wall) - (reading.uptime - before.uptime)
    else:
        difference = min(0, reading.wall - before.wall)
    return difference if abs(difference) > TOLERANCE else 0


def _same_boot(before: Reading, reading: Reading) -> bool:
    """Where a boot is not known, an uptime that went on is taken for the same boot: it may refuse too much, never too little."""
    if before.boot and reading.boot:
        return before.boot == reading.boot
    return reading.uptime >= before.uptime


def stored(reading: Reading) -> str:
    """A reading as the ledger keeps it."""
    return json.dumps(asdict(reading))


def moment(micros: int) -> datetime:
    """Microseconds since 1970 as an aware instant."""
    seconds, rest = divmod(micros, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)


def micros(at: datetime) -> int:
    """An aware instant as microseconds since 1970, exactly."""
    whole = at.astimezone(UTC).replace(tzinfo=None) - datetime(1970, 1, 1)  # noqa: DTZ001 both sides are UTC
    return (whole.days * 86_400 + whole.seconds) * 1_000_000 + whole.microseconds
