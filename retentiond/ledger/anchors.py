"""What each anchor has had of the audit log, and how it fails: single facts of the ledger, by the anchor's id.

What was handed over is an entry of the log too (`checkpoint-anchored`). These entries alone call for no new checkpoint
to be handed over, else each would call for the next for ever.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

import sqlalchemy as sa

from retentiond.ledger import schema
from retentiond.ledger.ledger import Ledger, Transaction
from retentiond.ledger.registers import Word

ANCHORED = "checkpoint-anchored"
AGAIN = 600_000_000
"""An anchor that failed, or of which nothing was heard, is tried again after so long (microseconds)."""


@dataclass(frozen=True, slots=True)
class Anchored:
    """How an anchor stands. `size` and `at` are of the last checkpoint that it took, 0 before the first.

    `trouble` is why it fails now, `free_at` from when on it may be tried. Instants are microseconds since 1970.
    """

    size: int = 0
    at: int = 0
    free_at: int = 0
    failing_since: int = 0
    trouble: str = ""


class AnchorRegister:
    """How each anchor stands."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def of(self, anchor: str) -> Anchored:
        """How an anchor stands; nothing was handed to one that is new."""
        with self._ledger.transaction() as change:
            return _read(change.fact(_key(anchor)))

    def wants(self, anchor: str, size: int, now: int) -> bool:
        """Whether a checkpoint of so many entries is to be handed to an anchor now.

        Not where it has it, or one over everything but entries about anchors; nor while another process hands it over, or
        for a while after it failed. A clock that has gone back since is not believed about waiting.
        """
        with self._ledger.transaction() as change:
            return _wants(change, anchor, size) and not _waits(change, anchor, now)

    def claim(self, anchor: str, size: int, now: int, *, anyway: bool = False) -> bool:
        """The same, and then it is for the caller to hand it over; `anyway` tries one again that has just failed."""
        with self._ledger.transaction() as change:
            mine = _wants(change, anchor, size) and (anyway or not _waits(change, anchor, now))
            if mine:
                change.set_fact(_key(anchor), _written(replace(_read(change.fact(_key(anchor))), free_at=now + AGAIN)))
        return mine

    def took(self, anchor: str, size: int, root: str, now: int, word: Word) -> None:
        """An anchor has taken a checkpoint; the entry names it by a keyed reference."""
        with self._ledger.transaction() as change:
            change.set_fact(_key(anchor), _written(Anchored(size, now)))
            change.write(ANCHORED, anchor=word("anchor", anchor), size=size, root=root)

    def failed(self, anchor: str, trouble: str, now: int) -> None:
        """An anchor did not take a checkpoint; it is left alone for a while."""
        with self._ledger.transaction() as change:
            known = _read(change.fact(_key(anchor)))
            since = known.failing_since or now
            change.set_fact(_key(anchor), _written(replace(known, free_at=now + AGAIN, failing_since=since, trouble=trouble)))


def _wants(change: Transaction, anchor: str, size: int) -> bool:
    e, known = schema.entry.c, _read(change.fact(_key(anchor)))
    wanted = sa.select(sa.func.count()).where(e.seq >= known.size, e.seq < size, e.type != ANCHORED)
    return size > known.size and change.connection.execute(wanted).scalar_one() > 0


def _waits(change: Transaction, anchor: str, now: int) -> bool:
    free_at = _read(change.fact(_key(anchor))).free_at
    return now < free_at <= now + AGAIN


def _key(anchor: str) -> str:
    return f"anchored-{anchor}"


def _read(text: str | None) -> Anchored:
    return Anchored(**json.loads(text)) if text else Anchored()


def _written(known: Anchored) -> str:
    return json.dumps(asdict(known))
