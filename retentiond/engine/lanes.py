"""Several handles on one store side by side, each opened in, used in and closed in a thread of its own.

Acting: whoever has `Lanes` sends jobs and takes their answers in the order in which they end. The
jobs know a store and nothing else; judging, intents, outcomes and whatever else is written stay
with the one who sends, so that the evidence has one writer however many lanes there are.

Looking: `scan` reads the parts of a scope side by side and gives their pages out in an order that
depends on nothing but the parts and their pages; each lane is at most `AHEAD` pages ahead.

A handle that cannot be opened beside others is no error: there are fewer lanes then.

Whoever has waited for a server needs the interpreter only to send the next statement, and the server stands idle until then:
threads take turns ten times as often as Python would have them.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from threading import Semaphore, Thread
from typing import Generic, Protocol, TypeVar, runtime_checkable

from retentiond.core.item import Page
from retentiond.engine.ports import Scope, Shardable, Store, View
from retentiond.errors import StoreDenied, StoreUnavailable

AHEAD = 6
"""So many pages a lane may have read before they are asked for."""
TURN_S = 0.0005
"""So long a thread may go on while another one waits for the interpreter."""
PARTS = 4
"""So many parts for each lane, so that a large one does not leave the others idle."""

A = TypeVar("A")


def _started(work: Callable[[], None]) -> Thread:
    sys.setswitchinterval(TURN_S)
    thread = Thread(target=work, name="lane", daemon=True)
    thread.start()
    return thread


class Crew(Protocol[A]):
    """Whoever does jobs on one store."""

    @property
    def busy(self) -> int:
        """How many jobs have been sent whose answer has not been taken."""
        ...

    @property
    def is_ready(self) -> bool:
        """Whether an answer can be taken without waiting."""
        ...

    def widen(self, wanted: int) -> int:
        """Opens handles until there are so many, or as many as can be; how many there are. Raises where there is none."""
        ...

    def begin(self, job: Callable[[Store], A]) -> None:
        """Sends a job; the next handle that is free does it. There is one: `widen` comes before."""
        ...

    def wait(self) -> A:
        """The answer of the job that has ended first; whatever the job raised is raised here."""
        ...

    def close(self) -> None:
        """Returns when every job that was begun has ended and every handle of its own is closed."""
        ...


class Alone(Generic[A]):
    """One handle, in the thread that has opened it and will close it: a job is done when it is sent."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._answers: deque[A] = deque()

    @property
    def busy(self) -> int:
        return len(self._answers)

    @property
    def is_ready(self) -> bool:
        return bool(self._answers)

    def widen(self, wanted: int) -> int:
        return 1

    def begin(self, job: Callable[[Store], A]) -> None:
        self._answers.append(job(self._store))

    def wait(self) -> A:
        return self._answers.popleft()

    def close(self) -> None:
        """The handle stays with whoever has opened it."""


class Lanes(Generic[A]):
    """Up to `most` handles. Jobs are begun in the order in which they are sent."""

    def __init__(self, open_store: Callable[[], Store], most: int) -> None:
        self._open_store, self._most = open_store, most
        self._threads: list[Thread] = []
        self._opened: SimpleQueue[BaseException | None] = SimpleQueue()
        self._jobs: SimpleQueue[Callable[[Store], A] | None] = SimpleQueue()
        self._answers: SimpleQueue[tuple[A] | BaseException] = SimpleQueue()
        self.busy = 0

    @property
    def is_ready(self) -> bool:
        return not self._answers.empty()

    def widen(self, wanted: int) -> int:
        while len(self._threads) < min(wanted, self._most):
            thread = _started(self._work)
            self._threads.append(thread)
            trouble = self._opened.get()
            if trouble is not None:
                self._threads.remove(thread)
                if not self._threads or not isinstance(trouble, StoreUnavailable | StoreDenied):
                    raise trouble
                self._most = len(self._threads)
        return len(self._threads)

    def begin(self, job: Callable[[Store], A]) -> None:
        self.busy += 1
        self._jobs.put(job)

    def wait(self) -> A:
        answer = self._answers.get()
        self.busy -= 1
        if isinstance(answer, BaseException):
            raise answer
        return answer[0]

    def close(self) -> None:
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        try:
            store = self._open_store()
        except BaseException as error:  # noqa: BLE001 it is raised where the lane was asked for
            self._opened.put(error)
            return
        self._opened.put(None)
        try:
            while (job := self._jobs.get()) is not None:
                self._answers.put((job(store),))
        except BaseException as error:  # noqa: BLE001 it is raised where the answer is waited for
            self._answers.put(error)
        finally:
            store.close()


