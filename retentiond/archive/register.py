"""The register of copies: what was written elsewhere, and in which state it is. The ledger keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from retentiond.core.copied import Copied, Origin, Written


class Register(Protocol):
    """Every call is a transaction of its own; what it has said survives a power cut."""

    def newest(self, origin: Origin, items: Sequence[tuple[str, str]]) -> Sequence[Copied | None]:
        """The newest finished copy of each (key, revision), in the destination and for the purpose of `origin`; or None."""
        ...

    def begin(self, origin: Origin, item: tuple[str, str], key: str, recipients: int, items: int = 1) -> int:
        """Notes that a copy of (key, revision) is about to be written under a key; its number. `items` are in it."""
        ...

    def about(self, number: int, people: Sequence[Sequence[tuple[str, str]]]) -> None:
        """Notes whom the originals in a begun copy are about: the identifiers (kind, value) of each item that is in it."""
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
