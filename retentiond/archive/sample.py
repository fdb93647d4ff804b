"""The ends of something that is looked at: what recognising it has to go by."""

from __future__ import annotations

from dataclasses import dataclass

HEAD = 64 * 1024
"""So many bytes from the beginning are looked at, at most."""
TAIL = 66 * 1024
"""So many from the end: the end record of a ZIP file with the longest comment that there can be."""
LONGEST_TAIL = 8 * 2**20
"""A directory at the end that is longer than this is not read, so that nothing is known of what it lists."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The first and the last bytes of something, and how many it has in all. The two may overlap."""

    head: bytes
    tail: bytes
    size: int

    def at(self, position: int, length: int) -> bytes | None:
        """Some bytes, counted from the beginning; None where the sample has them not all."""
        end = position + length
        if position < 0 or length < 0 or end > self.size:
            return None
        if end <= len(self.head):
            return self.head[position:end]
        start = position - (self.size - len(self.tail))
        return self.tail[start : start + length] if start >= 0 else None


@dataclass(frozen=True, slots=True)
class Wants:
    """More of the end is needed: so many bytes of it."""

    tail: int


def whole(content: bytes) -> Sample:
    """The sample of something that is at hand."""
    return Sample(content[:HEAD], content[-TAIL:], len(content))
