"""What stands in the place of a period: `generations`, and `forbid`.

Guarantee: generations that compile keep something in every group, a forbidden item has a declared
event that can allow it, and neither stands beside a period that would say something else.
"""

from __future__ import annotations

from collections.abc import Collection

from retentiond.config.mail import MailFields
from retentiond.config.reading import Part, Reading, read
from retentiond.config.shapes import ForbidShape, GenerationsShape, RuleShape, UnlessShape
from retentiond.config.suggest import did_you_mean, listed, quoted
from retentiond.core.forbid import Forbid
from retentiond.core.generations import COUNTS, Generations
from retentiond.core.pattern import PathPattern
from retentiond.core.period import IMMEDIATELY
from retentiond.errors import Problem

_STRANGERS = {
    "generations": ("forbid", "retention_period", "deletion_period"),
    "forbid": ("start", "retention_period", "deletion_period", "minimum"),
}
"""What means nothing beside each of the two."""


def clock_of(part: Part) -> str:
    """Which of them a rule has, as it is written: `generations`, `forbid`, or neither."""
    written = part.data if isinstance(part.data, dict) else {}
    return next((name for name in _STRANGERS if name in written), "")


def generations_of(
    rule: Reading[RuleShape], pattern: PathPattern | MailFields | None, found: list[Problem]
) -> Generations | None:
    """The generations of a rule; None where it has none, or something is wrong with them."""
    part = rule.piece("generations")
    if part is None or part.data is None:
        return None
    before = len(found)
    _refuse_strangers(rule, "generations", found)
    shape = read(GenerationsShape, part, found)
    if all(shape.lacks(name) for name in (*COUNTS, "within")):
        why = "without a count nothing would be kept"
        found.append(part.problem("'generations' keeps nothing", why, "write for example {last: 3, daily: 7}"))
    if shape.has("within") and shape.get("within") == IMMEDIATELY:
        do = "write for example within: 14 days"
        found.append(shape.where("within").problem("'within' is immediately", "nothing lies within no time at all", do))
    for key in ("group_by", "set_by"):
        if shape.has(key):
            captured(shape.where(key), shape.get(key), pattern, found)
    if shape.has("group_by", "set_by") and shape.get("group_by") == shape.get("set_by"):
        why = "each group would be one set, and the last of a group never goes"
        found.append(
            shape.where("set_by").problem("'set_by' is the same as 'group_by'", why, "name another field, or leave one out")
        )
    if len(found) > before:
        return None
    counts = {name: shape.get(name) or 0 for name in COUNTS}
    return Generations(
        **counts, within=shape.get("within"), group_by=shape.get("group_by") or "", set_by=shape.get("set_by") or ""
    )


def forbid_of(
    rule: Reading[RuleShape], pattern: PathPattern | MailFields | None, events: Collection[str], found: list[Problem]
) -> Forbid | None:
    """What a rule forbids; None where it forbids nothing, or something is wrong with it."""
    part = rule.piece("forbid")
    if part is None or part.data is None:
        return None
    before = len(found)
    if clock_of(rule.part) == "forbid":
        _refuse_strangers(rule, "forbid", found)
    unless = read(ForbidShape, part, found).piece("unless")
    if unless is None or unless.data is None:
        return None
    shape = read(UnlessShape, unless, found)
    event, by = shape.get("event"), shape.get("by")
    if shape.has("event") and event not in events:
        why = f"declared are {listed(events)}"
        found.append(shape.where("event").problem(f"the event {quoted(event)} is not declared", why, did_you_mean(event, events)))
    if shape.has("by"):
        captured(shape.where("by"), by, pattern, found)
    return Forbid(event, by) if len(found) == before else None


def _refuse_strangers(rule: Reading[RuleShape], beside: str, found: list[Problem]) -> None:
    why = {
        "generations": "generations decide what stays, whatever its age",
        "forbid": "a forbidden item is due at once, and no clock starts",
    }[beside]
    for key in _STRANGERS[beside]:
        stranger = rule.piece(key)
        if stranger is not None:
            found.append(stranger.problem_with_key(f"'{key}' means nothing beside '{beside}'", why, "remove one of the two"))


def captured(where: Part, name: str, pattern: PathPattern | MailFields | None, found: list[Problem]) -> None:
    """That a field of a path is one that its pattern captures; a column is known to the database only."""
    if isinstance(pattern, MailFields):
        problem = pattern.problem_with(where, name)
        found += [problem] if problem else []
    elif pattern is not None and name not in pattern.names:
        why, do = f"it captures {listed(pattern.names)}", did_you_mean(name, pattern.names, f"write {{{name}}} in the pattern")
        found.append(where.problem(f"the pattern captures no {quoted(name)}", why, do))
