"""A view before a view: what it shows, with what each item breaks of what its rule requires."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from retentiond.core.item import Page
from retentiond.engine.ports import Scope, Traits, Versioned, View

Look = Callable[[Scope, Page], Page]
"""Looks at a page, and adds what it has found."""


class Requiring:
    """A view of one rule. It closes nothing: the handle behind it belongs to whoever opened it."""

    def __init__(self, view: View, looks: Sequence[Look]) -> None:
        self._view, self._looks = view, looks

    @property
    def place(self) -> str:
        return self._view.place

    @property
    def traits(self) -> Traits:
        return self._view.traits

    def scan(self, scope: Scope) -> Iterator[Page]:
        for page in self._view.scan(scope):
            yield self._looked_at(scope, page)

    def probe(self, scope: Scope, keys: Sequence[str]) -> Page:
        return self._looked_at(scope, self._view.probe(scope, keys))

    def probe_revisions(self, scope: Scope, keys: Sequence[str], revisions: Sequence[str]) -> Page:
        """Where a key can hold one item only, which changes in place, what is there now is shown."""
        if isinstance(self._view, Versioned):
            return self._looked_at(scope, self._view.probe_revisions(scope, keys, revisions))
        return self.probe(scope, keys)

    def warnings(self, scope: Scope) -> Sequence[str]:
        return self._view.warnings(scope)

    def close(self) -> None:
        """The handle stays open."""

    def _looked_at(self, scope: Scope, page: Page) -> Page:
        for look in self._looks:
            page = look(scope, page)
        return page
