"""The register of archives and copies: `archive.register.Register`, kept in the ledger with its evidence.

Originals are kept as keyed digests, so that of an item that went nothing stays behind but the name of its copy; and
once the copy has gone too, not even that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from retentiond.core.copied import Copied, Origin, Written
from retentiond.ledger import schema
from retentiond.ledger.inspections import digests, salt_of
from retentiond.ledger.ledger import Ledger

_COLUMNS = tuple(Copied.__dataclass_fields__)
_SOME = 500
_PEOPLE = "people"
"""What digests of identifiers are made of, beside kind and value."""


@dataclass(frozen=True, slots=True)
class Holding:
    """Copies by their numbers: those that hold what is about one person and nothing else, and those that hold others', too."""

    alone: list[int] = field(default_factory=list)
    shared: list[int] = field(default_factory=list)

    def with_more(self, found: Holding) -> Holding:
        """These and what was found later, perhaps by fewer identifiers: what holds nobody else's stays so."""
        alone = sorted({*self.alone, *found.alone})
        return Holding(alone, sorted({*self.shared, *found.shared} - {*alone}))


@dataclass(frozen=True, slots=True)
class Archived:
    """Archives, and the entries of the audit log that say that they were verified."""

    copies: Sequence[Copied]
    entries: Sequence[int]


