"""The telephone system: a database of calls, and a recording of each."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from retentiond.core.period import Period
from retentiond.demo import media, people
from retentiond.demo.timeline import LONDON, Timeline, days_between, office_moments, utc_text

CALLS = 20_000
CALLS_DUE = 3_840
KEPT = Period(months=6, words="6 months")
_DAYS_BEFORE = 58
_FIRST_ID = 104_001
_TONES = (330, 392, 440, 494, 587, 659, 784, 880)
_LENGTHS = (380, 520, 700, 860, 1040)


@dataclass(frozen=True, slots=True)
class Call:
    """One call: `at` is the instant of its beginning, `seconds` its length, `recording` the path of its sound."""

    id: int
    at: datetime
    seconds: int
    recording: str


def calls(rng: random.Random, line: Timeline) -> list[Call]:
    """All calls in order: so many of days that are due, the rest up to yesterday. The desk is closed on Sundays."""
    last_due = line.last_due(KEPT)
    age = (line.today - last_due).days
    due = office_moments(rng, days_between(line.ago(age + _DAYS_BEFORE), last_due, open_days=6), CALLS_DUE)
    kept = office_moments(rng, days_between(line.ago(age - 1), line.ago(1), open_days=6), CALLS - CALLS_DUE)
    return [_call(rng, number, at) for number, at in enumerate((*due, *kept), _FIRST_ID)]


def _call(rng: random.Random, number: int, at: datetime) -> Call:
    """A call of some minutes; its recording is filed by London's calendar and clock."""
    path = f"{at.astimezone(LONDON):%Y/%m/%d/%H%M%S}-{number}.wav"
    return Call(number, at, int(rng.expovariate(1 / 190)) + 4, path)


def write_database(path: Path, schema: str, rng: random.Random, made: list[Call]) -> None:
    """The telephone system's own database."""
    connection = sqlite3.connect(path)
    try:
        connection.executescript("PRAGMA foreign_keys = ON;" + schema)
        agents = [(n, people.person(rng)) for n in range(1, 9)]
        connection.executemany("INSERT INTO agents VALUES (?, ?)", agents)
        extensions = [(200 + n, f"Desk {n}", n) for n, _ in agents]
        connection.executemany("INSERT INTO extensions VALUES (?, ?, ?)", extensions)
        connection.executemany("INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?)", _rows(rng, made))
        connection.commit()
    finally:
        connection.close()


def _rows(rng: random.Random, made: list[Call]) -> Iterator[tuple[object, ...]]:
    ours = "+441632960100"
    for call in made:
        other = people.landline(rng) if rng.random() < 0.4 else people.mobile(rng)
        inbound = rng.random() < 0.8
        ends = (other, ours) if inbound else (ours, other)
        extension = 201 + rng.randrange(8)
        yield (call.id, utc_text(call.at), "in" if inbound else "out", *ends, extension, call.seconds, call.recording)


def write_recordings(folder: Path, made: list[Call], step: Callable[[int], None]) -> None:
    """One sound file for each call, as old as the call. `step` hears how many there are so far."""
    day = ""
    for n, call in enumerate(made):
        path = call.recording
        if path[:10] != day:
            day = path[:10]
            os.makedirs(folder / day, exist_ok=True)
            step(n)
        name = f"{folder}/{path}"
        with open(name, "wb", buffering=0) as file:
            file.write(media.wav(_TONES[call.id % len(_TONES)], _LENGTHS[call.id % len(_LENGTHS)]))
        ended = int(call.at.timestamp()) + call.seconds
        os.utime(name, (ended, ended))
    step(len(made))
