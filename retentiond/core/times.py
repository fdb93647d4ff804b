"""Reading a start: from what a store holds to the instant that it denotes.

A start is the end of what it denotes: the last microsecond of a DATE, of a year, a month, an
hour, a minute; a second or finer is the instant itself. Text is ISO 8601 with `T` or a space,
with an offset or `Z`, or without, which is then a civil time in the zone that the rule, else the
store, else the organisation declares. Anything else is no date: None, and never guessed.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

from retentiond.core.period import instant

Unit = Literal["s", "ms"]
Precision = Literal["year", "month", "day", "hour", "minute", "second"]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO = re.compile(
    r"(\d{4})-(\d\d)(?:-(\d\d)(?:[T ](\d\d)(?::(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?)?)?(?: ?(Z|[+-]\d\d(?::?\d\d)?))?",
    re.ASCII,
)
_COMMON = r"\d{4}-\d\d-\d\d[T ](?:[01]\d|2[0-3]):\d\d:\d\d(?:\.\d{1,6})?"
_ALL_COMMON = re.compile(rf"{_COMMON}(?:\n{_COMMON})*", re.ASCII)
_BEYOND = 10**18
_NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,18})?", re.ASCII)


def end_of(civil: datetime, precision: Precision, zone: ZoneInfo) -> datetime | None:
    """The end (UTC) of what a naive civil time of some precision denotes in a zone; None beyond the calendar."""
    try:
        return instant(_last(civil, precision), zone)
    except OverflowError:
        return None


def _last(civil: datetime, precision: Precision) -> datetime:
    """The last microsecond, still in civil time, of what a civil time denotes."""
    if precision == "year":
        civil = civil.replace(month=12, day=31)
    if precision == "month":
        civil = civil.replace(day=calendar.monthrange(civil.year, civil.month)[1])
    if precision == "second":
        return civil
    if precision == "minute":
        return civil.replace(second=59, microsecond=999_999)
    if precision == "hour":
        return civil.replace(minute=59, second=59, microsecond=999_999)
    return datetime.combine(civil.date(), time.max)


def read(value: Any, zone: ZoneInfo, unit: Unit | None = None) -> datetime | None:
    """The instant (UTC) that one value denotes; None where it is no usable date.

    `unit` makes it a number (or a number written as text) of seconds or milliseconds since 1970.
    """
    if value is None or isinstance(value, bool):
        return None
    if unit is not None:
        return _from_number(value, unit)
    if isinstance(value, str):
        return _from_text(value, zone)
    if isinstance(value, datetime):
        return end_of(value, "second", zone) if value.utcoffset() is None else _in_utc(value)
    if isinstance(value, date):
        return end_of(datetime.combine(value, time()), "day", zone)
    return None


def read_each(values: Iterable[Any], zone: ZoneInfo, unit: Unit | None = None) -> list[datetime | None]:
    """`read` for each value, quick for the common spelling `YYYY-MM-DD HH:MM:SS[.ffffff]` in UTC."""
    if unit is not None or zone.key not in ("UTC", "Etc/UTC"):
        return [read(value, zone, unit) for value in values]
    parse = datetime.fromisoformat
    values = list(values)
    with suppress(TypeError, ValueError):
        if _ALL_COMMON.fullmatch("\n".join(values)):
            return [parse(value + "+00:00") for value in values]
    answers: list[datetime | None] = []
    for value in values:
        if value.__class__ is str and _is_common(value):
            try:
                answers.append(parse(value + "+00:00"))
                continue
            except ValueError:
                pass
        answers.append(read(value, zone))
    return answers


def _is_common(text: str) -> bool:
    """Whether it looks like the common spelling, as far as `fromisoformat` is laxer than `_ISO`."""
    if len(text) != 19 and (not 20 < len(text) < 27 or text[19] != "." or not text[20:].isdigit()):
        return False
    return text[4] == text[7] == "-" and text[10] in " T" and text[13] == text[16] == ":" and text[11:13] != "24"


def _in_utc(moment: datetime) -> datetime | None:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return None


def _from_number(value: Any, unit: Unit) -> datetime | None:
    if isinstance(value, str):
        if _NUMBER.fullmatch(value) is None:
            return None
        value = Decimal(value)
    if not isinstance(value, int | float | Decimal):
        return None
    try:
        if isinstance(value, Decimal):
            value = int(value) if abs(value) < _BEYOND and value == int(value) else float(value)
        return _EPOCH + (timedelta(milliseconds=value) if unit == "ms" else timedelta(seconds=value))
    except (ArithmeticError, ValueError):
        return None


def _from_text(value: str, zone: ZoneInfo) -> datetime | None:
    found = _ISO.fullmatch(value)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    if offset and (hour is None or not _is_offset(offset)):
        return None
    try:
        micro = int((fraction or "0").ljust(6, "0")[:6])
        civil = datetime(int(year), int(month), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0), micro)  # noqa: DTZ001 a civil time, until a zone is known
    except ValueError:
        return None
    precision: Precision = "second" if second else "minute" if minute else "hour" if hour else "day" if day else "month"
    if not offset:
        return end_of(civil, precision, zone)
    try:
        return (_last(civil, precision) - _offset(offset)).replace(tzinfo=UTC)
    except OverflowError:
        return None


def _is_offset(text: str) -> bool:
    return text == "Z" or (text[1:3] < "24" and (len(text) == 3 or text[-2:] < "60"))


def _offset(text: str) -> timedelta:
    if text == "Z":
        return timedelta()
    hours, minutes = int(text[1:3]), int(text[-2:]) if len(text) > 3 else 0
    return timedelta(hours=hours, minutes=minutes) * (-1 if text[0] == "-" else 1)
