"""What holds by subject mean at this moment: the look-ups of `identities:` are made again, for what came since they were placed.

A hold is never made narrower: what was given and found when it was placed stays. And it is never narrower for a look-up that
cannot be made: until it can be, the hold covers every item of a rule in its other scopes that says whose its items are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from retentiond.app.house import House
from retentiond.app.identifying import Missed, widen
from retentiond.core.registers import Hold
from retentiond.errors import RetentiondError


def as_meant_now(house: House, holds: Sequence[Hold]) -> list[Hold]:
    """The holds, each with all to whom its subjects lead now. A store that is down is asked once for all of them."""
    if not house.settings.identities:
        return [replace(hold, unasked=()) for hold in holds]
    found, down = list[Hold](), dict[str, RetentiondError]()
    for hold in holds:
        missed = Missed(down=down)
        subjects = widen(house, hold.subjects, missed).identifiers
        unasked = tuple((name, error.what) for name, error in missed.look_ups.items())
        found.append(replace(hold, subjects=tuple(subjects), unasked=unasked))
    return found


def not_looked_up(holds: Iterable[Hold]) -> list[str]:
    """A warning for each look-up that could not be made, with the holds that are wider for it."""
    names: dict[tuple[str, str], list[str]] = {}
    for hold in holds:
        for each in hold.unasked:
            names.setdefault(each, []).append(hold.id)
    return [
        f"the look-up {look_up} could not be made for {_holds(ids)}: {why}; until it can be made, what it might lead to is "
        "covered, too: all items in the other scopes of the hold whose rule says by `subject` whose they are"
        for (look_up, why), ids in names.items()
    ]


def _holds(ids: Sequence[str]) -> str:
    return f"the hold {ids[0]}" if len(ids) == 1 else f"{len(ids):,} holds ({ids[0]} is one)"
