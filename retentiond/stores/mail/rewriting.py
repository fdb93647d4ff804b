"""Letting go in mbox files: what stays is written beside the mailbox, compared, and put in its place.

Under both locks (`locks`) the mailbox is read once more, and what of the batch is still in its revision is left out of a
copy, which gets the owner, the mode, the attributes and the times of the original. The copy is made durable and read back.
If the mailbox is still as it was, the copy takes its name in one act. A process that dies before leaves the mailbox
as it was, and a file `.retentiond~…` that the next disposal takes away; one that dies after it has done all.

A mail program may have opened the old file before, wait for its lock, and write to it without looking whether it
still has the name. Whoever waits is waited for, and what they wrote is carried over.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress

from retentiond.core.outcome import Outcome
from retentiond.engine import failpoints
from retentiond.engine.ports import PIECE
from retentiond.errors import StoreUnavailable
from retentiond.stores.fates import Fates
from retentiond.stores.mail.boxes import left_alone
from retentiond.stores.mail.locks import WAIT, MailboxBusy, locked, take_away_stale, waited_for, waiting
from retentiond.stores.mail.mbox import Entry, Index, read_index, revision_of
from retentiond.stores.mail.mboxes import Mboxes
from retentiond.stores.mail.sieve import Sieve
from retentiond.stores.paths import Step
from retentiond.stores.tree import code_of, is_absent

RESERVED = ".retentiond~"
_WRITE = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
Ranges = Sequence[tuple[int, int]]


class RewritingMboxes(Mboxes):
    """Mbox files opened for disposal; a lock is waited for so many seconds.

    `StoreDenied` where the file system cannot make a directory durable.
    """

    def __init__(self, path: str, wait: float = WAIT) -> None:
        super().__init__(path)
        self._wait = wait
        self.tree.prove_durable()

    def let_go(self, folder: str, steps: Sequence[Step], revisions: Sequence[str], sieve: Sieve) -> Fates:
        """Disposes of messages of one mailbox, all at once or none; `StoreUnavailable` where that could not be made durable."""
        fates = Fates()
        try:
            with self.directory_of(folder) as (directory, name), _opened(directory, name) as fd:
                late = self._rewrite(folder, (directory, name, fd), steps, revisions, sieve, fates)
                if late is not None:
                    _carry_over(directory, name, fd, *late)
                    failpoints.reach("settled")
        except OSError as error:
            if fates.any_disposed():
                raise StoreUnavailable("a disposal could not be made durable", why=_code(error)) from error
            gone = is_absent(error)
            fates.settle_all(steps, Outcome.GONE if gone else Outcome.FAILED, "" if gone else _code(error))
        return fates

    def put_back(self, folder: str, names: Collection[str]) -> None:
        """Takes away the copy and the lock that a disposal left when its process died; the mailbox itself is whole."""
        with suppress(FileNotFoundError, NotADirectoryError), self.directory_of(folder) as (directory, name):
            _clean(directory, name)
            take_away_stale(directory, name)

    def _rewrite(
        self,
        folder: str,
        where: tuple[int, str, int],
        steps: Sequence[Step],
        revisions: Sequence[str],
        sieve: Sieve,
        fates: Fates,
    ) -> tuple[int, frozenset[int]] | None:
        """Puts a mailbox in place of the old one. The old one's size and who waits for it; None where everything stays."""
        directory, name, fd = where
        with locked(directory, name, fd, self._wait):
            status = _status(directory, name, fd)
            _clean(directory, name)
            index = read_index(fd, status.st_size)
            going = self._going(folder, fd, index, steps, revisions, sieve, fates)
            failpoints.reach("compared")
            if not going:
                return None
            kept = _between([entry for _, entries in going for entry in entries], status.st_size)
            _replace(directory, name, fd, status, kept)
            failpoints.reach("destroyed")
            for position, _ in going:
                fates.settle(position, Outcome.DISPOSED)
            return status.st_size, waiting(fd)

    def _going(
        self,
        folder: str,
        fd: int,
        index: Index,
        steps: Sequence[Step],
        revisions: Sequence[str],
        sieve: Sieve,
        fates: Fates,
    ) -> list[tuple[int, Sequence[Entry]]]:
        """The messages that are still as they were, and may go; the others' fates are settled."""
        going = []
        for position, name in steps:
            entries = index.entries.get(name)
            if entries is None:
                fates.settle(position, Outcome.GONE)
            elif revision_of(entries) != revisions[position]:
                fates.settle(position, Outcome.CHANGED)
            elif why := left_alone(self.sighted(fd, name, entries, sieve), folder, sieve):
                fates.settle(position, Outcome.CHANGED, why)
            else:
                going.append((position, entries))
        return going


