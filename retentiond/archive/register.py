"""The register of copies: what was written elsewhere, and in which state it is. The ledger keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from retentiond.core.copied import Copied, Origin, Written

People = Sequence[Sequence[tuple[str, str]]]
"""Of each item the identifiers (kind, value) of whom it is about; none where it names nobody."""


class Register(Protocol):
    """Every call is a transaction of its own; what it has said survives a power cut."""

    def newest(self, origin: Origin, items: Sequence[tuple[str, str]]) -> Sequence[Copied | None]:
        """The newest finished copy of each (key, revision), in the destination and for the purpose of `origin`; or None."""
        ...

    def begin(self, origin: Origin, item: tuple[str, str], key: str, recipients: int, items: int = 1, people: People = ()) -> int:
        """Notes that a copy of (key, revision) is about to be written under a key; its number. `items` are in it.

        `people` are whom they are about.
        """
        ...

    def drop(self, number: int) -> None:
        """Forgets a begun copy of which nothing was left."""
        ...

    def keep(self, origin: Origin, written: Sequence[Written]) -> None:
        """Notes verified copies, with the entry that says so."""
        ...

    def moved(self, number: int, found: str) -> None:
        """Notes that the same bytes are there in another revision."""
        ...

    def gone(self, destination: str, keys: Sequence[str]) -> None:
        """Notes that a rule about the destination has disposed of these."""
        ...
