"""Reading claims: items whose disposal was cut short, and the names that they had.

A disposal takes an item out of its users' sight by renaming it into a claim directory beside it:

    <directory>/.retentiond~<16 random hex digits>/<the item's own name>

The claim directory says nothing about what is in it, and the old key of a claimed item is always
`<directory>/<name>`. Nothing here changes anything: this is the half that views may import.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice

from retentiond.stores.paths import RESERVED
from retentiond.stores.tree import Tree, is_absent, is_barred

_FEW, _LONG = 16, 4


def revision_of(found: os.stat_result) -> str:
    """What changes whenever a file does: `inode:size:mtime_ns`. No device number, which a reboot changes."""
    return f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"


def is_file(found: os.stat_result) -> bool:
    """Whether it is a regular file: the only thing that is ever an item."""
    return stat.S_ISREG(found.st_mode)


def is_single(found: os.stat_result) -> bool:
    """Whether removing one name would erase it."""
    return found.st_nlink == 1


def look(fd: int, name: str) -> os.stat_result | None:
    """The status of a name in an open directory, links not followed; None where there is no such name."""
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False)
    except OSError as error:
        if is_absent(error):
            return None
        raise


def names_in(fd: int, asked: int) -> frozenset[str] | None:
    """The names in an open directory; None where looking for the `asked` names one by one is less work.

    To be told that a name is absent costs more than to read several from a listing, so few names in
    a long directory are looked up, and many in a short one are found in its list.
    """
    if asked < _FEW:
        return None
    with os.scandir(fd) as entries:
        names = frozenset(entry.name for entry in islice(entries, _LONG * asked))
        return names if next(entries, None) is None else None


def sign_of(fd: int) -> tuple[int, int, int]:
    """What changes whenever a name comes into an open directory or leaves it."""
    status = os.fstat(fd)
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def same_file(one: os.stat_result | None, other: os.stat_result | None) -> bool:
    """Whether two names are those of one file."""
    return one is not None and other is not None and (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


def claim_directories(tree: Tree, fd: int) -> list[str]:
    """The names of the claim directories in an open directory, sorted; streamed, however long the listing is."""
    if tree.has_no_subdirectory(fd):
        return []
    with os.scandir(fd) as entries:
        return sorted(e.name for e in entries if e.name.startswith(RESERVED) and e.is_dir(follow_symlinks=False))


@contextmanager
def opened(tree: Tree, fd: int, name: str) -> Iterator[int | None]:
    """An open claim directory; None if it has gone, or is none."""
    try:
        claim = tree.enter(fd, name)
    except OSError as error:
        if not (is_absent(error) or is_barred(error)):
            raise
        yield None
        return
    try:
        yield claim
    finally:
        os.close(claim)


def claimed(tree: Tree, fd: int) -> Mapping[str, os.stat_result]:
    """The claimed files of an open directory, under their own names. The first of several with one name is shown."""
    found: dict[str, os.stat_result] = {}
    for name in claim_directories(tree, fd):
        with opened(tree, fd, name) as claim:
            if claim is None:
                continue
            for own in os.listdir(claim):
                status = look(claim, own)
                if status is not None and is_file(status):
                    found.setdefault(own, status)
    return found
