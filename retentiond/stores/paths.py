"""Keys of stores that hold files in directories: from a key to a directory and a name, and never anywhere else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

from retentiond.core.item import key_of, raw_of

RESERVED = ".retentiond~"
"""Names that begin so belong to retentiond and are never items."""
NEW = f"{RESERVED}new-"
"""So begin the names of copies on their way, which are not read back yet."""
_NOT_NAMES = ("", ".", "..")
_MARKS = ("b64:", "\0", RESERVED)
"""A key without any of these, in ASCII, is its own path, unless a segment of it is none of a path."""

_AT_WORK: set[str] = set()

Step = tuple[int, str]
"""A position, and a name in the directory at hand."""


def path_of(key: str) -> str | None:
    """The path below the root that a key names; None for what is no key of a file.

    Absolute paths, `..`, empty segments, claim directories and a second spelling of a key
    (base64 of plain text) name nothing, so that one item has one key and no key leads out.
    """
    raw = key
    if not key.isascii() or key.startswith("b64:"):
        try:
            raw = raw_of(key)
            if key_of(raw) != key:
                return None
        except ValueError:
            return None
    parent, slash, name = raw.rpartition("/")
    return raw if _is_name(name) and (not slash or _is_way(parent)) else None


@lru_cache(maxsize=1024)
def _is_way(directory: str) -> bool:
    return all(_is_name(part) for part in directory.split("/"))


def _is_name(part: str) -> bool:
    return part not in _NOT_NAMES and "\0" not in part and not part.startswith(RESERVED)


def by_directory(keys: Sequence[str]) -> tuple[dict[str, list[Step]], list[int]]:
    """Positions and names, arranged by the directory that they are in; and the positions that are no key of a file."""
    together = "\n".join(keys)
    plain = together.isascii() and not any(mark in together for mark in _MARKS)
    found: dict[str, list[Step]] = {}
    strange = []
    for position, key in enumerate(keys):
        path = key if plain else path_of(key)
        parent, slash, name = (path or "").rpartition("/")
        if name in _NOT_NAMES or (slash and not parent):
            strange.append(position)
        elif parent in found:
            found[parent].append((position, name))
        elif slash and not _is_way(parent):
            strange.append(position)
        else:
            found[parent] = [(position, name)]
    return found, strange


@contextmanager
def at_work(claims: Sequence[str]) -> Iterator[None]:
    """Marks claim directories, by their names, as those of a disposal that goes on in a lane of this process.

    Nobody else makes any meanwhile, since that takes the execute lock. One that is empty has just been made, or is about to go.
    """
    _AT_WORK.update(claims)
    try:
        yield
    finally:
        _AT_WORK.difference_update(claims)


def is_at_work(claim: str) -> bool:
    """Whether a claim directory is that of a disposal that goes on, so that another lane leaves it alone, empty or not."""
    return claim in _AT_WORK
