"""A store that lets items go by itself, by a rule of its own: what the engine asks of it beside what it asks of all."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from retentiond.engine.ports import Scope


@runtime_checkable
class Expiring(Protocol):
    """A store that can let items go by itself, by a rule of its own which we install (`Scope.expiry`)."""

    def expires(self, scope: Scope) -> str:
        """How the rule stands there: "" as it should, `ABSENT`, or a digest of what it is instead.

        `StoreDenied` where the store could not keep it, or would let other things go than the scope.
        """
        ...


@runtime_checkable
class Withdrawing(Protocol):
    """The half of an `Expiring` store that acts."""

    def withdraw(self, name: str) -> bool:
        """Takes a rule of this name away, and nothing else; whether there was one. From then on nothing expires by it."""
        ...
