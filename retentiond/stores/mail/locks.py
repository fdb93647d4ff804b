"""Locks on mbox files, as mail programs take them on Debian (Debian Policy §11.6): fcntl first, then the dot-lock.

The lock of fcntl is that of an open file (`F_OFD_SETLK`, fcntl(2)): it keeps other programs out as one of a
process does, and is not lost when this process closes the same file elsewhere. The dot-lock is `NAME.lock` with the
number of this process on its first line, as lockfile_create(3) has it, so that others may take it away when
the process has died. Waiting is bounded.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress

from retentiond.errors import StoreUnavailable
from retentiond.stores.tree import host_id

WAIT = 15.0
"""So many seconds a lock is waited for."""
_GLANCE = 0.05
_MINE = "retentiond"


class MailboxBusy(OSError):
    """Another program has the mailbox locked, and keeps it."""

    def __init__(self) -> None:
        super().__init__(errno.EAGAIN, os.strerror(errno.EAGAIN))


@contextmanager
def read_locked(fd: int) -> Iterator[None]:
    """Keeps writers away from an open file; `StoreUnavailable` where one of them does not go."""
    if not _until(lambda: _set(fd, fcntl.F_RDLCK)):
        raise StoreUnavailable("a mailbox is locked by another program", do="try again later")
    try:
        yield
    finally:
        unlock(fd)


@contextmanager
def locked(directory: int, name: str, fd: int, wait: float = WAIT) -> Iterator[None]:
    """Both locks on a mailbox that is open for writing; `MailboxBusy` where others have one, `OSError` as the system has it."""
    if not _until(lambda: _both(directory, name, fd), wait):
        raise MailboxBusy
    try:
        yield
    finally:
        release(directory, name, fd)


def release(directory: int, name: str, fd: int) -> None:
    """Lets go of both locks; again does nothing."""
    if _is_mine(directory, name):
        with suppress(OSError):  # left behind, it names this process, and is taken away when that has ended
            os.unlink(f"{name}.lock", dir_fd=directory)
    unlock(fd)


def unlock(fd: int) -> None:
    """Lets go of the lock of fcntl."""
    _set(fd, fcntl.F_UNLCK)


def take_away_stale(directory: int, name: str) -> None:
    """Removes a dot-lock that a process of ours on this machine left when it died."""
    said = _said(directory, name)
    if (
        len(said) == 3
        and said[1:] == [_MINE, host_id()]
        and said[0] != str(os.getpid())
        and not os.path.exists(f"/proc/{said[0]}")
    ):
        with suppress(FileNotFoundError):
            os.unlink(f"{name}.lock", dir_fd=directory)


def waiting(fd: int) -> frozenset[int]:
    """The processes that wait for the lock of an open file which we have (proc_locks(5))."""
    inode = f":{os.fstat(fd).st_ino}"
    with open("/proc/locks", encoding="ascii") as lines:
        fields = [line.split() for line in lines if "->" in line and inode in line]
    return frozenset(int(words[5]) for words in fields if words[6].endswith(inode))


def waited_for(processes: Collection[int], fd: int) -> bool:
    """Waits until none of some processes has the same file open any more; False where that takes too long."""
    status = os.fstat(fd)
    return _until(lambda: not any(_has_open(process, status) for process in processes))


def _has_open(process: int, status: os.stat_result) -> bool:
    """Whether a process has a file open; true where we may not know."""
    try:
        for name in os.listdir(f"/proc/{process}/fd"):
            with suppress(FileNotFoundError):
                if os.path.samestat(os.stat(f"/proc/{process}/fd/{name}"), status):
                    return True
    except FileNotFoundError:
        return False
    except PermissionError:
        return True
    return False


def _both(directory: int, name: str, fd: int) -> bool:
    if not _set(fd, fcntl.F_WRLCK):
        return False
    try:
        take_away_stale(directory, name)
        lock = os.open(f"{name}.lock", os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=directory)
    except FileExistsError:
        unlock(fd)
        return False
    except OSError:
        unlock(fd)
        raise
    try:
        os.write(lock, f"{os.getpid()}\n{_MINE}\n{host_id()}\n".encode())
    finally:
        os.close(lock)
    return True


def _is_mine(directory: int, name: str) -> bool:
    return _said(directory, name)[:2] == [str(os.getpid()), _MINE]


def _said(directory: int, name: str) -> list[str]:
    """The lines of a dot-lock; none where there is none that can be read."""
    try:
        fd = os.open(f"{name}.lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return []
    try:
        return os.read(fd, 200).decode("ascii", "replace").split()
    finally:
        os.close(fd)


def _set(fd: int, kind: int) -> bool:
    """Sets or lets go of the lock of fcntl on a whole file; False where another program has one that forbids it."""
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, 0, 0, 0))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _until(done: Callable[[], bool], wait: float = WAIT) -> bool:
    """Asks again and again, for as long as a lock is waited for; whether it came to be."""
    end = time.monotonic() + wait
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(_GLANCE)
    return True
