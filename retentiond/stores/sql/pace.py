"""How many rows go at once, and when to wait: batches that take long become smaller, and replicas have to keep up.

A transaction is to take about a second, so that others wait for its locks no longer than that. Before each one the
replicas that the store names are asked how far they are behind; a replica that cannot be asked, or does not know,
is behind. Nothing is locked meanwhile, and a reason to stop is heard. Where waiting does not help, the store is
unavailable, and what is left is for the next run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Event

from retentiond.engine.ports import PAGE, Stop
from retentiond.errors import RetentiondError, StoreUnavailable
from retentiond.stores.sql.database import Database

LEAST, MOST = 16, 5 * PAGE
"""So many rows go in one transaction at least, and at most; so many are read at a time."""
LONG = 1.0
"""Seconds that a transaction may take before the next one is made smaller."""
PATIENCE = 60.0
"""Seconds that a batch waits for replicas."""
_BETWEEN = 1.0
"""Seconds for which an answer of a replica counts."""


class Replica:
    """A further server that follows the one that is written to; it is asked over a connection of its own."""

    def __init__(self, opened: Callable[[], Database], name: str = "") -> None:
        """`name` is what people call it."""
        self._opened, self._database, self._name = opened, None, name

    _database: Database | None

    def lag(self) -> float | None:
        """How many seconds it is behind; None where nobody knows."""
        try:
            return self._asked()
        except RetentiondError:
            self.close()
            return None

    def trouble(self, most: float) -> str | None:
        """Why nothing would go now because of it, where it may be so many seconds behind; it is asked once, and let go."""
        try:
            lag = self._asked()
        except RetentiondError as error:
            why = str(error.problems[0])
        else:
            if lag is not None and lag <= most:
                return None
            why = "it follows nobody, or stands still" if lag is None else f"it is {lag:.1f} seconds behind, {most:g} are allowed"
        finally:
            self.close()
        return f"nothing goes while the replica {self._name} is behind or cannot say: {why}"

    def _asked(self) -> float | None:
        if self._database is None:
            self._database = self._opened()
        with self._database.guard():
            return self._database.lag()

    def close(self) -> None:
        if self._database is not None:
            with suppress(RetentiondError):
                self._database.close()
        self._database = None


class Pace:
    """The pace of one store. `most` is how many seconds a replica may be behind."""

    def __init__(self, replicas: Sequence[Replica] = (), most: float = 0.0, patience: float = PATIENCE) -> None:
        self._replicas, self._most, self._patience = replicas, most, patience
        self._size, self._asked = PAGE, float("-inf")
        self.stop: Stop = lambda: None

    def rows(self) -> int:
        """Waits until the replicas have caught up; how many rows may go then, none where there is a reason to stop."""
        return self._size if self.catch_up() else 0

    def took(self, rows: int, seconds: float) -> None:
        """Says how long a transaction of so many rows took."""
        if seconds > LONG:
            self._size = min(max(LEAST, int(rows * LONG / seconds)), MOST)
        elif seconds < LONG / 2 and rows >= self._size:
            self._size = min(2 * self._size, MOST)

    def close(self) -> None:
        for replica in self._replicas:
            replica.close()

    def is_behind(self) -> bool:
        """Whether there is something to wait for."""
        return self._behind() is not None

    def catch_up(self) -> bool:
        """Waits until the replicas have caught up; False where there is a reason to stop before."""
        deadline = time.monotonic() + self._patience
        while (what := self._behind()) is not None:
            if self.stop():
                return False
            if time.monotonic() >= deadline:
                raise StoreUnavailable(what, why="nothing is let go meanwhile", do="look at `replicas`, and try again later")
            Event().wait(min(_BETWEEN / 2, self._patience))
        return True

    def _behind(self) -> str | None:
        """What keeps rows from going; None where nothing does, which is asked once in a while."""
        if not self._replicas or time.monotonic() - self._asked < _BETWEEN:
            return None
        lags = [replica.lag() for replica in self._replicas]
        if None in lags:
            return "how far a replica is behind is not known"
        if any(lag is not None and lag > self._most for lag in lags):
            return "a replica is too far behind"
        self._asked = time.monotonic()
        return None
