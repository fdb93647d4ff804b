"""Erasure requests (Art. 17 GDPR), and which items of a rule they mean.

A request never says who asked: its identifiers are keyed references, and an item is about the person
where one of its fields makes the same reference. So a request can be obeyed for as long as it stands
(after a hold is released, after a restore, after an import) without anybody being written down.

What a request reaches (`reach`), of all that is about the person:

    whole   everything: a person has just asked, and somebody looks at the plan
    back    what is no newer than the request, or has no date of its own: somebody replays it
    known   what is no newer than the request, or is known to have stayed: every look, and nobody looks on

In doubt an item is a newcomer's, and stays.

Two kinds of items name nobody, and are about a person all the same: those of a set (`core.linked`) of which another item names
the person, and archives and copies that were written of the person's items and hold nobody else's.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from retentiond.core.item import NOTHING, Page
from retentiond.core.mail import address_of, as_fact, identifiers
from retentiond.core.policy import Rule

Reach = Literal["whole", "back", "known"]
Ground = Literal["a", "b", "c", "d", "e"]

GROUNDS: Mapping[Ground, str] = {
    "a": "freedom of expression and information, Art. 17(3)(a)",
    "b": "a legal obligation, Art. 17(3)(b)",
    "c": "public health, Art. 17(3)(c)",
    "d": "archiving, research or statistics, Art. 17(3)(d)",
    "e": "legal claims, Art. 17(3)(e)",
}
"""The grounds on which Art. 17(3) GDPR lets an erasure be refused."""

NO_GROUND: Mapping[str, str] = {
    "locked": "the store's own lock",
    "referred": "other items need it; no ground of Art. 17(3)",
    "set": "another item of its set stays",
    "doubt": "it cannot be judged or disposed of safely; no ground of Art. 17(3)",
    "keep": "the action of the rule is keep, without a ground of Art. 17(3): a person has to decide",
}
"""Why something stays for the time being on no ground of the law."""

REASON = "erasure request"


@dataclass(frozen=True, slots=True)
class ErasureRequest:
    """A request by the index of its entry in the audit log. `subjects` are (kind, reference) under the keys of `year`.

    `left` has for each (category, rule) the references of what stayed when it was looked at last; None
    where nobody could look. `copies` has by store the keys of the archives and copies of what was the person's.
    """

    entry: int
    year: int
    at: datetime
    subjects: frozenset[tuple[str, str]]
    reach: Reach = "known"
    left: Mapping[tuple[str, str], frozenset[str] | None] = field(default_factory=lambda: NOTHING)
    copies: Mapping[str, frozenset[str]] = field(default_factory=lambda: NOTHING)


class Naming(Protocol):
    """Makes keyed references under the keys of a year."""

    def subject(self, year: int, kind: str, value: str) -> str:
        """The reference of one identifier of a person."""
        ...

    def item(self, year: int, category: str, store: str, key: str) -> str:
        """The reference of an item."""
        ...


@dataclass(frozen=True, slots=True)
class Meant:
    """What requests mean of a page: the request of each position, and the positions of people who are newer than theirs."""

    erased: Mapping[int, int] = field(default_factory=lambda: NOTHING)
    newer: Sequence[int] = ()


def spellings_of(subject: tuple[str, str], rules: Iterable[Rule]) -> set[str]:
    """How facts may spell an identifier: as it was given, as an address of mail, and as the fields of these rules do."""
    kind, value = subject
    found = {as_fact(rule.selection, rule.subject[kind], value) for rule in rules if kind in rule.subject}
    return {value, address_of(value) or value, *found}


Led = Mapping[int, Sequence[int]]
"""By the hashes of the values of a link: the requests about whom an item of the set is."""


class Erased:
    """The requests that one rule has to obey. `led` are the sets of its category of which an item names one of these people."""

    def __init__(self, requests: Iterable[ErasureRequest], category: str, rule: Rule, naming: Naming, led: Led = NOTHING) -> None:
        self._category, self._rule, self._naming, self._led = category, rule, naming, led
        self._requests = {r.entry: r for r in requests if self._concerns(r)}
        self._by: dict[tuple[int, str], dict[str, list[ErasureRequest]]] = {}
        for request in self._requests.values():
            for kind, reference in request.subjects:
                if kind in rule.subject:
                    self._by.setdefault((request.year, kind), {}).setdefault(reference, []).append(request)

    def __bool__(self) -> bool:
        return bool(self._requests)

    def meant(self, page: Page) -> Meant:
        """What the requests mean of a page. What is anonymised already is nobody's."""
        erased, newer = dict[int, int](), list[int]()
        about, along = self._about(page), self._along(page)
        along |= {i: found for i, found in self._left(page, {*about, *along}).items() if self._is_dated(found[0], page, i)}
        for i in sorted({*about, *along}):
            mine = next((r for r in about.get(i, ()) if self._reaches(r, page, i)), next(iter(along.get(i, ())), None))
            if mine is None:
                newer.append(i)
            else:
                erased[i] = mine.entry
        return Meant(erased, newer)

    def still(self, page: Page, entry: int) -> list[bool]:
        """Asked again at the moment of disposal: which items are about the person of a request."""
        about, along = self._about(page), self._along(page)
        left = self._left(page, set())
        each = ((*about.get(i, ()), *along.get(i, ()), *left.get(i, ())) for i in range(len(page)))
        return [any(r.entry == entry for r in found) for found in each]

    def stayed(self, page: Page, erased: Mapping[int, int]) -> set[int]:
        """The positions, of those that requests mean, that are known to have stayed when their person was looked for last."""
        return {i for i, entry in erased.items() if self._has_stayed(self._requests[entry], page.keys[i])}

    def is_about(self, entry: int, subject: tuple[str, str]) -> bool:
        """Whether a request is about whom an identifier in clear names."""
        request = self._requests.get(entry)
        kind = subject[0]
        if request is None or all(kind != mine for mine, _ in request.subjects):
            return False
        spellings = spellings_of(subject, [self._rule])
        return any((kind, self._naming.subject(request.year, kind, one)) in request.subjects for one in spellings)

    def _concerns(self, request: ErasureRequest) -> bool:
        rule = self._rule
        return bool(rule.link) or rule.store in request.copies or any(kind in rule.subject for kind, _ in request.subjects)

    def _along(self, page: Page) -> dict[int, list[ErasureRequest]]:
        """What goes along with a person's items: the rest of their sets, and what was copied of them."""
        found: dict[int, list[ErasureRequest]] = {}
        for request in self._requests.values():
            keys = request.copies.get(self._rule.store, frozenset())
            for i, key in enumerate(page.keys) if keys else ():
                if key in keys:
                    found.setdefault(i, []).append(request)
        for i, value in enumerate(page.facts[self._rule.link]) if self._led and len(page) else ():
            if value is not None and i not in page.done:
                mine = [self._requests[entry] for entry in self._led.get(hash(value), ()) if entry in self._requests]
                found.setdefault(i, []).extend(mine)
        return {i: requests for i, requests in found.items() if requests}

    def _left(self, page: Page, besides: Container[int]) -> dict[int, list[ErasureRequest]]:
        """What of a person's sets is known to have stayed: what named the person may have gone before it."""
        found: dict[int, list[ErasureRequest]] = {}
        for request in self._requests.values() if self._rule.link else ():
            stayed = request.left.get((self._category, self._rule.name)) or frozenset()
            for i, key in enumerate(page.keys) if stayed else ():
                if i in besides or i in page.done or page.revisions[i] is None:
                    continue
                if self._has_stayed(request, key):
                    found.setdefault(i, []).append(request)
        return found

    @staticmethod
    def _is_dated(request: ErasureRequest, page: Page, i: int) -> bool:
        start = page.starts[i]
        return start is not None and start <= request.at

    def _about(self, page: Page) -> dict[int, list[ErasureRequest]]:
        found: dict[int, list[ErasureRequest]] = {}
        for (year, kind), known in self._by.items() if len(page) else ():
            for i, fact in enumerate(page.facts[self._rule.subject[kind]]):
                for value in identifiers(self._rule.selection, fact) if i not in page.done else ():
                    requests = known.get(self._naming.subject(year, kind, value))
                    if requests:
                        found.setdefault(i, []).extend(requests)
        return found

    def _reaches(self, request: ErasureRequest, page: Page, i: int) -> bool:
        start = page.starts[i]
        if request.reach == "whole" or self._is_dated(request, page, i):
            return True
        undated = start is None or self._rule.start.kind == "event"
        if request.reach == "back" and undated:
            return True
        stayed = request.left.get((self._category, self._rule.name), frozenset())
        if stayed is None:
            return undated
        return self._has_stayed(request, page.keys[i])

    def _has_stayed(self, request: ErasureRequest, key: str) -> bool:
        stayed = request.left.get((self._category, self._rule.name))
        return bool(stayed) and self._naming.item(request.year, self._category, self._rule.store, key) in (stayed or ())


@dataclass(frozen=True, slots=True)
class Stay:
    """What stays of a person in one rule on one ground: how many items, and until when at least, where that is known.

    `ground` is `hold`, `minimum`, a letter of `GROUNDS`, a word of `NO_GROUND`, `due` (it goes with the next
    plan), or `unseen`; `words` are the mandate, or why.
    """

    ground: str
    words: str
    items: int
    until: str | None = None

    @property
    def lawful(self) -> bool:
        """Whether the law knows this ground."""
        return self.ground in ("hold", "minimum", *GROUNDS)

    @property
    def code(self) -> str:
        """The ground as an entry of the audit log has it."""
        return f"art-17-3-{self.ground}" if self.ground in GROUNDS else self.ground


@dataclass(frozen=True, slots=True)
class Stays:
    """What stays of a person in one rule: the references of the items (None: nobody could look), by ground."""

    store: str
    items: frozenset[str] | None
    grounds: Sequence[Stay]
