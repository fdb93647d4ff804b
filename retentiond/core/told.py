"""Lines of a file by which another program tells what happened: one JSON object each, whole or broken.

    {"event": "contract-ended", "subject": "1017", "at": "2026-11-22T10:00:00Z"}
    {"event": "contract-ended", "subject": "1017", "do": "withdraw"}

`at` is ISO 8601 and belongs to what happened; a withdrawal without it takes back all of the subject.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from retentiond.core.times import read

LONGEST = 65_536
"""So many bytes a line has at most."""
_KEYS = frozenset({"event", "subject", "at", "do"})


@dataclass(frozen=True, slots=True)
class Told:
    """What one line says: that an event happened to a subject at an instant, or (`withdrawn`) that it did not."""

    event: str
    subject: str
    at: datetime | None
    withdrawn: bool = False


def told_by(line: bytes, events: Collection[str], zone: ZoneInfo) -> Told:
    """What a line says; `ValueError` with what is wrong, in words without its data. `events` may be told so."""
    if len(line) > LONGEST:
        raise ValueError("the line is too long")
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("the line is no JSON") from None
    if not isinstance(value, dict) or not value.keys() <= _KEYS:
        raise ValueError("the line is no object with the keys event, subject, at and do")
    event, subject, do = value.get("event"), value.get("subject"), value.get("do", "record")
    if not isinstance(event, str) or event not in events:
        raise ValueError("no category declares this event as recorded")
    if not isinstance(subject, str) or not subject.strip() or "\0" in subject:
        raise ValueError("the subject is no text")
    if do not in ("record", "withdraw"):
        raise ValueError("`do` is neither record nor withdraw")
    at = read(value["at"], zone) if isinstance(value.get("at"), str) else None
    if at is None and ("at" in value or do == "record"):
        raise ValueError("`at` is no time")
    return Told(event, subject, at, do == "withdraw")
