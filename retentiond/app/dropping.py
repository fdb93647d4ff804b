"""Events that another program drops as files: taken over whole, one transaction a file, nothing taken twice.

Whoever tells writes a file under any other name into `events/` of the state, and renames it to `NAME.jsonl` when it
is complete. A file is renamed away before it is read, so that nobody else takes it; its good lines are recorded
together, and only then it is removed. After a crash it is read again: what was recorded then is known, and is not
recorded again. Broken lines are put into `events/rejected/`, each with what is wrong with it.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from retentiond.app.house import House
from retentiond.core.told import Told, told_by
from retentiond.ledger.schema import keeping

LARGEST = 32 * 2**20
"""A file of more bytes is set aside unread."""


@dataclass(slots=True)
class Taken:
    """What came of the files: events recorded and withdrawn, lines that changed nothing, and broken ones, set aside."""

    files: int = 0
    recorded: int = 0
    withdrawn: int = 0
    known: int = 0
    broken: int = 0

    @property
    def warnings(self) -> list[str]:
        """What somebody has to look at, without any data."""
        what = f"{self.broken:,} lines of dropped events are broken; they were set aside in events/rejected of the state"
        return [what] if self.broken else []


def take_events(house: House) -> Taken:
    """Records what other programs have dropped; nothing where there is no state yet."""
    taken = Taken()
    if not house.directory.exists():
        return taken
    with keeping():
        for path in _claimed(house.directory.events):
            _take(house, path, taken)
    return taken


def _claimed(drop: Path) -> Iterator[Path]:
    """The files that wait, each renamed into `events/taken/` first; those that a crash has left there come before."""
    if not drop.is_dir():
        return
    claimed = drop / "taken"
    if claimed.is_dir():
        yield from sorted(claimed.iterdir())
    for path in sorted(drop.glob("[!.]*.jsonl")):
        claimed.mkdir(mode=0o700, exist_ok=True)
        mine = claimed / path.name
        if mine.exists() or not stat.S_ISREG(path.lstat().st_mode):
            continue
        try:
            path.rename(mine)
        except FileNotFoundError:
            continue  # somebody else has taken it
        yield mine


def _take(house: House, path: Path, taken: Taken) -> None:
    lines = _lines(path)
    if lines is None:
        return
    events = {e.name for c in house.rulebook.categories.values() for e in c.events.values() if e.recorded}
    good, broken = list[Told](), list[tuple[int, str, bytes]]()
    for number, line in enumerate(lines, 1):
        try:
            good.append(told_by(line, events, house.rulebook.zone))
        except ValueError as error:
            broken.append((number, str(error), line))
    recorded, withdrawn = house.recorded.take(good, house.word)
    if broken:
        _set_aside(path, broken)
    path.unlink(missing_ok=True)
    taken.files += 1
    taken.recorded += recorded
    taken.withdrawn += withdrawn
    taken.known += len(good) - recorded - withdrawn
    taken.broken += len(broken)


def _lines(path: Path) -> list[bytes] | None:
    """The lines of a file that are not empty; None where it is gone. One that is too large is a single broken line."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)) as file:
            if os.fstat(file.fileno()).st_size > LARGEST:
                return [b"{" * (LARGEST // 32)]
            return [line for line in file.read().splitlines() if line.strip()]
    except FileNotFoundError:
        return None


def _set_aside(path: Path, broken: list[tuple[int, str, bytes]]) -> None:
    """Keeps the broken lines where only the owner of the state can read them."""
    folder = path.parent.parent / "rejected"
    folder.mkdir(mode=0o700, exist_ok=True)
    rows = [{"line": number, "what": what, "text": line[:4096].decode("utf-8", "replace")} for number, what, line in broken]
    text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    target = folder / path.name
    with open(target, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
