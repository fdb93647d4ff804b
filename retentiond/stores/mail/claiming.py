"""Letting go in Maildirs: a message is claimed, compared, and then unlinked.

A claim renames its file, within its directory, to a name that begins with a dot, which no mail program looks
at. What is not what the step names gets its name back at once, and never over a newcomer: by `link` and then
`unlink`. Deliveries go on meanwhile, since nothing is locked and no other name is touched.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Collection, Iterable, Sequence

from retentiond.core.outcome import Outcome
from retentiond.engine import failpoints
from retentiond.errors import StoreUnavailable
from retentiond.stores.fates import Fates
from retentiond.stores.mail.boxes import left_alone
from retentiond.stores.mail.maildir import CLAIM, Folder, Found, Maildirs, Spot, revision_of
from retentiond.stores.mail.sieve import Sieve
from retentiond.stores.paths import Step
from retentiond.stores.tree import code_of, is_absent

_TRIES = 5


class ClaimingMaildirs(Maildirs):
    """Maildirs opened for disposal. `StoreDenied` where the file system cannot make a directory durable."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.tree.prove_durable()

    def let_go(self, folder: str, steps: Sequence[Step], revisions: Sequence[str], sieve: Sieve) -> Fates:
        """Disposes of messages of one folder; `StoreUnavailable` where that could not be made durable."""
        fates = Fates()
        with self.opened(folder) as opened:
            if opened is None:
                fates.settle_all(steps, Outcome.GONE)
                return fates
            mine: list[tuple[int, Spot]] = []
            files = opened.found([name for _, name in steps])
            for position, name in steps:
                begun = bool(mine)
                claims = self._claim(opened, folder, (position, name), revisions[position], files.get(name, ()), sieve, fates)
                mine += ((position, claim) for claim in claims)
                if mine and not begun:
                    failpoints.reach("claimed")
            failpoints.reach("compared")
            _unlink(opened, mine, fates)
            failpoints.reach("destroyed")
            _make_durable(opened, {spot.sub for _, spot in mine})
            failpoints.reach("settled")
        return fates

    def put_back(self, folder: str, names: Collection[str]) -> None:
        """Gives the claimed files of these messages their names back, where these are free."""
        with self.opened(folder) as opened:
            claimed = [] if opened is None else [s for spots in opened.listed(names).values() for s in spots if s.is_claimed]
            if opened is None or not claimed:
                return
            for spot in claimed:
                give_back(opened, spot)
            _make_durable(opened, {spot.sub for spot in claimed})

    def _claim(
        self, opened: Folder, folder: str, step: Step, revision: str, files: Sequence[Found], sieve: Sieve, fates: Fates
    ) -> list[Spot]:
        """Where the files of one message lie that are of this revision, now that they are claimed; none where it stays."""
        position, name = step
        for _ in range(_TRIES):
            same = [one.spot for one in files if revision_of(one.status) == revision]
            if not same:
                fates.settle(position, Outcome.CHANGED if files else Outcome.GONE)
                return []
            claims: list[Spot] = []
            try:
                claims += (claim for spot in same if (claim := _claimed(opened, spot)) is not None)
            except OSError as error:
                _give_back_all(opened, claims)
                fates.settle(position, Outcome.FAILED, code_of(error))
                return []
            why = self._why_not(opened, folder, name, revision, claims, sieve) if len(claims) == len(same) else None
            if len(claims) == len(same) and why is None:
                return claims
            _give_back_all(opened, claims)
            if why is not None:
                fates.settle(position, Outcome.CHANGED, why)
                return []
            files = opened.found([name]).get(name, ())
        fates.settle(position, Outcome.FAILED, "busy")
        return []

    def _why_not(self, opened: Folder, folder: str, name: str, revision: str, claims: Iterable[Spot], sieve: Sieve) -> str | None:
        """Why claimed files may not go, as a fixed word; None where they may."""
        files = [Found(spot, status) for spot in claims if (status := opened.look(spot)) is not None]
        if any(revision_of(file.status) != revision for file in files):
            return ""
        return left_alone(self.sighted(opened, name, files), folder, sieve) or None if files else ""


def _claimed(opened: Folder, spot: Spot) -> Spot | None:
    """Where a file lies once it is claimed; None where it has no such name any more."""
    if spot.is_claimed:
        return spot
    claim = Spot(spot.sub, f"{CLAIM}{secrets.token_hex(8)}~{spot.file}")
    fd = opened.fds[spot.sub]
    try:
        os.rename(spot.file, claim.file, src_dir_fd=fd, dst_dir_fd=fd)
    except OSError as error:
        if is_absent(error) and error.errno != errno.ENAMETOOLONG:
            return None
        raise
    return claim


def give_back(opened: Folder, claim: Spot) -> bool:
    """Gives a claimed file its name back; False where a newcomer has it, and the file stays claimed."""
    fd = opened.fds[claim.sub]
    try:
        os.link(claim.file, claim.own, src_dir_fd=fd, dst_dir_fd=fd, follow_symlinks=False)
    except FileExistsError:
        newcomer, mine = opened.look(Spot(claim.sub, claim.own)), opened.look(claim)
        if newcomer is None or mine is None or newcomer.st_ino != mine.st_ino:
            return False
    except OSError:
        return False
    os.unlink(claim.file, dir_fd=fd)
    return True


def _give_back_all(opened: Folder, claims: Iterable[Spot]) -> None:
    for claim in claims:
        give_back(opened, claim)


def _unlink(opened: Folder, mine: Sequence[tuple[int, Spot]], fates: Fates) -> None:
    failed: set[int] = set()
    for position, claim in mine:
        try:
            os.unlink(claim.file, dir_fd=opened.fds[claim.sub])
        except FileNotFoundError:
            fates.settle(position, Outcome.UNKNOWN, "taken-from-claim")
            failed.add(position)
        except OSError as error:
            give_back(opened, claim)
            fates.settle(position, Outcome.FAILED, code_of(error))
            failed.add(position)
    for position in {position for position, _ in mine} - failed:
        fates.settle(position, Outcome.DISPOSED)


def _make_durable(opened: Folder, subs: Iterable[str]) -> None:
    try:
        for sub in subs:
            os.fsync(opened.fds[sub])
    except OSError as error:
        raise StoreUnavailable("a disposal could not be made durable", why=code_of(error)) from error
