"""What people tell us, kept: holds and recorded events. Each change is one short transaction.

A hold wins from the moment its command returns: an intent reads the register in the transaction
that commits it, so a hold is either seen by the intent or committed after it, and then the
command waits for that one batch and says what went.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime

import sqlalchemy as sa

from retentiond.core.registers import Hold, RecordedEvent, Registers
from retentiond.core.told import Told
from retentiond.errors import UsageError
from retentiond.ledger import schema
from retentiond.ledger.clock import micros, moment
from retentiond.ledger.ledger import Ledger, Transaction

Word = Callable[[str, str], str]
"""(kind, word) → its keyed reference, 32 hex digits."""


Widening = Callable[[Sequence[Hold]], Sequence[Hold]]
"""Makes of holds by subject what they mean now, in the same order."""


class HoldRegister:
    """The holds, active and released. The active ones are read again only when an entry about a hold has come.

    Holds by subject are widened once each, and never within a transaction. One that is first read within one is as it was placed.
    """

    def __init__(self, ledger: Ledger, widened: Widening = tuple) -> None:
        self._ledger, self._widened = ledger, widened
        self._active: Sequence[Hold] = ()
        self._meant: dict[int, Hold] = {}
        self._read_at = -2

    def read(self, change: Transaction) -> Registers:
        """The registers as this transaction sees them."""
        newest = change.newest("hold")
        if newest != self._read_at:
            rows = change.connection.execute(sa.select(schema.hold).where(schema.hold.c.released.is_(None))).all()
            holds = [_hold(row) for row in rows]
            self._active, self._read_at = [self._meant.get(hold.entry, hold) for hold in holds], newest
        return Registers(self._active, newest, change.newest("event"), change.newest("review"))

    def current(self) -> Registers:
        """The registers as they are now."""
        with self._ledger.transaction() as change:
            found = self.read(change)
        new = [hold for hold in found.holds if hold.subjects and hold.entry not in self._meant]
        if new:
            self._meant |= {hold.entry: hold for hold in self._widened(new)}
            self._active = [self._meant.get(hold.entry, hold) for hold in found.holds]
        return replace(found, holds=self._active)

    def current_anew(self) -> Registers:
        """The same, with every hold by subject widened once more."""
        self._meant, self._read_at = {}, -2
        return self.current()

    def place(self, hold: Hold, word: Word) -> int:
        """Places a hold; the index of its entry. `UsageError` where its id was used before."""
        scope = {
            "category": hold.category,
            "store": hold.store,
            "path": hold.path,
            "subjects": [list(s) for s in hold.subjects],
            "where": hold.where,
            "everything": hold.everything,
        }
        with self._ledger.transaction() as change:
            if change.connection.execute(sa.select(schema.hold.c.id).where(schema.hold.c.id == hold.id)).scalar() is not None:
                raise UsageError("a hold of this id was placed before", why="an id names one hold for ever", do="give another id")
            scopes = sorted(name for name, value in scope.items() if value)
            unasked = {"unasked": hold.unasked} if hold.unasked else {}
            entry = change.write("hold-placed", hold=word("hold", hold.id), scopes=scopes, mandate=word("mandate", hold.mandate))
            change.connection.execute(
                schema.hold.insert().values(
                    id=hold.id,
                    scope=json.dumps(scope | unasked),
                    reason=hold.reason,
                    mandate=hold.mandate,
                    review_on=hold.review_on,
                    placed=entry,
                    placed_at=change.time,
                )
            )
        return entry

    def release(self, hold_id: str, reason: str, word: Word) -> None:
        """Releases a hold; `UsageError` where there is no active one of this id."""
        with self._ledger.transaction() as change:
            mine = sa.and_(schema.hold.c.id == hold_id, schema.hold.c.released.is_(None))
            if change.connection.execute(sa.select(schema.hold.c.id).where(mine)).scalar() is None:
                raise UsageError("there is no active hold of this id", do="see `retentiond hold list`")
            entry = change.write("hold-released", hold=word("hold", hold_id), reason=word("reason", reason))
            values = {"released": entry, "released_at": change.time, "release_reason": reason}
            change.connection.execute(schema.hold.update().where(mine).values(**values))

    def all(self) -> list[Hold]:
        """Every hold, in the order in which they were placed."""
        with self._ledger.transaction() as change:
            return [_hold(row) for row in change.connection.execute(sa.select(schema.hold).order_by(schema.hold.c.placed))]

    def in_flight(self, entry: int) -> list[tuple[int, int | None]]:
        """The intents that were committed before an entry and had no outcome then: (intent, outcome by now)."""
        b = schema.batch.c
        wanted = sa.select(b.entry, b.outcome).where(b.entry < entry, sa.or_(b.outcome.is_(None), b.outcome > entry))
        with self._ledger.transaction() as change:
            return [(intent, outcome) for intent, outcome in change.connection.execute(wanted) if intent != outcome]


def _hold(row: sa.Row[tuple[object, ...]]) -> Hold:
    m = row._mapping
    scope = json.loads(m["scope"])
    return Hold(
        id=m["id"],
        reason=m["reason"],
        mandate=m["mandate"],
        category=scope["category"],
        store=scope["store"],
        path=scope["path"],
        subjects=tuple((kind, value) for kind, value in scope["subjects"]),
        where=scope["where"],
        everything=scope["everything"],
        review_on=m["review_on"],
        placed_at=moment(m["placed_at"]),
        released_at=moment(m["released_at"]) if m["released_at"] is not None else None,
        entry=m["placed"],
        unasked=tuple((name, why) for name, why in scope.get("unasked", ())),
    )


class EventRegister:
    """Events that were recorded by hand or by file. Subjects compare as text."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def record(self, name: str, subject: str, at: datetime, word: Word) -> None:
        """Records that something happened to a subject."""
        with self._ledger.transaction() as change:
            entry = change.write("event-recorded", event=name, subject=word("subject", subject))
            values = {"name": name, "subject": subject, "at": micros(at), "recorded": entry, "recorded_at": change.time}
            change.connection.execute(schema.happened.insert().values(**values))

    def withdraw(self, name: str, subject: str, at: datetime | None, word: Word) -> int:
        """Withdraws the recorded events of a subject (all, or those at an instant); how many."""
        h = schema.happened.c
        mine = sa.and_(h.name == name, h.subject == subject, h.withdrawn.is_(None))
        if at is not None:
            mine = sa.and_(mine, h.at == micros(at))
        with self._ledger.transaction() as change:
            found = change.connection.execute(sa.select(sa.func.count()).where(mine)).scalar_one()
            if not found:
                raise UsageError(
                    "no such event was recorded",
                    why="an event that comes from a query goes away when its row changes",
                    do="see `retentiond event list`",
                )
            entry = change.write("event-withdrawn", event=name, subject=word("subject", subject))
            change.connection.execute(schema.happened.update().where(mine).values(withdrawn=entry))
        return int(found)

    def take(self, told: Sequence[Told], word: Word) -> tuple[int, int]:
        """Records and withdraws what a file says, all or nothing: (recorded, withdrawn). What is known changes nothing."""
        h, recorded, withdrawn = schema.happened.c, 0, 0
        with self._ledger.transaction() as change:
            for one in told:
                mine = sa.and_(h.name == one.event, h.subject == one.subject, h.withdrawn.is_(None))
                mine = sa.and_(mine, h.at == micros(one.at)) if one.at is not None else mine
                known = change.connection.execute(sa.select(sa.func.count()).where(mine)).scalar_one()
                names = {"event": one.event, "subject": word("subject", one.subject)}
                if one.withdrawn and known:
                    values = {"withdrawn": change.write("event-withdrawn", **names)}
                    change.connection.execute(schema.happened.update().where(mine).values(**values))
                    withdrawn += 1
                elif one.at is not None and not one.withdrawn and not known:
                    entry = change.write("event-recorded", **names)
                    row = {"name": one.event, "subject": one.subject, "at": micros(one.at)}
                    change.connection.execute(schema.happened.insert().values(**row, recorded=entry, recorded_at=change.time))
                    recorded += 1
        return recorded, withdrawn

    def latest(self, name: str, subjects: Sequence[str]) -> dict[str, datetime]:
        """For each of these subjects the newest recorded event that was not withdrawn."""
        h = schema.happened.c
        found: dict[str, datetime] = {}
        with self._ledger.transaction() as change:
            for at in range(0, len(subjects), 500):
                mine = sa.and_(h.name == name, h.withdrawn.is_(None), h.subject.in_(subjects[at : at + 500]))
                rows = change.connection.execute(sa.select(h.subject, sa.func.max(h.at)).where(mine).group_by(h.subject))
                found |= {subject: moment(newest) for subject, newest in rows}
        return found

    def all(self) -> list[RecordedEvent]:
        """Every recorded event, newest last."""
        h = schema.happened.c
        wanted = sa.select(h.name, h.subject, h.at, h.recorded_at, h.withdrawn).order_by(h.id)
        with self._ledger.transaction() as change:
            rows = change.connection.execute(wanted).all()
        return [RecordedEvent(n, s, moment(a), moment(r), w is not None) for n, s, a, r, w in rows]


def as_day(text: str) -> str:
    """A review date as it is kept: ISO 8601; `ValueError` for anything else."""
    return date.fromisoformat(text).isoformat()
