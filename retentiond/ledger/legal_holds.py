"""Which legal holds of buckets are ours, and for which of our holds, so that none of anybody else's is ever taken off.

Keys are in clear here, as they are in plans, for as long as a hold stands; what goes with its release leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from retentiond.ledger import schema
from retentiond.ledger.ledger import Ledger

Version = tuple[str, str]
"""(key, version)"""
State = Literal["begun", "ours", "theirs"]
_T = schema.legal_hold
_OVER = _T.c.hold.in_(sa.select(schema.hold.c.id).where(schema.hold.c.released.is_not(None)))


@dataclass(frozen=True, slots=True)
class Removed:
    """What came of versions whose hold is released: taken off, left (another hold means it, or it is not ours), or not there."""

    count: int = 0
    kept: int = 0
    gone: int = 0


class LegalHoldRegister:
    """The versions that bear a legal hold for a hold of ours. `state` is `begun` from before one is put on until it is there."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def any(self) -> bool:
        """Whether there are any."""
        with self._ledger.transaction() as change:
            return change.connection.execute(sa.select(_T.c.hold).limit(1)).scalar() is not None

    def known(self, place: str, versions: Sequence[Version]) -> dict[Version, dict[str, State]]:
        """What is known of versions: the state for each hold."""
        found: dict[Version, dict[str, State]] = {}
        with self._ledger.transaction() as change:
            for row in change.connection.execute(sa.select(_T).where(_T.c.place == place, _among(versions))) if versions else ():
                found.setdefault((row.key, row.version), {})[row.hold] = row.state
        return found

    def begin(self, store: str, place: str, hold: str, versions: Iterable[Version]) -> None:
        """Notes that a legal hold is about to be put on versions that had none just now."""
        with self._ledger.transaction() as change:
            _put(change.connection, store, place, hold, dict.fromkeys(versions, "begun"))

    def put_on(self, store: str, place: str, hold: str, states: dict[Version, State], word: str) -> None:
        """Versions bear a legal hold now for a hold of ours; `word` is the reference of that. The evidence commits with it."""
        theirs = sum(state == "theirs" for state in states.values())
        with self._ledger.transaction() as change:
            _put(change.connection, store, place, hold, states)
            mine = [version for version, state in states.items() if state == "ours"]
            change.connection.execute(_T.update().where(_T.c.place == place, _among(mine)).values(state="ours"))
            change.write("legal-holds-set", store=store, hold=word, count=len(states), theirs=theirs)

    def forget(self, place: str, hold: str, versions: Sequence[Version]) -> None:
        """Versions have gone before a legal hold could be put on them."""
        with self._ledger.transaction() as change:
            change.connection.execute(_T.delete().where(_T.c.place == place, _T.c.hold == hold, _among(versions)))

    def over(self) -> list[tuple[str, str]]:
        """The (store, place) where versions bear a legal hold for a hold that is released by now."""
        wanted = sa.select(_T.c.store, _T.c.place).where(_OVER).distinct()
        with self._ledger.transaction() as change:
            return [(store, place) for store, place in change.connection.execute(wanted)]

    def next_over(self, place: str, most: int) -> list[Version]:
        """The next such versions at a place."""
        wanted = sa.select(_T.c.key, _T.c.version).where(_T.c.place == place, _OVER).distinct().order_by(_T.c.key, _T.c.version)
        with self._ledger.transaction() as change:
            return [(key, version) for key, version in change.connection.execute(wanted.limit(most))]

    def standing(self, place: str, versions: Sequence[Version]) -> set[Version]:
        """Those of some versions that a hold means which is not released."""
        wanted = sa.select(_T.c.key, _T.c.version).where(_T.c.place == place, sa.not_(_OVER), _among(versions))
        with self._ledger.transaction() as change:
            return {(key, version) for key, version in change.connection.execute(wanted)}

    def taken_off(self, store: str, place: str, versions: Sequence[Version], what: Removed) -> None:
        """Forgets the released holds of these versions, with the evidence of what came of them."""
        with self._ledger.transaction() as change:
            change.connection.execute(_T.delete().where(_T.c.place == place, _OVER, _among(versions)))
            change.write("legal-holds-removed", store=store, count=what.count, kept=what.kept, gone=what.gone)


def _among(versions: Sequence[Version]) -> sa.ColumnElement[bool]:
    return sa.tuple_(_T.c.key, _T.c.version).in_(list(versions))


def _put(connection: sa.Connection, store: str, place: str, hold: str, states: dict[Version, State]) -> None:
    if not states:
        return
    connection.execute(_T.delete().where(_T.c.place == place, _T.c.hold == hold, _among(list(states))))
    rows = [
        {"place": place, "key": key, "version": version, "hold": hold, "store": store, "state": state}
        for (key, version), state in states.items()
    ]
    connection.execute(_T.insert(), rows)
