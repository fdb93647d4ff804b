"""Which rules of buckets' own may be ours, so that none is forgotten where nobody wants it any more."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Literal

from retentiond.ledger.clock import micros
from retentiond.ledger.ledger import Ledger

_FACT = "lifecycles"


@dataclass(frozen=True, slots=True)
class Installed:
    """A rule of a bucket's own for a rule of a policy: in which store, and at which place that was.

    `items` is a digest of which objects it means, `days` when it lets them go. It is noted before it is installed, so that it
    may not be there; `since` (microseconds) is when it was found to be, 0 before.
    """

    category: str
    rule: str
    store: str
    place: str
    items: str
    days: int
    since: int = 0


class LifecycleRegister:
    """The rules of buckets' own that were installed, or may have been."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def all(self) -> list[Installed]:
        """All that were not taken away again."""
        with self._ledger.transaction() as change:
            return [Installed(**one) for one in json.loads(change.fact(_FACT) or "{}").values()]

    def of(self, category: str, rule: str, store: str) -> Installed | None:
        """The one of a rule in a store."""
        return next((one for one in self.all() if (one.category, one.rule, one.store) == (category, rule, store)), None)

    def expect(self, expected: Installed) -> None:
        """Notes one that is about to be installed; one that is known keeps its date."""
        self._put(replace(expected, since=known.since) if (known := self._same(expected)) else expected)

    def found(self, category: str, rule: str, store: str) -> None:
        """It is there."""
        known = self.of(category, rule, store)
        if known is not None and not known.since:
            with self._ledger.transaction() as change:
                now = change.time
            self._put(replace(known, since=now))

    def removed(self, gone: Installed, why: Literal["hold", "policy"]) -> None:
        """It is not there any more, because a hold may mean what it would take, or because no policy wants it."""
        with self._ledger.transaction() as change:
            known = json.loads(change.fact(_FACT) or "{}")
            known.pop(_name(gone), None)
            change.set_fact(_FACT, json.dumps(known))
            change.write("lifecycle-removed", category=gone.category, rule=gone.rule, store=gone.store, why=why)

    def inferred(self, one: Installed, gone: Mapping[str, int], since: datetime) -> None:
        """What has gone since a look: inferred from how many there were, and are."""
        with self._ledger.transaction() as change:
            change.write("lifecycle-inferred", category=one.category, rule=one.rule, store=one.store, **gone, since=micros(since))

    def _same(self, other: Installed) -> Installed | None:
        known = self.of(other.category, other.rule, other.store)
        same = known is not None and replace(known, since=0) == replace(other, since=0)
        return known if same else None

    def _put(self, one: Installed) -> None:
        with self._ledger.transaction() as change:
            known = json.loads(change.fact(_FACT) or "{}")
            change.set_fact(_FACT, json.dumps(known | {_name(one): asdict(one)}))


def _name(one: Installed) -> str:
    return f"{one.category}/{one.rule}@{one.store}"
