"""Parts of a scope, by the directories that its items are in.

A part is `DEPTH:NUMBER/COUNT`: what lies below those directories of that depth (below the fixed part of the pattern) whose
digest falls to it. What comes after the split falls to exactly one part, too; what lies less deep is in the first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from zlib import crc32

from retentiond.stores.sftp import packets

_PART = re.compile(r"(\d+):(\d+)/(\d+)")
DEEPEST = 4
"""So far down a split looks for enough directories."""
MANY = 300
"""So many directories are worth a split. Fewer are listed by one handle before a second could be opened."""


def name_of(depth: int, number: int, count: int) -> str:
    """The name of a part."""
    return f"{depth}:{number}/{count}"


def limits_of(part: str, base: str) -> tuple[Callable[[str], bool], Callable[[str], bool]]:
    """Whether a part enters a directory, and whether files that are directly in one are in the part.

    `ValueError` for what is no name of a part.
    """
    found = _PART.fullmatch(part)
    if found is None:
        raise ValueError("this is no part of a store of this type")
    depth, number, count = map(int, found.groups())
    prefix = base and base + "/"

    def below(directory: str) -> list[str]:
        rest = directory[len(prefix) :] if directory.startswith(prefix) and directory != base else ""
        return rest.split("/") if rest else []

    def enters(directory: str) -> bool:
        names = below(directory)
        return len(names) < depth or crc32(packets.raw("/".join(names[:depth]))) % count == number

    def shows(directory: str) -> bool:
        return len(below(directory)) >= depth or number == 0

    return enters, shows
