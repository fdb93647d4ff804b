"""Letting versions go, and nothing else.

Guarantees, beside those of the view: a version goes by its version id, and never otherwise: a bucket in
which nothing was ever versioned has the id `null`, so that no request can make a delete marker by
mistake. What an upload can replace is compared just before; a delete marker goes last, and only when
it hides nothing any more. A fact is what the server has answered for this one version. A request
whose answer was lost is not sent again before what it was about has been looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from retentiond.core.outcome import Outcome, Settled
from retentiond.engine import failpoints
from retentiond.engine.ports import OUTSIDE, Batch, Deposit
from retentiond.stores.fates import held_in
from retentiond.stores.s3.deleting import Deleting, Fates, Step
from retentiond.stores.s3.details import detail_of
from retentiond.stores.s3.listing import Row
from retentiond.stores.s3.options import Options
from retentiond.stores.s3.proving import proof
from retentiond.stores.s3.taking import Taking
from retentiond.stores.s3.view import Entry, S3View, is_hidden, named
from retentiond.stores.s3.wanted import Wanted


class S3Store(S3View):
    """A view of a bucket that can also let go."""

    def __init__(self, options: Options) -> None:
        super().__init__(options, acts=True)

    def dispose(self, batch: Batch) -> Iterator[Settled]:
        """Lets the batch's versions go, its markers after them. `ValueError` for a batch that is not for objects.

        `StoreDenied` where the bucket keeps versions otherwise than at opening; `StoreUnavailable` where
        the server could not be asked any more: what was not yielded is then to be looked at again.
        """
        if batch.action.kind == "lifecycle":
            return self._install(batch)
        if not batch.action.destroys or batch.action.anonymises:
            raise ValueError("only the action delete is carried out on objects")
        return self._dispose(batch, Wanted(batch.scope, self._bucket.options.prefix))

    def withdraw(self, name: str) -> bool:
        return self._lifecycle.withdraw(name)

    def keep(self, keys: Sequence[str], versions: Sequence[str], *, on: bool) -> Sequence[bool]:
        return self._legal_holds.put(keys, versions, on=on)

    def _install(self, batch: Batch) -> Iterator[Settled]:
        """Has the bucket let go by itself from now on: its own rule, as the scope says."""
        expiry, wanted = batch.scope.expiry, Wanted(batch.scope, self._bucket.options.prefix)
        assert expiry is not None
        held = held_in(batch)
        if held:
            yield Settled(sorted(held), Outcome.HELD)
        for i in (i for i in range(len(batch)) if i not in held):
            self._bucket.check_versioning()
            self._lifecycle.check(wanted, self._looking)
            failpoints.reach("compared")
            outcome, code = self._lifecycle.install(expiry, wanted, batch.revisions[i])
            failpoints.reach("destroyed")
            yield Settled([i], outcome, code)

    @property
    def home(self) -> str:
        """The prefix."""
        return self._bucket.options.prefix

    def take(self, key: str, pieces: Iterable[bytes]) -> Deposit:
        return Taking(self._bucket, self._looking, key).take(pieces)

    def prove(self) -> Sequence[str]:
        """What the server does with a scratch object, which goes again."""
        return list(proof(self._bucket, self._looking))

    def _dispose(self, batch: Batch, wanted: Wanted) -> Iterator[Settled]:
        fates = Fates()
        held = held_in(batch)
        fates.settle_all(held, Outcome.HELD)
        left = [i for i in range(len(batch)) if i not in held]
        self._bucket.check_versioning()
        steps = self._compared(batch, wanted, left, fates)
        failpoints.reach("compared")
        yield from fates.taken()
        deleting = Deleting(self._bucket, self._uploads if wanted.selection.uploads else self._looking)
        trouble = deleting.let_go([s for s in steps if not s.row.marker], fates)
        markers = [s for s in steps if s.row.marker]
        if markers and trouble is None:
            trouble = deleting.let_go(self._bare(markers, fates), fates)
        failpoints.reach("destroyed")
        failpoints.reach("settled")
        yield from fates.taken()
        if trouble is not None:
            raise trouble

    def _compared(self, batch: Batch, wanted: Wanted, positions: Sequence[int], fates: Fates) -> list[Step]:
        """The steps whose version is there as it was planned; the fates of the others."""
        part = batch.only(positions)
        several = self._entries_at(wanted, part.keys, present=True)
        entries = [named(e, revision) for e, revision in zip(several, part.revisions, strict=True)]
        page = self._page(wanted, entries, keys=part.keys)
        steps: dict[tuple[str, str], Step] = {}
        for i, (position, entry) in enumerate(zip(positions, entries, strict=True)):
            if entry is None and wanted.selection.versions == "current" and _is_replaced(several[i]):
                fates.settle(position, Outcome.CHANGED)
            elif entry is None or (entry.row.raw, entry.row.version) in steps:
                fates.settle(position, Outcome.GONE)
            elif page.revisions[i] != part.revisions[i]:
                fates.settle(position, Outcome.CHANGED)
            elif page.doubts.get(i) == OUTSIDE:
                fates.settle(position, Outcome.CHANGED, "outside")
            elif self._bucket.needs_mfa:
                fates.settle(position, Outcome.LOCKED, "mfa-delete")
            elif i in page.passable and not batch.bypass:
                fates.settle(position, Outcome.LOCKED, "governance")
            else:
                steps[entry.row.raw, entry.row.version] = Step(position, entry.row, i in page.passable)
        return list(steps.values())

    def _bare(self, markers: Sequence[Step], fates: Fates) -> list[Step]:
        """The markers that hide nothing, now that the versions of this batch are gone. One above what is locked stays with it."""
        found = self._looking.at([step.row.raw for step in markers])
        bare = []
        for step in markers:
            rows = found[step.row.raw]
            if step.row.version not in [row.version for row in rows if row.marker]:
                fates.settle(step.position, Outcome.GONE)
            elif hidden := [row for row in rows if not row.marker and is_hidden(row, step.row)]:
                locked = self._bucket.locks and any(self._bucket.all(self._is_locked, hidden))
                fates.settle(step.position, *((Outcome.LOCKED, "") if locked else (Outcome.CHANGED, "hides-versions")))
            else:
                bare.append(step)
        return bare

    def _is_locked(self, row: Row) -> bool:
        return detail_of(self._bucket, row, head=True, tags=False).locked is not None


def _is_replaced(entries: Sequence[Entry]) -> bool:
    """Whether there is a current version."""
    return any(entry.row.latest and not entry.row.marker for entry in entries)
