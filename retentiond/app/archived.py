"""How an item went, as the plan of its run had it, and where the archive of it lies: by what was recorded, not by today's rules.

No store is opened. Until when an archive stays is what the rules of today say about the store that it lies in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from retentiond.app.beyond_use import end_of, keeper_of
from retentiond.app.house import House
from retentiond.core.copied import Copied
from retentiond.ledger.journal import Found

How = Literal["deleted", "anonymised", "archived"]
_HOW: dict[str, How] = {"anonymise": "anonymised", "archive": "archived"}


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where archives lie: the store (empty where none was noted), and in words until when; `until` is the latest day, if any.

    `key` names the archive of one item; empty where it is gone, or not known which of several holds the item.
    """

    store: str = ""
    kept: str = ""
    until: str | None = None
    key: str = ""
    entries: Sequence[int] = ()


def how(action: str, request: int | None) -> How:
    """How the items of a batch went, by the action of its rule. On the ground of an erasure request nothing is archived."""
    return "deleted" if action == "archive" and request is not None else _HOW.get(action, "deleted")


def of_batches(house: House, names: tuple[str, str, str], first: int, last: int) -> Whereabouts:
    """Where the items of a (category, rule, store) were archived, whose intents and outcomes lie between two entries."""
    found = house.copies.archived(names, first, last)
    return _where(house, found.copies, found.entries)


def of_item(house: House, store: str, key: str, category: str, batch: Found, *, inferred: bool) -> Whereabouts:
    """Where one item of an archived batch lies. Of what is `inferred` to be gone nothing tells but a copy that was noted."""
    names, last = (category, batch.rule, store), batch.outcome if batch.outcome is not None else batch.entry
    _, place = house.memory.places().get(store, ("", ""))
    mine = house.copies.archive_of(names, place, key, last)
    if mine is not None:
        return _where(house, [mine], ())
    copies = house.copies.archived(names, batch.entry, last).copies
    return _where(house, [one for one in copies if not inferred or one.items > 1], ())


def _where(house: House, copies: Sequence[Copied], entries: Sequence[int]) -> Whereabouts:
    if not copies:
        return Whereabouts(kept="no copy of it was noted", entries=entries)
    rules = [rule for category in house.rulebook.categories.values() for rule in category.rules]
    left = [one for one in copies if one.state == "kept"]
    until = end_of(house, rules, left) if left else None
    ruled = all(keeper_of(rules, one) is not None for one in left)
    kept = "gone from there since" if not left else "no rule lets it go" if not ruled else "its rule sets no day by which it goes"
    key = left[0].key if len(copies) == len(left) == 1 else ""
    day = until.isoformat() if until else None
    return Whereabouts(copies[0].destination, f"kept until {day}" if day else kept, day, key, entries)
