"""Sets across stores: items of several rules of one category that belong together, such as a recording and its row.

Rules with the same `link` name by it the field that joins their items. A set has one verdict:

    complete   every rule has items of it, and all of them are due: they go, leaves first, the row last
    partial    all that is there is due, but a rule has nothing of it (any more): what is there goes
    blocked    something of it stays, for whatever reason: so all of it stays

An item whose field has no value belongs to no set, and is judged by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from retentiond.core.item import Page

State = Literal["complete", "partial", "blocked"]
UNSEEN = "a store of its set could not be looked at"
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Orphans:
    """Items of a rule of whose set some other rule has nothing: how many sets, and the keys of the first few."""

    rule: str
    without: str
    count: int
    keys: Sequence[str]


@dataclass(slots=True)
class Linked:
    """The sets of one category. `blocked` has why each blocked set stays, `numbers` names those that may go, by their values."""

    blocked: Mapping[int, str] = field(default_factory=dict)
    numbers: Mapping[int, int] = field(default_factory=dict)
    states: Mapping[State, int] = field(default_factory=dict)
    orphans: Sequence[Orphans] = ()

    def reasons(self, page: Page, link: str) -> dict[int, str]:
        """The positions of a page whose set is blocked, each with why."""
        values = page.facts[link] if len(page) and self.blocked else ()
        found = ((i, self.blocked.get(hash(value))) for i, value in enumerate(values) if value is not None)
        return {i: f"its set stays together: {why}" for i, why in found if why is not None}

    def number(self, value: str | None) -> int | None:
        """The number of the set that an item with this value goes with."""
        return self.numbers.get(hash(value)) if value is not None else None


@dataclass(slots=True)
class Linking:
    """Gathers the sets of one category, rule by rule; about 150 bytes for each item."""

    there: dict[str, dict[int, str]] = field(default_factory=dict)
    due: set[int] = field(default_factory=set)
    stays: dict[int, str] = field(default_factory=dict)

    def take(self, rule: str, page: Page, link: str, due: Sequence[int], stays: Mapping[int, str]) -> None:
        """What one page of a rule shows: which positions are due, and why others stay."""
        there = self.there.setdefault(rule, {})
        values = page.facts[link] if len(page) else ()
        for i, value in enumerate(values):
            if value is not None and i not in page.done:
                there[hash(value)] = min(there.get(hash(value), page.keys[i]), page.keys[i])
        self.due.update(hash(value) for i in due if (value := values[i]) is not None)
        for i, why in stays.items():
            value = values[i]
            if value is not None and i not in page.done:
                self.stays.setdefault(hash(value), f"{rule}: {why}")

    def judged(self, rules: Sequence[str], *, unseen: bool) -> Linked:
        """The verdicts; where a store was not seen, no set may go."""
        for rule in rules:
            self.there.setdefault(rule, {})
        if unseen:
            return Linked(dict.fromkeys(self.due, UNSEEN), {}, {"complete": 0, "partial": 0, "blocked": len(self.due)})
        blocked = {value: self.stays[value] for value in self.due if value in self.stays}
        going = sorted(self.due - blocked.keys())
        whole = sum(all(value in there for there in self.there.values()) for value in going)
        states: dict[State, int] = {"complete": whole, "partial": len(going) - whole, "blocked": len(blocked)}
        return Linked(blocked, {value: n for n, value in enumerate(going)}, states, self._orphans())

    def _orphans(self) -> list[Orphans]:
        found = []
        for rule, mine in self.there.items():
            for other, theirs in self.there.items():
                alone = [value for value in mine if value not in theirs] if other != rule else []
                if alone:
                    found.append(Orphans(rule, other, len(alone), sorted(mine[value] for value in alone[:_SHOWN])))
        return found
