"""Giving out the bytes of a file, in the revision that was asked for and in no other.

Nothing here changes anything, the time of the last access included where the system lets us keep
it (O_NOATIME, open(2): the owner's and root's privilege). Only regular files are ever opened; a
claimed one is read in its claim, under its old key.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from retentiond.engine.ports import PIECE
from retentiond.errors import ItemChanged, StoreDenied
from retentiond.stores.files.claims import claim_directories, is_file, look, opened, revision_of
from retentiond.stores.paths import path_of
from retentiond.stores.tree import Tree, is_absent, is_barred, is_denied, refusal

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def pieces_of(tree: Tree, key: str, revision: str) -> Iterator[bytes]:
    """`engine.ports.Readable.read`. `StoreDenied` where this one file may not be read; the next one may be readable."""
    with _item(tree, key, revision) as file:
        while piece := _read(file, PIECE, key):
            yield piece
    _check(tree, key, revision)


def edges_of(tree: Tree, key: str, revision: str, head: int, tail: int) -> tuple[bytes, bytes]:
    """`engine.ports.Readable.edges`; errors as in `pieces_of`."""
    with _item(tree, key, revision) as file:
        first = _read(file, head, key, at=0)
        last = _read(file, tail, key, at=max(0, os.fstat(file).st_size - tail))
    _check(tree, key, revision)
    return first, last


def _check(tree: Tree, key: str, revision: str) -> None:
    """`ItemChanged` where the key does not lead to this revision any more."""
    with _item(tree, key, revision):
        pass


@contextmanager
def _item(tree: Tree, key: str, revision: str) -> Iterator[int]:
    """An open file that is this item in this revision."""
    path = path_of(key)
    mounts = tree.mounts_inside()
    if path is None or path in mounts:
        raise ItemChanged
    parent, _, name = path.rpartition("/")
    try:
        fd = tree.open(parent, mounts)
    except OSError as error:
        raise _trouble(error, key) from error
    try:
        file = _find(tree, fd, name, revision)
    except OSError as error:
        raise _trouble(error, key) from error
    finally:
        os.close(fd)
    if file is None:
        raise ItemChanged
    try:
        yield file
    finally:
        os.close(file)


def _find(tree: Tree, fd: int, name: str, revision: str) -> int | None:
    """The file of this name and revision in an open directory, or in one of its claims."""
    found = _open(tree, fd, name, revision)
    for directory in claim_directories(tree, fd) if found is None else ():
        with opened(tree, fd, directory) as claim:
            if claim is not None and (found := _open(tree, claim, name, revision)) is not None:
                return found
    return found


def _open(tree: Tree, fd: int, name: str, revision: str) -> int | None:
    """A regular file, opened if it is in this revision; looked at first, since opening a device or a pipe may act on it."""
    status = look(fd, name)
    if status is None or not is_file(status) or revision_of(status) != revision:
        return None
    try:
        file = os.open(name, _READ | os.O_NOATIME, dir_fd=fd)
    except PermissionError:
        file = os.open(name, _READ, dir_fd=fd)
    status = os.fstat(file)
    if is_file(status) and revision_of(status) == revision and status.st_dev == tree.device:
        return file
    os.close(file)
    return None


def _read(file: int, most: int, key: str, at: int | None = None) -> bytes:
    try:
        return os.read(file, most) if at is None else os.pread(file, most, at)
    except OSError as error:
        raise _trouble(error, key) from error


def _trouble(error: OSError, key: str) -> Exception:
    if is_absent(error) or is_barred(error):
        return ItemChanged()
    if is_denied(error):
        return StoreDenied("the item may not be read", do="let retentiond read every file that the selection covers", key=key)
    return refusal(error, "")
