"""Whether two stores are two places: names of a server, links and mounts can make one place look like two.

The first copy tells. Where it lies in the destination and appears in the source as well, under the same key, at the moment
at which it was written, both are one place; that copy is taken away again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from retentiond.archive.reading import EVERYTHING
from retentiond.core.policy import Action
from retentiond.engine.ports import OUTSIDE, Batch, Store, View
from retentiond.errors import StoreDenied


class Apart:
    """A destination and a source of its copies; None where there is nothing that could be the same."""

    def __init__(self, store: Store, source: View | None) -> None:
        self._store, self._source = store, source
        self._same, self._proven = False, source is None

    @contextmanager
    def looked_at(self, name: str) -> Iterator[None]:
        """While a copy of this name is written, until one has told. `StoreDenied` where the two are one place, and ever after."""
        if self._same:
            raise self._refusal()
        before = self._proven or self._is_seen(name)
        yield
        if before:
            return
        self._same = self._is_seen(name)
        self._proven = not self._same
        if self._same:
            self._withdraw(name)
            raise self._refusal()

    def may_be_itself(self, name: str) -> bool:
        """Whether what lies there may be an item of the source: nothing has told yet, and the source has one of this name."""
        return not self._proven and self._is_seen(name)

    def _is_seen(self, name: str) -> bool:
        assert self._source is not None
        page = self._source.probe(EVERYTHING, [name])
        return page.revisions[0] is not None and page.doubts.get(0) != OUTSIDE

    def _withdraw(self, name: str) -> None:
        (revision,) = self._store.probe(EVERYTHING, [name]).revisions
        if revision is not None:
            for _ in self._store.dispose(Batch(0, EVERYTHING, Action("delete"), [name], [revision])):
                pass

    @staticmethod
    def _refusal() -> StoreDenied:
        why = "what is written in the one appears in the other"
        return StoreDenied(
            "the store of the copies is the same place under another name", why=why, do="name a store somewhere else"
        )
