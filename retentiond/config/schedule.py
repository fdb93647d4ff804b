"""When a category is looked at: `every 15 minutes`, `daily at 02:00`, `weekly on sunday at 03:00`, cron.

Guarantee: one canonical text for each schedule, which reads back as the same schedule, the
longest time between two runs, by which `check` judges whether a promise can be kept, and the
instants at which it comes (`next_after`). Weekdays in cron are names, because crontab(5) and
schedulers number them differently. Where a cron line restricts both the day of the month and the
weekday, both must hold.

A civil time comes once in a civil day, whatever the clocks do: one that the zone leaves out comes
at the end of the gap, one that it has twice comes the second time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal
from zoneinfo import ZoneInfo

from retentiond.config.suggest import did_you_mean, quoted
from retentiond.config.words import Unreadable
from retentiond.core.period import instant

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SHORT_DAYS = tuple(day[:3] for day in DAYS)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_UNITS: Mapping[str, int] = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_FORMS = "write 'every N seconds|minutes|hours|days', 'daily at HH:MM', 'weekly on DAY at HH:MM' or {cron: \"0 2 * * mon\"}"
_DAY = 1440
_CYCLE = 28 * 366
"""So many days hold every combination of date and weekday."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule: its canonical text, and what a scheduler needs of it.

    `seconds` belongs to `every`; `at` (hour, minute) to `daily` and `weekly`; `day` (0 is
    Monday) to `weekly`; `cron` is the five fields. `longest_gap` is in minutes, rounded up.
    """

    text: str
    kind: Literal["every", "daily", "weekly", "cron"]
    longest_gap: int
    seconds: int = 0
    at: tuple[int, int] = (0, 0)
    day: int = 0
    cron: str = ""


def schedule(value: Any) -> Schedule:
    """The schedule that a text means, canonical texts (`cron: …`) included; `Unreadable` for anything else."""
    if not isinstance(value, str):
        raise Unreadable("this is no schedule", 'a schedule is a text or {cron: "…"}', _FORMS)
    text = " ".join(value.lower().split())
    if text.startswith("cron: "):
        return cron(text.removeprefix("cron: "))
    first = text.split(" ")[0]
    reader = {"every": _every, "daily": _daily, "weekly": _weekly}.get(first)
    found = reader(text) if reader else None
    if found is None:
        raise Unreadable(
            f"{quoted(value)} is no schedule", _FORMS, "" if reader else did_you_mean(first, ["every", "daily", "weekly"])
        )
    return found


def _every(text: str) -> Schedule | None:
    found = re.fullmatch(r"every ([1-9][0-9]{0,5}) (second|minute|hour|day)s?", text)
    if not found:
        return None
    number, unit = int(found[1]), found[2]
    gap = number * _UNITS[unit]
    return Schedule(f"every {number} {unit}{'' if number == 1 else 's'}", "every", -(-gap // 60), seconds=gap)


def _daily(text: str) -> Schedule | None:
    found = re.fullmatch(r"daily at (\S+)", text)
    return found and Schedule(text, "daily", _DAY, at=_time(found[1]))


def _weekly(text: str) -> Schedule | None:
    found = re.fullmatch(r"weekly on (\S+) at (\S+)", text)
    if not found:
        return None
    if found[1] not in DAYS:
        raise Unreadable(f"{quoted(found[1])} is no day of the week", f"days are {', '.join(DAYS)}", did_you_mean(found[1], DAYS))
    return Schedule(text, "weekly", 7 * _DAY, at=_time(found[2]), day=DAYS.index(found[1]))


def _time(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])", text)
    if not found:
        raise Unreadable(
            f"{quoted(text)} is no time of day", "times run from 00:00 to 23:59, with two digits each", "write 02:00"
        )
    return int(found[1]), int(found[2])


def next_after(schedule: Schedule, zone: ZoneInfo, after: datetime, anchor: datetime) -> datetime:
    """The first instant (UTC) after `after` at which a schedule comes; `every` counts from `anchor`, and only it."""
    if schedule.kind == "every":
        step = timedelta(seconds=schedule.seconds)
        return anchor + step * ((after - anchor) // step + 1)
    times, days = _civil(schedule)
    first = after.astimezone(zone).date() - timedelta(days=1)
    coming = (first + timedelta(days=n) for n in range(_CYCLE))
    found = (instant(datetime.combine(day, t), zone) for day in coming if days(day) for t in times)
    return next(at for at in found if at > after)


@lru_cache(maxsize=256)
def _civil(schedule: Schedule) -> tuple[list[time], Callable[[date], bool]]:
    """The times of day at which a schedule comes, and on which days."""
    if schedule.kind != "cron":
        return [time(*schedule.at)], lambda day: schedule.kind == "daily" or day.weekday() == schedule.day
    minutes, hours, month_days, months, weekdays = _fields(schedule.cron.split())
    times = [time(hour, minute) for hour in sorted(hours) for minute in sorted(minutes)]
    return times, lambda day: day.month in months and day.day in month_days and day.weekday() in weekdays


def cron(value: object) -> Schedule:
    """The schedule of five cron fields: minute, hour, day of the month, month, weekday by name."""
    if not isinstance(value, str):
        raise Unreadable("this is no cron line", "it is a text of five fields", 'write for example "0 2 * * mon"')
    return _cron(value)


@lru_cache(maxsize=256)
def _cron(text: str) -> Schedule:
    fields = text.lower().split()
    if len(fields) != 5:
        why = "cron has five fields: minute, hour, day of the month, month, weekday"
        raise Unreadable(f"{quoted(text)} is no cron line", why, 'write for example "0 2 * * mon"')
    if re.search(r"[0-9]", fields[4].split("/")[0]):
        raise Unreadable(
            "a weekday by number", "schedulers number the days differently", "name it: mon, tue, wed, thu, fri, sat, sun"
        )
    minutes, hours, month_days, months, weekdays = _fields(fields)
    times = sorted(h * 60 + m for h in hours for m in minutes)
    gap = _longest_gap(times, _days(month_days, months, weekdays))
    canonical = " ".join(fields)
    return Schedule(f"cron: {canonical}", "cron", gap, cron=canonical)


def _fields(fields: list[str]) -> tuple[set[int], ...]:
    """What each of the five fields means."""
    minutes, hours = _numbers(fields[0], 0, 59), _numbers(fields[1], 0, 23)
    month_days, months = _numbers(fields[2], 1, 31), _numbers(fields[3], 1, 12, _MONTHS)
    return minutes, hours, month_days, months, _numbers(fields[4], 0, 6, _SHORT_DAYS)


def _numbers(field: str, low: int, high: int, names: tuple[str, ...] = ()) -> set[int]:
    """The numbers that one cron field means."""
    chosen: set[int] = set()
    for piece in field.split(","):
        found = re.fullmatch(r"(\*|[a-z0-9]{1,3}(?:-[a-z0-9]{1,3})?)(?:/([1-9][0-9]?))?", piece)
        if not found:
            raise Unreadable(f"{quoted(piece)} is no part of a cron field", "parts are *, 5, 1-5, */15 and lists of them", _FORMS)
        ends = (low, high) if found[1] == "*" else tuple(_number(word, low, high, names) for word in found[1].split("-"))
        first, last = ends[0], ends[-1] if len(ends) == 2 or not found[2] else high
        if first > last:
            raise Unreadable(
                f"{quoted(piece)} runs backwards", "a range runs from the smaller to the larger", "write it as two parts"
            )
        chosen.update(range(first, last + 1, int(found[2] or 1)))
    return chosen


def _number(word: str, low: int, high: int, names: tuple[str, ...]) -> int:
    if word in names:
        return names.index(word) + low
    if not word.isdecimal() or not low <= int(word) <= high:
        why = f"it is a number from {low} to {high}" if not names else f"it is one of {', '.join(names)}"
        raise Unreadable(f"{quoted(word)} is out of place in a cron field", why, did_you_mean(word, names))
    return int(word)


def _days(month_days: set[int], months: set[int], weekdays: set[int]) -> list[int]:
    """The days (ordinals) on which it runs, over 28 years: the calendar's own cycle."""
    first = date(2000, 1, 1)
    days = (first + timedelta(days=n) for n in range(28 * 365 + 7))
    return [d.toordinal() for d in days if d.month in months and d.day in month_days and d.weekday() in weekdays]


def _longest_gap(times: list[int], days: list[int]) -> int:
    if len(days) < 2:
        raise Unreadable("a cron line that never comes", "no month has such a day", "choose a day that exists")
    overnight = times[0] + _DAY - times[-1]
    within = max((b - a for a, b in pairwise(times)), default=0)
    widest = max(b - a for a, b in pairwise(days))
    return max(within, overnight + (widest - 1) * _DAY)
