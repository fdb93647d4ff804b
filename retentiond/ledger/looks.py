"""The last look at each category: when, what it found, what came of it. `status`, metrics and alarms read it.

It is a memory, not evidence: the plan, the run and its outcomes are entries of their own. A look
is effective when every store of the category was seen and whatever was due and allowed was done.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import sqlalchemy as sa

from retentiond.ledger import schema
from retentiond.ledger.ledger import Ledger

Result = Literal["done", "nothing", "refused", "unapproved", "unseen", "failed", "stopped"]
"""What a look came to: carried out; nothing was due; stopped by a limit; wants a person; a store was not
seen; steps failed or an error ended it; told to stop before the end."""

EFFECTIVE: frozenset[Result] = frozenset({"done", "nothing"})


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a category. Instants are microseconds since 1970.

    `found` counts what the plan saw (`due`, `waiting`, `kept`, `held`, `locked`, `undetermined`, `overdue`,
    `violations`); `outcomes` what became of it. `oldest_overdue` is the start of the oldest overdue item.
    `effective` is the end of the last effective look and `totals` all outcomes so far; both are kept by `Looks`.
    """

    category: str
    began: int
    ended: int
    result: Result
    plan: str | None = None
    run: str | None = None
    code: str | None = None
    oldest_overdue: int | None = None
    found: Mapping[str, int] = field(default_factory=dict)
    outcomes: Mapping[str, int] = field(default_factory=dict)
    effective: int | None = None
    totals: Mapping[str, int] = field(default_factory=dict)


class Looks:
    """The last look at each category."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def record(self, look: Look) -> None:
        """Keeps a look in place of the one before; its outcomes are added to the category's totals."""
        row = schema.look
        with self._ledger.transaction() as change:
            mine = row.c.category == look.category
            before = change.connection.execute(sa.select(row.c.effective, row.c.totals).where(mine)).one_or_none()
            effective, totals = (before.effective, json.loads(before.totals)) if before else (None, {})
            for name, number in look.outcomes.items():
                totals[name] = totals.get(name, 0) + number
            values = {
                "category": look.category,
                "began": look.began,
                "ended": look.ended,
                "result": look.result,
                "plan": look.plan,
                "run": look.run,
                "code": look.code,
                "oldest_overdue": look.oldest_overdue,
                "found": json.dumps(dict(look.found)),
                "outcomes": json.dumps(dict(look.outcomes)),
                "effective": look.ended if look.result in EFFECTIVE else effective,
                "totals": json.dumps(totals),
            }
            change.connection.execute(row.delete().where(mine))
            change.connection.execute(row.insert().values(**values))

    def add(self, category: str, outcomes: Mapping[str, int]) -> None:
        """Adds what a killed run had come to, and left no look of, to the category's totals."""
        row = schema.look
        mine = row.c.category == category
        with self._ledger.transaction() as change:
            before = change.connection.execute(sa.select(row.c.totals).where(mine)).scalar()
            if before is None:
                return
            totals = Counter[str](json.loads(before)) + Counter(outcomes)
            change.connection.execute(row.update().where(mine).values(totals=json.dumps(totals)))

    def all(self) -> dict[str, Look]:
        """The last look at each category that was ever looked at."""
        with self._ledger.transaction() as change:
            rows = change.connection.execute(sa.select(schema.look)).mappings().all()
        return {row["category"]: _read(row) for row in rows}


def _read(row: sa.RowMapping) -> Look:
    values = dict(row)
    for name in ("found", "outcomes", "totals"):
        values[name] = json.loads(values[name])
    return Look(**values)
