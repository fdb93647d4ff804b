"""What a scope wants of messages: which of them, from when their clock runs, and which facts.

A message of which cannot be told whether the selection means it, because a header is unreadable, is
shown, in doubt: so it is counted in every plan, and never goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from retentiond.core.item import NOTHING, key_of
from retentiond.core.mail import ADDRESSED, CORRESPONDENTS, FOLDER, TextPattern, compile_text, field_of
from retentiond.core.pattern import compile_pattern
from retentiond.core.policy import MailSelection
from retentiond.engine.ports import Scope
from retentiond.stores.mail.head import Head, Unreadable

DOUBT = "a header that the rule looks at cannot be read"
NO_HEAD = Head(NOTHING, whole=True)


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a selection means a message, what its patterns captured, and what is doubted."""

    selected: bool
    captured: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    doubt: str | None = None


_OUT = Fit(selected=False)


class Sieve:
    """A scope made ready for messages; `ValueError` for what messages do not have."""

    def __init__(self, scope: Scope) -> None:
        selection = scope.selection
        if not isinstance(selection, MailSelection):
            raise ValueError("a mail store selects by folder and header")  # noqa: TRY004 one error for whatever messages do not have
        if scope.start.kind not in ("created", "modified", "header", "event"):
            raise ValueError(f"messages have no start of the kind {scope.start.kind}")
        self._folder = compile_pattern(selection.folder)
        self._conditions = tuple(_conditions(selection))
        self._fields = tuple((name, field_of(name)) for name in scope.fields)
        self._dated = field_of(scope.start.name) if scope.start.kind == "header" else ""
        self._delivered = scope.start.kind in ("created", "modified")
        self.zone = ZoneInfo(scope.start.zone)
        self._names = {*self._folder.names, *(n for _, patterns in self._conditions for p in patterns for n in p.names)}
        asked = {field for name, field in self._fields if name not in self._names} - {FOLDER}
        self.by_head = bool(self._conditions)
        self.headers = frozenset({field for field, _ in self._conditions} | asked | ({self._dated} - {""}))

    @property
    def needs_head(self) -> bool:
        """Whether a message has to be opened."""
        return bool(self.headers)

    def wants(self, folder: str) -> bool:
        """Whether messages of a folder can be meant."""
        return self._folder.match(folder) is not None

    def fit(self, folder: str, head: Head) -> Fit:
        """Whether the selection means a message."""
        found = self._folder.match(folder)
        if found is None:
            return _OUT
        captured = {name: key_of(value) for name, value in found.groupdict().items()}
        doubt = None
        for header, patterns in self._conditions:
            said = head.said(header)
            if isinstance(said, Unreadable):
                doubt = DOUBT
                continue
            one = _first(patterns, said)
            if one is None:
                return _OUT
            captured |= one
        return Fit(True, captured, doubt)

    def start(self, delivered: datetime | None, head: Head) -> datetime | None:
        """When the clock of a message starts; of an event only the engine knows."""
        if self._dated:
            return head.date(self._dated, self.zone)
        return delivered if self._delivered else None

    def facts(self, folder: str, fit: Fit, head: Head) -> tuple[list[str | None], str | None]:
        """The fields that the scope asks for, in its order, and what is doubted of them."""
        facts: list[str | None] = []
        doubt = None
        for name, spelled in self._fields:
            if name in self._names:
                facts.append(fit.captured.get(name))
            elif spelled == FOLDER:
                facts.append(key_of(folder))
            else:
                said = head.said(spelled)
                doubt = DOUBT if isinstance(said, Unreadable) else doubt
                facts.append(None if isinstance(said, Unreadable) or not any(said) else "\n".join(said))
        return facts, doubt


def names_of_headers(fields: frozenset[str]) -> frozenset[str]:
    """The headers that are needed for some fields."""
    return (fields - {CORRESPONDENTS}) | (ADDRESSED if CORRESPONDENTS in fields else frozenset())


def _conditions(selection: MailSelection) -> Iterator[tuple[str, tuple[TextPattern, ...]]]:
    for header, patterns in (("from", selection.senders), ("to", selection.recipients)):
        if patterns:
            yield header, tuple(compile_text(pattern) for pattern in patterns)
    for name, pattern in selection.headers:
        yield field_of(name), (compile_text(pattern),)


def _first(patterns: Sequence[TextPattern], lines: Sequence[str]) -> Mapping[str, str] | None:
    """What the first pattern that fits a line captures from it; None where none does."""
    return next((found for pattern in patterns for line in lines if (found := pattern.match(line)) is not None), None)
