"""The SHA-256 of what comes past. A thread beside it was measured, and brought nothing that the noise would not hide."""

from __future__ import annotations

import hashlib


class Digest:
    """A digest under way, and how many bytes it has seen."""

    def __init__(self) -> None:
        self.size = 0
        self._hash = hashlib.sha256()

    def add(self, piece: bytes) -> None:
        """The next bytes."""
        self.size += len(piece)
        self._hash.update(piece)

    def hex(self) -> str:
        """64 hex digits, of all that was handed in so far."""
        return self._hash.hexdigest()
