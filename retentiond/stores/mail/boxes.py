"""What a kind of mailbox shows, and how one lets go: Maildir, mbox and IMAP are the three."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from retentiond.engine.ports import Traits
from retentiond.stores.fates import Fates
from retentiond.stores.mail.head import Head
from retentiond.stores.mail.sieve import Sieve
from retentiond.stores.paths import Step

TWICE = "another message has the same name in this folder"
SHADOWED = "a cut-short disposal still holds another message of this name beside it, in a file .retentiond~…"
IN_DOUBT = "in-doubt"


@dataclass(frozen=True, slots=True)
class Sighted:
    """A message as it is now. `head` opens it, and answers None where it has gone meanwhile.

    `delivered` is when it came here (UTC), as far as the mailbox says, and never what its sender wrote.
    """

    name: str
    revision: str
    delivered: datetime | None
    size: int
    head: Callable[[], Head | None]
    doubt: str | None = None

    def with_head(self) -> Sighted:
        """The same with its head read already."""
        head = self.head()
        return replace(self, head=lambda: head)


class Content(Protocol):
    """The bytes of one message, which stay the same as long as it is open."""

    size: int

    def at(self, offset: int, count: int) -> bytes:
        """At most so many bytes from an offset; none at the end."""
        ...

    def is_there(self) -> bool:
        """Whether the message is still in the folder in the revision that was opened."""
        ...


class Boxes(Protocol):
    """The folders of one store of mail, opened for looking. Errors are those of stores (`engine.ports`)."""

    @property
    def place(self) -> str: ...

    @property
    def traits(self) -> Traits: ...

    def folders(self) -> Iterator[str]:
        """The name of every folder, once; undecodable bytes as surrogates."""
        ...

    def messages(self, folder: str, sieve: Sieve) -> Iterator[Sighted]:
        """Every message of a folder, once; none where there is no such folder."""
        ...

    def find(self, folder: str, names: Collection[str], sieve: Sieve) -> Mapping[str, Sighted]:
        """Those of the named messages that are there."""
        ...

    def open(self, folder: str, name: str, revision: str) -> AbstractContextManager[Content | None]:
        """The bytes of a message; None where it is not there in this revision."""
        ...

    def warnings(self) -> Sequence[str]:
        """What an operator should know of this store, in sentences without data."""
        ...

    def close(self) -> None: ...


class LettingGo(Boxes, Protocol):
    """The same, opened for disposal."""

    def let_go(self, folder: str, steps: Sequence[Step], revisions: Sequence[str], sieve: Sieve) -> Fates:
        """Disposes of messages of one folder that are still in their revision, selected and not in doubt, durably."""
        ...

    def put_back(self, folder: str, names: Collection[str]) -> None:
        """Undoes what a cut-short disposal of these messages left half done."""
        ...


def left_alone(sighted: Sighted, folder: str, sieve: Sieve) -> str:
    """Why a message that is in its revision may not go all the same, as a fixed word; "" where it may."""
    if sighted.doubt is not None:
        return IN_DOUBT
    if not sieve.by_head:
        return ""
    head = sighted.head()
    if head is None:
        return IN_DOUBT
    fit = sieve.fit(folder, head)
    return IN_DOUBT if fit.doubt else "" if fit.selected else "outside"
