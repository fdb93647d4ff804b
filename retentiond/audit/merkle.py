"""The tree of RFC 6962: one hash that stands for every entry of the log, in order.

A leaf is SHA-256(0x00 ‖ entry), an inner node SHA-256(0x01 ‖ left ‖ right), the root of nothing
SHA-256 of nothing. A tree of n leaves splits at the largest power of two below n. Two proofs
follow from it: that an entry is in a tree (inclusion), and that one tree is the beginning of
another (consistency); the checks are those of RFC 9162, 2.1.3.2 and 2.1.4.2.

Guarantee: pure, standard library only. `Tree` keeps a few hundred hashes, however many leaves
there are. Sizes and indexes count leaves. Nothing here knows files or signatures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

SIZE = 32
"""Bytes of a hash."""
WIDTH = 256
"""Hashes of a full tile; a tile is eight levels of the tree."""
_HEIGHT = 8
EMPTY = sha256(b"").digest()

Span = Callable[[int, int], bytes]
"""The root over the leaves from the first to before the second, as the tree itself splits them."""


def leaf_hash(entry: bytes) -> bytes:
    """The leaf of an entry."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The node over two others."""
    return sha256(b"\x01" + left + right).digest()


def root(hashes: Sequence[bytes]) -> bytes:
    """The root over these leaves, or over equally high subtrees of 2^n leaves."""
    level = list(hashes)
    while len(level) > 1:
        pairs = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(pairs) * 2 :]
    return level[0] if level else EMPTY


@dataclass(frozen=True, slots=True)
class Tile:
    """Up to 256 neighbouring hashes of one level, as one file holds them: level, index, and the hashes side by side."""

    level: int
    index: int
    hashes: bytes

    @property
    def width(self) -> int:
        """How many hashes it holds."""
        return len(self.hashes) // SIZE


class Tree:
    """A tree that grows leaf by leaf and says which tiles are complete.

    `levels` are the hashes of the rightmost, unfinished tile of each level, as a published tree
    has them; without them the tree begins empty.
    """

    def __init__(self, levels: Iterable[Sequence[bytes]] = ()) -> None:
        self._levels = [list(hashes) for hashes in levels]
        self.size = sum(len(hashes) << (_HEIGHT * i) for i, hashes in enumerate(self._levels))
        self._perfect: list[bytes | None] = [h for hashes in self._levels for h in _perfect(hashes)]

    def add(self, leaf: bytes) -> Sequence[Tile]:
        """Appends a leaf; returns the tiles that it completed, lowest first."""
        done: list[Tile] = []
        level, carried = 0, leaf
        self.size += 1
        while True:
            if level % _HEIGHT == 0:
                done += self._into_tile(level // _HEIGHT, carried)
            if level == len(self._perfect):
                self._perfect.append(None)
            waiting = self._perfect[level]
            if waiting is None:
                self._perfect[level] = carried
                return done
            self._perfect[level] = None
            carried = node_hash(waiting, carried)
            level += 1

    def _into_tile(self, level: int, hash_: bytes) -> list[Tile]:
        if level == len(self._levels):
            self._levels.append([])
        hashes = self._levels[level]
        hashes.append(hash_)
        if len(hashes) < WIDTH:
            return []
        full = Tile(level, (self.size >> (_HEIGHT * (level + 1))) - 1, b"".join(hashes))
        hashes.clear()
        return [full]

    def edge(self) -> list[Tile]:
        """The unfinished tiles on the right, lowest first."""
        return [
            Tile(level, self.size >> (_HEIGHT * (level + 1)), b"".join(hashes))
            for level, hashes in enumerate(self._levels)
            if hashes
        ]

    def root(self) -> bytes:
        """The root over all leaves."""
        right: bytes | None = None
        for left in self._perfect:
            if left is not None:
                right = left if right is None else node_hash(left, right)
        return EMPTY if right is None else right


def _perfect(hashes: Sequence[bytes]) -> list[bytes | None]:
    """The roots of the subtrees of 1, 2, 4 … 128 hashes into which an unfinished tile falls; the largest stands first in it."""
    found: list[bytes | None] = [None] * _HEIGHT
    at = 0
    for level in reversed(range(_HEIGHT)):
        if len(hashes) >> level & 1:
            found[level] = root(hashes[at : at + (1 << level)])
            at += 1 << level
    return found


def split(leaves: int) -> int:
    """The largest power of two below a number of leaves (at least two)."""
    return 1 << ((leaves - 1).bit_length() - 1)


def inclusion(index: int, size: int, span: Span) -> list[bytes]:
    """The hashes that lead from leaf `index` to the root of the tree of `size` leaves, lowest first."""
    return [span(low, high) for low, high in reversed(list(_beside(index, size)))]


def _beside(index: int, size: int) -> Iterator[tuple[int, int]]:
    low, high = 0, size
    while high - low > 1:
        middle = low + split(high - low)
        if index < middle:
            yield middle, high
            high = middle
        else:
            yield low, middle
            low = middle


def consistency(size1: int, size2: int, span: Span) -> list[bytes]:
    """The hashes that prove the tree of `size1` leaves (1 to `size2`) to be the beginning of the tree of `size2`."""
    path: list[bytes] = []
    low, high = 0, size2
    while high != size1:
        middle = low + split(high - low)
        if size1 <= middle:
            path.append(span(middle, high))
            high = middle
        else:
            path.append(span(low, middle))
            low = middle
    if low:
        path.append(span(low, high))
    return path[::-1]


def included(index: int, size: int, leaf: bytes, path: Sequence[bytes], root_: bytes) -> bool:
    """Whether the path proves that `leaf` is leaf `index` of the tree of `size` leaves with this root."""
    if not 0 <= index < size or not _hashes(leaf, root_, *path):
        return False
    at, last, computed = index, size - 1, leaf
    for beside in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            computed = node_hash(beside, computed)
            at, last = _up_to_odd(at, last)
        else:
            computed = node_hash(computed, beside)
        at, last = at >> 1, last >> 1
    return last == 0 and computed == root_


def consistent(size1: int, size2: int, root1: bytes, root2: bytes, path: Sequence[bytes]) -> bool:
    """Whether the path proves that the first tree is the beginning of the second; never for an empty first tree."""
    if not 1 <= size1 <= size2:
        return False
    if size1 == size2:
        return not path and root1 == root2
    if not path or not _hashes(root1, root2, *path):
        return False
    hashes = [root1, *path] if size1 & (size1 - 1) == 0 else list(path)
    at, last = size1 - 1, size2 - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = hashes[0]
    for beside in hashes[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = node_hash(beside, old), node_hash(beside, new)
            at, last = _up_to_odd(at, last)
        else:
            new = node_hash(new, beside)
        at, last = at >> 1, last >> 1
    return last == 0 and old == root1 and new == root2


def _hashes(*values: bytes) -> bool:
    return all(len(value) == SIZE for value in values)


def _up_to_odd(at: int, last: int) -> tuple[int, int]:
    """Skips the levels on which the node is a left child without a sibling."""
    while at and not at & 1:
        at, last = at >> 1, last >> 1
    return at, last
