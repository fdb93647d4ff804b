"""The names of the log's files, and how a file gets there to stay.

    checkpoint                     the newest signed checkpoint
    checkpoints/<size>             every checkpoint ever published
    tile/<L>/<N>[.p/<W>]           hashes; N is written x001/x234/067, W only where the tile is not full
    tile/entries/<N>[.p/<W>]       entries: two bytes of length (big-endian), then the bytes
    refs/<run>                     item references, 16 bytes each
    audit.jsonl                    line i is entry i
    public-key                     the verifier key line

Guarantee: which files a log consists of follows from its checkpoints and runs alone, so that a
file too many is found as surely as one too few. A file appears under its name whole or not at
all (written beside it, fsync, rename), and `settle` makes the names survive a power cut too.
The group of the folder may read: directories 0750 (its set-group-id bit is kept), files 0640.

The one leftover that a kill can leave is `.tmp-<name>` beside `<name>`. The next publication
writes the same file, through the same leftover, before it signs anything new.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from retentiond.audit.merkle import WIDTH
from retentiond.errors import AuditBroken

DIRECTORY_MODE = 0o750
FILE_MODE = 0o640
CHECKPOINT, CHECKPOINTS, LINES, KEY = "checkpoint", "checkpoints", "audit.jsonl", "public-key"
ENTRIES = "entries"
LEFTOVER = ".tmp-"
_LINKS = (errno.ELOOP, errno.ENXIO)
_RUN = re.compile("[0-9a-f]{8,32}")


def tile_name(level: int | str, index: int, width: int = WIDTH) -> str:
    """The file of a tile, or of a bundle of entries where `level` is `ENTRIES`."""
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        groups.append(f"x{index % 1000:03d}")
    return f"tile/{level}/{'/'.join(reversed(groups))}" + ("" if width == WIDTH else f".p/{width}")


def kept_name(size: int) -> str:
    """The file that keeps the checkpoint of this size for ever."""
    return f"{CHECKPOINTS}/{size}"


def refs_name(run: str) -> str:
    """The file of a run's references; `ValueError` for what is no run."""
    if not _RUN.fullmatch(run):
        raise ValueError("a run is 8 to 32 hex digits")
    return f"refs/{run}"


def full_tiles(size: int) -> Iterator[str]:
    """The full tiles and bundles of a tree."""
    yield from (tile_name(ENTRIES, index) for index in range(size // WIDTH))
    for level, hashes in levels(size):
        yield from (tile_name(level, index) for index in range(hashes // WIDTH))


def partial_tiles(size: int, final: int) -> Iterator[str]:
    """The unfinished tiles and bundles of a tree that are still unfinished in the tree of `final` entries."""
    if size % WIDTH and size // WIDTH == final // WIDTH:
        yield tile_name(ENTRIES, size // WIDTH, size % WIDTH)
    for (level, hashes), (_, later) in zip(levels(size), levels(final), strict=False):
        if hashes % WIDTH and hashes // WIDTH == later // WIDTH:
            yield tile_name(level, hashes // WIDTH, hashes % WIDTH)


def levels(size: int) -> Iterator[tuple[int, int]]:
    """Each level of tiles that a tree has, with how many hashes stand on it."""
    level = 0
    while size:
        yield level, size
        level, size = level + 1, size // WIDTH


def open_file(path: Path) -> BinaryIO | None:
    """Opens a regular file for reading, never through a link and never waiting for a pipe; None if there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno in _LINKS:
            return None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return os.fdopen(descriptor, "rb")


def read_file(path: Path, limit: int) -> bytes | None:
    """A file's bytes, at most one more than `limit` (which tells that it is too long); None if there is none."""
    file = open_file(path)
    if file is None:
        return None
    with file:
        return file.read(min(limit, os.fstat(file.fileno()).st_size) + 1)


class Folder:
    """The log's directory as its one writer sees it. Directories are made when they are needed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._touched: set[Path] = set()
        self._made: set[Path] = set()

    def put(self, name: str, data: bytes) -> None:
        """Writes a file that never changes once it stands; other bytes under its name are `AuditBroken`."""
        path = self.place(name)
        standing = read_file(path, len(data))
        if standing is None:
            self._write(path, data)
        elif standing != data:
            raise AuditBroken([f"{name} stands in the log with other content than it must have; it was not overwritten"])

    def replace(self, name: str, data: bytes) -> None:
        """Writes a file that may follow an older one of its name."""
        self._write(self.place(name), data)

    def place(self, name: str) -> Path:
        """The path of a file, whose directory stands and will be made to last by `settle`."""
        path = self.root / name
        self._directory(path.parent)
        self._touched.add(path.parent)
        return path

    def settle(self) -> None:
        """Makes the names of everything written so far survive a power cut."""
        for directory in sorted(self._touched):
            sync(directory)
        self._touched.clear()

    def drop_unfinished(self, names: Iterable[str]) -> None:
        """Removes the unfinished editions of these tiles, whose full ones must stand and be settled."""
        for name in names:
            directory = self.root / f"{name}.p"
            if not directory.is_dir():
                continue
            for file in sorted(directory.iterdir()):
                file.unlink()
            directory.rmdir()
            self._made.discard(directory)
            self._touched.discard(directory)
            self._touched.add(directory.parent)

    def _directory(self, path: Path) -> None:
        if path in self._made:
            return
        if not path.is_dir():
            if path != self.root:
                self._directory(path.parent)
            path.mkdir(mode=DIRECTORY_MODE)
            found = path.stat().st_mode
            wanted = DIRECTORY_MODE | found & stat.S_ISGID
            if stat.S_IMODE(found) != wanted:  # a sandbox may forbid to set the set-group-id bit, even where it is set
                path.chmod(wanted)
            sync(path.parent)
        self._made.add(path)

    def _write(self, path: Path, data: bytes) -> None:
        beside = path.with_name(LEFTOVER + path.name)
        with writing(beside, os.O_TRUNC) as file:
            file.write(data)
            last(file)
        beside.replace(path)


def writing(path: Path, flags: int = 0) -> BinaryIO:
    """Opens a file for writing from its beginning, made if it is not there, readable by the group."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | flags, FILE_MODE)
    os.fchmod(descriptor, FILE_MODE)
    return os.fdopen(descriptor, "wb")


def last(file: BinaryIO) -> None:
    """Makes what was written to a file survive a power cut."""
    file.flush()
    os.fsync(file.fileno())


def sync(directory: Path) -> None:
    """Makes the names in a directory survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
