"""What goes on beside the runs: health and metrics for programs of this machine, and messages to people.

Guarantee: nothing here ends the daemon or a run. What goes wrong is said by its class and tried again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType

from retentiond.app.alarms import broken_rulebook, tell
from retentiond.app.house import House
from retentiond.app.standing import standing
from retentiond.config.load import Loaded
from retentiond.daemon.health import listening
from retentiond.daemon.log import Log
from retentiond.daemon.pulse import Pulse
from retentiond.errors import RetentiondError, StateUnavailable

ALIVE = 60.0
"""A loop that has not turned for so many seconds is not alive."""


class Beside:
    """All of it, for as long as the block runs. `address` is where health and metrics are to be had."""

    def __init__(self, log: Log, pulse: Pulse, loaded: Callable[[], Loaded], listen: str) -> None:
        self._log, self._pulse, self._loaded, self._listen = log, pulse, loaded, listen
        self._broken: RetentiondError | None = None
        self._said: dict[str, str] = {}
        self._open = ExitStack()
        self.address = ""

    def __enter__(self) -> Beside:
        found = self._open.enter_context(
            listening(
                self._listen,
                standing=lambda: standing(House(self._loaded())),
                alive=lambda: time.monotonic() - self._pulse.turned < ALIVE,
                waiting=self._waiting,
            )
        )
        self.address = f"{found[0]}:{found[1]}" if found else ""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()

    def refused(self, error: RetentiondError | None) -> None:
        """A reload was refused, which stands until one is taken (None)."""
        self._broken = error

    def tell(self, house: House) -> None:
        """Tells people what has come up and what is over: after each run, at each tick, after a reload.

        `StateUnavailable` where the ledger cannot be used; nothing else is raised.
        """
        try:
            now = house.clock().now
            also = [broken_rulebook(self._broken, now)] if self._broken is not None else []
            troubles = dict(tell(house, now, also=also).troubles)
        except StateUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 whatever it is, the runs go on
            troubles = {"the alarms": type(error).__name__}
        for label, trouble in troubles.items():
            if self._said.get(label) != trouble:
                self._log.say("not-told", address=label, trouble=trouble)
        self._said = troubles

    def _waiting(self) -> Sequence[str]:
        """Why the daemon is not ready, in fixed words."""
        starting = [] if self._pulse.ready else ["starting or stopping"]
        return [*starting, *(["reload-failed"] if self._pulse.reload_failed else [])]
