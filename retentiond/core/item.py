"""What a store shows: items, a page of them side by side.

A page travels through the program, not an item: position `i` of every column is one item,
judged, drafted, journalled and disposed of together with its neighbours. `page[i]` makes an
`Item` for whoever wants to look at one.

A key names an item within its store. Bytes that are not UTF-8 are written `b64:…` (base64 of
all the bytes of the key), and so is a name that itself begins that way, so that each item has
one key and each key one item. Keys are opaque: never normalised, never case-folded.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NamedTuple

NOTHING: Mapping[Any, Any] = MappingProxyType({})
ENCODED = "b64:"
"""How a key begins that spells its name in base64."""
WITHOUT_END = datetime(9999, 12, 31, tzinfo=UTC)
"""Until when a legal hold of a store's own lasts, which has no date."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a store holds. `revision` is None where it is absent."""

    key: str
    revision: str | None
    start: datetime | None
    size: int
    facts: Mapping[str, str | None]
    locked_until: datetime | None
    doubt: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """Items side by side, all of one selection in one store.

    `revisions[i]` changes whenever the item does, and is None for an item that is not there
    (only in the answer to a probe). `starts` are aware UTC instants, already the end of what
    the store's value denotes, or None where there is no usable date. `sizes` are bytes.
    `facts` are the fields that the scope asked for, as text. The sparse columns name single
    positions: `locked_until` the store's own locks, `doubts` why an item cannot be judged or
    disposed of safely, `held` the hold whose predicate the store found true.
    `unseen` counts further items of the selection which are certainly waiting, so that the
    store did not show them. `done` are positions that are as the scope's columns would be made,
    and `unseen_done` counts further such items that were not shown. Where the scope requires something of
    its items, `breaches` says by a code what each breaks, `uncopied` why it may not go for want of a
    verified copy elsewhere, and `assurance` counts the items by how well they are encrypted. `passable` says until when an
    item is locked by something that a person may pass (`Scope.bypass`).
    """

    keys: Sequence[str]
    revisions: Sequence[str | None]
    starts: Sequence[datetime | None]
    sizes: Sequence[int]
    facts: Mapping[str, Sequence[str | None]] = field(default_factory=lambda: NOTHING)
    locked_until: Mapping[int, datetime] = field(default_factory=lambda: NOTHING)
    doubts: Mapping[int, str] = field(default_factory=lambda: NOTHING)
    held: Mapping[int, str] = field(default_factory=lambda: NOTHING)
    unseen: int = 0
    done: frozenset[int] = frozenset()
    unseen_done: int = 0
    breaches: Mapping[int, str] = field(default_factory=lambda: NOTHING)
    uncopied: Mapping[int, str] = field(default_factory=lambda: NOTHING)
    assurance: Mapping[str, int] = field(default_factory=lambda: NOTHING)
    passable: Mapping[int, datetime] = field(default_factory=lambda: NOTHING)

    def __len__(self) -> int:
        return len(self.keys)

    def only(self, positions: Sequence[int]) -> Page:
        """The same page with some of its positions, which are numbered anew from 0; nothing of what was not shown."""
        place = {old: new for new, old in enumerate(positions)}

        def sparse(column: Mapping[int, Any]) -> dict[int, Any]:
            return {place[i]: value for i, value in column.items() if i in place}

        return Page(
            [self.keys[i] for i in positions],
            [self.revisions[i] for i in positions],
            [self.starts[i] for i in positions],
            [self.sizes[i] for i in positions],
            {name: [column[i] for i in positions] for name, column in self.facts.items()},
            sparse(self.locked_until),
            sparse(self.doubts),
            sparse(self.held),
            done=frozenset(place[i] for i in self.done if i in place),
            breaches=sparse(self.breaches),
            uncopied=sparse(self.uncopied),
            passable=sparse(self.passable),
        )

    def __getitem__(self, i: int) -> Item:
        facts = {name: column[i] for name, column in self.facts.items()}
        return Item(
            self.keys[i], self.revisions[i], self.starts[i], self.sizes[i], facts, self.locked_until.get(i), self.doubts.get(i)
        )


class Kin(NamedTuple):
    """An item that goes with another, before it: `parent` is the key of the one that it refers to.

    `held` is the hold whose predicate the store found true of it. `own` says that the rule itself
    selects such items: it goes only if it is due by itself.
    """

    key: str
    revision: str
    size: int
    parent: str
    held: str | None = None
    own: bool = False


def key_of(raw: str) -> str:
    """The key of a name as the system gives it (`os.fsdecode`: undecodable bytes as surrogates)."""
    if raw.startswith(ENCODED) or not _is_text(raw):
        return ENCODED + base64.b64encode(raw.encode("utf-8", "surrogateescape")).decode("ascii")
    return raw


def raw_of(key: str) -> str:
    """The name behind a key, undecodable bytes as surrogates.

    `ValueError` for what `key_of` does not give: another base64 spelling, or base64 of a name
    that needs none, would name one item twice.
    """
    if not key.startswith(ENCODED):
        if not _is_text(key):
            raise ValueError("a key is UTF-8")
        return key
    raw = base64.b64decode(key[len(ENCODED) :], validate=True).decode("utf-8", "surrogateescape")
    if key_of(raw) != key:
        raise ValueError("this is another spelling of a key")
    return raw


def _is_text(raw: str) -> bool:
    if raw.isascii():
        return True
    try:
        raw.encode()
    except UnicodeEncodeError:
        return False
    return True
