"""The desk's mailbox: a Maildir of letters about tickets, which nobody has ever tidied up."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from retentiond.core.period import Period
from retentiond.demo import people
from retentiond.demo.helpdesk import Ticket
from retentiond.demo.timeline import Timeline, days_between, office_moments

LETTERS, LETTERS_DUE = 200, 40
KEPT = Period(months=3, words="3 months")
_LETTER = """\
From: {sender} <{address}>
To: desk@demo.example.org
Date: {date}
Message-ID: <{number}@demo.example.org>
Subject: Re: {subject} [#{ticket}]
Content-Type: text/plain; charset=utf-8

Hello,

thank you, and this is what I see here: {subject}.

{sender}
"""


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter, delivered `at`."""

    name: str
    at: datetime
    content: bytes


def letters(rng: random.Random, line: Timeline, cases: list[Ticket]) -> list[Letter]:
    """All letters in order: so many of days that are due, the rest up to yesterday."""
    last_due = line.last_due(KEPT)
    age = (line.today - last_due).days
    due = office_moments(rng, days_between(line.ago(age + 60), last_due), LETTERS_DUE)
    recent = office_moments(rng, days_between(line.ago(age - 1), line.ago(1)), LETTERS - LETTERS_DUE)
    return [_letter(rng, number, at, rng.choice(cases)) for number, at in enumerate((*due, *recent), 1)]


def _letter(rng: random.Random, number: int, at: datetime, case: Ticket) -> Letter:
    sender = people.person(rng)
    known = {"sender": sender, "address": people.email(rng, sender, number), "date": format_datetime(at.astimezone(UTC))}
    text = _LETTER.format(**known, number=number, subject=case.subject, ticket=case.id)
    return Letter(f"{int(at.timestamp())}.M{number}.desk", at, text.encode())


def write_mailbox(folder: Path, made: list[Letter]) -> None:
    """A Maildir with one folder, in which every letter has been read."""
    for name in ("cur", "new", "tmp"):
        (folder / "desk" / name).mkdir(parents=True)
    for letter in made:
        path = folder / "desk" / "cur" / f"{letter.name}:2,S"
        path.write_bytes(letter.content)
        os.utime(path, (int(letter.at.timestamp()),) * 2)
