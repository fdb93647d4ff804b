"""Looking into items, and reading them whole, with a time limit that nothing can stretch.

A store has time limits of its own for an answer that does not come. One that comes byte by byte keeps within them
for hours. So items are looked into with a handle of their own, in a thread of its own, which is waited for so
long and no longer; a thread that is late is left behind with its handle, and nobody asks there again.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Protocol, TypeVar, runtime_checkable

from retentiond.archive.passing import readable
from retentiond.archive.reading import EVERYTHING, digest_of
from retentiond.engine.ports import Scope, View
from retentiond.errors import StoreUnavailable

T = TypeVar("T")
LIMIT = 60.0
"""So many seconds the ends of one item may take."""
SLOWEST = 256 * 1024
"""So many bytes a second come at least of an item that is read whole, or the store counts as unavailable."""


@runtime_checkable
class Attesting(Protocol):
    """A store whose server encrypts what it keeps, and says so of each item."""

    def server_side(self, key: str, revision: str) -> str:
        """By which way the server says that it keeps this revision encrypted; empty where it does not. Errors as with `read`."""
        ...


class Patient:
    """A reader of items. `StoreUnavailable` once a look has taken longer than `limit` seconds, and ever after."""

    def __init__(self, open_view: Callable[[], View], limit: float = LIMIT) -> None:
        self._open_view, self._limit = open_view, limit
        self._asked: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._view: View | None = None
        self._late = False

    def edges(self, scope: Scope, key: str, revision: str, head: int, tail: int) -> tuple[bytes, bytes]:
        """`engine.ports.Readable.edges`."""
        return self._within(lambda view: readable(view).edges(scope, key, revision, head, tail))

    def digest(self, key: str, revision: str, size: int) -> tuple[str, int]:
        """`archive.reading.Reading`: a minute, and for every MiB four seconds more."""

        def work(view: View) -> tuple[str, int]:
            return digest_of(readable(view).read(EVERYTHING, key, revision))

        return self._within(work, self._limit + size / SLOWEST)

    def server_side(self, key: str, revision: str) -> str:
        """`Attesting.server_side`; empty where the store attests nothing."""
        return self._within(lambda view: view.server_side(key, revision) if isinstance(view, Attesting) else "")

    def close(self) -> None:
        """Closes the handle, in its thread; one that is late keeps both."""
        self._asked.put(None)
        if self._thread is not None and not self._late:
            self._thread.join()

    def _within(self, work: Callable[[View], T], limit: float = 0.0) -> T:
        limit = limit or self._limit
        found: Future[T] = Future()

        def answer() -> None:
            try:
                self._view = self._view or self._open_view()
                found.set_result(work(self._view))
            except BaseException as error:  # noqa: BLE001 it is raised where it was asked for
                found.set_exception(error)

        if not self._late:
            self._begin()
            self._asked.put(answer)
            try:
                return found.result(limit)
            except TimeoutError:
                if found.done():
                    raise
                self._late = True
        raise StoreUnavailable(
            "the store gives out its items too slowly to be looked into",
            why=f"what was asked of one item did not come within {limit:g} s",
            do="see what slows the store down, or the way to it",
        )

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._serve, name="look", daemon=True)
            self._thread.start()

    def _serve(self) -> None:
        """Answers one question after the other until there are no more. The first opens the handle."""
        try:
            while (answer := self._asked.get()) is not None:
                answer()
        finally:
            if self._view is not None:
                self._view.close()
