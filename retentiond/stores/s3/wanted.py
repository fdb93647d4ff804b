"""What a scope asks of a bucket: which rows, and what of each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from retentiond.core.canonical import digest
from retentiond.core.pattern import compile_pattern, date_of
from retentiond.core.policy import ObjectSelection, PathSelection
from retentiond.core.times import end_of, read
from retentiond.engine.ports import Scope
from retentiond.stores.paths import NEW
from retentiond.stores.s3.listing import Row

_STARTS = ("created", "modified", "path", "metadata", "tag", "event")
_DATES = 10_000
Match = re.Match[str] | None


class Wanted:
    """A scope, ready to look by; `ValueError` for a selection, a start or a field that objects do not have."""

    def __init__(self, scope: Scope, root: str) -> None:
        selection, start = scope.selection, scope.start
        if not isinstance(selection, PathSelection):
            raise ValueError("an s3 store selects by path")  # noqa: TRY004 one error for whatever objects do not have
        self.selection = selection if isinstance(selection, ObjectSelection) else ObjectSelection(selection.pattern)
        self._pattern = compile_pattern(selection.pattern)
        if start.kind not in _STARTS:
            raise ValueError(f"objects have no start of the kind {start.kind}")
        if start.kind == "path" and start.name not in self._pattern.dates:
            raise ValueError(f"the pattern captures no date named {start.name}")
        unknown = [name for name in scope.fields if name not in self._pattern.names]
        if unknown:
            raise ValueError(f"the pattern captures nothing named {', '.join(unknown)}")
        self.scope, self._root, self._zone = scope, root, ZoneInfo(start.zone)
        literal = re.split(r"[*{]", selection.pattern, maxsplit=1)[0]
        self.prefix = root + literal
        new = root + NEW
        self._new = new if new.startswith(self.prefix) and not self.selection.uploads else ""
        self._every = self._pattern.below(literal.rstrip("/")) == "all" and literal.endswith("/")
        self._form = self._pattern.dates.get(start.name, "")
        self._dates: dict[str, datetime | None] = {}
        self.needs_tags = start.kind == "tag" or bool(self.selection.tags)
        self.needs_metadata = start.kind == "metadata"
        self.by_time = start.kind in ("created", "modified")
        self.is_plain = not (scope.fields or scope.predicates or self.selection.tags or self.selection.uploads)

    @property
    def captures(self) -> bool:
        """Whether something of the match is needed beside that there is one."""
        return bool(self.scope.fields) or self.scope.start.kind == "path"

    def match(self, raw: str) -> Match | bool:
        """Whether a key is one of the selection; the match, where something of it is needed."""
        if not raw.startswith(self._root) or (self._new and raw.startswith(self._new)):
            return None  # a copy on its way is no item
        if self._every and not self.captures:
            return len(raw) > len(self.prefix) and raw.startswith(self.prefix)
        return self._pattern.match(raw[len(self._root) :])

    def takes(self, row: Row, *, hides: bool) -> bool:
        """Whether a version is one of those that are meant. `hides`: a marker, above versions that are there still."""
        if self.selection.versions == "all":
            return True
        if self.selection.versions == "current":
            return row.latest and not row.marker
        return not row.latest or (row.marker and not hides)

    def is_tagged(self, tags: Mapping[str, str] | None) -> bool:
        """Whether an object bears the tags of the selection."""
        return not self.selection.tags or (tags is not None and all(tags.get(k) == v for k, v in self.selection.tags))

    def fact(self, match: Match | bool, name: str) -> str | None:
        return match[name] if isinstance(match, re.Match) else None

    def start_of(self, row: Row, match: Match | bool, metadata: Mapping[str, str], tags: Mapping[str, str]) -> datetime | None:
        """Where the clock of a version starts; None where it has no usable date, or its event is looked up elsewhere."""
        kind, name = self.scope.start.kind, self.scope.start.name
        if self.by_time:
            return row.modified.astimezone(UTC)
        if kind == "path":
            return self._date(match)
        if kind == "metadata":
            return read(metadata.get(name.lower()), self._zone, self.scope.start.unit)
        return read(tags.get(name), self._zone, self.scope.start.unit) if kind == "tag" else None

    def revision(self, row: Row, tags: Mapping[str, str] | None, passable: datetime | None = None) -> str:
        """The revision of a row; with its tags where the rule goes by them, and a lock that it may pass: both can change."""
        if row.marker or not (self.needs_tags or passable):
            return row.revision
        told: dict[str, object] = {"tags": dict(sorted((tags or {}).items()))} if self.needs_tags else {}
        lock = {"lock": passable.isoformat()} if passable else {}
        return f"{row.revision}#{digest(told | lock)[:16]}"

    def _date(self, match: Match | bool) -> datetime | None:
        if not isinstance(match, re.Match):
            return None
        text = match[self.scope.start.name]
        if text not in self._dates:
            if len(self._dates) >= _DATES:
                self._dates.clear()
            civil = date_of(text, self._form)
            self._dates[text] = end_of(*civil, self._zone) if civil else None
        return self._dates[text]
