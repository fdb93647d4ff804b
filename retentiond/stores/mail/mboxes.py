"""Looking at mbox files: one file is one folder, named by its path below the root.

The root is a folder with mailboxes in it, or one mailbox. Files that do not begin as an mbox does are none, nor are
those whose names begin with a dot. A message was delivered when its From_ line says so, which the delivering program
writes. Nothing here changes anything, locks included unless a mailbox changes while it is read; then others wait
for as long as it takes to read it once.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from retentiond.engine.ports import Traits
from retentiond.errors import StoreUnavailable
from retentiond.stores.mail.boxes import Sighted
from retentiond.stores.mail.head import Head
from retentiond.stores.mail.locks import read_locked
from retentiond.stores.mail.mbox import Entry, Index, delivered_at, doubt_of, first_line, is_mbox, read_index, revision_of
from retentiond.stores.mail.reading import head_at, open_quietly
from retentiond.stores.mail.sieve import Sieve
from retentiond.stores.tree import Tree, is_absent, is_barred, refusal

_TRIES = 3


class Mboxes:
    """The mbox files below a root, opened for looking."""

    def __init__(self, path: str) -> None:
        real = os.path.normpath(path)
        self._only = os.path.basename(real) if os.path.isfile(real) and not os.path.islink(real) else ""
        self.tree = Tree(os.path.dirname(real) if self._only else path)
        self._known: tuple[str, tuple[int, ...], Index] | None = None

    @property
    def place(self) -> str:
        return f"{self.tree.place} {self._only}" if self._only else self.tree.place

    @property
    def traits(self) -> Traits:
        """Atomic as far as mail programs lock mailboxes, by fcntl and dot-lock as Debian's policy has it (§11.6)."""
        return Traits(atomic=False, notes=("a mail program that does not lock a mailbox may lose what it writes meanwhile",))

    def folders(self) -> Iterator[str]:
        """Every file that begins as an mbox does."""
        for folder in [self._only] if self._only else self._files(""):
            with self.opened(folder) as fd:
                if fd is not None and is_mbox(fd):
                    yield folder

    def messages(self, folder: str, sieve: Sieve) -> Iterator[Sighted]:
        """Every message of a mailbox, once, as it was when the mailbox was read."""
        with self.opened(folder) as fd:
            if fd is not None:
                for name, entries in self.index(folder, fd).entries.items():
                    yield self.sighted(fd, name, entries, sieve)

    def find(self, folder: str, names: Collection[str], sieve: Sieve) -> Mapping[str, Sighted]:
        """Those of the named messages that are there, each with its head read already."""
        with self.opened(folder) as fd:
            if fd is None:
                return {}
            entries = self.index(folder, fd).entries
            found = {name: self.sighted(fd, name, entries[name], sieve) for name in names if name in entries}
            return {name: one.with_head() for name, one in found.items()} if sieve.needs_head else found

    @contextmanager
    def open(self, folder: str, name: str, revision: str) -> Iterator[_Part | None]:
        """A message in its revision, without its From_ line and the empty line after it."""
        with self.opened(folder) as fd:
            entries = self.index(folder, fd).entries.get(name, ()) if fd is not None else ()
            if fd is None or not entries or revision_of(entries) != revision:
                yield None
            else:
                yield _Part(self, folder, fd, entries[0], revision)

    def warnings(self) -> Sequence[str]:
        """Files that are no mailboxes are not looked at."""
        others = 0
        for folder in [self._only] if self._only else self._files(""):
            with self.opened(folder) as fd:
                others += fd is not None and os.fstat(fd).st_size > 0 and not is_mbox(fd)
        return ("files that do not begin as an mbox does are not looked at",) if others else ()

    def close(self) -> None:
        self.tree.close()

    @contextmanager
    def opened(self, folder: str) -> Iterator[int | None]:
        """A descriptor for reading a mailbox; None where there is none."""
        try:
            with self.directory_of(folder) as (directory, name):
                fd = open_quietly(name, directory)
        except OSError as error:
            if not (is_absent(error) or is_barred(error)):
                raise refusal(error, folder) from error
            yield None
            return
        try:
            yield fd if stat.S_ISREG(os.fstat(fd).st_mode) else None
        except OSError as error:
            raise refusal(error, folder) from error
        finally:
            os.close(fd)

    @contextmanager
    def directory_of(self, folder: str) -> Iterator[tuple[int, str]]:
        """The open directory of a mailbox, and its name there; `FileNotFoundError` for what is no name of a mailbox."""
        path, _, name = folder.rpartition("/")
        if not _is_name(name) or (path and not all(map(_is_name, path.split("/")))) or (self._only and folder != self._only):
            raise FileNotFoundError(2, os.strerror(2))
        directory = self.tree.open(path)
        try:
            yield directory, name
        finally:
            os.close(directory)

    def index(self, folder: str, fd: int) -> Index:
        """The messages of an open mailbox, read without anybody writing to it; what was read last is remembered."""
        sign = _sign(fd)
        if self._known is not None and self._known[:2] == (folder, sign):
            return self._known[2]
        if not is_mbox(fd):
            return Index({})
        for _ in range(_TRIES):
            index = read_index(fd, os.fstat(fd).st_size)
            if _sign(fd) == sign:
                break
            sign = _sign(fd)
        else:
            with read_locked(fd):
                sign = _sign(fd)
                index = read_index(fd, os.fstat(fd).st_size)
                if _sign(fd) != sign:
                    raise StoreUnavailable("a mailbox changes faster than it can be read", do="try again later")
        self._known = (folder, sign, index)
        return index

    def sighted(self, fd: int, name: str, entries: Sequence[Entry], sieve: Sieve) -> Sighted:
        """A message of an open mailbox."""
        one = entries[0]

        def head() -> Head | None:
            return head_at(fd, one.start(fd), one.end)

        delivered = delivered_at(first_line(fd, one.offset), sieve.zone)
        size = sum(entry.end - entry.offset for entry in entries)
        return Sighted(name, revision_of(entries), delivered, size, head, doubt_of(entries))

    def _files(self, path: str) -> Iterator[str]:
        """The regular files below a directory, in their order."""
        try:
            fd = self.tree.open(path)
        except OSError as error:
            if path and (is_absent(error) or is_barred(error)):
                return
            raise refusal(error, path) from error
        try:
            with os.scandir(fd) as entries:
                found = sorted(
                    (e.name, e.is_dir(follow_symlinks=False)) for e in entries if _is_name(e.name) and not e.is_symlink()
                )
        except OSError as error:
            raise refusal(error, path) from error
        finally:
            os.close(fd)
        for name, is_directory in found:
            below = f"{path}/{name}" if path else name
            if is_directory:
                yield from self._files(below)
            elif not name.endswith(".lock"):
                yield below


class _Part:
    """The bytes of one message in an open mailbox."""

    def __init__(self, boxes: Mboxes, folder: str, fd: int, entry: Entry, revision: str) -> None:
        self._boxes, self._folder, self._fd, self._name, self._revision = boxes, folder, fd, entry.name, revision
        self._start = entry.start(fd)
        last = os.pread(fd, min(4, entry.end - self._start), max(self._start, entry.end - 4))
        empty = 2 if last.endswith(b"\r\n\r\n") else 1 if last.endswith(b"\n\n") else 0
        self.size = entry.end - self._start - empty

    def at(self, offset: int, count: int) -> bytes:
        return os.pread(self._fd, max(0, min(count, self.size - offset)), self._start + offset)

    def is_there(self) -> bool:
        with self._boxes.opened(self._folder) as fd:
            entries = self._boxes.index(self._folder, fd).entries.get(self._name) if fd is not None else None
            return bool(entries) and revision_of(entries or ()) == self._revision


def _is_name(part: str) -> bool:
    return bool(part) and not part.startswith(".") and "\0" not in part


def _sign(fd: int) -> tuple[int, ...]:
    """What changes whenever the content of a file does."""
    status = os.fstat(fd)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
