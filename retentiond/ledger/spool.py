"""What many intents of one act need, kept on the disk until they commit together, so that the transaction is short."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import BinaryIO

from retentiond.core.reference import SIZE
from retentiond.ledger import schema


class Spool:
    """Parts, each of a store's steps with what names them, in a file without a name. `StateUnavailable` without room for it."""

    @schema.keeping()
    def __init__(self, directory: Path) -> None:
        self._file: BinaryIO = TemporaryFile(dir=directory)  # noqa: SIM115 `__exit__` closes it
        self._parts: list[tuple[str, range, int]] = []

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    @schema.keeping()
    def add(self, store: str, steps: range, refs: bytes, starts: bytes) -> None:
        self._parts.append((store, steps, len(starts)))
        self._file.write(refs + starts)

    def __iter__(self) -> Iterator[tuple[str, range, bytes, bytes]]:
        """The parts, once more as they came."""
        with schema.keeping():
            self._file.seek(0)
        for store, steps, rest in self._parts:
            with schema.keeping():
                refs, starts = self._file.read(len(steps) * SIZE), self._file.read(rest)
            yield store, steps, refs, starts
