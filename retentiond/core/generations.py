"""Generations: which of a line of backups stay, counted from the newest and judged all together.

The rules (POLICY: `generations`):

- `last: N` keeps the newest N. `hourly`, `daily`, `weekly`, `monthly`, `yearly: N` keep the newest
  item of each of the newest N natural hours, days, ISO weeks, months, years of a zone in which there
  is one; both hours that a clock change repeats are hours. A missing key keeps none, `all` is a count
  without end, and rules are ORed.
- Where a count is not reached, `all` included, the oldest item fills it.
- `within` counts back from the start of the newest item, in civil dates, clamped; whole days where the
  period has no hours or minutes, the day that it comes to included.
- `group_by` makes a line for each value of a field. As every rule keeps the newest, no line is ever
  left without an item. `set_by` joins the items of a group that have the same value: a set stands and
  falls together, and its start is the latest one of its members.
- A set that lacks a member which more than half of the other sets of its group have, and two at least, is
  undetermined too: half a backup is none. A member is known by its key, with the name of the set taken out of it.
- What has no usable date (none, before 1980, in the future), no group, no set, or is in doubt for
  another reason is undetermined: never due, and it does not count, so that nothing goes because of it.
  One undetermined member makes its whole set undetermined.
- Of items with the same start the one with the greater key counts as the newer.

Every keep has its reasons. Pure: the answer does not depend on the order of the items.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from retentiond.core.item import NOTHING
from retentiond.core.period import EARLIEST, Period, add_months, first_instant

Count = int | Literal["all"]
COUNTS = ("last", "hourly", "daily", "weekly", "monthly", "yearly")
KINDS = (*COUNTS, "within", "oldest")
"""What keeps: the counts, the stretch before the newest, and the oldest that fills a count."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNIT = 32
"""So many bits number the items of one rule."""

NO_DATE = "it has no usable date"
EARLY = "its date is before 1980, so it is no date"
FUTURE = "its date is in the future"
NO_GROUP = "nothing says which group it belongs to"
NO_SET = "nothing says which set it belongs to"
SET_IN_DOUBT = "another item of its set is undetermined"
SET_LACKS = "its set lacks a member that most of the others have"
NOT_KEPT = "no generation keeps it"
"""Why an item goes."""


@dataclass(frozen=True, slots=True)
class Generations:
    """How many generations stay. `group_by` and `set_by` are fields of an item, empty for none.

    `ValueError` for a negative count, and where nothing at all would be kept.
    """

    last: Count = 0
    hourly: Count = 0
    daily: Count = 0
    weekly: Count = 0
    monthly: Count = 0
    yearly: Count = 0
    within: Period | None = None
    group_by: str = ""
    set_by: str = ""

    def __post_init__(self) -> None:
        if any(count != "all" and count < 0 for _, count in self._all()):
            raise ValueError("a count is never negative")
        if not self.counts and self.within is None:
            raise ValueError("generations that keep nothing are no generations")

    @property
    def counts(self) -> list[tuple[str, Count]]:
        """The counts that keep something, by their keys."""
        return [(name, count) for name, count in self._all() if count]

    @property
    def words(self) -> str:
        """The rule as a person would write it: `last 3, daily all, within 14 days, by host`."""
        said = [f"{name} {count}" for name, count in self.counts]
        said += [f"within {self.within.words}"] if self.within is not None else []
        said += [f"by {self.group_by}"] if self.group_by else []
        said += [f"in sets of one {self.set_by}"] if self.set_by else []
        return ", ".join(said)

    def _all(self) -> list[tuple[str, Count]]:
        return [(name, getattr(self, name)) for name in COUNTS]


@dataclass(frozen=True, slots=True)
class Lineup:
    """All items of one rule, side by side. Starts are aware; `doubts` say why single items cannot be judged.

    `groups` and `sets` are the values of the fields, and are read only where the rule names such a field.
    """

    keys: Sequence[str]
    starts: Sequence[datetime | None]
    groups: Sequence[str | None] = ()
    sets: Sequence[str | None] = ()
    doubts: Mapping[int, str] = field(default_factory=lambda: NOTHING)


