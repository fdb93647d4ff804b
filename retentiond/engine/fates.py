"""What became of a batch that was cut short, concluded by looking: `disposed` is marked as inferred by whoever asks."""

from __future__ import annotations

from collections.abc import Sequence

from retentiond.core.outcome import Outcome, Settled
from retentiond.engine.ports import Batch, Restoring, Store, sighted


def inferred_fates(store: Store, batch: Batch, positions: Sequence[int]) -> list[Settled]:
    """What must have become of a batch that was cut short, by looking: nothing is destroyed.

    Present in its revision: nothing happened. Another revision: changed. Absent: disposed, by
    inference, since an intent of ours stood before it. What was to be anonymised is disposed of
    where it is done now, whatever its revision says; absent, somebody else removed it.
    """
    anonymises = batch.action.anonymises
    if isinstance(store, Restoring):
        store.put_back(batch.scope, batch.keys)
    page = sighted(store, batch)
    fates: dict[tuple[Outcome, str], list[int]] = {}
    for i, (position, now, then) in enumerate(zip(positions, page.revisions, batch.revisions, strict=True)):
        if now is None and batch.action.kind == "lifecycle":
            fate = (Outcome.INSTALLED, "")
        elif now is None:
            fate = (Outcome.GONE, "") if anonymises else (Outcome.DISPOSED, "")
        elif anonymises and i in page.done:
            fate = (Outcome.DISPOSED, "")
        elif now == then:
            fate = (Outcome.FAILED, "cut-short")
        else:
            fate = (Outcome.CHANGED, "")
        fates.setdefault(fate, []).append(position)
    return [Settled(found, outcome, code) for (outcome, code), found in fates.items()]
