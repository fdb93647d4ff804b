"""A store that fails at a chosen moment.

Every call of the contract and every page or fact that it yields is one point, counted from 1. The
store behind it has done its work up to that point and no more: a fact that was not handed over
may or may not have happened, and that is what the caller must cope with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Lock
from typing import TypeVar

from retentiond.core.item import Page
from retentiond.core.outcome import Settled
from retentiond.engine.ports import Batch, Deposit, Readable, Restoring, Scope, Shardable, Store, Traits, Versioned, Writable
from retentiond.errors import RetentiondError, StoreUnavailable

T = TypeVar("T")


def unavailable() -> RetentiondError:
    """The error of a connection that was lost."""
    return StoreUnavailable("the connection was lost", why="a fault was asked for")


class Fault:
    """The moment at which handles fail, counted over all that share it, in whatever threads they are.

    From the `at`-th point on, every point raises. `at=0` never fails and counts: `points` says how many there were.
    """

    def __init__(self, at: int = 0, error: Callable[[], RetentiondError] = unavailable) -> None:
        self._at, self._error, self._lock = at, error, Lock()
        self.points = 0

    def reach(self) -> None:
        """One more point."""
        with self._lock:
            self.points += 1
            fails = 0 < self._at <= self.points
        if fails:
            raise self._error()


class FaultyStore:
    """A store that raises once its `fail_at`-th point is reached, and from then on at every call but `close`.

    A number counts the points of this handle alone; a `Fault` is shared with others.
    """

    def __init__(self, store: Store, fail_at: int | Fault = 0, error: Callable[[], RetentiondError] = unavailable) -> None:
        self._store = store
        self._fault = fail_at if isinstance(fail_at, Fault) else Fault(fail_at, error)

    @property
    def points(self) -> int:
        """How many points there have been so far."""
        return self._fault.points

    @property
    def place(self) -> str:
        return self._store.place

    @property
    def traits(self) -> Traits:
        return self._store.traits

    def scan(self, scope: Scope) -> Iterator[Page]:
        self._point()
        return self._each(self._store.scan(scope))

    def probe(self, scope: Scope, keys: Sequence[str]) -> Page:
        self._point()
        return self._store.probe(scope, keys)

    def probe_revisions(self, scope: Scope, keys: Sequence[str], revisions: Sequence[str]) -> Page:
        """Passed on where the store behind it holds several revisions of a key; else its one item is probed."""
        self._point()
        if isinstance(self._store, Versioned):
            return self._store.probe_revisions(scope, keys, revisions)
        return self._store.probe(scope, keys)

    def dispose(self, batch: Batch) -> Iterator[Settled]:
        self._point()
        return self._each(self._store.dispose(batch))

    def put_back(self, scope: Scope, keys: Sequence[str]) -> None:
        """Passed on where the store behind it can restore; else nothing is ever half done there."""
        self._point()
        if isinstance(self._store, Restoring):
            self._store.put_back(scope, keys)

    def read(self, scope: Scope, key: str, revision: str) -> Iterator[bytes]:
        """Passed on to a store that is `Readable`; so is the next."""
        self._point()
        assert isinstance(self._store, Readable)
        return self._each(self._store.read(scope, key, revision))

    def edges(self, scope: Scope, key: str, revision: str, head: int, tail: int) -> tuple[bytes, bytes]:
        self._point()
        assert isinstance(self._store, Readable)
        return self._store.edges(scope, key, revision, head, tail)

    @property
    def home(self) -> str:
        """Of the store behind it."""
        assert isinstance(self._store, Writable)
        return self._store.home

    def take(self, key: str, pieces: Iterable[bytes]) -> Deposit:
        """Passed on to a store that is `Writable`."""
        self._point()
        assert isinstance(self._store, Writable)
        return self._store.take(key, self._each(iter(pieces)))

    def shards(self, scope: Scope, wanted: int) -> Sequence[Scope]:
        """Passed on to a store that is `Shardable`."""
        self._point()
        assert isinstance(self._store, Shardable)
        return self._store.shards(scope, wanted)

    def warnings(self, scope: Scope) -> Sequence[str]:
        self._point()
        return self._store.warnings(scope)

    def close(self) -> None:
        self._store.close()

    def _each(self, values: Iterator[T]) -> Iterator[T]:
        for value in values:
            self._point()
            yield value

    def _point(self) -> None:
        self._fault.reach()
