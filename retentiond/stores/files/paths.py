"""From a key to a directory and a name, and never anywhere else."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from retentiond.core.item import key_of, raw_of
from retentiond.stores.files.claims import RESERVED

_NOT_NAMES = ("", ".", "..")

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


def by_directory(paths: Iterable[tuple[int, str | None]]) -> dict[str, list[Step]]:
    """Positions and names, arranged by the directory that they are in; what has no path is left out."""
    found: dict[str, list[Step]] = {}
    for position, path in paths:
        if path is not None:
            parent, _, name = path.rpartition("/")
            found.setdefault(parent, []).append((position, name))
    return found
