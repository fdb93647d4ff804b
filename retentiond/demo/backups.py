"""Nightly backups of two systems, of which none was ever copied elsewhere; but somebody carried one away, as it was."""

from __future__ import annotations

import gzip
import os
import random
from datetime import date, time
from pathlib import Path

from retentiond.demo.timeline import Timeline, moment

SYSTEMS = ("helpdesk", "pbx")
NIGHTS, NIGHTS_KEPT = 30, 14
BACKUPS = len(SYSTEMS) * NIGHTS
CARRIED_AWAY = 1
_HEAD = b"-- SQLite database dump\n"
_AT_NIGHT = time(1, 30)


def write_backups(backups: Path, offsite: Path, rng: random.Random, line: Timeline) -> None:
    """A folder for each system and night, with a compressed dump; off site one that is not encrypted."""
    nights = [line.ago(n) for n in range(NIGHTS, 0, -1)]
    dumps = {(system, night): _dump(rng, system) for system in SYSTEMS for night in nights}
    for (system, night), dump in dumps.items():
        _write(backups / system / f"{night}" / f"{system}.sql.gz", dump, night)
    _write(offsite / SYSTEMS[1] / f"{nights[-8]}" / "by-hand.sql.gz", dumps[SYSTEMS[1], nights[-8]], nights[-8])


def _dump(rng: random.Random, system: str) -> bytes:
    """Like a dump in what matters here: its form, and that no two are alike."""
    rows = "".join(f"INSERT INTO {system} VALUES({n}, '{rng.randbytes(24).hex()}');\n" for n in range(60))
    return gzip.compress(_HEAD + rows.encode(), mtime=0)


def _write(path: Path, content: bytes, night: date) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    at = int(moment(night, _AT_NIGHT).timestamp())
    os.utime(path, (at, at))
