"""Sets across stores: items of several rules of one category that belong together, such as a recording and its row.

Rules with the same `link` name by it the field that joins their items. A set has one verdict:

    complete   every rule has items of it, and all of them are due: they go, leaves first, the row last
    partial    all that is there is due, but a rule has nothing of it (any more): what is there goes
    blocked    something of it stays, for whatever reason: so all of it stays

An item whose field has no value belongs to no set, and is judged by itself. Values are kept as hashes of eight bytes, in sorted
columns: where two sets had the same one, they would have one verdict, and in doubt stay.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from retentiond.core.item import Page

State = Literal["complete", "partial", "blocked"]
UNSEEN = "a store of its set could not be looked at"
OTHERS = "another item of it stays"
"""Why a set stays whose reason is one too many."""
_SHOWN = 20
_REASONS = 10_000
"""So many different reasons are told apart."""


def _hashes(values: Iterable[int] = ()) -> array[int]:
    return array("q", values)


def _position(hashes: array[int], value: int) -> int | None:
    """Where a hash stands in a sorted column."""
    i = bisect_left(hashes, value)
    return i if i < len(hashes) and hashes[i] == value else None


@dataclass(slots=True)
class Orphans:
    """Items of a rule of whose set some other rule has nothing: how many sets, and the keys of some, once they were met."""

    rule: str
    without: str
    count: int
    wanted: frozenset[int] = frozenset()
    found: dict[int, str] = field(default_factory=dict)

    @property
    def keys(self) -> list[str]:
        """The key of one item of each set that is shown."""
        return sorted(self.found.values())


@dataclass(slots=True)
class Linked:
    """The sets of one category: those of which an item is due, as sorted hashes, and why each stays (0: it may go).

    `lawful` are the reasons, by number, of law, lock or hold: what such a one keeps breaks no promise.
    """

    due: array[int] = field(default_factory=_hashes)
    why: array[int] = field(default_factory=lambda: array("I"))
    words: Sequence[str] = ()
    lawful: frozenset[int] = frozenset()
    states: Mapping[State, int] = field(default_factory=dict)
    orphans: Sequence[Orphans] = ()

    def reasons(self, page: Page, link: str) -> dict[int, str]:
        """The positions of a page whose set is blocked, each with why."""
        return {i: f"its set stays together: {self.words[why - 1]}" for i, why in self._blocked(page, link)}

    def lawfully(self, page: Page, link: str) -> set[int]:
        """The positions of a page whose set is blocked by law, lock or hold."""
        return {i for i, why in self._blocked(page, link) if why in self.lawful}

    def _blocked(self, page: Page, link: str) -> Iterator[tuple[int, int]]:
        for i, value in enumerate(page.facts[link] if len(page) and self.words else ()):
            at = _position(self.due, hash(value)) if value is not None else None
            if at is not None and self.why[at]:
                yield i, self.why[at]

    def number(self, value: str | None) -> int | None:
        """The number of the set that an item with this value goes with."""
        at = _position(self.due, hash(value)) if value is not None else None
        return at if at is not None and not self.why[at] else None

    def meet(self, rule: str, page: Page, link: str) -> None:
        """Notes the keys of orphans that are to be shown, as their pages come past."""
        for orphans in self.orphans:
            if orphans.rule != rule or len(orphans.found) == len(orphans.wanted):
                continue
            for i, value in enumerate(page.facts[link] if len(page) else ()):
                if value is not None and hash(value) in orphans.wanted:
                    known = orphans.found.get(hash(value), page.keys[i])
                    orphans.found[hash(value)] = min(known, page.keys[i])


@dataclass(slots=True)
class Linking:
    """Gathers the sets of one category, rule by rule; some 20 bytes for each item, and as much again while it judges."""

    there: dict[str, array[int]] = field(default_factory=dict)
    due: array[int] = field(default_factory=_hashes)
    stays: array[int] = field(default_factory=_hashes)
    why: array[int] = field(default_factory=lambda: array("I"))
    words: dict[tuple[str, bool], int] = field(default_factory=dict)

    def take(
        self,
        rule: str,
        page: Page,
        link: str,
        due: Sequence[int],
        stays: Mapping[int, str],
        lawful: Collection[int] = (),
    ) -> None:
        """What one page of a rule shows: which positions are due, and why others stay; `lawful` are kept by law, lock or hold."""
        values = page.facts[link] if len(page) else ()
        there = (hash(value) for i, value in enumerate(values) if value is not None and i not in page.done)
        self.there.setdefault(rule, _hashes()).extend(there)
        self.due.extend(hash(value) for i in due if (value := values[i]) is not None)
        for i, why in stays.items():
            value = values[i]
            if value is not None and i not in page.done:
                self.stays.append(hash(value))
                self.why.append(self._code(f"{rule}: {why}", lawful=i in lawful))

    def judged(self, rules: Sequence[str], *, unseen: bool) -> Linked:
        """The verdicts; where a store was not seen, no set may go. Of several reasons one of law, lock or hold is told."""
        due = _sorted(self.due)
        why = array("I", [self._code(UNSEEN, lawful=False) if unseen else 0]) * len(due)
        lawful = frozenset(code for (_, is_lawful), code in self.words.items() if is_lawful)
        for value, code in zip(self.stays, self.why, strict=True):
            at = _position(due, value)
            if at is not None and (not why[at] or (code in lawful and why[at] not in lawful)):
                why[at] = code
        words = [said for said, _ in self.words]
        if unseen:
            return Linked(due, why, words, lawful, {"complete": 0, "partial": 0, "blocked": len(due)})
        there = {rule: _sorted(self.there.get(rule, _hashes())) for rule in rules}
        blocked = sum(map(bool, why))
        whole = sum(
            not why[at] and all(_position(each, due[at]) is not None for each in there.values()) for at in range(len(due))
        )
        states: dict[State, int] = {"complete": whole, "partial": len(due) - blocked - whole, "blocked": blocked}
        return Linked(due, why, words, lawful, states, list(_orphans(there)))

    def _code(self, said: str, *, lawful: bool) -> int:
        if (said, lawful) not in self.words and len(self.words) >= _REASONS:
            said = OTHERS
        return self.words.setdefault((said, lawful), len(self.words) + 1)


def _sorted(hashes: array[int]) -> array[int]:
    """The same in order, each once."""
    found, last = _hashes(), None
    for value in sorted(hashes):
        if value != last:
            found.append(value)
        last = value
    return found


def _orphans(there: Mapping[str, array[int]]) -> Iterator[Orphans]:
    for rule, mine in there.items():
        for other, theirs in there.items():
            count, wanted = 0, set[int]()
            for value in mine if other != rule else ():
                if _position(theirs, value) is None:
                    count += 1
                    wanted |= {value} if count <= _SHOWN else set()
            if count:
                yield Orphans(rule, other, count, frozenset(wanted))
