"""From what a system says about its files to the columns of a page.

What a status is, each kind of store says by its `Reading`; the start comes from the time of modification or from a date
in the path, the facts from the names that the pattern captures. Nothing is opened.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar
from zoneinfo import ZoneInfo

from retentiond.core.item import NOTHING, Page, key_of
from retentiond.core.pattern import PathPattern, compile_pattern, date_of, is_plain
from retentiond.core.policy import PathSelection
from retentiond.core.times import end_of
from retentiond.engine.ports import Scope

SHADOWED = "a cut-short disposal still holds another item of this name beside it, in a directory .retentiond~…"

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DATES = 10_000

Match = re.Match[str] | None
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Reading(Generic[S]):
    """How a kind of store reads a status: the revision, the size in bytes, the time of modification, a doubt of its own."""

    revision: Callable[[S], str]
    size: Callable[[S], int]
    modified: Callable[[S], datetime | None]
    doubt: Callable[[S], str | None]


def pattern_of(scope: Scope) -> PathPattern:
    """The pattern of a scope; `ValueError` for a selection, a start or a field that files do not have."""
    if not isinstance(scope.selection, PathSelection):
        raise ValueError("a store of files selects by path")  # noqa: TRY004 one error for whatever files do not have
    pattern = compile_pattern(scope.selection.pattern)
    start = scope.start
    if start.kind not in ("modified", "path", "event"):
        raise ValueError(f"files have no start of the kind {start.kind}")
    if start.kind == "path" and start.name not in pattern.dates:
        raise ValueError(f"the pattern captures no date named {start.name}")
    unknown = [name for name in scope.fields if name not in pattern.names]
    if unknown:
        raise ValueError(f"the pattern captures nothing named {', '.join(unknown)}")
    return pattern


def waiting_window(scope: Scope) -> tuple[int, int] | None:
    """The times of modification (microseconds, end excluded) of which the scope needs only the number."""
    if scope.start.kind != "modified" or scope.waiting_from is None or scope.now is None:
        return None
    low, now = ((at - EPOCH) // _MICROSECOND for at in (scope.waiting_from, scope.now))
    return low, now + 1


def floor_of(scope: Scope) -> str | None:
    """The fixed part of the pattern, a directory which is never removed; None where empty directories are kept."""
    selection = scope.selection
    if not isinstance(selection, PathSelection) or selection.empty_directories == "keep":
        return None
    return base_of(selection.pattern)


def base_of(pattern: str) -> str:
    """The fixed part of a pattern: the directory that everything it matches is below; "" is the root."""
    fixed = []
    for segment in pattern.split("/")[:-1]:
        if not is_plain(segment):
            break
        fixed.append(segment)
    return "/".join(fixed)


class Columns(Generic[S]):
    """Gathers files until they make a page, or puts those that were asked about in their places."""

    def __init__(self, scope: Scope, pattern: PathPattern, reading: Reading[S]) -> None:
        self._reading, self._doubt = reading, reading.doubt
        self._fields = scope.fields
        self._held = scope.predicates[0].hold if scope.predicates else None
        self._start: Callable[[S, Match], datetime | None] | None = {
            "modified": lambda status, _: reading.modified(status),
            "path": lambda _, match: self._date(match),
        }.get(scope.start.kind)
        self._name, self._form = scope.start.name, pattern.dates.get(scope.start.name, "")
        self._zone = ZoneInfo(scope.start.zone)
        self._dates: dict[str, datetime | None] = {}
        self._clear()

    def _clear(self) -> None:
        self.raws: list[str] = []
        self.statuses: list[S | None] = []
        self.matches: list[Match] = []
        self.doubts: dict[int, str] = {}

    def expect(self, files: int) -> None:
        """So many files were asked about; those that are not `put` are absent."""
        self.statuses, self.matches = [None] * files, [None] * files

    def put(self, position: int, status: S, match: Match, doubt: str | None = None) -> None:
        """A file that was asked about. A doubt that is given goes before that of its status."""
        self.statuses[position], self.matches[position] = status, match
        doubt = doubt or self._doubt(status)
        if doubt is not None:
            self.doubts[position] = doubt

    def __len__(self) -> int:
        return len(self.raws)

    def add(self, raw: str, status: S, match: Match, doubt: str | None = None) -> None:
        """One more file. A doubt that is given goes before that of its status."""
        doubt = doubt or self._doubt(status)
        if doubt is not None:
            self.doubts[len(self.raws)] = doubt
        self.raws.append(raw)
        self.statuses.append(status)
        self.matches.append(match)

    def page(self, keys: Sequence[str] | None = None, unseen: int = 0) -> Page:
        """What was gathered, as a page; gathering begins anew.

        A hold whose predicate only a database can evaluate covers every file: in doubt, held.
        """
        revision, size = self._reading.revision, self._reading.size
        page = Page(
            keys=_keys(self.raws) if keys is None else keys,
            revisions=[None if s is None else revision(s) for s in self.statuses],
            starts=self._starts(),
            sizes=[0 if s is None else size(s) for s in self.statuses],
            facts={name: [self._fact(m, name) for m in self.matches] for name in self._fields} if self._fields else NOTHING,
            doubts=self.doubts,
            held=dict.fromkeys(range(len(self.statuses)), self._held) if self._held is not None else NOTHING,
            unseen=unseen,
        )
        self._clear()
        return page

    def _starts(self) -> list[datetime | None]:
        start = self._start
        if start is None:
            return [None] * len(self.statuses)
        return [None if s is None else start(s, m) for s, m in zip(self.statuses, self.matches, strict=True)]

    def _fact(self, match: Match, name: str) -> str | None:
        return None if match is None else key_of(match[name])

    def _date(self, match: Match) -> datetime | None:
        if match is None:
            return None
        text = match[self._name]
        if text not in self._dates:
            if len(self._dates) >= _DATES:
                self._dates.clear()
            civil = date_of(text, self._form)
            self._dates[text] = end_of(*civil, self._zone) if civil else None
        return self._dates[text]


def _keys(raws: list[str]) -> list[str]:
    together = "".join(raws)
    return raws if together.isascii() and "b64:" not in together else [key_of(raw) for raw in raws]
