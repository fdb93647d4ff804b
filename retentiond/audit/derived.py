"""Reading the two kinds of files that stand beside the tree: `audit.jsonl`, and the references of each run.

Both follow from the entries: line i is entry i, and each entry with references names the digest
of its own. They are read in step with the entries, a line or a range at a time, so that a run of
millions costs no memory. A file that is missing altogether is not told here; names are compared
elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from retentiond.audit.layout import LINES, open_file, refs_name
from retentiond.audit.meaning import Range
from retentiond.core.entry import LARGEST
from retentiond.core.reference import SIZE

_CHUNK = 1 << 20


class Lines:
    """`audit.jsonl`, read beside the entries. To be used in a `with`."""

    def __init__(self, directory: Path) -> None:
        self._file = open_file(directory / LINES)
        self._line = 0
        self._wrong: list[int] = []
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file:
            self._file.close()

    def compare(self, entries: Sequence[bytes] | None, width: int) -> None:
        """Reads the next `width` lines, and compares them with the entries where there are any to compare with."""
        for i in range(width if self._file else 0):
            line = self._next()
            if entries is not None and line != entries[i] + b"\n":
                self._wrong = self._wrong or [self._line]
                self._count += 1
            self._line += 1

    def findings(self) -> list[str]:
        """What is wrong with the file, once all entries went by: the first line that differs, and what is left over."""
        found = [f"{LINES}: line {line} is not entry {line} ({self._count} such lines)" for line in self._wrong]
        if self._file and self._file.read(1):
            found.append(f"{LINES} goes on after its last entry")
        return found

    def _next(self) -> bytes:
        return self._file.readline(LARGEST + 2) if self._file else b""


class References:
    """The files under `refs/`, read range by range. To be used in a `with`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._run = ""
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._turn_to("")

    def fault(self, range_: Range) -> str | None:
        """What is wrong with the references of one entry; None if they are those that it names."""
        if range_.run != self._run:
            self._turn_to(range_.run)
        if self._file is None:
            return None
        self._file.seek(range_.first * SIZE)
        digest, left = sha256(), range_.count * SIZE
        while left and (data := self._file.read(min(left, _CHUNK))):
            digest.update(data)
            left -= len(data)
        if left == 0 and digest.hexdigest() == range_.sha256:
            return None
        last = range_.first + range_.count - 1
        return f"{refs_name(range_.run)}: references {range_.first} to {last} are not those that their entry names"

    def lengths(self, references: Mapping[str, int]) -> list[str]:
        """Which files hold more, or less, than the given number of references of each run."""
        found = []
        for run, count in references.items():
            self._turn_to(run)
            if self._file is not None and self._file.seek(0, 2) != count * SIZE:
                found.append(f"{refs_name(run)} has not the length of its {count} references")
        return found

    def _turn_to(self, run: str) -> None:
        if self._file:
            self._file.close()
        self._run = run
        self._file = open_file(self._directory / refs_name(run)) if run else None
