"""What people are told: a subject, a few lines, and the same as a value for programs.

Each piece of news says what, since when, how many, and what to do. It names the organisation and
categories, and holds counts, codes and names of plans: nothing of an item, of a person or of a machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from retentiond.core.alarm import News

VERSION = 1
"""Of the shape of `Message.value`: keys are added to it, never renamed or taken away."""
SHOWN = 20
"""The text says so many pieces of news in full; the value has all of them."""

WHAT: Mapping[str, str] = {
    "failure": "The last look failed, or left steps undone.",
    "limit": "A limit stands in the way. Nothing of this category is disposed of until a person has looked.",
    "overdue": "Items were found that are past their deletion period: the promise is broken.",
    "violation": "Items were found that must not exist, or not as they are.",
    "hold-review": "A hold is due for review. It stays in force.",
    "request": "A person who asked for erasure is to be answered within a month (Art. 12(3) GDPR). It is nearly over, or over.",
    "returned": "Somebody who was erased is there again, newer than the request: an import, or a new customer. Nothing was done.",
    "silence": "No look has taken effect for longer than the schedule allows.",
    "approval": "A person is needed: nothing of this category is disposed of without one.",
    "clock": "The clock has gone back or jumped. Nothing is carried out until a person has looked.",
    "configuration": "The changed configuration is broken. The one before it stays in force.",
    "anchor": "A checkpoint could not be handed to whoever keeps it. Nothing else is hindered.",
    "erasure": "A person was erased who is known to this recipient. Tell the recipient (Art. 19 GDPR).",
    "audit": "The audit trail does not verify. Nothing is disposed of without evidence.",
}
"""What each kind of alarm means, in a sentence."""

_TITLES = {"new": "", "grown": "grown: ", "over": "over: "}
_OR_GONE = ", or no longer in the rules"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Message:
    """One message: `subject` on one line, `text` in plain lines, `value` for programs. `id` is the same for the same news."""

    id: str
    subject: str
    text: str
    value: Mapping[str, Any]
    at: datetime


def compose(organisation: str, news: Sequence[News], now: datetime) -> Message:
    """One message of these pieces of news, at least one, in their order."""
    organisation = " ".join(organisation.split())
    titles = [_title(one) for one in news]
    named = titles[0] if len(news) == 1 else f"{len(news)} alarms: {', '.join(dict.fromkeys(titles))}"
    subject = _cut(f"retentiond: {named}", 120) + f" ({_cut(organisation, 60)})"
    paragraphs = [_paragraph(title, one) for title, one in zip(titles[:SHOWN], news, strict=False)]
    if len(news) > SHOWN:
        paragraphs.append(f"And {len(news) - SHOWN:,} more.")
    text = "\n\n".join([f"{organisation}, {_minute(now)}", *paragraphs]) + "\n"
    number = hashlib.sha256("".join(one.id for one in news).encode()).hexdigest()[:32]
    value = {
        "version": VERSION,
        "program": "retentiond",
        "id": number,
        "organisation": organisation,
        "at": now.astimezone(UTC).isoformat(),
        "subject": subject,
        "text": text,
        "alarms": [_value(one) for one in news],
    }
    return Message(number, subject, text, value, now)


def _title(one: News) -> str:
    alarm = one.alarm
    if one.change == "test":
        return "test"
    return f"{_TITLES[one.change]}{alarm.kind}" + (f" {alarm.about}" if alarm.about else "")


def _what(one: News) -> str:
    if one.change == "test":
        return "This is a test. Nothing is wrong."
    if one.change == "over":
        return f"No longer so{_OR_GONE if one.alarm.about else ''}: {WHAT[one.alarm.kind]}"
    return WHAT[one.alarm.kind]


def _paragraph(title: str, one: News) -> str:
    until = f", until {_minute(_instant(one.at))}" if one.change == "over" else ""
    lines = [title, _what(one), f"Since {_minute(_instant(one.alarm.since))}{until}."]
    if one.alarm.facts:
        lines.append("; ".join(f"{name.replace('_', ' ')}: {_number(value)}" for name, value in one.alarm.facts.items()))
    if one.alarm.do and one.change in ("new", "grown"):
        lines.append(f"What to do: {one.alarm.do}")
    return "\n  ".join(lines)


def _value(one: News) -> dict[str, Any]:
    alarm = one.alarm
    return {
        "id": one.id,
        "change": one.change,
        "kind": alarm.kind,
        "about": alarm.about,
        "since": _instant(alarm.since).isoformat(),
        "size": alarm.size,
        "facts": dict(alarm.facts),
        "what": _what(one),
        "do": alarm.do if one.change in ("new", "grown") else "",
    }


def _number(value: int | str) -> str:
    return f"{value:,}" if isinstance(value, int) else value


def _instant(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def _minute(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
