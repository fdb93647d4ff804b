"""What was seen of items when they were looked into, so that each revision is read once.

An item is kept as a digest of its place, key and revision, keyed with a number of this state's own. What was not met
for `_FORGOTTEN` goes: the rows are touched when they grow old, not every night.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from retentiond.core.assurance import Recognised
from retentiond.ledger import schema
from retentiond.ledger.ledger import Ledger, Transaction

_DAY = 86_400_000_000
_OLD, _FORGOTTEN = 30 * _DAY, 90 * _DAY
_SALT = "item-salt"
_SOME = 500
"""So many digests are asked for at a time."""


def digests(salt: bytes, place: str, items: Iterable[tuple[str, str]]) -> list[str]:
    """The digests of (key, revision) in a place: 32 hex digits."""
    before = hashlib.blake2b(key=salt, digest_size=16)
    before.update(place.encode("utf-8", "surrogatepass") + b"\0")
    found = []
    for key, revision in items:
        one = before.copy()
        one.update(f"{key}\0{revision}".encode("utf-8", "surrogatepass"))
        found.append(one.hexdigest())
    return found


def salt_of(change: Transaction) -> bytes:
    """The number that this state's digests are keyed with, made on first need."""
    known = change.fact(_SALT)
    if known is None:
        known = secrets.token_hex(32)
        change.set_fact(_SALT, known)
    return bytes.fromhex(known)


class InspectionRegister:
    """`archive.inspecting.Inspections`, kept in the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def known(self, place: str, items: Sequence[tuple[str, str]]) -> list[Recognised | None]:
        """What is remembered of each (key, revision); what is old is touched, so that it is not forgotten."""
        t = schema.inspected
        with self._ledger.transaction() as change:
            wanted = digests(salt_of(change), place, items)
            found: dict[str, Recognised] = {}
            for some in _some(wanted):
                rows = change.connection.execute(sa.select(t).where(t.c.digest.in_(some))).all()
                found |= {row.digest: Recognised(row.format, row.assurance) for row in rows}
                old = [row.digest for row in rows if row.at < change.time - _OLD]
                if old:
                    change.connection.execute(t.update().where(t.c.digest.in_(old)).values(at=change.time))
        return [found.get(digest) for digest in wanted]

    def note(self, place: str, seen: Sequence[tuple[str, str, Recognised]]) -> None:
        """Remembers what was seen of (key, revision)."""
        with self._ledger.transaction() as change:
            names = digests(salt_of(change), place, ((key, revision) for key, revision, _ in seen))
            for digest, (_, _, found) in zip(names, seen, strict=True):
                change.put(schema.inspected, digest=digest, format=found.format, assurance=found.assurance, at=change.time)

    def forget(self) -> None:
        """Lets go of what was not met for a long time."""
        with self._ledger.transaction() as change:
            t = schema.inspected
            change.connection.execute(t.delete().where(t.c.at < change.time - _FORGOTTEN))


def _some(digests: Sequence[str]) -> Iterable[Sequence[str]]:
    return (digests[low : low + _SOME] for low in range(0, len(digests), _SOME))
