"""Periods, sizes and shares in words: `3 months 2 days`, `P3M`, `50 GiB`, `25%`.

Guarantee: whole, positive numbers only. A negative, zero or fractional period is refused, since
each has been read elsewhere as "everything is due"; so is one of more than a thousand years.
A period keeps the units in which it was written (`12 months` is not rewritten as a year) and
reading its own words gives the same period. Source: ISO 8601-1:2019, 5.5.2 (durations).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from retentiond.config.suggest import did_you_mean, quoted
from retentiond.core.period import FOREVER, IMMEDIATELY, Period

LONGEST_YEARS = 1000
LARGEST_SIZE = 2**53 - 1
"""Beyond this an integer has no exact JSON spelling, and limits are part of a rulebook's digest."""

_UNITS = ("year", "month", "week", "day", "hour", "minute")
_NUMBER_AND_UNIT = re.compile(r"([0-9]+) ?([a-z]+)(?: |$)")
_ISO = re.compile(r"P(?:([0-9]+)Y)?(?:([0-9]+)M)?(?:([0-9]+)W)?(?:([0-9]+)D)?(?:T(?:([0-9]+)H)?(?:([0-9]+)M)?)?")
_EXAMPLES = "write for example '3 months', '1 year 10 days', '2 hours' or P3M, or 'immediately' or 'forever'"
_SIZE = re.compile(r"([0-9]+) ?([A-Za-z]+)")
_SIZES: Mapping[str, int] = {
    "b": 1,
    "byte": 1,
    "bytes": 1,
    **{f"{letter}ib": 1024 ** (n + 1) for n, letter in enumerate("kmgtp")},
    **{f"{letter}b": 1000 ** (n + 1) for n, letter in enumerate("kmgtp")},
}


class Unreadable(ValueError):
    """A word that cannot be read: what is wrong with it, why, and what to write instead."""

    def __init__(self, what: str, why: str = "", do: str = "") -> None:
        super().__init__(what)
        self.what, self.why, self.do = what, why, do


def period(value: object) -> Period:
    """The period that some words mean; `Unreadable` for anything else."""
    if not isinstance(value, str):
        why = "a number alone has no unit" if isinstance(value, int) else "it is one text"
        raise Unreadable("a period is written in words", why, _EXAMPLES)
    folded = " ".join(value.split())
    if folded.lower() in ("immediately", "forever"):
        return IMMEDIATELY if folded.lower() == "immediately" else FOREVER
    _refuse_signs_and_fractions(folded)
    counts = _from_iso(folded) if re.match(r"P[0-9T]|P$", folded) else _from_words(folded)
    return _summed(counts, folded)


def wait(value: object) -> Period:
    """The period that something waits for; `Unreadable` for one without an end, too."""
    found = period(value)
    if found.forever:
        do = "write for example 7 days; what is to stay for ever has retention_period: forever"
        raise Unreadable("nothing waits for ever", "what waits comes to its turn", do)
    return found


def _refuse_signs_and_fractions(text: str) -> None:
    if re.search(r"(?:^|\s|[PT])[-+−]\s*[P0-9]", text):
        why = "a period with a sign could reach into the future or say nothing"
        raise Unreadable(f"{quoted(text)} has a sign", why, _EXAMPLES)
    if re.search(r"[0-9][.,][0-9]", text):
        why = "months and days are not divided: half a month has no length"
        raise Unreadable(f"{quoted(text)} is a fraction", why, "use whole numbers of a smaller unit")


def _from_iso(text: str) -> list[tuple[str, str]]:
    found = _ISO.fullmatch(text)
    if not found or text.endswith(("P", "T")):
        why = "ISO 8601 periods here have years, months, weeks, days, and after T hours and minutes"
        raise Unreadable(f"{quoted(text)} is no period", why, _EXAMPLES)
    return [(number, unit) for number, unit in zip(found.groups(), _UNITS, strict=True) if number is not None]


def _from_words(text: str) -> list[tuple[str, str]]:
    folded, at = text.lower(), 0
    counts: list[tuple[str, str]] = []
    while found := _NUMBER_AND_UNIT.match(folded, at):
        unit = found[2].removesuffix("s")
        if unit not in _UNITS:
            known = [f"{u}s" for u in _UNITS]
            raise Unreadable(f"{quoted(found[2])} is no unit of time", f"units are {', '.join(known)}", _way_out(found[2], known))
        counts.append((found[1], unit))
        at = found.end()
    if at < len(folded) or not counts:
        raise Unreadable(f"{quoted(text)} is no period", "a period is a sum of whole numbers, each with its unit", _way_out(text))
    return counts


