"""A store in which copies lie: what a rule disposes of there is noted in the register of copies."""

from __future__ import annotations

from collections.abc import Iterator

from retentiond.archive.passing import Passing
from retentiond.archive.register import Register
from retentiond.core.outcome import Outcome, Settled
from retentiond.engine.ports import Batch, Store


class Registered(Passing):
    """A store whose disposals the register hears of, once they are facts."""

    def __init__(self, store: Store, name: str, register: Register) -> None:
        super().__init__(store)
        self._name, self._register = name, register

    def dispose(self, batch: Batch) -> Iterator[Settled]:
        for settled in self._store.dispose(batch):
            if settled.outcome is Outcome.DISPOSED and not batch.action.anonymises:
                self._register.gone(self._name, [batch.keys[i] for i in settled.positions])
            yield settled
