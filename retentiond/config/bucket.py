"""What a rule may ask of a bucket: to delete by itself, or to let a lock in governance mode be passed.

Guarantee: what is left to a bucket is a rule that its lifecycle can express, whole: an age in days since the last
modification of the objects below a folder. Everything that it cannot know is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from retentiond.config.reading import Reading
from retentiond.config.shapes import RuleShape
from retentiond.config.stores import Declared
from retentiond.core.pattern import is_plain
from retentiond.core.period import Period
from retentiond.core.policy import ObjectSelection, Selection, Start
from retentiond.errors import Problem

_DO = "leave `by` out: retentiond deletes, and knows the difference"
_STRANGERS: Mapping[str, str] = {
    "minimum": "a bucket knows no minimum",
    "generations": "a bucket counts no generations",
    "forbid": "a bucket hears of no events",
    "copy": "a bucket does not look whether there is a copy",
    "require": "a bucket looks into no object",
    "cooling_off": "a bucket does not wait for anybody",
    "exempt": "a bucket hears of no erasure requests",
    "subject": "a bucket cannot tell whose an object is",
    "link": "a bucket knows no sets",
    "approval: always": "each plan wants a person, and a bucket asks nobody",
}


def by_of(
    rule: Reading[RuleShape],
    store: Declared | None,
    selection: Selection | None,
    start: Start | None,
    beside: Iterable[str],
    found: list[Problem],
) -> Literal["", "lifecycle"]:
    """Who deletes: "lifecycle" where the bucket does, by a rule of its own; what that cannot express is a problem.

    `beside` names what the category says of all its rules.
    """
    if not rule.has("by") or rule.get("by") is None:
        return ""
    where = rule.where("by")

    def refuse(what: str, why: str, do: str = _DO) -> None:
        found.append(where.problem_with_key(f"'by: lifecycle' {what}", why, do))

    if store is not None and store.type != "s3":
        refuse("means nothing in this store", f"the store is of the type {store.type}, and only a bucket has lifecycle rules")
        return ""
    data: dict[str, Any] = rule.part.data if isinstance(rule.part.data, dict) else {}
    for key, why in _STRANGERS.items():
        if key in data or key in beside:
            refuse(f"does not go with '{key}'", why)
    if data.get("action") != "delete":
        refuse("goes with action: delete only", "a bucket does nothing else with what is due")
    if start is not None and start.kind not in ("created", "modified"):
        refuse("needs start: modified", "a bucket counts from the last modification, and from nothing else")
    _refuse_selection(selection, data.get("select"), refuse)
    _refuse_period(rule.get("retention_period"), refuse)
    return "lifecycle"


def _refuse_selection(selection: Selection | None, written: Any, refuse: Any) -> None:
    if not isinstance(selection, ObjectSelection):
        return
    folder = selection.pattern.removesuffix("**")
    if folder == selection.pattern or not is_plain(folder) or not (folder.endswith("/") or not folder):
        do = "write for example path: calls/**"
        refuse("needs a folder", "a bucket selects by the beginning of a key, not by a pattern", do)
    if isinstance(written, dict) and (selection.uploads or "versions" in written):
        word = "uploads" if selection.uploads else "versions"
        refuse(f"does not go with '{word}'", "it is about whole objects in a bucket that keeps no versions")


def _refuse_period(period: Period | None, refuse: Any) -> None:
    if period is not None and (not period.days or period.months or period.minutes or period.forever):
        why = f"a bucket counts whole days, and {period.words} is not so many" if period.words else "a bucket counts whole days"
        refuse("needs a period in days or weeks", why, "write for example retention_period: 90 days")


def bypass_of(rule: Reading[RuleShape], store: Declared | None, found: list[Problem]) -> bool:
    """Whether a lock in governance mode may be passed, if a person says so when the plan is carried out."""
    if not rule.get("bypass_governance"):
        return False
    where = rule.where("bypass_governance")
    if store is not None and store.type != "s3":
        why = f"the store is of the type {store.type}, and only the objects of an s3 store are locked so"
        found.append(where.problem_with_key("'bypass_governance' means nothing in this store", why, "remove it"))
    if rule.get("by"):
        why, do = "a bucket's own rule passes no lock", "remove one of the two"
        found.append(where.problem_with_key("'bypass_governance' does not go with 'by'", why, do))
    return True
