"""The SHA-256 of what comes past, worked out beside whoever hands it in.

Hashing lets go of Python's lock, so that it goes on in a thread while the next piece is read, or this one written. A
digest has one piece under way at most: memory stays flat, and pieces keep their order.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor

_LARGE = 64 * 1024
"""A shorter piece is hashed sooner than a thread has taken it over."""
_THREADS = ThreadPoolExecutor(4, thread_name_prefix="digest")


class Digest:
    """A digest under way. It belongs to one thread; pieces must not be changed once they are handed in."""

    def __init__(self) -> None:
        self.size = 0
        self._hash = hashlib.sha256()
        self._under_way: Future[None] | None = None

    def add(self, piece: bytes) -> None:
        """The next bytes."""
        self.size += len(piece)
        self._wait()
        if len(piece) < _LARGE:
            self._hash.update(piece)
        else:
            self._under_way = _THREADS.submit(self._hash.update, piece)

    def hex(self) -> str:
        """64 hex digits, of all that was handed in so far."""
        self._wait()
        return self._hash.hexdigest()

    def _wait(self) -> None:
        if self._under_way is not None:
            self._under_way.result()
            self._under_way = None
