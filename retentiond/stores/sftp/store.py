"""Letting files on a server go, and nothing else.

Guarantees, beside those of the view: a file goes only in the revision that its step names, when it is a regular file
inside the batch's selection and no link stands in its way. A fact is yielded after the server has written the directory
through to its disk, where it can be told to (OpenSSH can); where it cannot, the store's traits say so. A disposal that is
cut short leaves its items in claim directories, where they are sighted under their old keys; `put_back` gives them their
names again. Directories are removed only where the selection says so, only when they are empty, and never at or above the
fixed part of the pattern.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from retentiond.core.outcome import Outcome, Settled
from retentiond.engine import failpoints
from retentiond.engine.ports import Batch, Deposit, Scope
from retentiond.errors import StoreDenied, StoreUnavailable
from retentiond.stores.columns import EPOCH, floor_of, pattern_of
from retentiond.stores.fates import held_in, sorted_out
from retentiond.stores.paths import Step, at_work, by_directory, is_at_work
from retentiond.stores.sftp import packets
from retentiond.stores.sftp.claiming import Claiming, Group, below, give_back, make_durable, remove_empty
from retentiond.stores.sftp.options import Options
from retentiond.stores.sftp.root import code_of
from retentiond.stores.sftp.taking import take
from retentiond.stores.sftp.view import SftpView

_AGREE = 60


class SftpStore(SftpView):
    """A view of a root on a server that can also let go."""

    home = ""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        try:
            self._is_durable = make_durable(self._root, [""])
        except BaseException:
            self.close()
            raise

    def dispose(self, batch: Batch) -> Iterator[Settled]:
        """Lets the batch's files go, all directories together; facts come directory by directory when they are durable.

        `ValueError` for a batch that is not for files; `StoreUnavailable` where the connection was lost, or a disposal could
        not be made durable: what was not yielded is then to be looked at again. `StoreDenied`, with everything as it was,
        where the server's clock is behind ours by more than a minute, so that items look older than they are.
        """
        if not batch.action.destroys or batch.action.anonymises:
            raise ValueError("only the action delete is carried out on files")
        pattern_of(batch.scope)
        return self._dispose(batch)

    def put_back(self, scope: Scope, keys: Sequence[str]) -> None:
        """Gives files that a cut-short disposal left in a claim their names back, where these are free; durable on return."""
        pattern_of(scope)
        self._claims.forget()
        directories = by_directory(keys)[0]
        reached = self._root.are_where_they_say(list(directories))
        ways = {parent: steps for (parent, steps), there in zip(directories.items(), reached, strict=True) if there}
        touched = []
        for parent, (items, claims) in self._claims.of(ways).items():
            if not claims:
                continue
            give_back(self._root, parent, [(name, items[name]) for _, name in ways[parent] if name in items])
            remove_empty(self._root, [below(parent, claim) for claim in claims if not is_at_work(claim)])
            touched.append(parent)
        self._claims.forget()
        if touched:
            self._settle(touched)

    def take(self, key: str, pieces: Iterable[bytes]) -> Deposit:
        """Takes in a copy: written, read back, compared, and named without replacing anything."""
        self._claims.forget()
        return take(self._root, self._claims, key, pieces, durably=self._is_durable)

    def _notes(self) -> Sequence[str]:
        if self._is_durable:
            return super()._notes()
        return (
            *super()._notes(),
            "the server cannot be told to write through to its disk: after a power cut there, an item may be back",
        )

    def _refresh(self) -> None:
        """Keeps what is known of claims: whoever acts has the execute lock, so that nobody else makes any."""

    def _dispose(self, batch: Batch) -> Iterator[Settled]:
        pattern, held = pattern_of(batch.scope), held_in(batch)
        directories, strange = by_directory(batch.keys)
        if strange:
            yield Settled(strange, Outcome.FAILED, "not-a-key")
        groups = []
        for parent, steps in directories.items():
            left, spared = sorted_out(parent, steps, pattern, held)
            groups.append(Group(parent, left, spared))
        if any(group.steps for group in groups):
            self._let_go([group for group in groups if group.steps], batch)
        for group in groups:
            yield from group.fates.settled()

    def _let_go(self, groups: Sequence[Group], batch: Batch) -> None:
        claiming = Claiming(self._root, groups, batch.revisions)
        try:
            with at_work([group.claim for group in groups]):
                claiming.claim()
                claiming.compare()
                self._check_clock(claiming, batch.scope)
                claiming.destroy()
            self._let_go_of_leftovers(groups, batch.revisions)
        except BaseException:
            self._claims.forget()
            raise
        for group in groups:
            if not group.is_clean:
                self._claims.forget(group.directory)
        touched = [group.directory for group in groups if group.taken]
        floor = floor_of(batch.scope)
        if floor is not None:
            touched = self._remove_empty([group.directory for group in groups if group.fates.any_disposed()], floor, touched)
        self._settle(touched)
        failpoints.reach("settled")

    def _check_clock(self, claiming: Claiming, scope: Scope) -> None:
        if scope.now is None or not claiming.is_behind((scope.now - EPOCH) // timedelta(seconds=1), _AGREE):
            return
        claiming.release()
        claiming.destroy()
        raise StoreDenied(
            "the clock of the server is more than a minute behind this machine's",
            why="its files would look older than they are",
            do="set both by NTP",
        )

    def _let_go_of_leftovers(self, groups: Sequence[Group], revisions: Sequence[str]) -> None:
        """Items that were not met, or not as planned, but that an earlier disposal has left in a claim as they were."""
        unmet = {group.directory: (group, group.fates.unmet(group.steps)) for group in groups if group.fates.unmet(group.steps)}
        reached = self._root.are_where_they_say(list(unmet))
        ways = [directory for directory, there in zip(unmet, reached, strict=True) if there]
        for directory, (items, _) in self._claims.of(ways).items():
            group, steps = unmet[directory]
            emptied = {}
            for step in steps:
                claimed = items.get(step[1])
                if claimed is None or claimed.claim == group.claim or claimed.attributes.revision != revisions[step[0]]:
                    continue
                if claimed.attributes.links in (1, None):
                    self._remove(group, step, below(claimed.claim, step[1]))
                    emptied[below(directory, claimed.claim)] = step
            if emptied:  # and no other claim, which may be that of another lane
                remove_empty(self._root, list(emptied))
                self._claims.forget(directory)
                group.taken = group.taken or {step[1]: step for step in emptied.values()}

    def _remove(self, group: Group, step: Step, name: str) -> None:
        code = packets.status_of(self._root.session().ask(packets.remove(self._root.at(below(group.directory, name)))))
        if not code:
            group.fates.settle(step[0], Outcome.DISPOSED)
        elif code != packets.ABSENT:
            group.fates.settle(step[0], Outcome.FAILED, code_of(code))

    def _remove_empty(self, directories: Sequence[str], floor: str, touched: Sequence[str]) -> list[str]:
        """Removes directories and those above them that are empty, down to the floor (not included); what is to be settled."""
        left = dict.fromkeys(touched)
        lower = [d for d in directories if d != floor and d.startswith(floor and floor + "/")]
        while lower:
            gone = [d for d, went in zip(lower, remove_empty(self._root, lower), strict=True) if went]
            for directory in gone:
                left.pop(directory, None)
                left[directory.rpartition("/")[0]] = None
            above = dict.fromkeys(d.rpartition("/")[0] for d in gone)
            lower = [d for d in above if d != floor and d.startswith(floor and floor + "/")]
        return list(left)

    def _settle(self, directories: Sequence[str]) -> None:
        if self._is_durable and not make_durable(self._root, directories):
            raise StoreUnavailable("a disposal could not be made durable", why="the server's fsync fails")
