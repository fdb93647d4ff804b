"""What people tell us: holds, events that a person recorded, and what came of a review.

A hold suspends disposal for whatever its scope covers, until it is released. Its scopes are
joined with AND; `subjects` are the identifiers of one person (widened by the configured
look-ups), of which any one is enough. In doubt an item is covered: a predicate that cannot be
evaluated, or that is neither true nor false, covers, and a look-up that cannot be made may lead
to whomever an item names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Hold:
    """A suspension of disposal, with its ground. `entry` is its index in the audit log.

    `unasked` are the look-ups that could not be made of its subjects, by name, each with why.
    """

    id: str
    reason: str
    mandate: str
    category: str | None = None
    store: str | None = None
    path: str | None = None
    subjects: tuple[tuple[str, str], ...] = ()
    where: str | None = None
    everything: bool = False
    review_on: str | None = None
    placed_at: datetime | None = None
    released_at: datetime | None = None
    entry: int = -1
    unasked: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Registers:
    """The registers as one transaction of the ledger saw them.

    `last_hold` and `last_event` are the indexes of the newest entries about holds and events
    (-1 before the first); they name what was read, and an intent quotes them. `last_review` is
    that of the newest decision of a review.
    """

    holds: Sequence[Hold] = ()
    last_hold: int = -1
    last_event: int = -1
    last_review: int = -1


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What a person decided about an item in one revision: it may go, or (`until`) stays until an instant."""

    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event that a person or a file recorded: what happened to whom, and when."""

    name: str
    subject: str
    at: datetime
    recorded_at: datetime
    withdrawn: bool = False
