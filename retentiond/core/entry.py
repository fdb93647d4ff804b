"""What an entry of the audit log may hold: an allow-list of types, fields and their kinds.

There is no field for free text, so that no name, path, key, address or message of a driver
can get in by accident; whatever does not fit is refused before it is written, and found by
the verifier after. People, holds and items are keyed references (32 hex digits).

Each entry is one JSON object in RFC 8785 bytes. Its index is its position in the log; `time`
is in microseconds since 1970 (UTC) and never goes back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from retentiond.core.canonical import LARGEST_INTEGER, canonical

LARGEST = 65_535
"""An entry's bytes are counted in sixteen bits (C2SP tlog-tiles)."""

Kind = Callable[[Any], bool]


def _matching(pattern: str) -> Kind:
    regex = re.compile(pattern)
    return lambda value: isinstance(value, str) and regex.fullmatch(value) is not None


def _whole(least: int) -> Kind:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= LARGEST_INTEGER


def _one_of(*words: str) -> Kind:
    return lambda value: isinstance(value, str) and value in words


def _each(kind: Kind) -> Kind:
    return lambda value: isinstance(value, list) and all(map(kind, value))


def _table(key: Kind, kind: Kind) -> Kind:
    return lambda value: isinstance(value, dict) and all(key(k) and kind(v) for k, v in value.items())


instant, count, index = _whole(0), _whole(0), _whole(-1)
flag: Kind = lambda value: count(value) and value < 2  # noqa: E731 a kind beside its siblings
difference = _whole(-LARGEST_INTEGER)
reference = _matching("[0-9a-f]{32}")
digest = _matching("[0-9a-f]{64}")
token = _matching("[0-9a-f]{8,32}")
name = _matching(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
code = _matching("[a-z][a-z0-9-]{0,31}")
positions = _each(_whole(0))
_OUTCOMES = _one_of("disposed", "inferred", "gone", "changed", "held", "locked", "failed", "unknown", "installed")

FIELDS: Mapping[str, Mapping[str, Kind]] = {
    "log-started": {"format": count},
    "key-made": {"kind": _one_of("signing", "reference", "anonymise"), "year": count},
    "rulebook-loaded": {"rulebook": digest, "categories": _table(name, digest)},
    "category-approved": {"category": name, "rulebook": digest, "by": reference},
    "approval-revoked": {"category": name, "by": reference},
    "place-accepted": {"store": name, "place": reference},
    "plan-made": {"plan": digest, "rulebook": digest, "at": instant, "steps": count, "forecast": flag},
    "limit-tripped": {"plan": digest, "category": name, "rule": name, "limit": code, "value": count, "allowed": count},
    "plan-refused": {"plan": digest, "ground": code},
    "plan-allowed": {"plan": digest, "run": token, "by": _one_of("person", "approval", "over-limits"), "categories": _each(name)},
    "bypass-allowed": {"run": token, "plan": digest, "by": reference},
    "intent": {
        "run": token,
        "plan": digest,
        "category": name,
        "rule": name,
        "store": name,
        "first": count,
        "refs": count,
        "count": count,
        "sha256": digest,
        "holds": index,
        "events": index,
    },
    "outcome": {
        "intent": count,
        "disposed": count,
        "inferred": positions,
        "otherwise": _table(_OUTCOMES, positions),
        "why": _table(code, positions),
    },
    "spared": {
        "run": token,
        "plan": digest,
        "category": name,
        "rule": name,
        "store": name,
        "refs": count,
        "count": count,
        "sha256": digest,
        "otherwise": _table(_OUTCOMES, positions),
        "why": _table(code, positions),
    },
    "copies-verified": {
        "purpose": _one_of("archive", "copy", "found", "manifest"),
        "category": name,
        "rule": name,
        "store": name,
        "destination": name,
        "count": count,
        "bytes": count,
        "sha256": digest,
    },
    "certificate": {
        "run": token,
        "plan": digest,
        "counts": _table(_OUTCOMES, count),
        "looked": count,
        "absent": count,
        "back": count,
    },
    "violation-found": {"category": name, "rule": name, "count": count},
    "violation-cleared": {"category": name, "rule": name},
    "lifecycle-removed": {"category": name, "rule": name, "store": name, "why": _one_of("hold", "policy")},
    "lifecycle-inferred": {"category": name, "rule": name, "store": name, "expired": count, "early": count, "since": instant},
    "legal-holds-set": {"hold": reference, "store": name, "count": count, "theirs": count},
    "legal-holds-removed": {"store": name, "count": count, "kept": count, "gone": count},
    "hold-placed": {"hold": reference, "scopes": _each(code), "mandate": reference},
    "hold-released": {"hold": reference, "reason": reference},
    "event-recorded": {"event": name, "subject": reference},
    "event-withdrawn": {"event": name, "subject": reference},
    "review-approved": {"category": name, "rule": name, "count": count, "by": reference},
    "review-extended": {"category": name, "rule": name, "count": count, "by": reference},
    "request-received": {"name": reference, "kinds": _each(name), "reason": reference, "by": reference},
    "request-allowed": {"request": count, "plan": digest},
    "request-refused": {"request": count, "category": name, "rule": name, "ground": code, "count": count},
    "request-withdrawn": {"request": count, "reason": reference},
    "request-carried-out": {"request": count, "disposed": count},
    "recipients-told": {"request": count, "category": name, "count": count},
    "replayed": {"plan": digest, "since": instant, "requests": count, "steps": count},
    "clock-stepped": {"seconds": difference},
    "clock-accepted": {"by": reference},
    "daemon-started": {"categories": count},
    "daemon-stopped": {},
    "daemon-recovered": {"intents": count},
    "checkpoint-anchored": {"anchor": reference, "size": count, "root": digest},
    "heartbeat": {},
}
"""Every type with its fields; `type` and `time` stand in each."""

HOLD_TYPES = frozenset({"hold-placed", "hold-released"})
EVENT_TYPES = frozenset({"event-recorded", "event-withdrawn"})
REVIEW_TYPES = frozenset({"review-approved", "review-extended"})


def fault(entry: Any) -> str | None:
    """What is wrong with an entry, in words without its data; None for a good one."""
    if not isinstance(entry, dict):
        return "it is no object"
    type_ = entry.get("type")
    fields = FIELDS.get(type_) if isinstance(type_, str) else None
    if fields is None:
        return "its type is unknown"
    if entry.keys() != fields.keys() | {"type", "time"}:
        return f"{entry['type']}: its fields are not those of its type"
    if not instant(entry["time"]):
        return f"{entry['type']}: time is no instant"
    wrong = [field for field, kind in fields.items() if not kind(entry[field])]
    return f"{entry['type']}: {', '.join(wrong)} is not of its kind" if wrong else None


def written(type_: str, time: int, fields: Mapping[str, Any]) -> bytes:
    """The bytes of a new entry; `ValueError` for one that the allow-list does not know."""
    entry = {"type": type_, "time": time, **fields}
    wrong = fault(entry)
    if wrong:
        raise ValueError(wrong)
    body = canonical(entry)
    if len(body) > LARGEST:
        raise ValueError(f"{type_}: {len(body)} bytes are more than an entry can hold")
    return body