def _hour(at: datetime) -> object:
    return at.year, at.month, at.day, at.hour, at.fold


def _day(at: datetime) -> object:
    return at.toordinal()


def _week(at: datetime) -> object:
    return tuple(at.isocalendar())[:2]


def _month(at: datetime) -> object:
    return at.year, at.month


def _year(at: datetime) -> object:
    return at.year


def _week_words(at: datetime) -> str:
    year, week, _ = at.isocalendar()
    return f"{year}-W{week:02}"


_BUCKETS: Mapping[str, tuple[Callable[[datetime], object], Callable[[datetime], str]]] = {
    "hourly": (_hour, lambda at: f"{at:%Y-%m-%d %H}:00"),
    "daily": (_day, lambda at: f"{at:%Y-%m-%d}"),
    "weekly": (_week, _week_words),
    "monthly": (_month, lambda at: f"{at:%Y-%m}"),
    "yearly": (_year, lambda at: f"{at.year}"),
}
"""For each natural stretch of time, what tells one from another and how it is written."""


class _Units:
    """What is judged: single items, or sets of them. Columns by the number of a unit, but `of` and `doubt` by item."""

    def __init__(self, generations: Generations, now: datetime, lineup: Lineup) -> None:
        self.lineup, self._now = lineup, now
        self._grouped, self._joined = bool(generations.group_by), bool(generations.set_by)
        self.texts: list[str] = [""]
        self._codes: dict[str, int] = {"": 0}
        self.doubt = array("i")
        self.of = array("i")
        self.first = array("i")
        self.starts = array("q")
        self.names: list[str] = []
        self.lines: dict[str | None, array[int]] = {}
        self._join() if self._joined else self._alone()

    def name(self, unit: int) -> str:
        """What orders units of one start: the set, or the key."""
        return self.names[unit] if self._joined else self.lineup.keys[unit]

    def unit(self, item: int) -> int:
        """The unit of an item; -1 for one that belongs to no set."""
        return self.of[item] if self._joined else item

    def _alone(self) -> None:
        for i, start in enumerate(self.lineup.starts):
            code = self._doubt_of(i, start)
            self.doubt.append(code)
            self.first.append(i)
            self.starts.append(0 if code or start is None else (start - _EPOCH) // _MICROSECOND)
            if not code:
                self._into_line(i, i)

    def _join(self) -> None:
        known: dict[tuple[str | None, str], int] = {}
        doubtful: set[int] = set()
        for i, start in enumerate(self.lineup.starts):
            code = self._doubt_of(i, start)
            self.doubt.append(code)
            name = self.lineup.sets[i]
            if name is None or (self._grouped and self.lineup.groups[i] is None):
                self.of.append(-1)
                continue
            unit = known.setdefault((self.lineup.groups[i] if self._grouped else None, name), len(known))
            self.of.append(unit)
            if unit == len(self.names):
                self.names.append(name)
                self.first.append(i)
                self.starts.append(0)
            if code or start is None:
                doubtful.add(unit)
                continue
            at = (start - _EPOCH) // _MICROSECOND
            if at > self.starts[unit]:
                self.starts[unit], self.first[unit] = at, i
        self._doubt_sets(doubtful, SET_IN_DOUBT)
        incomplete = self._incomplete() - doubtful
        self._doubt_sets(incomplete, SET_LACKS)
        doubtful |= incomplete
        for unit in range(len(self.names)):
            if unit not in doubtful:
                self._into_line(unit, self.first[unit])

    def _incomplete(self) -> set[int]:
        """The sets that lack what more than half of the other sets of their group have."""
        keys, sets = self.lineup.keys, self.lineup.sets
        groups: dict[str | None, dict[int, set[int]]] = {}
        for i, unit in enumerate(self.of):
            if unit >= 0:
                group = groups.setdefault(self.lineup.groups[i] if self._grouped else None, {})
                group.setdefault(unit, set()).add(hash(keys[i].replace(sets[i] or "", "\0")))
        found: set[int] = set()
        for members in groups.values():
            having = Counter(member for mine in members.values() for member in mine)
            expected = {member for member, n in having.items() if n > 1 and 2 * n > len(members) - 1}
            found |= {unit for unit, mine in members.items() if expected - mine}
        return found

    def _doubt_sets(self, doubtful: set[int], why: str) -> None:
        if doubtful:
            joint = self._code(why)
            for i, unit in enumerate(self.of):
                if unit in doubtful and not self.doubt[i]:
                    self.doubt[i] = joint

    def _into_line(self, unit: int, item: int) -> None:
        self.lines.setdefault(self.lineup.groups[item] if self._grouped else None, array("i")).append(unit)

    def _doubt_of(self, i: int, start: datetime | None) -> int:
        text = self.lineup.doubts.get(i, "") or self._undated(start)
        if not text and self._grouped and self.lineup.groups[i] is None:
            text = NO_GROUP
        if not text and self._joined and self.lineup.sets[i] is None:
            text = NO_SET
        return self._code(text) if text else 0

    def _undated(self, start: datetime | None) -> str:
        if start is None:
            return NO_DATE
        if start > self._now:
            return FUTURE
        return EARLY if start < EARLIEST else ""

    def _code(self, text: str) -> int:
        if text not in self._codes:
            self._codes[text] = len(self.texts)
            self.texts.append(text)
        return self._codes[text]

    def newest_first(self, line: array[int]) -> array[int]:
        """The units of one group from the newest on; among those of one start, from the greatest name on."""
        starts = self.starts
        together = sorted([starts[unit] << _UNIT | unit for unit in line], reverse=True)
        ordered = array("i", (both % (1 << _UNIT) for both in together))
        low = 0
        while low < len(ordered):
            high = low + 1
            while high < len(ordered) and starts[ordered[high]] == starts[ordered[low]]:
                high += 1
            if high > low + 1:
                ordered[low:high] = array("i", sorted(ordered[low:high], key=self.name, reverse=True))
            low = high
        return ordered


_FILLS = 1
_KIND = 48
"""A keep is one number: which rule (from this bit on), the how manieth it counted, and whether it only fills."""


class Verdicts:
    """What generations say of each item of a line-up, by its position; some forty bytes for each.

    `newest` is, for each group, the item whose start is the newest one: it is always kept.
    """

    def __init__(self, generations: Generations, zone: ZoneInfo, units: _Units) -> None:
        self._generations, self._zone, self._units = generations, zone, units
        self._kinds = [name for name, _ in generations.counts] + ["within"]
        self._at = array("q", [-1]) * len(units.starts)
        self._codes = array("Q", [0])
        self.newest: dict[str | None, int] = {}

    def doubt(self, i: int) -> str:
        """Why an item is undetermined; empty for one that was judged."""
        return self._units.texts[self._units.doubt[i]]

    def is_kept(self, i: int) -> bool:
        """Whether some generation keeps an item; True only for one that was judged."""
        return not self._units.doubt[i] and self._at[self._units.unit(i)] >= 0

    def is_due(self, i: int) -> bool:
        """Whether an item was judged, and no generation keeps it."""
        return not self._units.doubt[i] and self._at[self._units.unit(i)] < 0

    def unit(self, i: int) -> int:
        """Names the set that an item stands and falls with, or the item alone; -1 for one without a set."""
        return self._units.unit(i)

    def reasons(self, i: int) -> tuple[str, ...]:
        """Why an item is kept, each rule with its own words; empty for one that is not."""
        return tuple(self._words(code, self._units.unit(i)) for code in self._codes_of(i))

    def kept_by(self, i: int) -> tuple[str, ...]:
        """The keys of the rules that keep an item; `oldest` for one that fills a count."""
        return tuple(dict.fromkeys("oldest" if code & _FILLS else self._kinds[(code >> _KIND) - 1] for code in self._codes_of(i)))

    def _codes_of(self, i: int) -> Iterator[int]:
        at = self._at[self._units.unit(i)] if not self._units.doubt[i] else -1
        while at >= 0 and self._codes[at]:
            yield self._codes[at]
            at += 1

    def _words(self, code: int, unit: int) -> str:
        kind, number = self._kinds[(code >> _KIND) - 1], code % (1 << _KIND) >> 1
        if kind == "within":
            return f"within {self._generations.within.words}" if self._generations.within else ""
        if code & _FILLS:
            return f"oldest fills {kind}"
        counted = f"{kind} {number} of {getattr(self._generations, kind)}"
        return counted if kind == "last" else f"{counted}: {_BUCKETS[kind][1](self._civil(unit))}"

    def _civil(self, unit: int) -> datetime:
        return self._moment(unit).astimezone(self._zone)

    def _moment(self, unit: int) -> datetime:
        return _EPOCH + timedelta(microseconds=self._units.starts[unit])

    def keep(self, group: str | None, ordered: Sequence[int]) -> None:
        """Judges one group, its units from the newest on."""
        self.newest[group] = self._units.first[ordered[0]]
        found: dict[int, list[int]] = {}
        for kind, (name, count) in enumerate(self._generations.counts, 1):
            for unit, code in self._counted(name, count, ordered):
                found.setdefault(unit, []).append(kind << _KIND | code)
        if self._generations.within is not None:
            within = len(self._kinds) << _KIND
            for unit in self._recent(self._generations.within, ordered):
                found.setdefault(unit, []).append(within)
        for unit, codes in found.items():
            self._at[unit] = len(self._codes)
            self._codes.extend([*codes, 0])

    def _counted(self, name: str, count: Count, ordered: Sequence[int]) -> Iterator[tuple[int, int]]:
        """The units that one count keeps: the newest of each stretch of time, and the oldest of all where it is not reached."""
        tell = _BUCKETS[name][0] if name in _BUCKETS else None
        seen: set[object] = set()
        unit = last = -1
        for unit in ordered:
            if count != "all" and len(seen) >= count:
                return
            stretch = unit if tell is None else tell(self._civil(unit))
            if stretch not in seen:
                seen.add(stretch)
                yield unit, len(seen) << 1
                last = unit
        if unit != last and (count == "all" or len(seen) < count):
            yield unit, _FILLS

    def _recent(self, within: Period, ordered: Sequence[int]) -> Iterator[int]:
        low = cutoff(within, self._moment(ordered[0]), self._zone)
        for unit in ordered:
            if low is not None and self._moment(unit) < low:
                return
            yield unit


def cutoff(within: Period, newest: datetime, zone: ZoneInfo) -> datetime | None:
    """The first instant (UTC) that is within a period before the newest start; None where everything is.

    Of two instants that a civil time can mean, the earlier one, because that keeps more.
    """
    if within.forever:
        return None
    try:
        if not (within.months or within.days):
            return newest.astimezone(UTC) - timedelta(minutes=within.minutes)
        civil = newest.astimezone(zone)
        day = add_months(civil.date(), -within.months) - timedelta(days=within.days)
        if within.is_civil:
            return first_instant(day, zone)
        early = datetime.combine(day, civil.time().replace(fold=0), tzinfo=zone)
        return min(early.astimezone(UTC), early.replace(fold=1).astimezone(UTC)) - timedelta(minutes=within.minutes)
    except (OverflowError, ValueError):
        return None


def judge_together(generations: Generations, zone: ZoneInfo, now: datetime, lineup: Lineup) -> Verdicts:
    """What generations say of every item of a line-up. Pure."""
    units = _Units(generations, now, lineup)
    verdicts = Verdicts(generations, zone, units)
    for group, line in units.lines.items():
        verdicts.keep(group, units.newest_first(line))
    return verdicts