@runtime_checkable
class Distant(Protocol):
    """A view of what somebody else reads: where a thread of its own asks for the next pages meanwhile, it is faster.

    It is another handle that is asked then; whoever stands before a view and changes what it shows is not distant.
    """

    @property
    def is_distant(self) -> bool: ...


def scan(view: View, scope: Scope, open_view: Callable[[], View]) -> Iterator[Page]:
    """The pages of a scope, from parts side by side where the store recommends several lanes and can split it.

    A distant one is read by another handle, while whoever takes the pages works on them.
    """
    lanes = view.traits.lanes
    parts = view.shards(scope, lanes * PARTS) if lanes > 1 and isinstance(view, Shardable) else ()
    if len(parts) < 2 and not (isinstance(view, Distant) and view.is_distant):
        yield from view.scan(scope)
        return
    parts = parts if len(parts) > 1 else (scope,)
    readers = [_Reader(open_view) for _ in range(min(lanes, len(parts)))]
    try:
        opened = [reader for reader in readers if reader.is_open()]
        yield from _side_by_side(parts, opened) if opened else view.scan(scope)
    finally:
        for reader in readers:
            reader.close()


def _side_by_side(parts: Sequence[Scope], readers: Sequence[_Reader]) -> Iterator[Page]:
    """A page of each reader's part in turn; a reader whose part has come to its end takes the next one."""
    left, turn = deque(parts), deque(readers)
    for reader in readers:
        reader.begin(left.popleft())
    while turn:
        reader = turn.popleft()
        page = reader.take()
        if page is not None:
            yield page
        elif left:
            reader.begin(left.popleft())
        else:
            continue
        turn.append(reader)


class _Reader:
    """A view in a thread of its own, which reads one part after the other, at most `AHEAD` pages ahead."""

    def __init__(self, open_view: Callable[[], View]) -> None:
        self._open_view = open_view
        self._opened: SimpleQueue[BaseException | None] = SimpleQueue()
        self._parts: SimpleQueue[Scope | None] = SimpleQueue()
        self._pages: SimpleQueue[Page | BaseException | None] = SimpleQueue()
        self._room, self._over = Semaphore(AHEAD), False
        self._thread = _started(self._work)

    def is_open(self) -> bool:
        """Whether the view could be opened; asked once."""
        trouble = self._opened.get()
        if trouble is not None and not isinstance(trouble, StoreUnavailable | StoreDenied):
            raise trouble
        return trouble is None

    def begin(self, part: Scope) -> None:
        """What to read after the part at hand."""
        self._parts.put(part)

    def take(self) -> Page | None:
        """The next page; None once at the end of each part. Whatever reading raised is raised here."""
        page = self._pages.get()
        if isinstance(page, BaseException):
            raise page
        if page is not None:
            self._room.release()
        return page

    def close(self) -> None:
        """Returns when the thread has ended and its view is closed."""
        self._over = True
        self._parts.put(None)
        self._room.release()
        self._thread.join()

    def _work(self) -> None:
        try:
            view = self._open_view()
        except BaseException as error:  # noqa: BLE001 it is raised where the view was asked for
            self._opened.put(error)
            return
        self._opened.put(None)
        try:
            while (part := self._parts.get()) is not None and not self._over:
                self._read(view, part)
        except BaseException as error:  # noqa: BLE001 it is raised where the page is waited for
            self._pages.put(error)
        finally:
            view.close()

    def _read(self, view: View, part: Scope) -> None:
        for page in view.scan(part):
            self._room.acquire()
            if self._over:
                return
            self._pages.put(page)
        self._pages.put(None)
