"""A store that can be told to keep items by itself while a hold stands, against everybody, whoever deletes there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable


@runtime_checkable
class Projecting(Protocol):
    """A store with holds of its own on single versions of items. Holds of others there are never touched."""

    def check_holds(self) -> None:
        """`StoreDenied` where the store cannot keep anything so."""
        ...

    def versions(self, revisions: Sequence[str | None]) -> Sequence[str]:
        """By what name the store keeps each revision; "" for what is no version that it can keep."""
        ...

    def are_held(self, keys: Sequence[str], versions: Sequence[str]) -> Sequence[bool | None]:
        """Whether each version bears a hold of the store's own now; None where it is not there."""
        ...


@runtime_checkable
class Keeping(Projecting, Protocol):
    """The half of a `Projecting` store that acts."""

    def keep(self, keys: Sequence[str], versions: Sequence[str], *, on: bool) -> Sequence[bool]:
        """Puts the store's own hold on each version, or takes it off, as facts; False where the version has gone.

        `StoreTrouble` where any of them failed: some may be done then, and others not.
        """
        ...