def _way_out(text: str, known: list[str] | None = None) -> str:
    return did_you_mean(text, known or ["immediately", "forever"], _EXAMPLES)


def _summed(counts: list[tuple[str, str]], text: str) -> Period:
    if any(len(number) > 9 for number, _ in counts):
        raise _beyond_sense(text)
    total = dict.fromkeys(_UNITS, 0)
    for number, unit in counts:
        if not int(number):
            why = "zero of something says nothing"
            raise Unreadable(f"{quoted(text)} has a zero in it", why, "for no period at all write 'immediately'")
        total[unit] += int(number)
    months, days = total["year"] * 12 + total["month"], total["week"] * 7 + total["day"]
    minutes = total["hour"] * 60 + total["minute"]
    if months / 12 + days / 366 + minutes / (366 * 1440) > LONGEST_YEARS:
        raise _beyond_sense(text)
    return Period(months, days, minutes, words=_spelt(total))


def _spelt(total: Mapping[str, int]) -> str:
    return " ".join(f"{n} {unit}{'' if n == 1 else 's'}" for unit, n in total.items() if n)


def day_longer(retention: Period) -> Period:
    """The deletion period of a retention period where none is written: one day more, but for ever stays for ever."""
    if retention.forever:
        return retention
    longer = retention.plus_day()
    total = dict.fromkeys(_UNITS, 0)
    for number, unit in _from_words(longer.words):
        total[unit] += int(number)
    return replace(longer, words=_spelt(total))


def _beyond_sense(text: str) -> Unreadable:
    return Unreadable(f"{quoted(text)} is beyond sense", f"{LONGEST_YEARS} years are the most", "write 'forever' if you mean it")


def size(value: object) -> int:
    """A number of bytes: `50 GiB`, `200 MB`, or a whole number of them; `Unreadable` for anything else."""
    do = "write for example '50 GiB', '200 MB' or a whole number of bytes"
    if isinstance(value, int) and not isinstance(value, bool):
        number, factor = value, 1
    else:
        found = _SIZE.fullmatch(" ".join(str(value).split())) if isinstance(value, str) else None
        if not found or found[2].lower() not in _SIZES or len(found[1]) > 16:
            raise Unreadable("this is no size", "a size is a whole number and a unit", do)
        number, factor = int(found[1]), _SIZES[found[2].lower()]
    if not 0 < number * factor <= LARGEST_SIZE:
        raise Unreadable("this size is out of bounds", "it is more than 0 bytes and less than 8 PiB", do)
    return number * factor


def share(value: object) -> int:
    """A whole number of percent, from 1 to 100; `Unreadable` for anything else."""
    found = re.fullmatch(r"([1-9][0-9]{0,2}) ?%", value) if isinstance(value, str) else None
    if not found or int(found[1]) > 100:
        raise Unreadable("this is no share", "a share is a whole number of percent from 1% to 100%", "write for example 25%")
    return int(found[1])


def days_of(months: int) -> tuple[int, int]:
    """The fewest and the most days that a number of months can last."""
    years, rest = divmod(months, 12)
    fewest = years * 365 + max(0, years // 4 - years // 100 - 1) + (0, 28, 59, 89, 120, 150, 181, 212, 242, 273, 303, 334)[rest]
    most = years * 365 + -(-years // 4) + (0, 31, 62, 92, 123, 153, 184, 215, 245, 276, 306, 337)[rest]
    return fewest, most


def longer_by(one: Period, other: Period) -> tuple[float, float]:
    """By how many minutes `one` ends after `other`, at least and at most, over all starts.

    Clock changes are left out. A civil period ends at midnight, so against one that does not
    it may last up to a day longer than its days.
    """
    if one.forever or other.forever:
        both = one.forever and other.forever
        return (0, 0) if both else (float("inf"),) * 2 if one.forever else (float("-inf"),) * 2
    months = one.months - other.months
    fewest, most = days_of(abs(months))
    low, high = (fewest, most) if months >= 0 else (-most, -fewest)
    days, minutes = one.days - other.days, one.minutes - other.minutes
    civil = int(one.is_civil) - int(other.is_civil)
    return (
        (low + days + min(civil, 0)) * 1440 + minutes,
        (high + days + max(civil, 0)) * 1440 + minutes,
    )


def within(value: object, least: int, most: int, what: str, example: str) -> int:
    """A whole number between two bounds, both included; `Unreadable` for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        why = f"it is {what}, a whole number from {least} to {most:,}"
        raise Unreadable("this number cannot be used", why, f"write for example {example}")
    return value