class CopyRegister:
    """Archives, copies and manifests, in every state."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def newest(self, origin: Origin, items: Sequence[tuple[str, str]]) -> list[Copied | None]:
        """The newest finished copy of each (key, revision) for the purpose and in the destination of `origin`."""
        t = schema.copied
        with self._ledger.transaction() as change:
            wanted = digests(salt_of(change), origin.place, items)
            found: dict[str, Copied] = {}
            purposes = [origin.purpose] if origin.purpose == "archive" else ["copy", "found"]
            mine = sa.and_(t.c.destination == origin.destination, t.c.purpose.in_(purposes), t.c.state != "begun")
            for low in range(0, len(wanted), _SOME):
                some = sa.and_(t.c.revision.in_(wanted[low : low + _SOME]), mine)
                rows = change.connection.execute(sa.select(t).where(some).order_by(t.c.id))
                found |= {row.revision: _read(row) for row in rows}
        return [found.get(digest) for digest in wanted]

    def begin(
        self,
        origin: Origin,
        item: tuple[str, str],
        key: str,
        recipients: int,
        items: int = 1,
        people: Sequence[Sequence[tuple[str, str]]] = (),
    ) -> int:
        """Notes that a copy is about to be written, and whom it is about as keyed digests: an empty one for who is not named."""
        with self._ledger.transaction() as change:
            salt = salt_of(change)
            item_digest, revision = digests(salt, origin.place, [(item[0], ""), item])
            named = {digest for each in people for digest in (digests(salt, _PEOPLE, each) if each else [""])}
            values = {
                "purpose": origin.purpose,
                "category": origin.category,
                "rule": origin.rule,
                "store": origin.store,
                "item": item_digest,
                "revision": revision,
                "destination": origin.destination,
                "key": key,
                "state": "begun",
                "items": items,
                "recipients": recipients,
                "subjects": None if named <= {""} else json.dumps(sorted(named)),
                "at": change.time,
            }
            made = change.connection.execute(schema.copied.insert().values(**values).returning(schema.copied.c.id))
            return int(made.scalar_one())

    def holding(self, person: Iterable[tuple[str, str]]) -> Holding:
        """The copies that are known to hold what is about a person, by their numbers."""
        t, found = schema.copied, Holding()
        with self._ledger.transaction() as change:
            mine = {*digests(salt_of(change), _PEOPLE, person)}
            if not mine:
                return found
            wanted = sa.or_(*(t.c.subjects.contains(digest) for digest in mine))
            there = sa.select(t.c.id, t.c["items"], t.c.purpose, t.c.subjects).where(t.c.state == "kept", wanted)
            for number, items, purpose, subjects in change.connection.execute(there):
                alone = (items == 1 and purpose != "manifest") or {*json.loads(subjects)} <= mine
                (found.alone if alone else found.shared).append(number)
        return found

    def of(self, numbers: Collection[int]) -> list[Copied]:
        """Those of these copies that have not gone."""
        t, found, some = schema.copied, list[Copied](), sorted(numbers)
        with self._ledger.transaction() as change:
            for low in range(0, len(some), _SOME):
                mine = sa.select(t).where(t.c.id.in_(some[low : low + _SOME]), t.c.state == "kept")
                found += [_read(row) for row in change.connection.execute(mine)]
        return found

    def archived(self, names: tuple[str, str, str], after: int, before: int) -> Archived:
        """What was archived of a (category, rule, store), by the copies noted between two entries of the audit log.

        Where there are none, those that the newest entry before has noted: a run that was cut short had made them.
        """
        t = schema.copied
        mine = sa.and_(t.c.category == names[0], t.c.rule == names[1], t.c.store == names[2], t.c.purpose == "archive")
        within = sa.and_(mine, t.c.entry > after, t.c.entry < before)
        newest = sa.select(sa.func.max(t.c.entry)).where(mine, t.c.entry < before).correlate(None).scalar_subquery()
        with self._ledger.transaction() as change:
            for which in (within, sa.and_(mine, t.c.entry == newest)):
                rows = change.connection.execute(sa.select(t).where(which).order_by(t.c.id)).all()
                if rows:
                    break
        return Archived([_read(row) for row in rows], sorted({row.entry for row in rows}))

    def archive_of(self, names: tuple[str, str, str], place: str, key: str, before: int) -> Copied | None:
        """The newest archive of one item that an entry before this one has noted; None where it is in none by itself."""
        t = schema.copied
        with self._ledger.transaction() as change:
            (item,) = digests(salt_of(change), place, [(key, "")])
            mine = sa.and_(t.c.category == names[0], t.c.rule == names[1], t.c.store == names[2], t.c.purpose == "archive")
            wanted = sa.select(t).where(t.c.item == item, mine, t.c.entry < before).order_by(t.c.entry.desc()).limit(1)
            row = change.connection.execute(wanted).one_or_none()
        return None if row is None else _read(row)

    def unsaid(self) -> list[tuple[str, str, str, int, int]]:
        """Copies that do not say whose they are: (category, rule, destination), how many, and when the newest was made."""
        t = schema.copied
        names = t.c.category, t.c.rule, t.c.destination
        columns: tuple[sa.ColumnElement[Any], ...] = (*names, sa.func.count(), sa.func.max(t.c.at))
        wanted = sa.select(*columns).where(t.c.state == "kept", t.c.subjects.is_(None))
        with self._ledger.transaction() as change:
            return [(*row,) for row in change.connection.execute(wanted.group_by(*names).order_by(*names))]

    def drop(self, number: int) -> None:
        """Forgets a begun copy."""
        t = schema.copied
        with self._ledger.transaction() as change:
            change.connection.execute(t.delete().where(t.c.id == number, t.c.state == "begun"))

    def keep(self, origin: Origin, written: Sequence[Written]) -> None:
        """Notes verified copies, and writes what stands in the audit log of them."""
        if not written:
            return
        t = schema.copied
        with self._ledger.transaction() as change:
            sums = hashlib.sha256("".join(one.sha256 for one in written).encode()).hexdigest()
            entry = change.write(
                "copies-verified",
                purpose=origin.purpose,
                category=origin.category,
                rule=origin.rule,
                store=origin.store,
                destination=origin.destination,
                count=len(written),
                bytes=sum(one.size for one in written),
                sha256=sums,
            )
            for one in written:
                values = {"found": one.found, "sha256": one.sha256, "size": one.size}
                change.connection.execute(t.update().where(t.c.id == one.id).values(**values, state="kept", entry=entry))

    def moved(self, number: int, found: str) -> None:
        """The same bytes are there in another revision."""
        t = schema.copied
        with self._ledger.transaction() as change:
            change.connection.execute(t.update().where(t.c.id == number).values(found=found))

    def gone(self, destination: str, keys: Sequence[str]) -> None:
        """A rule about the destination has disposed of these: their names are forgotten."""
        t = schema.copied
        with self._ledger.transaction() as change:
            for low in range(0, len(keys), _SOME):
                mine = sa.and_(t.c.destination == destination, t.c.key.in_(keys[low : low + _SOME]))
                change.connection.execute(t.update().where(mine).values(state="gone", key="", found=None))

    def destinations(self) -> set[str]:
        """The stores in which there are copies."""
        t = schema.copied
        with self._ledger.transaction() as change:
            return set(change.connection.execute(sa.select(t.c.destination).distinct()).scalars())

    def all(self, destination: str | None = None) -> list[Copied]:
        """Every copy that has not gone, oldest first."""
        t = schema.copied
        wanted = sa.select(t).where(t.c.state != "gone").order_by(t.c.id)
        if destination is not None:
            wanted = wanted.where(t.c.destination == destination)
        with self._ledger.transaction() as change:
            return [_read(row) for row in change.connection.execute(wanted)]


def _read(row: Any) -> Copied:
    return Copied(*(getattr(row, name) for name in _COLUMNS))
