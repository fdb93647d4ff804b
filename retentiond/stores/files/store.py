"""Letting files go, and nothing else.

Guarantees, beside those of the view: a file goes only in the revision that its step names, when
it is a regular file with one name, inside the batch's selection and on the root's own mount. A
fact is yielded after the directory it is about has been made durable with fsync(2). A disposal
that is cut short leaves its item in a claim directory, where it is sighted under its old key;
`put_back` gives it its name again. Directories are removed only where the selection says so, only
when they are empty, and never at or above the fixed part of the pattern.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from retentiond.core.outcome import Outcome, Settled
from retentiond.engine.ports import Batch, Deposit, Scope
from retentiond.errors import StoreUnavailable
from retentiond.stores.columns import floor_of, pattern_of
from retentiond.stores.fates import Fates, held_in, sorted_out
from retentiond.stores.files.claiming import let_go, put_back
from retentiond.stores.files.claims import sign_of
from retentiond.stores.files.taking import take
from retentiond.stores.files.view import FilesView
from retentiond.stores.paths import Step, by_directory
from retentiond.stores.tree import code_of, is_absent, is_denied, refusal


class FilesStore(FilesView):
    """A view of a tree of files that can also let go.

    `StoreDenied` at opening where the file system cannot make a directory durable: no outcome
    could be a fact there.
    """

    home = ""

    def __init__(self, path: str, quiet: timedelta = timedelta(0)) -> None:
        super().__init__(path, quiet)
        self._tree.prove_durable()

    def dispose(self, batch: Batch) -> Iterator[Settled]:
        """Lets the batch's files go, directory by directory; a directory's facts come when they are durable.

        `ValueError` for a batch that is not for files; `StoreUnavailable` where a disposal
        could not be made durable: what was not yielded is then to be looked at again.
        """
        if not batch.action.destroys or batch.action.anonymises:
            raise ValueError("only the action delete is carried out on files")
        pattern_of(batch.scope)
        return self._dispose(batch)

    def put_back(self, scope: Scope, keys: Sequence[str]) -> None:
        """Gives files that a cut-short disposal left in a claim their names back, where these are free."""
        pattern_of(scope)
        self._forget()
        mounts = self._tree.mounts_inside()
        for parent, steps in by_directory(keys)[0].items():
            try:
                fd = self._tree.open(parent, mounts)
            except OSError as error:
                if is_denied(error):
                    raise refusal(error, parent) from error
                continue
            try:
                put_back(self._tree, fd, [name for _, name in steps])
            except OSError as error:
                raise StoreUnavailable("an item could not be put back durably", why=code_of(error), key=parent) from error
            finally:
                os.close(fd)

    def take(self, key: str, pieces: Iterable[bytes]) -> Deposit:
        return take(self._tree, key, pieces)

    def _dispose(self, batch: Batch) -> Iterator[Settled]:
        mounts = self._tree.mounts_inside()
        pattern, held, floor = pattern_of(batch.scope), held_in(batch), floor_of(batch.scope)
        directories, strange = by_directory(batch.keys)
        if strange:
            yield Settled(strange, Outcome.FAILED, "not-a-key")
        for parent, steps in directories.items():
            left, spared = sorted_out(parent, steps, pattern, held)
            yield from spared.settled()
            if not left:
                continue
            try:
                fates = self._let_go(parent, left, batch.revisions, mounts)
                if floor is not None and fates.any_disposed():
                    self._remove_empty(parent, floor)
            except OSError as error:
                raise StoreUnavailable("a disposal could not be made durable", why=code_of(error), key=parent) from error
            yield from fates.settled()

    def _let_go(self, parent: str, steps: Sequence[Step], revisions: Sequence[str], mounts: frozenset[str]) -> Fates:
        try:
            fd = self._tree.open(parent, mounts)
        except OSError as error:
            fates = Fates()
            if is_absent(error):
                fates.settle_all(steps, Outcome.GONE)
            else:
                fates.settle_all(steps, Outcome.FAILED, code_of(error))
            return fates
        try:
            has_no_claim = self._known == (sign_of(fd), {})
            self._forget()
            fates = let_go(self._tree, fd, steps, revisions)
            if has_no_claim and all(s.outcome in (Outcome.DISPOSED, Outcome.GONE) for s in fates.settled()):
                self._known = (sign_of(fd), {})  # else each batch of a long directory would read all of it again
            return fates
        finally:
            os.close(fd)

    def _remove_empty(self, directory: str, floor: str) -> None:
        """Removes a directory and those above it that are empty, down to the floor (not included), durably."""
        while directory != floor and directory.startswith(floor and floor + "/"):
            above, _, name = directory.rpartition("/")
            fd = self._tree.open(above)
            try:
                os.rmdir(name, dir_fd=fd)
            except OSError:
                return
            else:
                os.fsync(fd)
            finally:
                os.close(fd)
            directory = above

    def _forget(self) -> None:
        self._known = (None, {})
