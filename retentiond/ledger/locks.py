"""Who is at work: the execute lock (one run at a time), the publish lock (one who sequences and signs), the daemon's,
and that of whoever carries holds into buckets.

The lock of a ledger row is a short transaction of the database itself, so that holds, events and
approvals work while a run goes on. These are advisory locks of the system on files in the state
directory: they end with their process, however it ends. Where several machines share the state,
each of them is a lease as well (`leases.py`).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from retentiond.errors import Locked
from retentiond.ledger.schema import keeping

LockName = Literal["execute", "publish", "daemon", "holds"]


@contextmanager
def lock(path: Path, purpose: str, *, wait: bool = False) -> Iterator[None]:
    """Holds a lock for as long as the block runs; `Locked` names the holder if somebody else has it."""
    with keeping():
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _taken(handle) from None
        with keeping():
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{purpose}, process {os.getpid()}".encode(), 0)
        yield
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def is_taken(path: Path) -> bool:
    """Whether somebody holds a lock now."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _taken(handle: int) -> Locked:
    holder = os.pread(handle, 200, 0).decode("utf-8", "replace") or "a process that has just begun"
    return Locked("somebody else is at work on this state", why=f"the lock is held by: {holder}", do="wait until it has ended")
