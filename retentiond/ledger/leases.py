"""Locks that hold between machines: leases, each with a fencing token, where the state is shared.

Whoever has a lease has its token, and each transaction of theirs makes sure of it before it writes
anything: a holder who was away for too long (a paused machine, a cut line) and lost it can write
nothing more, no intent above all, so nothing more is destroyed. A lease is prolonged in these same
transactions, one a batch at least; it ends when it is given back, or by its time.

Time is the database's: whether a lease of another machine is over is to be told alike by all of them,
and no period of any rule hangs on it. It is the one clock that they share.

What a lease cannot do is to stop a store: the batch in hand when a holder lost its lease may still be
going. So a lease is longer than any batch takes, and its successor looks at what is left of it.

On one machine the system's lock on a file knows better than any time whether a holder lives. It is taken
first, and a lease that was taken behind the same file is free with it, so that after a crash nobody waits.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from retentiond.errors import LeaseLost, Locked, StateUnavailable
from retentiond.ledger import schema
from retentiond.ledger.clock import moment
from retentiond.ledger.locks import LockName, is_taken

if TYPE_CHECKING:
    from retentiond.ledger.ledger import Ledger

_SECOND = 1_000_000
LASTS: dict[LockName, int] = {"execute": 600 * _SECOND, "publish": 120 * _SECOND, "daemon": 300 * _SECOND, "holds": 300 * _SECOND}
"""How long a lease holds after it was last prolonged: more than the longest batch, publication and turn of the daemon take."""

_GLANCE = 0.2
"""Seconds between two tries of whoever waits."""

_L = schema.lease.c
_NOW: sa.ColumnElement[int] = sa.literal_column("(extract(epoch FROM clock_timestamp()) * 1000000)::bigint", sa.BigInteger)
_STANDING = sa.select(_L.token, _L.holder, _L.purpose, _L.since, _L.until, _NOW.label("now"))
_MINE = sa.and_(_L.name == sa.bindparam("mine"), _L.token == sa.bindparam("by"))
_PROLONG = schema.lease.update().where(_MINE).values(until=_NOW + sa.bindparam("lasts", type_=sa.BigInteger))
_GIVE_BACK = schema.lease.update().where(_MINE).values(until=0)


@dataclass(frozen=True, slots=True)
class Lease:
    """What this process holds."""

    name: LockName
    token: int

    def assure(self, connection: sa.Connection) -> None:
        """Prolongs it in this transaction; `LeaseLost` where somebody else has it. One that ran out unnoticed is still ours."""
        values = {"mine": self.name, "by": self.token, "lasts": LASTS[self.name]}
        if not connection.execute(_PROLONG, values).rowcount:
            found = connection.execute(_STANDING.where(_L.name == self.name)).one_or_none()
            raise LeaseLost(
                "somebody else has gone on with the work on this state, so this process has stopped",
                why=f"the lock is held by: {_who(found)}" if found else "the lock is gone",
                do="let the other one end; what was in hand is looked at by whoever comes next",
            )


@contextmanager
def lease(ledger: Ledger, file: Path, name: LockName, purpose: str, *, wait: bool = False) -> Iterator[None]:
    """Holds a lease for as long as the block runs; `Locked` names the holder if somebody else has it.

    The caller holds the lock of `file`. Meanwhile each transaction of the ledger makes sure of the lease.
    """
    held = _take(ledger, file, name, purpose)
    while isinstance(held, Locked):
        if not wait:
            raise held
        time.sleep(_GLANCE)
        held = _take(ledger, file, name, purpose)
    ledger.leases[name] = held
    try:
        yield
    finally:
        del ledger.leases[name]
        with suppress(StateUnavailable, LeaseLost), ledger.transaction() as change:  # it ends by its time
            change.connection.execute(_GIVE_BACK, {"mine": name, "by": held.token})


def is_leased(ledger: Ledger, file: Path, name: LockName) -> bool:
    """Whether somebody holds a lease now."""
    with ledger.transaction() as change:
        found = change.connection.execute(_STANDING.where(_L.name == name)).one_or_none()
    if found is None or found.until <= found.now:
        return False
    return found.holder != _holder(ledger, file) or is_taken(file)


def _take(ledger: Ledger, file: Path, name: LockName, purpose: str) -> Lease | Locked:
    holder = _holder(ledger, file)
    with ledger.transaction() as change:
        found = change.connection.execute(_STANDING.where(_L.name == name)).one_or_none()
        if found is not None and found.until > found.now and found.holder != holder:
            return Locked("somebody else is at work on this state", why=f"the lock is held by: {_who(found)}", do=_DO)
        token = 1 if found is None else found.token + 1
        now = change.connection.execute(sa.select(_NOW)).scalar_one()
        words = f"{purpose}, process {os.getpid()}"
        change.put(schema.lease, name=name, token=token, holder=holder, purpose=words, since=now, until=now + LASTS[name])
    return Lease(name, token)


_DO = "wait until it has ended; a machine that is no more loses it by itself, after ten minutes at most"


def _who(found: sa.Row[tuple[int, str, str, int, int, int]]) -> str:
    return f"{found.purpose} on the machine {found.holder[:8]}, since {moment(found.since):%Y-%m-%d %H:%M:%S} UTC"


def _holder(ledger: Ledger, file: Path) -> str:
    """This boot of this machine and this very file, in a word that says nothing of them; where unknown, unlike any other."""
    boot = ledger.read_clock().boot
    try:
        known = os.stat(file)
    except OSError:
        return secrets.token_hex(16)
    if not boot:
        return secrets.token_hex(16)
    return hashlib.sha256(f"{boot} {known.st_dev} {known.st_ino}".encode()).hexdigest()[:32]
