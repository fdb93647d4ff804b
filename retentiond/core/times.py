"""Reading a start: from what a store holds to the instant that it denotes.

A start is the end of what it denotes: the last microsecond of a DATE, of a month, of an hour,
of a minute; a second or finer is the instant itself. Text is ISO 8601 with `T` or a space, with
an offset or `Z`, or without, which is then a civil time in the zone that the rule, else the
store, else the organisation declares. Anything else is no date: None, and never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from retentiond.core.period import add_months, first_instant, instant, last_instant

Unit = Literal["s", "ms"]
Precision = Literal["month", "day", "hour", "minute", "second"]
_MICROSECOND = timedelta(microseconds=1)
_ISO = re.compile(
    r"(\d{4})-(\d\d)(?:-(\d\d)(?:[T ](\d\d)(?::(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?)?)?(?: ?(Z|[+-]\d\d(?::?\d\d)?))?"
)
_SPAN = {"hour": timedelta(hours=1), "minute": timedelta(minutes=1)}


def end_of(civil: datetime, precision: Precision, zone: ZoneInfo) -> datetime | None:
    """The end (UTC) of what a naive civil time of some precision denotes in a zone."""
    try:
        if precision == "month":
            return first_instant(add_months(civil.date().replace(day=1), 1), zone) - _MICROSECOND
        if precision == "day":
            return last_instant(civil.date(), zone)
        return instant(civil, zone) + (_SPAN[precision] - _MICROSECOND if precision in _SPAN else timedelta())
    except (OverflowError, ValueError):
        return None


def read(value: Any, zone: ZoneInfo, unit: Unit | None = None) -> datetime | None:
    """The instant (UTC) that one value denotes; None where it is no usable date."""
    if value is None or isinstance(value, bool):
        return None
    if unit is not None:
        return _from_number(value, unit)
    if isinstance(value, str):
        return _from_text(value, zone)
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else end_of(value, "second", zone)
    if isinstance(value, date):
        return end_of(datetime.combine(value, time()), "day", zone)
    return None


def read_each(values: Iterable[Any], zone: ZoneInfo, unit: Unit | None = None) -> list[datetime | None]:
    """`read` for each value, quick for the common spelling `YYYY-MM-DD HH:MM:SS[.ffffff]` in UTC."""
    if unit is not None or zone.key not in ("UTC", "Etc/UTC"):
        return [read(value, zone, unit) for value in values]
    parse = datetime.fromisoformat
    answers: list[datetime | None] = []
    for value in values:
        if value.__class__ is str and len(value) in (19, 26) and value[4] == value[7] == "-" and value[13] == value[16] == ":":
            try:
                answers.append(parse(value + "+00:00"))
                continue
            except ValueError:
                pass
        answers.append(read(value, zone))
    return answers


def _from_number(value: Any, unit: Unit) -> datetime | None:
    try:
        count = int(value) if isinstance(value, int) else int(float(value))
        whole, rest = divmod(count, 1000) if unit == "ms" else (count, 0)
        return datetime.fromtimestamp(whole, UTC) + timedelta(milliseconds=rest)
    except (OverflowError, ValueError, OSError, TypeError):
        return None


def _from_text(value: str, zone: ZoneInfo) -> datetime | None:
    found = _ISO.fullmatch(value)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    if offset and hour is None:
        return None
    try:
        micro = int((fraction or "0").ljust(6, "0")[:6])
        civil = datetime(int(year), int(month), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0), micro)  # noqa: DTZ001 a civil time, until a zone is known
    except ValueError:
        return None
    precision: Precision = "second" if second else "minute" if minute else "hour" if hour else "day" if day else "month"
    if not offset:
        return end_of(civil, precision, zone)
    span = _SPAN[precision] - _MICROSECOND if precision in _SPAN else timedelta()
    try:
        return (civil - _offset(offset) + span).replace(tzinfo=UTC)
    except OverflowError:
        return None


def _offset(text: str) -> timedelta:
    if text == "Z":
        return timedelta()
    hours, minutes = int(text[1:3]), int(text[-2:]) if len(text) > 3 else 0
    return timedelta(hours=hours, minutes=minutes) * (-1 if text[0] == "-" else 1)
