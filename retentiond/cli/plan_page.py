"""A plan as a page for people: what would go, what stays and why, what stands in the way. It holds counts, and no key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from retentiond.audit.page import page, pairs, paragraph, table
from retentiond.cli.render import many, minute, size
from retentiond.core.limits import words

if TYPE_CHECKING:
    from retentiond.app.planning import Planned

_RULES = {
    "rule": "rule",
    "store": "store",
    "action": "action",
    **{name: name for name in ("due", "overdue", "waiting", "kept", "held", "locked", "undetermined", "bytes")},
    "oldest": "oldest due",
}
_REASONS = {"rule": "rule", "verdict": "verdict", "why": "why", "items": "items"}
_VIOLATIONS = {"rule": "rule", "store": "store", "count": "items"}
_SETS = {"category": "category", "complete": "complete", "partial": "partial", "blocked": "blocked"}
_UNSEEN = {"rule": "rule", "why": "why"}


def as_page(organisation: str, value: Mapping[str, Any], planned: Planned) -> str:
    """The plan that `value` (of `plan --json`) tells of, as HTML."""
    header = planned.header
    told = {"plan": planned.name, "judged as of": f"{minute(header.at)} UTC", "good until": f"{minute(header.expires)} UTC"}
    due = sum(rule["due"] for rule in value["rules"])
    kind = "A forecast, which cannot be applied." if header.forecast else "Nothing was changed."
    parts = [
        paragraph(organisation),
        paragraph(f"{many(due, 'item')} due. {kind}"),
        pairs(told),
        table("What is due, and what stays", _RULES, map(_rule, value["rules"])),
        table("Why items stay", _REASONS, (row for rule in value["rules"] for row in _reasons(rule))),
        table("Refused", {"what": "what"}, ({"what": words(refusal)} for refusal in header.refused)),
        table("What must not exist, or is not as it was promised", _VIOLATIONS, map(_named, value["violations"])),
        table("Sets", _SETS, value.get("sets", ())),
        table("What could not be looked at", _UNSEEN, ({"rule": r, "why": e.problems[0]} for r, e in planned.unseen.items())),
        table("What to know", {"note": "note"}, ({"note": warning} for warning in planned.warnings)),
    ]
    return page("What a retention plan would dispose of", parts)


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "rule": f"{row['category']}/{row['rule']}"}


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    counts = {name: f"{rule[name]:,}" for name in _RULES if isinstance(rule.get(name), int)}
    return _named(rule) | counts | {"bytes": size(rule["bytes_due"]), "oldest": (rule["oldest"] or "–")[:10]}


def _reasons(rule: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for verdict, reasons in rule.get("reasons", {}).items():
        for reason in reasons:
            yield {"rule": f"{rule['category']}/{rule['rule']}", "verdict": verdict, **reason}