@contextmanager
def _opened(directory: int, name: str) -> Iterator[int]:
    """A mailbox open for writing; looked at first, since opening a pipe or a device may act on it."""
    found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if not stat.S_ISREG(found.st_mode):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    fd = os.open(name, _WRITE, dir_fd=directory)
    try:
        yield fd
    finally:
        os.close(fd)


def _status(directory: int, name: str, fd: int) -> os.stat_result:
    """The status of a locked mailbox; `MailboxBusy` where its name leads to another file, `OSError` where it has several."""
    status, named = os.fstat(fd), os.stat(name, dir_fd=directory, follow_symlinks=False)
    if (status.st_dev, status.st_ino) != (named.st_dev, named.st_ino):
        raise MailboxBusy
    if status.st_nlink != 1:
        raise OSError(errno.EMLINK, os.strerror(errno.EMLINK))
    return status


def _between(entries: Sequence[Entry], size: int) -> Ranges:
    """What lies between some messages of a mailbox."""
    at, kept = 0, []
    for entry in sorted(entries, key=lambda e: e.offset):
        kept.append((at, entry.offset))
        at = entry.end
    return [(start, end) for start, end in [*kept, (at, size)] if start < end]


def _replace(directory: int, name: str, fd: int, status: os.stat_result, kept: Ranges) -> None:
    """Puts a copy of parts of a mailbox in its place, durably. After any error but `StoreUnavailable` nothing has happened."""
    copy = f"{RESERVED}{secrets.token_hex(8)}~{name}"
    out = os.open(copy, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=directory)
    try:
        written = hashlib.sha256()
        for start, end in kept:
            for piece in _pieces(fd, start, end):
                written.update(piece)
                _write(out, piece)
        _dress(fd, out, status)
        size = sum(end - start for start, end in kept)
        read = hashlib.sha256()
        for piece in _pieces(out, 0, size):
            read.update(piece)
        if read.digest() != written.digest() or os.fstat(out).st_size != size:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.utime(out, ns=(status.st_atime_ns, status.st_mtime_ns))
        os.fsync(out)
        failpoints.reach("claimed")
        now = _status(directory, name, fd)
        if (now.st_size, now.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
            raise MailboxBusy
        os.rename(copy, name, src_dir_fd=directory, dst_dir_fd=directory)
    finally:
        os.close(out)
        with suppress(FileNotFoundError):
            os.unlink(copy, dir_fd=directory)
    try:
        os.fsync(directory)
    except OSError as error:
        raise StoreUnavailable("a disposal could not be made durable", why=code_of(error)) from error


def _pieces(fd: int, start: int, end: int) -> Iterator[bytes]:
    while start < end:
        piece = os.pread(fd, min(PIECE, end - start), start)
        if not piece:
            raise MailboxBusy
        start += len(piece)
        yield piece


def _write(fd: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(fd, view) :]


def _dress(fd: int, copy: int, status: os.stat_result) -> None:
    """Gives a copy the owner, the mode and the attributes (access lists among them) of the original."""
    os.fchown(copy, status.st_uid, status.st_gid)
    os.fchmod(copy, stat.S_IMODE(status.st_mode))
    for attribute in _attributes(fd):
        os.setxattr(copy, attribute, os.getxattr(fd, attribute))


def _attributes(fd: int) -> list[str]:
    """The attributes of a file, but for those that the system's security gives by itself."""
    try:
        return [name for name in os.listxattr(fd) if not name.startswith("security.")]
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return []
        raise


def _carry_over(directory: int, name: str, old: int, size: int, waited: frozenset[int]) -> None:
    """Brings to the mailbox what was written to the old file by programs that had opened it before."""
    waited_for(waited, old)
    end = os.fstat(old).st_size
    if end <= size:
        return
    try:
        with _opened(directory, name) as fd, locked(directory, name, fd):
            at = os.fstat(fd).st_size
            os.lseek(fd, 0, os.SEEK_END)
            if at and os.pread(fd, 2, max(0, at - 2)) != b"\n\n":
                _write(fd, b"\n")
            for piece in _pieces(old, size, end):
                _write(fd, piece)
            os.fsync(fd)
    except OSError as error:
        raise StoreUnavailable("mail that came meanwhile could not be carried over", why=_code(error)) from error


def _clean(directory: int, name: str) -> None:
    """Takes away the copies that disposals of a mailbox left when their process died."""
    with os.scandir(directory) as entries:
        left = [e.name for e in entries if e.name.startswith(RESERVED) and e.name[len(RESERVED) + 16 :] == f"~{name}"]
    for copy in left:
        os.unlink(copy, dir_fd=directory)


def _code(error: OSError) -> str:
    if isinstance(error, MailboxBusy):
        return "mailbox-busy"
    return "hard-links" if error.errno == errno.EMLINK else code_of(error)
