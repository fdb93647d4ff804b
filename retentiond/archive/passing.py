"""A store before a store, which passes everything on: what stands between changes one thing, and says which."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from retentiond.core.item import Page
from retentiond.core.outcome import Settled
from retentiond.engine.ports import Batch, Evaluating, Readable, Restoring, Scope, Store, Traits, Versioned, View
from retentiond.errors import StoreDenied, StoreTrouble

Hear = Callable[[str, StoreTrouble], None]
"""Told that another store has failed (its name, and what it said), where that is the fate of an item and no error."""


class Passing:
    """Passes everything on to the store behind it, optional powers included. It closes nothing that it was handed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def place(self) -> str:
        return self._store.place

    @property
    def traits(self) -> Traits:
        """One lane: what stands between speaks to the ledger, which has one writer."""
        return replace(self._store.traits, lanes=1)

    def scan(self, scope: Scope) -> Iterator[Page]:
        return self._store.scan(scope)

    def probe(self, scope: Scope, keys: Sequence[str]) -> Page:
        return self._store.probe(scope, keys)

    def probe_revisions(self, scope: Scope, keys: Sequence[str], revisions: Sequence[str]) -> Page:
        """Where a key can hold one item only, which changes in place, what is there now is shown."""
        if isinstance(self._store, Versioned):
            return self._store.probe_revisions(scope, keys, revisions)
        return self._store.probe(scope, keys)

    def warnings(self, scope: Scope) -> Sequence[str]:
        return self._store.warnings(scope)

    def dispose(self, batch: Batch) -> Iterator[Settled]:
        return self._store.dispose(batch)

    def put_back(self, scope: Scope, keys: Sequence[str]) -> None:
        """Where the store behind it leaves nothing half done, there is nothing to put back."""
        if isinstance(self._store, Restoring):
            self._store.put_back(scope, keys)

    def unaskable(self, scope: Scope) -> Mapping[str, str]:
        """A store that evaluates nothing has no predicate asked of it."""
        return self._store.unaskable(scope) if isinstance(self._store, Evaluating) else {}

    def read(self, scope: Scope, key: str, revision: str) -> Iterator[bytes]:
        """`StoreDenied` where the store behind it gives out no bytes."""
        return readable(self._store).read(scope, key, revision)

    def edges(self, scope: Scope, key: str, revision: str, head: int, tail: int) -> tuple[bytes, bytes]:
        """`StoreDenied` where the store behind it gives out no bytes."""
        return readable(self._store).edges(scope, key, revision, head, tail)

    def close(self) -> None:
        """The handle belongs to whoever opened it."""


def readable(view: View) -> Readable:
    """The view as one that gives out bytes; `StoreDenied` where it is none."""
    if not isinstance(view, Readable):
        raise StoreDenied("the store does not let its items be read", do="name a store of files, objects or sftp")
    return view
