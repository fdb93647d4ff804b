"""Taking in a copy: written under a reserved name beside its own, read back, compared, and named at last.

    <directory>/.retentiond~new-<digest of the name>

A reserved name is never an item, so that a copy that was cut short is never shown, and the next
attempt at the same key finds it and begins anew. Files are made for their owner alone (0600), and
so are the directories that lead to them (0700); these stay when the copy fails.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from retentiond.engine.digest import Digest
from retentiond.engine.ports import PIECE, Deposit
from retentiond.errors import Occupied, RetentiondError, StoreDenied, StoreUnavailable
from retentiond.stores.files.claiming import move
from retentiond.stores.files.claims import claimed, look, same_file
from retentiond.stores.paths import NEW, path_of
from retentiond.stores.tree import Tree, code_of, is_absent, is_barred, is_denied

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def take(tree: Tree, key: str, pieces: Iterable[bytes]) -> Deposit:
    """`engine.ports.Writable.take`. `StoreDenied` for what is no key of a file, or where a link or a mount stands in the way."""
    path = path_of(key)
    mounts = tree.mounts_inside()
    if path is None or path in mounts:
        raise StoreDenied("a file cannot be given this name here", key=key)
    parent, _, name = path.rpartition("/")
    with _told(key):
        fd = _directory(tree, parent, mounts)
    try:
        return _take(tree, fd, name, key, pieces)
    finally:
        os.close(fd)


def _take(tree: Tree, fd: int, name: str, key: str, pieces: Iterable[bytes]) -> Deposit:
    temporary = f"{NEW}{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}"
    with _told(key):
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=fd)
        if look(fd, name) is not None or name in claimed(tree, fd):
            raise Occupied(key=key)
        file = os.open(temporary, _NEW, 0o600, dir_fd=fd)
    digest = Digest()
    try:
        for piece in pieces:
            digest.add(piece)
            with _told(key):
                _write(file, piece)
        with _told(key):
            os.fsync(file)
            if _read_back(file) != (digest.hex(), digest.size):
                raise StoreUnavailable("what was written does not read back as it was given", do="look at the disk", key=key)
            move(fd, temporary, fd, name)
            _make_durable(fd, file, name)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=fd)
        raise
    finally:
        os.close(file)
    return Deposit(key, digest.hex(), digest.size)


def _directory(tree: Tree, path: str, mounts: frozenset[str]) -> int:
    """An open directory, made with those above it where they are missing, each durably."""
    try:
        return tree.open(path, mounts)
    except FileNotFoundError:
        above, _, name = path.rpartition("/")
    fd = _directory(tree, above, mounts)
    try:
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=fd)
        os.fsync(fd)
        return tree.enter(fd, name)
    finally:
        os.close(fd)


def _write(file: int, piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[os.write(file, rest) :]


def _read_back(file: int) -> tuple[str, int]:
    """The digest and the size of what the disk holds: the pages in memory are let go first (posix_fadvise(2))."""
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.lseek(file, 0, os.SEEK_SET)
    digest = Digest()
    while piece := os.read(file, PIECE):
        digest.add(piece)
    return digest.hex(), digest.size


def _make_durable(fd: int, file: int, name: str) -> None:
    """Makes a name durable; where that fails, it is taken away again if it is still that of our copy."""
    try:
        os.fsync(fd)
    except BaseException:
        if same_file(look(fd, name), os.fstat(file)):
            os.unlink(name, dir_fd=fd)
        raise


@contextmanager
def _told(key: str) -> Iterator[None]:
    """System errors as errors of the store."""
    try:
        yield
    except OSError as error:
        raise _trouble(error, key) from error


def _trouble(error: OSError, key: str) -> RetentiondError:
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return Occupied(key=key)
    if is_barred(error):
        return StoreDenied("a symbolic link or a mount stands in the way of a copy", why=code_of(error), key=key)
    if is_denied(error) or is_absent(error):
        return StoreDenied("a copy cannot be made here", why=code_of(error), do="let retentiond write here", key=key)
    why = code_of(error)
    do = "no space is left there: make room on that disk" if why == "no-space" else ""
    return StoreUnavailable("a copy could not be made durable", why=why, do=do, key=key)
