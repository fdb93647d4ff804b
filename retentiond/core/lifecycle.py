"""A bucket's own rule in the place of our deletions: what it is to do, and what has gone since, counted by days.

A bucket lets an object go at the first midnight (UTC) after so many days from its last modification (Amazon S3, "Setting
lifecycle configuration on a bucket"). In another zone a civil day ends at another hour, so that one day more is asked for:
never too early is what counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from retentiond.core.period import Period

ABSENT = "absent"
"""The state of a bucket that has no rule of ours."""
_SAME = frozenset({"UTC", "Etc/UTC", "GMT", "Etc/GMT"})


@dataclass(frozen=True, slots=True)
class Expiry:
    """A rule of a bucket's own: its name there, and after how many days from the last modification it lets objects go."""

    name: str
    days: int

    @property
    def key(self) -> str:
        """What the rule is called where items have keys: in plans and in the audit trail."""
        return f"lifecycle:{self.name}"


def expiry_of(category: str, rule: str, retention: Period, zone: ZoneInfo) -> Expiry:
    """The bucket's rule that stands for a retention period in whole days; `ValueError` for another period."""
    if not retention.days or retention.months or retention.minutes or retention.forever:
        raise ValueError("a bucket counts whole days")
    return Expiry(f"retentiond/{category}/{rule}", retention.days + (zone.key not in _SAME))


def by_day(starts: Iterable[datetime | None]) -> Counter[str]:
    """How many items started on each day (UTC)."""
    return Counter(start.astimezone(UTC).date().isoformat() for start in starts if start is not None)


def gone_since(before: Mapping[str, int], now: Mapping[str, int], days: int, at: datetime) -> tuple[int, int]:
    """How many of the items that were counted are gone: those whose time had come, and those whose time had not.

    Newcomers of the last day that was counted can hide some, so that it is never more than there were.
    """
    today, expired, early = at.astimezone(UTC).date(), 0, 0
    for day, items in before.items():
        left = max(0, items - now.get(day, 0))
        if date.fromisoformat(day) + timedelta(days=days + 1) <= today:
            expired += left
        else:
            early += left
    return expired, early
