"""The company's calendar, laid out backwards from one `now`, so that what is due is a round number on any day."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from retentiond.core.period import Period, instant

LONDON = ZoneInfo("Europe/London")


@dataclass(frozen=True, slots=True)
class Timeline:
    """The days around `now`, in London."""

    now: datetime

    @property
    def today(self) -> date:
        return self.now.astimezone(LONDON).date()

    def ago(self, days: int) -> date:
        """The day so many days before today."""
        return self.today - timedelta(days=days)

    def last_due(self, period: Period) -> date:
        """The newest day whose items a period does not keep any more."""
        days = 0
        while not self._is_over(period, self.ago(days)):
            days += 1
        return self.ago(days)

    def _is_over(self, period: Period, day: date) -> bool:
        end = period.end(moment(day, time(12)), LONDON)
        return end is not None and end <= self.now


def days_between(first: date, last: date, *, open_days: int = 7) -> list[date]:
    """The days from `first` to `last`, both included; of each week the first `open_days` from Monday on."""
    count = (last - first).days + 1
    days = (first + timedelta(days=n) for n in range(count))
    return [day for day in days if day.weekday() < open_days]


def moment(day: date, at: time) -> datetime:
    """The instant (UTC) of a time of day in London."""
    return instant(datetime.combine(day, at), LONDON)


def office_time(rng: random.Random) -> time:
    """A second between eight in the morning and six in the evening, busiest before and after lunch."""
    second = int(rng.triangular(8 * 3600, 18 * 3600, rng.choice((10, 15)) * 3600))
    return time(second // 3600, second // 60 % 60, second % 60)


def office_moments(rng: random.Random, days: Sequence[date], count: int) -> list[datetime]:
    """So many instants (UTC) within office hours of the days, in order."""
    return sorted(moment(day, office_time(rng)) for day in rng.choices(days, k=count))


def utc_text(at: datetime) -> str:
    """An instant as the company's databases write it: UTC, to the second, without a zone."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
