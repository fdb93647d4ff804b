"""How well something is encrypted, as far as looking at it can tell; and what breaks a promise that it is.

    client_authenticated > client_unauthenticated > server_side > weak > plain > unknown

Whoever holds a store must not be able to read what lies in it, so only the first two are encryption in the sense of
a promise. What is in no known form is `unknown`, and that is as bad as plain: nothing can be said for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Assurance = Literal["client_authenticated", "client_unauthenticated", "server_side", "weak", "plain", "unknown"]
ASSURANCES: tuple[Assurance, ...] = (
    "client_authenticated",
    "client_unauthenticated",
    "server_side",
    "weak",
    "plain",
    "unknown",
)
"""From the best to the worst."""
Encrypted = Literal["age", "openpgp", "any"]
"""What a rule can ask for: one format, or any that is encryption."""
OTHER = "another-format"


@dataclass(frozen=True, slots=True)
class Recognised:
    """What something is: the name of its format (`unknown` for none), and how well it is encrypted."""

    format: str
    assurance: Assurance


UNKNOWN = Recognised("unknown", "unknown")


def is_kept_from_the_store(found: Recognised) -> bool:
    """Whether whoever holds the store cannot read it."""
    return found.assurance in ("client_authenticated", "client_unauthenticated")


def breach(found: Recognised, expected: Encrypted) -> str:
    """What of a promise is broken, as a code; empty where it is kept."""
    if not is_kept_from_the_store(found):
        return found.assurance.replace("_", "-")
    return OTHER if expected not in ("any", found.format) else ""
