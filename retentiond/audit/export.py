"""A copy of the log for somebody who will check it elsewhere, checked once here before it is handed over.

The copy is the folder itself, file by file: no other form, so that nothing has to be converted
back. It goes into a folder that is new or empty, and is verified as any log is. The caller holds
the publish lock, so that the copy is of one moment.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from retentiond.audit.layout import LEFTOVER, last, open_file, sync, writing
from retentiond.audit.note import Verifier
from retentiond.audit.verify import Report, verify
from retentiond.errors import AuditBroken, UsageError


def export(directory: Path, destination: Path, verifier: Verifier) -> Report:
    """Copies a log and verifies the copy; `AuditBroken` if the copy, which then stays, is not sound."""
    inside = destination.resolve().is_relative_to(directory.resolve())
    if inside or (destination.exists() and not destination.is_dir()) or (destination.is_dir() and any(destination.iterdir())):
        raise UsageError("the log is copied into a new or empty folder only", do="name another folder, outside the log")
    if not directory.is_dir():
        raise UsageError("there is no log folder here", do="publish first")
    destination.mkdir(parents=True, exist_ok=True)
    _copy(directory, destination)
    return verify(destination, verifier)


def _copy(directory: Path, destination: Path) -> None:
    with os.scandir(directory) as inside:
        for entry in sorted(inside, key=lambda e: e.name):
            if entry.is_dir(follow_symlinks=False):
                (destination / entry.name).mkdir()
                _copy(directory / entry.name, destination / entry.name)
            elif not entry.name.startswith(LEFTOVER):
                _copy_file(directory / entry.name, destination / entry.name)
    sync(destination)


def _copy_file(path: Path, destination: Path) -> None:
    source = open_file(path)
    if source is None:
        raise AuditBroken([f"{path.name!a} is no regular file, and does not belong to the log"])
    with source, writing(destination, os.O_EXCL) as target:
        shutil.copyfileobj(source, target, 1 << 20)
        last(target)
