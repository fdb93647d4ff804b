"""Calendar periods: when a period that began at some instant is over.

The rules (POLICY: "Periods"; the corresponding-date rule of Regulation (EEC, Euratom)
No 1182/71, Article 3):

- Civil units (days, weeks, months, years) are added once, in civil dates of a zone, months
  first, clamped to the end of the month: 31 January + 1 month = 28 February.
- Then hours and minutes are added exactly.
- A period without hours or minutes ends with the end of its last day, so what it keeps is
  due at the next midnight. `immediately` is over at once, `forever` never.
- A civil time that a clock change leaves out becomes the first instant after the gap; one
  that occurs twice means the later one, because later is the side that keeps. Midnight is no
  exception: the Azores and Cuba have two of them each autumn.

Starts are aware datetimes, answers are UTC. Where the calendar ends (year 9999) a period has
no end, and what has no end is never due.

`start + P <= now` is the question. `start <= now - P` is another one, with other answers.
"""

from __future__ import annotations

import calendar
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)
"""A date before this is a missing date in disguise (epoch zero, an unset clock)."""

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """A sum of civil units and exact minutes, or for ever. All zero means `immediately`.

    `words` is how it was written, for people. `ValueError` for a negative part, which would
    make things due before they began.
    """

    months: int = 0
    days: int = 0
    minutes: int = 0
    forever: bool = False
    words: str = "immediately"

    def __post_init__(self) -> None:
        if min(self.months, self.days, self.minutes) < 0:
            raise ValueError("a period is never negative")

    @property
    def is_civil(self) -> bool:
        """Whether it ends with the end of a civil day."""
        return not self.minutes and bool(self.months or self.days)

    def end(self, start: datetime, zone: ZoneInfo) -> datetime | None:
        """The instant (UTC) at which the period is over; None for never, or beyond the calendar.

        `TypeError` for a start without a zone: what it means would depend on the machine.
        """
        if start.utcoffset() is None:
            raise TypeError("a start is an aware datetime")
        if self.forever:
            return None
        try:
            if not (self.months or self.days):
                return start.astimezone(UTC) + timedelta(minutes=self.minutes)
            civil = start.astimezone(zone)
            last = self._last_day(civil.date())
            if self.is_civil:
                return instant(datetime.combine(last + _DAY, time()), zone)
            return instant(datetime.combine(last, civil.time()), zone) + timedelta(minutes=self.minutes)
        except (OverflowError, ValueError):
            return None

    def _last_day(self, day: date) -> date:
        return add_months(day, self.months) + timedelta(days=self.days)

    def plus_day(self) -> Period:
        """One day longer: the default deletion period of a retention period. For ever stays for ever."""
        if self.forever:
            return self
        words = "1 day" if self == IMMEDIATELY else f"{self.words} 1 day"
        return Period(self.months, self.days + 1, self.minutes, words=words)


IMMEDIATELY = Period()
FOREVER = Period(forever=True, words="forever")


def add_months(day: date, months: int) -> date:
    """The same day of the month, `months` later, clamped to the month's end; an error beyond the calendar."""
    if not months:
        return day
    index = day.year * 12 + day.month - 1 + months
    year, month = index // 12, index % 12 + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def instant(civil: datetime, zone: ZoneInfo) -> datetime:
    """The instant (UTC) that a naive civil time denotes in a zone; gap and fold as said above.

    `OverflowError` beyond the calendar.
    """
    early = civil.replace(tzinfo=zone, fold=0).astimezone(UTC)
    late = civil.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if late >= early:
        return late
    return _end_of_gap(late, early, zone)


def _end_of_gap(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The transition between two instants: the first second with the new offset.

    A clock changes on a whole second of UTC (RFC 9636), whatever the offsets are.
    """
    new = after.astimezone(zone).utcoffset()
    seconds = range(int((after - before).total_seconds()) + 1)
    step = _first(seconds, lambda s: (before + timedelta(seconds=s)).astimezone(zone).utcoffset() == new)
    return before.replace(microsecond=0) + timedelta(seconds=step)


def _first(numbers: range, holds: Callable[[int], bool]) -> int:
    """The first number for which `holds`, which holds for all after it."""
    low, high = numbers.start, numbers.stop - 1
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def first_instant(day: date, zone: ZoneInfo) -> datetime:
    """The first instant (UTC) of a civil day, or after it where the zone left the whole day out."""
    early = datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
    late = datetime.combine(day, time(), tzinfo=zone).replace(fold=1).astimezone(UTC)
    return early if late >= early else _end_of_gap(late, early, zone)


def last_instant(day: date, zone: ZoneInfo) -> datetime:
    """The last microsecond (UTC) of a civil day: what a DATE without a time denotes."""
    return instant(datetime.combine(day, time.max), zone)


class DueDates:
    """When a period is over, for many starts in one zone.

    For a civil period every start of one civil day has the same answer, so it is worked out
    once a day and looked up by bisection over the midnights met so far.
    """

    def __init__(self, period: Period, zone: ZoneInfo) -> None:
        self.period, self.zone = period, zone
        self._midnights: list[datetime] = []
        self._days: list[tuple[datetime, datetime, datetime | None]] = []

    def of(self, start: datetime) -> datetime | None:
        """When the period that began at `start` is over; None for never."""
        return self.period.end(start, self.zone)

    def each(self, starts: Iterable[datetime | None]) -> list[datetime | None]:
        """`of` for each start; None where the start is None or the period never ends."""
        if not self.period.is_civil:
            return [None if start is None else self.of(start) for start in starts]
        low = high = EARLIEST
        due: datetime | None = None
        answers: list[datetime | None] = []
        for start in starts:
            if start is None:
                answers.append(None)
                continue
            if not low <= start < high:
                low, high, due = self._day(start)
            answers.append(due)
        return answers

    def _day(self, start: datetime) -> tuple[datetime, datetime, datetime | None]:
        """The stretch of one civil day that holds `start`, end excluded, and the answer for all of it.

        It runs from the later midnight to the earlier one; where the clock goes back over
        midnight, what lies between the two is worked out one by one.
        """
        at = bisect_right(self._midnights, start) - 1
        if at >= 0 and start < self._days[at][1]:
            return self._days[at]
        due = self.of(start)
        try:
            day = start.astimezone(self.zone).date()
            found = (instant(datetime.combine(day, time()), self.zone), first_instant(day + _DAY, self.zone), due)
        except OverflowError:
            return (start, start, due)
        if not found[0] <= start < found[1]:
            return (start, start, due)
        self._midnights.insert(at + 1, found[0])
        self._days.insert(at + 1, found)
        return found
