"""Reading a published tree back from its tiles, without going through its entries.

What the files say is taken as it stands; whoever asks compares a root with a signed one before
believing anything. An unfinished tile that was removed because its full one stands is read from
the full one, as c2sp.org/tlog-tiles has it. A proof reads a handful of files, whatever the
tree's size. Bundles of entries are put together and taken apart here too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from retentiond.audit.layout import levels, read_file, tile_name
from retentiond.audit.merkle import SIZE, WIDTH, node_hash, root, split
from retentiond.errors import AuditBroken

LARGEST_BUNDLE = WIDTH * (2 + 0xFFFF)


def bundle(entries: Sequence[bytes]) -> bytes:
    """The file of up to 256 entries: two bytes of length, then the entry, for each."""
    return b"".join([len(entry).to_bytes(2, "big") + entry for entry in entries])


def unbundled(data: bytes, width: int) -> list[bytes] | None:
    """The `width` entries of a bundle; None if it holds more, fewer, or something else."""
    entries: list[bytes] = []
    at = 0
    while at + 2 <= len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        entries.append(data[at + 2 : end])
        at = end
    return entries if at == len(data) and len(entries) == width else None


def hashes_of(data: bytes) -> list[bytes]:
    """The hashes that stand side by side in a tile."""
    return [data[at : at + SIZE] for at in range(0, len(data), SIZE)]


class Tiles:
    """The tree of `size` leaves in a log's directory, by its tiles."""

    def __init__(self, directory: Path, size: int) -> None:
        self._directory = directory
        self._size = size
        self._read: dict[tuple[int, int], list[bytes]] = {}

    def edge(self) -> list[list[bytes]]:
        """The hashes of the unfinished tile of each level, lowest first, as `merkle.Tree` takes them."""
        return [self._tile(level, hashes // WIDTH) if hashes % WIDTH else [] for level, hashes in levels(self._size)]

    def leaves(self, index: int) -> list[bytes]:
        """The leaf hashes of one tile."""
        return self._tile(0, index)

    def span(self, low: int, high: int) -> bytes:
        """The root over the leaves from `low` to before `high`, for `merkle.inclusion` and `merkle.consistency`."""
        count = high - low
        if count & (count - 1):
            middle = low + split(count)
            return node_hash(self.span(low, middle), self.span(middle, high))
        level, height = divmod(count.bit_length() - 1, 8)
        index, first = divmod(low >> 8 * level, WIDTH)
        return root(self._tile(level, index)[first : first + (1 << height)])

    def _tile(self, level: int, index: int) -> list[bytes]:
        known = self._read.get((level, index))
        if known is None:
            known = self._read[level, index] = hashes_of(self._bytes(level, index))
        return known

    def _bytes(self, level: int, index: int) -> bytes:
        width = min(WIDTH, (self._size >> 8 * level) - index * WIDTH)
        for name in dict.fromkeys((tile_name(level, index, width), tile_name(level, index))):
            data = read_file(self._directory / name, WIDTH * SIZE)
            if data is not None and len(data) == (width if name.endswith(f".p/{width}") else WIDTH) * SIZE:
                return data[: width * SIZE]
        raise AuditBroken([f"{tile_name(level, index, width)} is missing from the log or has the wrong length"])
