"""One run, in a process of its own: `python -m retentiond.daemon.errand FD [CATEGORY]`.

Standard input holds the loaded configuration, pickled by the daemon, so that the run goes by what
was valid when it began, whatever the files say now. FD is the lifeline: when it closes, the daemon
wants an end, or is no more, and the batch in hand is the last. Standard output takes a line of JSON
for each sign of progress, and one with the result. Nothing else is said: an error is its code, and
a fault inside the program its class and place, never its text, which may hold data.

Without a category it recovers what a killed run has left, and hands the checkpoint to the anchors.
"""

from __future__ import annotations

import json
import os
import pickle
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from retentiond.app.anchoring import anchor
from retentiond.app.enforcing import Stopped, enforce
from retentiond.app.house import House
from retentiond.app.recovery import recover
from retentiond.app.trail import publish
from retentiond.errors import Locked, RetentiondError
from retentiond.ledger.clock import micros
from retentiond.ledger.looks import Look

_OFTEN = 0.2
"""Progress is told at most so often, in seconds."""


class Errand:
    """What the run says to the daemon, and what the daemon says to it."""

    def __init__(self, lifeline: int, tell: Callable[[str], None]) -> None:
        self._lifeline, self._tell = lifeline, tell
        self._told_at, self._doing = 0.0, ""
        self._signal: str | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._hear)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a new rulebook is for the next run

    def stop(self) -> str | None:
        """The reason to begin no further batch."""
        return self._signal or ("the daemon wants an end" if self._closed(0) else None)

    def looking(self, _what: str, items: int) -> None:
        """Planning has come so far; `Stopped` where it need not go on."""
        self._progress("looking", items)
        self._leave()

    def disposing(self, items: int, _total: int) -> None:
        """Disposal has come so far."""
        self._progress("disposing", items)

    def patience(self) -> bool:
        """Waits a moment for whoever is at work on the state, and wants to try again."""
        self._progress("waiting", 0)
        self._closed(0.5)
        self._leave()
        return True

    def ended(self, **facts: Any) -> None:
        """The last line."""
        self._say({"ended": facts})

    def _leave(self) -> None:
        reason = self.stop()
        if reason:
            raise Stopped("told to stop before anything was begun", why=reason)

    def _progress(self, doing: str, items: int) -> None:
        if doing != self._doing or time.monotonic() - self._told_at >= _OFTEN:
            self._told_at, self._doing = time.monotonic(), doing
            self._say({"doing": doing, "items": items})

    def _say(self, value: dict[str, Any]) -> None:
        try:
            self._tell(json.dumps(value) + "\n")
        except OSError:  # nobody listens any more; the lifeline says so too
            self._signal = self._signal or "the daemon wants an end"

    def _closed(self, seconds: float) -> bool:
        return bool(select.select([self._lifeline], [], [], seconds)[0])

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        self._signal = f"told to stop ({signal.Signals(number).name})"


def carry_out(house: House, category: str, errand: Errand) -> dict[str, Any]:
    """Looks at one category and does what is due; the look that was recorded, in short, or the error that left none."""
    try:
        enforced = enforce(
            house, [category], stop=errand.stop, watch=errand.looking, progress=errand.disposing, patience=errand.patience
        )
    except Exception as error:  # noqa: BLE001 whatever it is, the daemon is told, and goes on
        with suppress(RetentiondError):
            publish(house)
            look = house.looks.all().get(category)
            if look is not None and look.began == micros(house.now):
                return in_short(look) | {"where": fault(error).get("where")}
        return fault(error)
    look = enforced.looks[category]
    if look.result != "nothing":
        publish(house)
    return in_short(look)


def in_short(look: Look) -> dict[str, Any]:
    """What the daemon says of a look."""
    return {"result": look.result, "code": look.code, "plan": look.plan, "run": look.run, "counts": dict(look.outcomes)}


def mend(house: House, errand: Errand) -> dict[str, Any]:
    """Writes what became of the intents that a killed run has left open, and anchors what was published; destroys nothing."""
    while True:
        try:
            with house.locked("execute", "the daemon, looking what a killed run has left"):
                counts = recover(house)
        except Locked:
            errand.patience()
        else:
            publish(house)
            anchor(house)
            return {"result": "done", "counts": {name: n for name, n in counts.items() if n}}


def fault(error: Exception) -> dict[str, Any]:
    """An error as a result: the code of ours, the class and the place of any other."""
    if isinstance(error, RetentiondError):
        return {"result": "stopped" if isinstance(error, Stopped) else "failed", "code": error.code}
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{type(error).__name__} in {os.path.basename(last.filename)}:{last.lineno}"
    return {"result": "failed", "code": "internal", "where": where}


def main(lifeline: int, category: str | None) -> None:
    """The whole process."""
    out = os.dup(1)
    os.dup2(2, 1)  # what a library prints is not for the daemon
    errand = Errand(lifeline, lambda line: _write(out, line.encode()))
    loaded = pickle.load(sys.stdin.buffer)  # noqa: S301 the daemon wrote it a moment ago, into memory that only it can reach
    try:
        with House(loaded) as house:
            told = carry_out(house, category, errand) if category else mend(house, errand)
    except Exception as error:  # noqa: BLE001 whatever it is, the daemon is told, and goes on
        told = fault(error)
    errand.ended(**told)


def _write(out: int, line: bytes) -> None:
    while line:
        line = line[os.write(out, line) :]


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
