"""Looking at mail, without the means to change it: pages of messages, whatever they are kept in.

A key is `folder/message`. A message is opened only where the scope asks for something in its head.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from retentiond.core.item import NOTHING, Page, key_of, raw_of
from retentiond.engine.ports import OUTSIDE, PAGE, PIECE, Scope, Traits
from retentiond.errors import ItemChanged
from retentiond.stores.mail.boxes import Boxes, Sighted
from retentiond.stores.mail.head import Head
from retentiond.stores.mail.sieve import NO_HEAD, Fit, Sieve

_HEAVIEST = 2**22
"""A page with so many characters of facts is full, however few its messages are."""


class MailView:
    """An open handle on mail that only looks; it belongs to the thread that opened it."""

    def __init__(self, boxes: Boxes) -> None:
        self._boxes = boxes

    @property
    def place(self) -> str:
        """The host and the real path, or the server and its user."""
        return self._boxes.place

    @property
    def traits(self) -> Traits:
        """As the kind of mailbox has them."""
        return self._boxes.traits

    def scan(self, scope: Scope) -> Iterator[Page]:
        """Every message of the scope, once. `ValueError` for a scope that mail does not have, before anything is read."""
        return self._scan(scope, Sieve(scope))

    def probe(self, scope: Scope, keys: Sequence[str]) -> Page:
        """These messages as they are now. What is no key of a message here is absent."""
        sieve = Sieve(scope)
        columns = _Columns(scope, sieve)
        columns.expect(keys)
        for folder, positions in by_folder(keys)[0].items():
            found = self._boxes.find(folder, positions.keys(), sieve)
            for name, sighted in found.items():
                for position in positions[name]:
                    columns.put(position, folder, sighted)
        return columns.page()

    def warnings(self, scope: Scope) -> Sequence[str]:
        sieve = Sieve(scope)
        found = list(self._boxes.warnings())
        if not any(sieve.wants(folder) for folder in self._boxes.folders()):
            found.append("the selection matches no folder")
        return found

    def read(self, scope: Scope, key: str, revision: str) -> Iterator[bytes]:
        """A message as it would be sent: its head and its body, as they are stored."""
        with self._boxes.open(*_named(key), revision) as content:
            if content is None:
                raise ItemChanged
            offset = 0
            while piece := content.at(offset, PIECE):
                yield piece
                offset += len(piece)
            if offset != content.size or not content.is_there():
                raise ItemChanged

    def edges(self, scope: Scope, key: str, revision: str, head: int, tail: int) -> tuple[bytes, bytes]:
        """The first and the last bytes of a message."""
        with self._boxes.open(*_named(key), revision) as content:
            if content is None:
                raise ItemChanged
            found = content.at(0, head), content.at(max(0, content.size - tail), tail)
            if not content.is_there():
                raise ItemChanged
            return found

    def close(self) -> None:
        self._boxes.close()

    def _scan(self, scope: Scope, sieve: Sieve) -> Iterator[Page]:
        columns = _Columns(scope, sieve)
        for folder in self._boxes.folders():
            for sighted in self._boxes.messages(folder, sieve) if sieve.wants(folder) else ():
                columns.add(folder, sighted)
                if columns.is_full:
                    yield columns.page()
        if columns.begun:
            yield columns.page()


class _Columns:
    """Gathers messages until they make a page, or puts those that were asked about in their places."""

    def __init__(self, scope: Scope, sieve: Sieve) -> None:
        self._scope, self._sieve = scope, sieve
        self._held = scope.predicates[0].hold if scope.predicates else None
        self._waits = scope.start.kind in ("created", "modified") and scope.waiting_from is not None and scope.now is not None
        self._clear([])

    def _clear(self, keys: Sequence[str]) -> None:
        self._keys = list(keys)
        self._revisions: list[str | None] = [None] * len(keys)
        self._starts: list[datetime | None] = [None] * len(keys)
        self._sizes = [0] * len(keys)
        self._facts: list[Sequence[str | None]] = [()] * len(keys)
        self._doubts: dict[int, str] = {}
        self._unseen = self._weight = 0

    def expect(self, keys: Sequence[str]) -> None:
        """These were asked about; those that are not `put` are absent."""
        self._clear(keys)

    @property
    def begun(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self._keys or self._unseen)

    @property
    def is_full(self) -> bool:
        return len(self._keys) >= PAGE or self._weight >= _HEAVIEST

    def add(self, folder: str, sighted: Sighted) -> None:
        """One more message of a folder that the selection wants: it is shown, counted as waiting, or does not fit."""
        waits = sighted.doubt is None and self._is_waiting(sighted.delivered)
        if waits and not self._sieve.by_head:
            self._unseen += 1
            return
        head = self._head(sighted)
        if head is None:
            return
        fit = self._sieve.fit(folder, head)
        if not fit.selected:
            return
        if waits and fit.doubt is None:
            self._unseen += 1
            return
        self._keys.append(key_of(f"{folder}/{sighted.name}"))
        self._revisions.append(None)
        self._starts.append(None)
        self._sizes.append(0)
        self._facts.append(())
        self._fill(len(self._keys) - 1, folder, sighted, head, fit)

    def put(self, position: int, folder: str, sighted: Sighted) -> None:
        """A message in its place."""
        head = self._head(sighted)
        if head is not None:
            self._fill(position, folder, sighted, head, self._sieve.fit(folder, head))

    def _head(self, sighted: Sighted) -> Head | None:
        return sighted.head() if self._sieve.needs_head else NO_HEAD

    def _fill(self, position: int, folder: str, sighted: Sighted, head: Head, fit: Fit) -> None:
        """A message of which the head is known. A doubt of its own goes before that of its headers."""
        facts, unreadable = self._sieve.facts(folder, fit, head)
        doubt = sighted.doubt or (fit.doubt or unreadable if fit.selected else OUTSIDE)
        if doubt:
            self._doubts[position] = doubt
        self._revisions[position], self._sizes[position] = sighted.revision, sighted.size
        self._starts[position] = self._sieve.start(sighted.delivered, head)
        self._facts[position] = facts
        self._weight += sum(len(fact) for fact in facts if fact)

    def page(self) -> Page:
        """What was gathered, as a page; gathering begins anew. A hold by a predicate covers every message: in doubt, held."""
        fields = self._scope.fields
        blank = [None] * len(fields)
        rows = [facts or blank for facts in self._facts]
        page = Page(
            keys=self._keys,
            revisions=self._revisions,
            starts=self._starts,
            sizes=self._sizes,
            facts={name: [row[n] for row in rows] for n, name in enumerate(fields)} if fields else NOTHING,
            doubts=self._doubts,
            held=dict.fromkeys(range(len(self._keys)), self._held) if self._held is not None else NOTHING,
            unseen=self._unseen,
        )
        self._clear([])
        return page

    def _is_waiting(self, delivered: datetime | None) -> bool:
        low, now = self._scope.waiting_from, self._scope.now
        return self._waits and delivered is not None and low is not None and now is not None and low <= delivered <= now


def by_folder(keys: Sequence[str]) -> tuple[Mapping[str, Mapping[str, list[int]]], list[int]]:
    """The positions of each message by folder and name, and the positions that are no key of a message."""
    found: dict[str, dict[str, list[int]]] = {}
    strange = []
    for position, key in enumerate(keys):
        try:
            folder, name = _named(key)
        except ItemChanged:
            strange.append(position)
        else:
            found.setdefault(folder, {}).setdefault(name, []).append(position)
    return found, strange


def _named(key: str) -> tuple[str, str]:
    """The folder and the name that a key says; `ItemChanged` for what is no key of a message."""
    try:
        raw = raw_of(key)
    except ValueError:
        raise ItemChanged from None
    folder, slash, name = raw.rpartition("/")
    if not slash or not folder or not name or "\0" in raw or key_of(raw) != key:
        raise ItemChanged
    return folder, name
