"""What people decided about items whose rule says `review`, kept by keyed reference and never by key.

The newest decision about an item counts, and only for the revision that the person saw. Nothing
is ever removed or changed, so who let what go stays known for as long as the keys of the references.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Literal

import sqlalchemy as sa

from retentiond.core.registers import Reviewed
from retentiond.ledger import schema
from retentiond.ledger.clock import micros, moment
from retentiond.ledger.ledger import Ledger
from retentiond.ledger.registers import Word

_ASKED = 500
"""So many references stand in one query."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a decision is about: an item of a rule by its reference, in a revision by its reference; both of the key of `year`."""

    category: str
    rule: str
    store: str
    year: int
    reference: str
    revision: str


@dataclass(frozen=True, slots=True)
class Said:
    """A decision as it was kept. Numbers grow with time."""

    number: int
    revision: str
    reviewed: Reviewed


class ReviewRegister:
    """The decisions of reviews."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def record(self, subjects: Sequence[Subject], until: datetime | None, reason: str, by: str, word: Word) -> int:
        """A person lets these items go (`until` is None), or keeps them until an instant; the index of the last entry."""
        decision: Literal["approve", "extend"] = "approve" if until is None else "extend"
        entry = -1
        by_rule = sorted(subjects, key=lambda s: (s.category, s.rule))
        with self._ledger.transaction() as change:
            for (category, rule), group in groupby(by_rule, key=lambda s: (s.category, s.rule)):
                rows = [
                    {
                        "category": category,
                        "rule": rule,
                        "store": one.store,
                        "year": one.year,
                        "reference": one.reference,
                        "revision": one.revision,
                        "decision": decision,
                        "until": None if until is None else micros(until),
                        "reason": reason,
                        "by": by,
                        "at": change.time,
                    }
                    for one in group
                ]
                type_ = "review-approved" if until is None else "review-extended"
                entry = change.write(type_, category=category, rule=rule, count=len(rows), by=word("person", by))
                change.connection.execute(schema.review.insert(), rows)
        return entry

    def years(self, category: str, rule: str, store: str) -> list[int]:
        """The years under whose keys something was decided about items of a rule."""
        r = schema.review.c
        mine = sa.and_(r.category == category, r.rule == rule, r.store == store)
        with self._ledger.transaction() as change:
            return list(change.connection.execute(sa.select(r.year).distinct().where(mine)).scalars())

    def newest(self, category: str, rule: str, store: str, year: int, references: Sequence[str]) -> Mapping[str, Said]:
        """For each of these references of a year the newest decision."""
        r = schema.review.c
        mine = sa.and_(r.category == category, r.rule == rule, r.store == store, r.year == year)
        found: dict[str, Said] = {}
        with self._ledger.transaction() as change:
            for at in range(0, len(references), _ASKED):
                asked = sa.and_(mine, r.reference.in_(references[at : at + _ASKED]))
                wanted = sa.select(r.id, r.reference, r.revision, r.decision, r.until).where(asked).order_by(r.id)
                for number, reference, revision, decision, until in change.connection.execute(wanted):
                    stays = moment(until) if decision == "extend" else None
                    found[reference] = Said(number, revision, Reviewed(stays))
        return found
