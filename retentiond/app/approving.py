"""Approval: which version of a category may be enforced without a person at hand.

`first` wants a person once for the category as it stands, and again after a change that can make
more items due, today or later; a change that never can needs nobody. `always` wants a person for
every plan. What a change comes to now is seen by judging every item by both versions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from retentiond.app.house import House
from retentiond.app.planning import Planned, Progress, make_plan, silent
from retentiond.core.plan import Header
from retentiond.core.policy import Category
from retentiond.core.versions import Change, limits_from, not_stricter, rules_from
from retentiond.errors import NotApproved
from retentiond.ledger.clock import micros

if TYPE_CHECKING:
    from retentiond.ledger.memory import Memory

ApprovalState = Literal["unneeded", "each", "never", "revoked", "changed", "approved"]
"""Needs none, or wants a person for each plan; else: never was, is no more, is not as it stands now, is approved."""

_WHY: Mapping[ApprovalState, str] = {
    "never": "it was never approved",
    "revoked": "its approval was revoked",
    "each": "it wants a person for every plan",
    "changed": "it has changed since it was approved",
}
"""Why a person is wanted; of several reasons, the first of these is told."""
_FIRST = tuple(_WHY)


def plan_approved(house: House, names: Sequence[str], progress: Progress = silent) -> tuple[Planned, NotApproved | None]:
    """A plan of these categories, and why it is not to be carried out without a person; None where it may be.

    It is made in either case, so that what is overdue is known before anybody has approved anything.
    Where a person is wanted, and a plan with steps of these very rules still waits for one, it is that
    plan and not another.
    """
    wanting = [(category, state) for category in house.categories(names) if (state := wants(house, category))]
    waiting = waiting_plan(house, names) if wanting else None
    compare = any(state == "changed" for _, state in wanting)
    planned = Planned(waiting) if waiting is not None else make_plan(house, names, compare=compare, progress=progress)
    if not wanting:
        return planned, None
    category, state = min(wanting, key=lambda each: _FIRST.index(each[1]))
    if state == "each":
        return planned, NotApproved(
            f"the category {category.name} wants a person for every plan",
            why="approval: always",
            do=f"retentiond apply {planned.name[:12]}",
        )
    newly = [change.newly.items for (name, _), change in planned.changes.items() if name == category.name]
    return planned, _refusal(category, _WHY[state] + (f"; {sum(newly):,} more items are due now" if newly else ""))


def waiting_plan(house: House, names: Sequence[str]) -> Header | None:
    """The newest plan of these very categories and rules that has steps, was never begun, and can still be carried out."""
    return house.plans.unbegun(names, house.rulebook.digest(names), micros(house.now))


def require_approved(house: House, names: Sequence[str]) -> None:
    """`NotApproved` unless each category may be carried out as it stands, without a person."""
    for category in house.categories(names):
        state = wants(house, category)
        if state is not None:
            raise _refusal(category, _WHY[state])


def wants(house: House, category: Category) -> ApprovalState | None:
    """Why a category wants a person before it is carried out; None where it does not."""
    state = approval_of(house, house.memory, category)
    return state if state in _WHY else None


def approval_of(house: House, memory: Memory, category: Category) -> ApprovalState:
    """How a category stands with approval, by what the memory holds. Nothing is looked at in a store."""
    if category.approval != "first":
        return "unneeded" if category.approval == "none" else "each"
    found = memory.approvals().get(category.name)
    if found is None:
        return "never"
    if found.revoked:
        return "revoked"
    if found.rulebook == house.rulebook.digest([category.name]):
        return "approved"
    meaning = memory.approved_meaning(category.name) or {}
    before, limits = rules_from(meaning), limits_from(meaning)
    looser = [name for name in ("items", "share", "bytes") if getattr(category.limits, name) > getattr(limits, name)]
    same = all(meaning.get(name) == part for name, part in _around(house, category).items())
    stricter = looser or not same or not all(not_stricter(before.get(rule.name), rule) for rule in category.rules)
    return "changed" if stricter else "approved"


def _around(house: House, category: Category) -> dict[str, Any]:
    """What a rule's verdicts hang on beside the rule: its events, its stores and the zone. It is compared as a whole."""
    stores = {name: house.definition(name) for name in house.rulebook.stores_of(category)}
    return {"events": category.meaning()["events"], "stores": stores, "zone": house.rulebook.zone_name}


def _refusal(category: Category, why: str) -> NotApproved:
    return NotApproved(
        f"the category {category.name} is not approved as it stands", why=why, do=f"retentiond approve {category.name}"
    )


def preview(house: House, name: str, progress: Progress = silent) -> Planned:
    """What a category would do now, compared with the version that was approved."""
    return make_plan(house, [name], compare=True, progress=progress)


def changes_of(planned: Planned) -> dict[tuple[str, str], Change]:
    """The rules for which the version that is to be approved differs from the approved one."""
    return {name: c for name, c in planned.changes.items() if c.newly.items or c.no_longer.items}


def approve(house: House, name: str, by: str, planned: Planned) -> None:
    """Lets the daemon enforce this version; the places and populations that were seen are accepted with it."""
    category = house.categories([name])[0]
    meaning = category.meaning() | _around(house, category)
    house.memory.approve(name, house.rulebook.digest([name]), meaning, by, house.word)
    for store, place in planned.header.places.items():
        house.memory.accept_place(store, house.definition(store), place, house.word)
    house.memory.saw({(c.category, c.rule): c.scanned for c in planned.counts})
