"""What is copied together, and how the copy is called."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from retentiond.archive.originals import Original, Rows
from retentiond.core.item import Page, key_of, raw_of
from retentiond.core.mail import identifiers
from retentiond.core.naming import rendered
from retentiond.core.policy import Archive, TableSelection
from retentiond.engine.ports import Batch, Scope

_SHORT = 16
"""So many hex digits of a digest tell two batches, or two manifests, apart."""


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """Positions of a batch that become one copy; `item` is their key and revision in the register."""

    positions: tuple[int, ...]
    item: tuple[str, str]
    original: Original | Rows


def people_of(scope: Scope, page: Page, i: int) -> list[tuple[str, str]]:
    """Whom an item is about, by what the rule maps: (kind, value); nothing where it names nobody."""
    facts = ((kind, page.facts[name][i]) for kind, name in scope.subject if name in page.facts)
    return [(kind, value) for kind, fact in facts for value in identifiers(scope.selection, fact)]


class Names:
    """How the copies of one chunk are called, by the template of their archive. `NamingError` where one has no name."""

    def __init__(self, archive: Archive, batch: Batch, page: Page, zone: ZoneInfo) -> None:
        self._archive, self._batch, self._page, self._zone = archive, batch, page, zone
        self._rows = isinstance(batch.scope.selection, TableSelection)

    def of(self, unit: Unit) -> str:
        """The key of a unit's copy."""
        if self._rows:
            return key_of(rendered(self._archive.path, self._known_of_rows(_digest("\0".join(unit.item))), None))
        i = unit.positions[0]
        return key_of(rendered(self._archive.path, self._known(i, raw_of(self._batch.keys[i])), self._date(i)))

    def by_manifest(self, units: Iterable[Unit]) -> Iterator[list[Unit]]:
        """The units that one manifest lists: those whose folders and fields are alike, as far as names of copies tell them.

        So whoever is taken out by the path of their copies takes the list of them along, and nobody else's.
        """
        alike: dict[str, list[Unit]] = {}
        for unit in units:
            alike.setdefault(self._listed(unit, "manifest"), []).append(unit)
        yield from alike.values()

    def of_manifest(self, first: Unit, body: bytes) -> str:
        """Beside the first copy, by the same rule of names, so that whatever rule lets the copies go means it too."""
        return key_of(self._listed(first, f"manifest-{hashlib.sha256(body).hexdigest()[:_SHORT]}"))

    def _listed(self, unit: Unit, word: str) -> str:
        """How a copy beside a unit's would be called that has this word for its name."""
        if self._rows:
            return rendered(self._archive.path, self._known_of_rows(word), None)
        i = unit.positions[0]
        raw = raw_of(self._batch.keys[i])
        name = f"{word}.jsonl"
        if "{key}" not in self._archive.path and "{name}" not in self._archive.path:  # a field tells copies apart
            folder = rendered(self._archive.path, self._known(i, raw), self._date(i)).rpartition("/")[0]
            return f"{folder}/{name}{'.age' if self._archive.recipients else ''}".lstrip("/")
        known = {**self._known(i, raw), "key": f"{raw.rpartition('/')[0]}/{name}".lstrip("/"), "name": name}
        return rendered(self._archive.path, known, self._date(i))

    def _known(self, i: int, raw: str) -> Mapping[str, str | None]:
        scope = self._batch.scope
        facts = {name: column[i] for name, column in self._page.facts.items()}
        return {**facts, "key": raw, "name": raw.rpartition("/")[2], "category": scope.category, "rule": scope.rule}

    def _known_of_rows(self, batch: str) -> Mapping[str, str | None]:
        scope = self._batch.scope
        assert isinstance(scope.selection, TableSelection)
        return {"table": scope.selection.table, "batch": batch, "category": scope.category, "rule": scope.rule}

    def _date(self, i: int) -> datetime | None:
        start = self._page.starts[i]
        return None if start is None else start.astimezone(self._zone)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_SHORT]
