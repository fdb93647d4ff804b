"""Approval: which version of a category may be enforced without a person at hand.

`first` wants a person once for the category as it stands, and again after a change that can make
more items due, today or later; a change that never can needs nobody. `always` wants a person for
every plan. What a change comes to now is seen by judging every item by both versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from retentiond.app.house import House
from retentiond.app.planning import Planned, Progress, make_plan, silent
from retentiond.core.policy import Category
from retentiond.core.versions import Change, limits_from, not_stricter, rules_from
from retentiond.errors import NotApproved


def plan_approved(house: House, names: Sequence[str]) -> Planned:
    """A plan of categories that may be carried out without a person; `NotApproved` where one of them may not."""
    categories = house.categories(names)
    changed = [category for category in categories if _is_stricter(house, category)]
    planned = make_plan(house, names, compare=bool(changed))
    for category in categories:
        if category.approval == "always":
            raise NotApproved(
                f"the category {category.name} wants a person for every plan",
                why="approval: always",
                do=f"retentiond apply {planned.name[:12]}",
            )
    for category in changed:
        newly = sum(change.newly.items for (name, _), change in planned.changes.items() if name == category.name)
        raise _refusal(category, f"it has changed since it was approved; {newly:,} more items are due now")
    return planned


def require_unchanged(house: House, names: Sequence[str]) -> None:
    """`NotApproved` unless each category is approved exactly as it stands."""
    for category in house.categories(names):
        if category.approval == "always" or _is_stricter(house, category):
            raise _refusal(category, "it has changed since it was approved, or wants a person for every plan")


def _is_stricter(house: House, category: Category) -> bool:
    """Whether a category may make more items due than its approved version; `NotApproved` where there is none in force."""
    if category.approval != "first":
        return False
    found = house.memory.approvals().get(category.name)
    if found is None:
        raise _refusal(category, "it was never approved")
    if found.revoked:
        raise _refusal(category, "its approval was revoked")
    if found.rulebook == house.rulebook.digest([category.name]):
        return False
    meaning = house.memory.approved_meaning(category.name) or {}
    before, limits = rules_from(meaning), limits_from(meaning)
    looser = [name for name in ("items", "share", "bytes") if getattr(category.limits, name) > getattr(limits, name)]
    same = all(meaning.get(name) == part for name, part in _around(house, category).items())
    return bool(looser) or not same or not all(not_stricter(before.get(rule.name), rule) for rule in category.rules)


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
