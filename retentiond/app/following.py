"""What a look found of each erasure request, rule by rule: what goes, what stays, and on which ground."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from retentiond.core.ladder import Bench, Judgement
from retentiond.core.request import GROUNDS, Stay, Stays

_OF_RUNG = {
    "hold": "hold",
    "store's own lock": "locked",
    "statutory minimum": "minimum",
    "referred to": "referred",
    "in doubt": "doubt",
    "set": "set",
}
"""By the rung of the ladder that keeps an item of a person, the ground."""
GOES = Stay("due", "it goes with the next plan", 0)

Reference = Callable[[int, str], str]
"""(request, key) → the reference of an item."""


@dataclass(slots=True)
class _Found:
    items: set[str] = field(default_factory=set)
    grounds: dict[tuple[str, str], list[datetime | None]] = field(default_factory=dict)


class Following:
    """Watches the judgements of one rule go by. What goes with the next plan is still there, and counts."""

    def __init__(self, bench: Bench, reference: Reference) -> None:
        self._bench, self._reference = bench, reference
        self._found: dict[int, _Found] = {}

    def watch(self, judgements: Iterable[Judgement]) -> Iterator[Judgement]:
        """The same judgements."""
        for judged in judgements:
            if judged.meant.erased:
                self._take(judged)
            yield judged

    def stays(self) -> dict[int, Stays]:
        """What was found of each request that means an item of the rule."""
        return {
            entry: Stays(self._bench.rule.store, frozenset(found.items), [_stay(*each) for each in sorted(found.grounds.items())])
            for entry, found in self._found.items()
        }

    def _take(self, judged: Judgement) -> None:
        page, erased = judged.page, judged.meant.erased
        for i in judged.due:
            if i in erased:
                self._add(erased[i], page.keys[i], (GOES.ground, GOES.words), None)
        for group in judged.groups:
            for i in group.positions:
                if i in erased:
                    self._add(erased[i], page.keys[i], self._ground(group.rung, group.reason), self._until(judged, group.rung, i))

    def _add(self, entry: int, key: str, ground: tuple[str, str], until: datetime | None) -> None:
        found = self._found.setdefault(entry, _Found())
        found.items.add(self._reference(entry, key))
        found.grounds.setdefault(ground, []).append(until)

    def _ground(self, rung: str, reason: str) -> tuple[str, str]:
        rule = self._bench.rule
        if rung == "statutory minimum" and rule.minimum is not None:
            return "minimum", f"a minimum of {rule.minimum.period.words} ({rule.minimum.mandate}): {GROUNDS['b']}"
        if rung == "hold":
            return "hold", f"a hold: {GROUNDS['e']}"
        if rung == "exempt from erasure":
            return rule.exempt.ground if rule.exempt else "keep", reason
        return _OF_RUNG.get(rung, "doubt"), reason

    def _until(self, judged: Judgement, rung: str, i: int) -> datetime | None:
        if rung == "statutory minimum" and self._bench.minimum is not None:
            return self._bench.minimum.each([judged.page.starts[i]])[0]
        return judged.page.locked_until.get(i) if rung == "store's own lock" else None


def _stay(ground: tuple[str, str], untils: Sequence[datetime | None]) -> Stay:
    known = [until for until in untils if until is not None]
    last = max(known).astimezone(UTC).date().isoformat() if known and len(known) == len(untils) else None
    return Stay(*ground, items=len(untils), until=last)
