"""The daemon's side of one run: starts the process, hears from it, and ends it if it must.

Why a process and not a thread: a store may hang in the kernel (a dead NFS server), where no thread
can be interrupted. A process can be killed, at any moment and without harm (each batch has its
intent before it and is recovered after; tests/crash proves it), it gives all its memory back, and a
crash in a driver ends one run, not the daemon. The price is its start, under a second.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from retentiond.config.load import Loaded

_CHUNK = 65_536
_LAST_WORDS = 1.0
"""A run that has closed its mouth is waited for so long in one turn, in seconds: it is gone in a moment."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of a run. `result` is one of `ledger.looks.Result`; `category` is None for a recovery."""

    category: str | None
    result: str
    code: str | None = None
    plan: str | None = None
    run: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    where: str | None = None


class Lane:
    """A run that is on its way. `heard` is when it last made progress, by the monotonic clock."""

    def __init__(self, loaded: Loaded, category: str | None, since: datetime) -> None:
        self.category, self.since = category, since
        self.began = self.heard = time.monotonic()
        self.doing, self.fate, self.silence_told = "starting", "", False
        self._text = b""
        self._last: dict[str, Any] | None = None
        self._open = True
        here, self._lifeline = os.pipe()
        told = _in_memory(pickle.dumps(loaded))
        words = [sys.executable, "-P", "-m", "retentiond.daemon.errand", str(here), *([category] if category else [])]
        try:
            self._process = subprocess.Popen(  # noqa: S603 our own program, and a name that the rulebook has
                words,
                stdin=told,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=[here],
                process_group=0,  # Ctrl-C is for the daemon, which asks its runs to end
            )
        except OSError:
            os.close(self._lifeline)
            raise
        finally:
            os.close(here)
            os.close(told)
        assert self._process.stdout is not None
        self._out = self._process.stdout
        os.set_blocking(self._out.fileno(), False)

    def fileno(self) -> int:
        """For `select`."""
        return self._out.fileno()

    @property
    def listening(self) -> bool:
        """Whether there may be more to read."""
        return self._open

    def hear(self) -> None:
        """Reads what the run has said since."""
        while self._open:
            try:
                chunk = os.read(self._out.fileno(), _CHUNK)
            except BlockingIOError:
                return
            self._open = bool(chunk)
            *lines, self._text = (self._text + chunk).split(b"\n")
            for line in lines:
                with suppress(ValueError):  # what something printed before the run began
                    self._take(json.loads(line))

    def _take(self, said: dict[str, Any]) -> None:
        self.heard, self.silence_told = time.monotonic(), False
        self._last = said.get("ended", self._last)
        self.doing = said.get("doing", self.doing)

    @property
    def silent_for(self) -> float:
        """Seconds without progress."""
        return time.monotonic() - self.heard

    def keeps_others(self, patience: float, aside: float) -> bool:
        """Whether the other categories wait for it."""
        return keeps_others(self.doing, self.silent_for, time.monotonic() - self.began, patience, aside)

    def stop(self) -> None:
        """Asks for an end after the batch in hand."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def kill(self, fate: str) -> None:
        """Ends it at once. One that hangs in the kernel may not go even then; it is not waited for."""
        self.fate = fate
        self._process.kill()

    def over(self) -> Ended | None:
        """What came of it, once it has ended; one that died or was killed has the code of its fate."""
        if self._open and self._process.poll() is None:
            return None
        try:
            self._process.wait(_LAST_WORDS)
        except subprocess.TimeoutExpired:
            return None
        self.hear()
        self.stop()
        self._out.close()
        self._open = False
        if self._last is None:
            return Ended(self.category, "failed", self.fate or "run-died")
        return Ended(self.category, **self._last)


def keeps_others(doing: str, silent_for: float, age: float, patience: float, aside: float) -> bool:
    """Whether the others wait for a run: while it makes progress, but for a look that has no end no longer than `patience`.

    Seconds. One that disposes of something has the execute lock, so that the others could do nothing anyway.
    """
    return silent_for < aside and (doing == "disposing" or age < patience)


def _in_memory(content: bytes) -> int:
    """A descriptor from which this can be read; nothing of it comes to a disk."""
    handle = os.memfd_create("retentiond", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(handle), "wb") as file:
        file.write(content)
    os.lseek(handle, 0, os.SEEK_SET)
    return handle
