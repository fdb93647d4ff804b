"""Letting messages go, and nothing else, whatever they are kept in.

A message goes only in the revision that its step names, when it is inside the batch's selection, read anew
where that is about headers, and not in doubt. A fact is yielded when it is durable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from retentiond.core.outcome import Outcome, Settled
from retentiond.engine.ports import Batch, Scope
from retentiond.stores.mail.boxes import LettingGo
from retentiond.stores.mail.sieve import Sieve
from retentiond.stores.mail.view import MailView, by_folder


class MailStore(MailView):
    """A view of mail that can also let go."""

    def __init__(self, boxes: LettingGo) -> None:
        super().__init__(boxes)
        self._letting_go = boxes

    def dispose(self, batch: Batch) -> Iterator[Settled]:
        """Lets the batch's messages go, folder by folder. `ValueError` for a batch that is not for mail."""
        if not batch.action.destroys or batch.action.anonymises:
            raise ValueError("only the action delete is carried out on mail")
        return self._dispose(batch, Sieve(batch.scope))

    def put_back(self, scope: Scope, keys: Sequence[str]) -> None:
        """Undoes what a cut-short disposal of these messages left half done."""
        for folder, names in by_folder(keys)[0].items():
            self._letting_go.put_back(folder, names.keys())

    def _dispose(self, batch: Batch, sieve: Sieve) -> Iterator[Settled]:
        folders, strange = by_folder(batch.keys)
        if strange:
            yield Settled(strange, Outcome.FAILED, "not-a-key")
        everything = frozenset(range(len(batch)))
        held = frozenset().union(*(everything if p.positions is None else p.positions for p in batch.predicates))
        for folder, names in folders.items():
            positions = sorted(position for each in names.values() for position in each)
            if not sieve.wants(folder):
                yield Settled(positions, Outcome.CHANGED, "outside")
                continue
            again = {position for each in names.values() for position in each[1:]}
            for some, outcome in ((held & {*positions}, Outcome.HELD), (again - held, Outcome.GONE)):
                if some:
                    yield Settled(sorted(some), outcome)
            steps = [(each[0], name) for name, each in names.items() if each[0] not in held]
            if steps:
                yield from self._letting_go.let_go(folder, steps, batch.revisions, sieve).settled()
