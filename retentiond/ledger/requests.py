"""Erasure requests, kept: received, allowed by a person, and carried out when a later look finds nothing.

Whom a request means is kept as keyed references only, and for so long as it may have to be obeyed
again: that is the suppression list, whose purpose is that nobody who was erased comes back by a restore
or an import. When its time is over, the references go too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from retentiond.core.item import NOTHING
from retentiond.core.request import ErasureRequest, Stay, Stays
from retentiond.errors import PlanUnusable, UsageError
from retentiond.ledger import schema
from retentiond.ledger.clock import moment
from retentiond.ledger.copies import Holding
from retentiond.ledger.ledger import Ledger, Transaction
from retentiond.ledger.registers import Word

_PATIENCE = 30 * 86_400 * 1_000_000
"""A request that nobody allows is kept for so long after its time: its plan may still be looked at."""
_SOME = 500
_PLAIN = ("name", "reason", "by", "received", "allowed", "done", "until", "withdrawn", "withdraw_reason")
Place = tuple[str, str]
"""(category, rule)."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A request with all that the ledger knows of it; instants in microseconds. `name` is what the organisation calls it."""

    request: ErasureRequest
    name: str
    reason: str
    by: str
    received: int
    allowed: int | None
    done: int | None
    until: int
    withdrawn: int | None
    withdraw_reason: str | None
    stays: Mapping[Place, Stays]
    told: Mapping[str, Sequence[str]]
    copies: Holding = field(default_factory=Holding)

    @property
    def state(self) -> str:
        """How far it has come."""
        if self.withdrawn is not None:
            return "withdrawn"
        return "received" if self.allowed is None else "open" if self.done is None else "carried out"

    @property
    def waits(self) -> bool:
        """Whether the person has no answer yet: nobody allowed it, or something is left on no ground that the law knows."""
        left = [stay for stays in self.stays.values() for stay in stays.grounds]
        return self.state == "received" or (self.state == "open" and not (left and all(stay.lawful for stay in left)))


