"""When which category is to be looked at: a thin edge over APScheduler.

Its memory job store is rebuilt from the rulebook, so that nothing is scheduled that the rulebook does
not say. What comes is only named (`wake`); running it is not the scheduler's. It has no thread of
its own: the daemon's loop turns it, so that a loop that hangs shows, and a clock that jumps or a
machine that slept is noticed within a turn. An instant that was missed comes once, late.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.triggers.base import BaseTrigger

from retentiond.config.schedule import Schedule, next_after


class Coming(BaseTrigger):  # type: ignore[misc]  # APScheduler ships no types
    """A schedule in the rulebook's zone; `anchor` is what `every` counts from."""

    def __init__(self, schedule: Schedule, zone: ZoneInfo, anchor: datetime) -> None:
        self._schedule, self._zone, self._anchor = schedule, zone, anchor

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        after = now if previous_fire_time is None else max(previous_fire_time, now)
        return next_after(self._schedule, self._zone, after.astimezone(UTC), self._anchor)


class Timetable(BaseScheduler):  # type: ignore[misc]  # APScheduler ships no types
    """Names each category when it comes."""

    def __init__(self, wake: Callable[[str], None]) -> None:
        defaults = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        super().__init__(timezone=UTC, job_defaults=defaults, executors={"default": DebugExecutor()})
        self._wake = wake
        self.start()

    def wakeup(self) -> None:
        """The loop turns anyway."""

    def shutdown(self, wait: bool = True) -> None:
        """There is nothing to end."""

    def fill(self, schedules: Mapping[str, Schedule], zone: ZoneInfo, anchors: Mapping[str, datetime]) -> None:
        """Forgets everything, and takes these categories."""
        self.remove_all_jobs()
        for name, schedule in schedules.items():
            self.add_job(self._wake, Coming(schedule, zone, anchors[name]), args=[name], id=name)

    def turn(self) -> float:
        """Names whatever has come; the seconds until something comes next, at most an hour."""
        wait: float | None = self._process_jobs()
        return 3600.0 if wait is None else min(wait, 3600.0)

    def coming(self) -> dict[str, datetime]:
        """When each category comes next."""
        return {job.id: job.next_run_time for job in self.get_jobs()}
