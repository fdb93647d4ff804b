"""Claiming: taking items out of their users' sight, comparing them there, and letting them go.

An item is renamed into a claim directory beside it, compared there, where no path leads to it any
more, and unlinked. One that is not what the step names goes back to its name at once, and never
over a newcomer: by `renameat2(RENAME_NOREPLACE)`, which is one act (rename(2)), or where a file
system lacks that by `link` and then `unlink`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from retentiond.core.outcome import Outcome
from retentiond.engine import failpoints
from retentiond.stores.fates import Fates
from retentiond.stores.files.claims import claim_directories, is_file, is_single, look, opened, revision_of, same_file
from retentiond.stores.paths import RESERVED, Step, at_work, is_at_work
from retentiond.stores.tree import DIRECTORY, Tree, code_of, is_absent

_LACKING = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP})
_NOREPLACE = 1
_TAKEN = "taken-from-claim"
_renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)


def let_go(tree: Tree, fd: int, steps: Sequence[Step], revisions: Sequence[str]) -> Fates:
    """Disposes of files of one open directory and makes that durable; `OSError` if it cannot be made so.

    `revisions[position]` is what the item must still be. An item of that revision which an
    earlier disposal left in a claim directory is let go there.
    """
    fates = Fates()
    name = RESERVED + secrets.token_hex(8)
    with at_work([name]):
        try:
            os.mkdir(name, 0o700, dir_fd=fd)
        except OSError as error:
            outcome = Outcome.GONE if is_absent(error) else Outcome.FAILED
            fates.settle_all(steps, outcome, "" if outcome is Outcome.GONE else code_of(error))
            return fates
        with _claim_directory(fd, name) as claim:
            mine = _claim(fd, claim, steps, revisions, fates)
            failpoints.reach("compared")
            _unlink(fd, claim, mine, fates)
            failpoints.reach("destroyed")
    unmet = fates.unmet(steps) if len(mine) < len(steps) else ()
    if unmet:
        _let_go_of_leftovers(tree, fd, unmet, revisions, fates)
    os.fsync(fd)
    failpoints.reach("settled")
    return fates


def put_back(tree: Tree, fd: int, names: Sequence[str]) -> None:
    """Gives claimed items of one open directory their names back, where these are free; durable on return."""
    for directory in claim_directories(tree, fd):
        with opened(tree, fd, directory) as claim:
            if claim is None:
                continue
            for name in names:
                if look(claim, name) is not None:
                    give_back(fd, claim, name)
        _clear(fd, directory)
    os.fsync(fd)


def give_back(fd: int, claim: int, name: str) -> bool:
    """Gives one claimed item its name back; False where a newcomer has it, and the item stays in the claim."""
    try:
        move(claim, name, fd, name)
    except FileExistsError:
        if not same_file(look(fd, name), look(claim, name)):
            return False
        os.unlink(name, dir_fd=claim)  # the other of two names of one file, which a cut-short `link` left behind
    except OSError:
        return False
    return True


def move_by_link(source: int, old: str, target: int, new: str) -> None:
    """Moves a name between directories by `link` and `unlink`: `FileExistsError` where the new name is taken.

    A directory has no links; renaming one can replace nothing but an empty directory.
    """
    if stat.S_ISDIR(os.stat(old, dir_fd=source, follow_symlinks=False).st_mode):
        os.rename(old, new, src_dir_fd=source, dst_dir_fd=target)
        return
    os.link(old, new, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
    os.unlink(old, dir_fd=source)


def move(source: int, old: str, target: int, new: str) -> None:
    """Renames without ever replacing: `FileExistsError` where the new name is taken."""
    if _renameat2 is None:
        move_by_link(source, old, target, new)
    elif _renameat2(source, os.fsencode(old), target, os.fsencode(new), _NOREPLACE):
        number = ctypes.get_errno()
        if number not in _LACKING:
            raise OSError(number, os.strerror(number))
        move_by_link(source, old, target, new)


@contextmanager
def _claim_directory(fd: int, name: str) -> Iterator[int]:
    """An open claim directory, which goes when nothing is left in it; what stays in it is made durable."""
    claim = os.open(name, DIRECTORY, dir_fd=fd)
    try:
        yield claim
        if not _remove(fd, name):
            os.fsync(claim)
    finally:
        os.close(claim)


def _remove(fd: int, name: str) -> bool:
    try:
        os.rmdir(name, dir_fd=fd)
    except OSError:
        return False
    return True


def _clear(fd: int, name: str) -> None:
    """Removes a claim directory that a cut-short disposal left, if it is empty; not that of another lane."""
    if not is_at_work(name):
        _remove(fd, name)


def _claim(fd: int, claim: int, steps: Sequence[Step], revisions: Sequence[str], fates: Fates) -> list[Step]:
    """Renames each item into the claim and compares it there at once, so that a changed one is back within microseconds."""
    mine: dict[str, Step] = {}
    reached = False
    for step in steps:
        position, name = step
        if name in mine:
            fates.settle(position, Outcome.GONE)
            continue
        try:
            os.rename(name, name, src_dir_fd=fd, dst_dir_fd=claim)
        except OSError as error:
            _settle_unclaimed(fd, step, error, fates)
            continue
        if not reached:
            reached = True
            failpoints.reach("claimed")
        status = look(claim, name)
        same = status is not None and revision_of(status) == revisions[position]
        if status is None:
            fates.settle(position, Outcome.UNKNOWN, _TAKEN)
        elif same and is_file(status) and is_single(status):
            mine[name] = step
        elif not give_back(fd, claim, name):
            fates.settle(position, Outcome.CHANGED, "left-in-claim")
        else:
            fates.settle(position, Outcome.CHANGED, "hard-links" if same and not is_single(status) else "")
    return list(mine.values())


def _settle_unclaimed(fd: int, step: Step, error: OSError, fates: Fates) -> None:
    """What a failed claim means. ENOENT may also be said of the claim directory, so the name is looked up."""
    position, name = step
    if is_absent(error) and look(fd, name) is None:
        fates.settle(position, Outcome.GONE)
    else:
        fates.settle(position, Outcome.FAILED, code_of(error))


def _unlink(fd: int, claim: int, mine: Sequence[Step], fates: Fates) -> None:
    disposed = []
    for step in mine:
        try:
            os.unlink(step[1], dir_fd=claim)
        except FileNotFoundError:
            fates.settle(step[0], Outcome.UNKNOWN, _TAKEN)
        except OSError as error:
            give_back(fd, claim, step[1])
            fates.settle(step[0], Outcome.FAILED, code_of(error))
        else:
            disposed.append(step)
    fates.settle_all(disposed, Outcome.DISPOSED)


def _let_go_of_leftovers(tree: Tree, fd: int, unmet: Sequence[Step], revisions: Sequence[str], fates: Fates) -> None:
    try:
        for directory in claim_directories(tree, fd):
            with opened(tree, fd, directory) as claim:
                for position, name in unmet if claim is not None else ():
                    status = look(claim, name) if claim is not None else None
                    if status is None or revision_of(status) != revisions[position]:
                        continue
                    if is_file(status) and is_single(status):
                        os.unlink(name, dir_fd=claim)
                        fates.settle(position, Outcome.DISPOSED)
            _clear(fd, directory)
    except OSError as error:
        fates.settle_all(fates.unmet(unmet), Outcome.FAILED, code_of(error))
