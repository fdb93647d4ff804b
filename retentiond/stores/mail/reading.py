"""Reading messages out of files without a trace, their heads first and only so much of them as is needed."""

from __future__ import annotations

import os

from retentiond.stores.mail.head import LARGEST, Head, end_of_head, head_of

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FIRST = 2**13


def open_quietly(name: str, dir_fd: int) -> int:
    """A descriptor for reading, links not followed; the time of the last access stays, where the system lets us (open(2))."""
    try:
        return os.open(name, _READ | os.O_NOATIME, dir_fd=dir_fd)
    except PermissionError:
        return os.open(name, _READ, dir_fd=dir_fd)


def head_at(fd: int, offset: int, end: int) -> Head:
    """The head of the message that lies between two places of an open file."""
    raw = b""
    largest = min(end - offset, LARGEST)
    while len(raw) < largest:
        piece = os.pread(fd, min(max(_FIRST, 3 * len(raw)), largest - len(raw)), offset + len(raw))
        raw += piece
        if not piece or end_of_head(raw) >= 0:
            break
    return head_of(raw, complete=offset + len(raw) >= end)