class RequestRegister:
    """The erasure requests, and through them the suppression list."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def receive(
        self,
        name: str,
        reason: str,
        by: str,
        whom: ErasureRequest,
        until: int,
        word: Word,
        given: Sequence[Set[tuple[str, str]]] = (),
        copies: Holding | None = None,
    ) -> ErasureRequest:
        """Writes a request down; the same request again is the one that is there.

        `whom` has its year and its identifiers; `given` what a person has typed of them, each in all its spellings; `copies` hold
        what is about the person, as far as is known now. `UsageError` where the name was used for other identifiers: the same
        request again may give some of those that it has, and keeps all of them.
        """
        copies = copies or Holding()
        with self._ledger.transaction() as change:
            row = change.connection.execute(sa.select(schema.request).where(schema.request.c.name == name)).one_or_none()
            if row is not None:
                _refuse_another(row, given)
                known = _kept(row).request
                mine, copies = schema.request.c.entry == known.entry, _kept(row).copies.with_more(copies)
                change.connection.execute(schema.request.update().where(mine).values(copies=json.dumps(asdict(copies))))
                return _with_copies(change, [known], {known.entry: copies})[0]
            kinds = sorted({kind for kind, _ in whom.subjects})
            names = {"name": word("request", name), "reason": word("reason", reason), "by": word("person", by)}
            entry = change.write("request-received", kinds=kinds, **names)
            change.connection.execute(
                schema.request.insert().values(
                    entry=entry,
                    name=name,
                    reason=reason,
                    by=by,
                    year=whom.year,
                    subjects=json.dumps(sorted(whom.subjects)),
                    received=change.time,
                    until=until,
                    rules="{}",
                    told="{}",
                    copies=json.dumps(asdict(copies)),
                )
            )
            made = replace(whom, entry=entry, at=moment(change.time))
            return _with_copies(change, [made], {entry: copies})[0]

    def standing(self, now: int) -> list[ErasureRequest]:
        """The requests that have to be obeyed: allowed by a person, and not carried out yet, or not for long enough."""
        r = schema.request.c
        stands = sa.or_(r.done.is_(None), r.until > now)
        wanted = sa.select(schema.request).where(r.allowed.is_not(None), r.withdrawn.is_(None), stands).order_by(r.entry)
        with self._ledger.transaction() as change:
            kept = [_kept(row) for row in change.connection.execute(wanted)]
            return _with_copies(change, [one.request for one in kept], {one.request.entry: one.copies for one in kept})

    def all(self) -> list[Kept]:
        """Every request, newest last."""
        with self._ledger.transaction() as change:
            rows = change.connection.execute(sa.select(schema.request).order_by(schema.request.c.entry)).all()
        return [_kept(row) for row in rows]

    def get(self, entry: int) -> Kept:
        """The request of an entry."""
        with self._ledger.transaction() as change:
            kept = _kept(change.connection.execute(sa.select(schema.request).where(schema.request.c.entry == entry)).one())
            return replace(kept, request=_with_copies(change, [kept.request], {entry: kept.copies})[0])

    def allow(self, entry: int, plan: str, meant: Mapping[Place, Stays] = NOTHING) -> None:
        """A person carries out a plan of a request: from now on it stands. Written before the first item goes.

        `meant` has the references of what the plan is about: of that, what stays is the person's; of what another plan saw
        before the request stood, it is not. `PlanUnusable` where the request was withdrawn.
        """
        mine = schema.request.c.entry == entry
        with self._ledger.transaction() as change:
            kept = _kept(change.connection.execute(sa.select(schema.request).where(mine)).one())
            if kept.withdrawn is not None:
                raise PlanUnusable("the request of this plan was withdrawn", do="nothing; a new request needs a new name")
            change.write("request-allowed", request=entry, plan=plan)
            stays = _joined(kept.stays if kept.allowed is not None else {}, meant, kept.stays)
            values = {"rules": _written(stays), "allowed": kept.allowed if kept.allowed is not None else change.time}
            change.connection.execute(schema.request.update().where(mine).values(**values))

    def withdraw(self, name: str, reason: str, word: Word) -> Kept:
        """The person takes a request back: from now on nothing goes on its ground, and whom it meant is forgotten.

        `UsageError` where there is none of this name, or it is carried out or withdrawn already.
        """
        with self._ledger.transaction() as change:
            row = change.connection.execute(sa.select(schema.request).where(schema.request.c.name == name)).one_or_none()
            if row is None:
                raise UsageError("there is no request of this name", do="see `retentiond request list`")
            kept = _kept(row)
            if kept.state in ("withdrawn", "carried out"):
                raise UsageError(f"the request is {kept.state} already", do="see `retentiond request list --all`")
            entry = kept.request.entry
            change.write("request-withdrawn", request=entry, reason=word("reason", reason))
            values = {"withdrawn": change.time, "withdraw_reason": reason, "subjects": "[]", "rules": "{}", "copies": None}
            change.connection.execute(schema.request.update().where(schema.request.c.entry == entry).values(**values))
        return replace(kept, withdrawn=change.time, withdraw_reason=reason, stays={})

    def withdrawals(self) -> int:
        """How many requests were withdrawn by now."""
        wanted = sa.select(sa.func.count()).where(schema.request.c.withdrawn.is_not(None))
        with self._ledger.transaction() as change:
            return int(change.connection.execute(wanted).scalar_one())

    def saw(self, entry: int, seen: Mapping[Place, Stays], open_rules: Iterable[Place] = ()) -> None:
        """Notes what a look found of a request in each rule that was looked at; it is carried out when nothing is left.

        A rule of `open_rules` without a finding has nothing left. Refusals are entries, each when it is new.
        """
        with self._ledger.transaction() as change:
            kept = _kept(change.connection.execute(sa.select(schema.request).where(schema.request.c.entry == entry)).one())
            if kept.withdrawn is not None:
                return
            stays = {place: found for place, found in kept.stays.items() if place not in {*open_rules}} | dict(seen)
            stays = {place: found for place, found in stays.items() if found.items is None or found.items}
            for (category, rule), found in seen.items():
                before = kept.stays.get((category, rule))
                for stay in found.grounds:
                    if stay.ground not in ("due", "unseen") and (before is None or stay not in before.grounds):
                        where = {"category": category, "rule": rule}
                        change.write("request-refused", request=entry, **where, ground=stay.code, count=stay.items)
            done = kept.done
            if not stays and kept.allowed is not None and done is None:
                change.write("request-carried-out", request=entry, disposed=_disposed(change, entry))
                done = change.time
            values = {"rules": _written(stays), "done": None if stays else done}
            change.connection.execute(schema.request.update().where(schema.request.c.entry == entry).values(**values))

    def told(self, entry: int, category: str, recipients: Sequence[str]) -> None:
        """Notes that the recipients of a category were told."""
        mine = schema.request.c.entry == entry
        with self._ledger.transaction() as change:
            before = json.loads(change.connection.execute(sa.select(schema.request.c.told).where(mine)).scalar_one())
            change.write("recipients-told", request=entry, category=category, count=len(recipients))
            told = json.dumps(before | {category: list(recipients)})
            change.connection.execute(schema.request.update().where(mine).values(told=told))

    def replayed(self, plan: str, since: int, requests: int, steps: int) -> None:
        """Notes that a plan was made of what is back after a restore."""
        with self._ledger.transaction() as change:
            change.write("replayed", plan=plan, since=since, requests=requests, steps=steps)

    def forget(self, now: int) -> None:
        """Lets go of whom requests meant that have stood for as long as they have to, or that nobody has ever allowed."""
        r = schema.request.c
        unwanted = sa.and_(r.allowed.is_(None), r.until <= now - _PATIENCE)
        over = sa.and_(r.until <= now, r.subjects != "[]", sa.or_(r.done.is_not(None), unwanted))
        with self._ledger.transaction() as change:
            change.connection.execute(schema.request.update().where(over).values(subjects="[]", copies=None))


def _joined(before: Mapping[Place, Stays], meant: Mapping[Place, Stays], seen: Mapping[Place, Stays]) -> dict[Place, Stays]:
    """What stays, with what a plan means besides; on the grounds that were seen. Where nobody could look, that stands."""
    found: dict[Place, Stays] = {place: stays for place, stays in seen.items() if stays.items is None}
    for place in [place for place in {*before, *meant} if place not in found]:
        each = [stays[place] for stays in (before, meant) if place in stays]
        items = frozenset[str]().union(*(one.items or () for one in each))
        found[place] = Stays(each[0].store, items, seen[place].grounds if place in seen else ())
    return found


def _refuse_another(row: sa.Row[Any], given: Sequence[Set[tuple[str, str]]]) -> None:
    """`UsageError` where a request was withdrawn, or does not have all that was given."""
    if row.withdrawn is not None:
        raise UsageError("the request of this name was withdrawn", do="give another --request for a new one")
    if not all(each & _kept(row).request.subjects for each in given):
        raise UsageError(
            "a request of this name was made for other identifiers",
            why="one name is one person's request, for ever",
            do="give another --request, or the identifiers that it had",
        )


def _disposed(change: Transaction, entry: int) -> int:
    """How many items went on the ground of a request, by the outcomes of its batches."""
    b, e = schema.batch.c, schema.entry
    wanted = sa.select(e.c.body).join_from(schema.batch, e, e.c.seq == b.outcome).where(b.request == entry)
    return sum(json.loads(body).get("disposed", 0) for body in change.connection.execute(wanted).scalars())


def _kept(row: sa.Row[Any]) -> Kept:
    m = row._mapping
    stays = {
        (one["category"], one["rule"]): Stays(
            one["store"], None if one["items"] is None else frozenset(one["items"]), tuple(Stay(**s) for s in one["grounds"])
        )
        for one in json.loads(m["rules"]).get("stays", ())
    }
    subjects = frozenset((kind, reference) for kind, reference in json.loads(m["subjects"]))
    left = {place: found.items for place, found in stays.items()}
    request = ErasureRequest(m["entry"], m["year"], moment(m["received"]), subjects, left=left)
    copies = Holding(**json.loads(m["copies"] or "{}"))
    return Kept(request, stays=stays, told=json.loads(m["told"]), copies=copies, **{name: m[name] for name in _PLAIN})


def _with_copies(change: Transaction, requests: Sequence[ErasureRequest], copies: Mapping[int, Holding]) -> list[ErasureRequest]:
    """The requests with the keys, by store, of the copies that hold what is about their people and nothing else."""
    t, found = schema.copied, list[ErasureRequest]()
    for request in requests:
        keys: dict[str, set[str]] = {}
        for low in range(0, len(copies[request.entry].alone), _SOME):
            some = copies[request.entry].alone[low : low + _SOME]
            wanted = sa.select(t.c.destination, t.c.key).where(t.c.id.in_(some), t.c.state == "kept")
            for destination, key in change.connection.execute(wanted):
                keys.setdefault(destination, set()).add(key)
        found.append(replace(request, copies={store: frozenset(each) for store, each in keys.items()}))
    return found


def _written(stays: Mapping[Place, Stays]) -> str:
    rows = [
        {
            "category": category,
            "rule": rule,
            "store": found.store,
            "items": None if found.items is None else sorted(found.items),
            "grounds": [asdict(stay) for stay in found.grounds],
        }
        for (category, rule), found in sorted(stays.items())
    ]
    return json.dumps({"stays": rows})
