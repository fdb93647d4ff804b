"""What the ledger remembers between runs: approvals, places, populations, and how much went before."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from retentiond.core.limits import Past
from retentiond.ledger import schema
from retentiond.ledger.ledger import Ledger
from retentiond.ledger.registers import Word

_RUNS_REMEMBERED = 20
_VERSIONS = 50


@dataclass(frozen=True, slots=True)
class Approval:
    """Which version of a category a person approved, and when (microseconds)."""

    category: str
    rulebook: str
    by: str
    at: int
    revoked: bool


@dataclass(frozen=True, slots=True)
class Version:
    """What a category meant from an instant on (microseconds)."""

    digest: str
    meaning: Mapping[str, Any]
    seen_at: int


@dataclass(frozen=True, slots=True)
class Counted:
    """What the newest plan that could be believed counted of a rule, as of `at` (microseconds), and what we disposed of since.

    Counts are named as in `plan --json`.
    """

    at: int
    counts: Mapping[str, Any]
    disposed: int


class Memory:
    """Approvals, places, populations and the history of a rule."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def load_rulebook(self, digest: str, categories: Mapping[str, str], meanings: Mapping[str, object]) -> None:
        """Notes the rulebook that is in force, with an entry and the changed categories when it is another than before."""
        v = schema.version
        with self._ledger.transaction() as change:
            if change.fact("rulebook") == digest:
                return
            change.write("rulebook-loaded", rulebook=digest, categories=dict(categories))
            change.set_fact("rulebook", digest)
            for name, mine in categories.items():
                newest = sa.select(v.c.digest).where(v.c.category == name).order_by(v.c.id.desc()).limit(1)
                if change.connection.execute(newest).scalar() != mine:
                    values = {"category": name, "digest": mine, "meaning": json.dumps(meanings[name]), "seen_at": change.time}
                    change.connection.execute(v.insert().values(**values))

    def versions(self, category: str) -> list[Version]:
        """The newest versions of a category, the current one first."""
        v = schema.version.c
        wanted = sa.select(v.digest, v.meaning, v.seen_at).where(v.category == category).order_by(v.id.desc()).limit(_VERSIONS)
        with self._ledger.transaction() as change:
            return [Version(d, json.loads(m), at) for d, m, at in change.connection.execute(wanted)]

    def approved_meaning(self, category: str) -> Mapping[str, Any] | None:
        """What the approved version of a category meant; None where there is no approval in force."""
        a = schema.approval.c
        wanted = sa.select(a.meaning).where(a.category == category, a.revoked == 0)
        with self._ledger.transaction() as change:
            found = change.connection.execute(wanted).scalar()
        return None if found is None else json.loads(found)

    def approve(self, category: str, rulebook: str, meaning: object, by: str, word: Word) -> None:
        """A person lets the daemon enforce this version of a category."""
        with self._ledger.transaction() as change:
            values = {"category": category, "rulebook": rulebook, "meaning": json.dumps(meaning), "by": by}
            change.put(schema.approval, **values, at=change.time, revoked=0)
            change.write("category-approved", category=category, rulebook=rulebook, by=word("person", by))

    def revoke(self, category: str, by: str, word: Word) -> bool:
        """Takes an approval back; whether there was one."""
        with self._ledger.transaction() as change:
            mine = sa.and_(schema.approval.c.category == category, schema.approval.c.revoked == 0)
            if not change.connection.execute(schema.approval.update().where(mine).values(revoked=1)).rowcount:
                return False
            change.write("approval-revoked", category=category, by=word("person", by))
            return True

    def approvals(self) -> dict[str, Approval]:
        """The last word about each category."""
        a = schema.approval.c
        with self._ledger.transaction() as change:
            rows = change.connection.execute(sa.select(a.category, a.rulebook, a.by, a.at, a.revoked)).all()
        return {row[0]: Approval(*row[:4], revoked=bool(row[4])) for row in rows}

    def places(self) -> dict[str, tuple[str, str]]:
        """For each store that was ever planned on: its definition's digest and the place found then."""
        p = schema.place.c
        with self._ledger.transaction() as change:
            return {store: (d, found) for store, d, found in change.connection.execute(sa.select(p.store, p.definition, p.place))}

    def accept_place(self, store: str, definition: str, place: str, word: Word) -> None:
        """Remembers where a store is; a person stands behind a changed one."""
        with self._ledger.transaction() as change:
            p = schema.place.c
            known = change.connection.execute(sa.select(p.definition, p.place).where(p.store == store)).one_or_none()
            if known is not None and tuple(known) == (definition, place):
                return
            values = {"store": store, "definition": definition, "place": place}
            change.put(schema.place, **values)
            change.write("place-accepted", store=store, place=word("place", place))

    def past(self, category: str, rule: str) -> Past:
        """What to expect of a rule's population, and how much its last runs disposed of."""
        p, h = schema.population.c, schema.history.c
        with self._ledger.transaction() as change:
            found = change.connection.execute(
                sa.select(p.total, p.disposed).where(p.category == category, p.rule == rule)
            ).one_or_none()
            wanted = sa.select(h.disposed).where(h.category == category, h.rule == rule, h.disposed > 0).order_by(h.id.desc())
            runs = change.connection.execute(wanted.limit(_RUNS_REMEMBERED)).scalars().all()
        return Past(None if found is None else max(0, found[0] - found[1]), runs)

    def saw(self, populations: Mapping[tuple[str, str], int]) -> None:
        """Notes the populations that a plan found."""
        with self._ledger.transaction() as change:
            for (category, rule), items in populations.items():
                values = {"category": category, "rule": rule, "total": items, "disposed": 0}
                change.put(schema.population, **values)

    def disposed(self, plan: str, counts: Mapping[tuple[str, str], int], *, usual: bool = True) -> None:
        """Notes how much a run disposed of, added up for each plan. What is not `usual` makes no history."""
        p, h, c = schema.population, schema.history, schema.counted
        with self._ledger.transaction() as change:
            for (category, rule), n in counts.items():
                if not n:
                    continue
                mine = sa.and_(p.c.category == category, p.c.rule == rule)
                change.connection.execute(p.update().where(mine).values(disposed=p.c.disposed + n))
                seen = sa.and_(c.c.category == category, c.c.rule == rule)
                change.connection.execute(c.update().where(seen).values(disposed=c.c.disposed + n))
                if not usual:
                    continue
                same = sa.and_(h.c.category == category, h.c.rule == rule, h.c.plan == plan)
                if not change.connection.execute(h.update().where(same).values(disposed=h.c.disposed + n)).rowcount:
                    change.connection.execute(h.insert().values(category=category, rule=rule, plan=plan, disposed=n))

    def count(self, at: int, counts: Iterable[Mapping[str, Any]]) -> None:
        """Keeps what a plan counted of rules (as in `plan --json`), in place of what an earlier one did."""
        with self._ledger.transaction() as change:
            for one in counts:
                values = {
                    "category": one["category"],
                    "rule": one["rule"],
                    "at": at,
                    "counts": json.dumps(dict(one)),
                    "disposed": 0,
                }
                change.put(schema.counted, **values)

    def counted(self) -> dict[tuple[str, str], Counted]:
        """What was last seen of each rule, by category and rule."""
        c = schema.counted.c
        with self._ledger.transaction() as change:
            rows = change.connection.execute(sa.select(c.category, c.rule, c.at, c.counts, c.disposed)).all()
        return {(category, rule): Counted(at, json.loads(counts), gone) for category, rule, at, counts, gone in rows}

    def used_reference(self, year: int, categories: Sequence[str]) -> None:
        """Notes under which keys references are made, so that a look-up can try them all."""
        with self._ledger.transaction() as change:
            for category in categories:
                values = {"year": year, "category": category}
                change.put(schema.reference_scope, **values)

    def reference_scopes(self) -> list[tuple[int, str]]:
        """Every year and category under whose key references were made."""
        r = schema.reference_scope.c
        with self._ledger.transaction() as change:
            return [
                (year, category) for year, category in change.connection.execute(sa.select(r.year, r.category).order_by(r.year))
            ]
