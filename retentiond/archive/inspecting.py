"""Looking into what a store shows, where a rule requires that it is encrypted: a view before the view.

Whatever a rule requires of its items is looked at in every one of them, due or not. Of each new or changed item the
first 64 KiB are read and the end of it, once: what was seen of a revision is remembered. What cannot be told is
`unknown`, which breaks the promise as plain text does, and is in doubt besides, so that nothing ever goes for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from retentiond.archive.passing import readable
from retentiond.archive.patience import Patient
from retentiond.archive.recognise import recognise
from retentiond.archive.repositories import Repositories
from retentiond.archive.sample import HEAD, TAIL, Sample, Wants
from retentiond.core.assurance import UNKNOWN, Recognised, breach, is_kept_from_the_store
from retentiond.core.item import Page
from retentiond.engine.ports import Scope, View
from retentiond.errors import ItemChanged, StoreDenied

NOT_KNOWN = "nobody can say what it is, where an encrypted one was promised"
NOT_ENCRYPTED = "it is not encrypted as promised, so it counts as no generation"
CHANGING = "it changed while it was looked at"


class Inspections(Protocol):
    """What was seen of items, by the place, the key and the revision."""

    def known(self, place: str, items: Sequence[tuple[str, str]]) -> Sequence[Recognised | None]:
        """What is remembered of each (key, revision)."""
        ...

    def note(self, place: str, seen: Sequence[tuple[str, str, Recognised]]) -> None:
        """Remembers what was seen of (key, revision)."""
        ...


class Forgetful:
    """Remembers nothing: for whoever may write nothing."""

    def known(self, place: str, items: Sequence[tuple[str, str]]) -> Sequence[Recognised | None]:
        return [None] * len(items)

    def note(self, place: str, seen: Sequence[tuple[str, str, Recognised]]) -> None:
        """Nothing."""


class Inspector:
    """Tells what items are. `StoreDenied` for a store that gives out no bytes."""

    def __init__(self, view: View, patient: Patient, inspections: Inspections) -> None:
        readable(view)
        self._view, self._patient, self._inspections = view, patient, inspections
        self._repositories = Repositories(view, patient)

    def inspected(self, scope: Scope, page: Page, *, lined_up: bool) -> Page:
        """The page with what each item breaks. `lined_up`: items are judged together, and a bad one counts for none."""
        required = scope.require.encrypted if scope.require is not None else None
        if required is None or not len(page):
            return page
        breaches, doubts, classes = dict(page.breaches), dict(page.doubts), Counter[str]()
        for i, found in self._recognised(scope, page):
            if found is None:
                doubts.setdefault(i, CHANGING)
                continue
            classes[found.assurance] += 1
            broken = breach(found, required)
            if not broken:
                continue
            breaches[i] = broken
            if found.assurance == "unknown":
                doubts.setdefault(i, NOT_KNOWN)
            elif lined_up:
                doubts.setdefault(i, NOT_ENCRYPTED)
        return replace(page, breaches=breaches, doubts=doubts, assurance=classes)

    def _recognised(self, scope: Scope, page: Page) -> Iterator[tuple[int, Recognised | None]]:
        """What each item that is there is; None for one that changed meanwhile."""
        there = [(i, page.keys[i], revision) for i, revision in enumerate(page.revisions) if revision is not None]
        known = self._inspections.known(self._view.place, [(key, revision) for _, key, revision in there])
        new: list[tuple[str, str, Recognised]] = []
        for (i, key, revision), before in zip(there, known, strict=True):
            if before is not None:
                yield i, self._repositories.still(key, before)
                continue
            try:
                found = self._look(scope, key, revision, page.sizes[i])
            except ItemChanged:
                yield i, None
                continue
            except StoreDenied:  # this one may not be read: nothing is known of it, and that is not remembered
                yield i, UNKNOWN
                continue
            new.append((key, revision, found))
            yield i, found
        if new:
            self._inspections.note(self._view.place, new)

    def _look(self, scope: Scope, key: str, revision: str, size: int) -> Recognised:
        head, tail = self._patient.edges(scope, key, revision, HEAD, TAIL)
        sample = Sample(head, tail, size)
        found = recognise(sample)
        if isinstance(found, Wants):
            _, tail = self._patient.edges(scope, key, revision, 0, found.tail)
            found = recognise(Sample(head, tail, size))
        found = UNKNOWN if isinstance(found, Wants) else self._repositories.part(key, sample, found)
        return found if is_kept_from_the_store(found) else self._attested(key, revision, found)

    def _attested(self, key: str, revision: str, found: Recognised) -> Recognised:
        """What the store itself encrypts is better than nothing, and no more than that: it can read it."""
        way = self._patient.server_side(key, revision)
        return Recognised(way, "server_side") if way else found
