"""What was written elsewhere, as values: of what, where it lies, and in which state it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Purpose = Literal["archive", "copy", "found", "manifest"]
"""An archive, a copy that we made, one that others made and we compared, and the list of what is in an archive."""
State = Literal["begun", "kept", "gone"]
"""Begun and perhaps never finished; verified where it lies; gone by a rule of ours about the store that it lay in."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose copies these are: category, rule, the name of the store and its place, and the store that they go to."""

    purpose: Purpose
    category: str
    rule: str
    store: str
    place: str
    destination: str


@dataclass(frozen=True, slots=True)
class Copied:
    """One copy: its `key` in the destination, the revision in which it was `found` there, the digest and size of its bytes.

    `items` is how many items are in it: rows go together. `at` is in microseconds. What is begun has no digest yet.
    """

    id: int
    purpose: Purpose
    category: str
    rule: str
    store: str
    destination: str
    key: str
    state: State
    found: str | None
    sha256: str | None
    size: int | None
    items: int
    recipients: int
    at: int


@dataclass(frozen=True, slots=True)
class Written:
    """A begun copy that has been verified where it lies."""

    id: int
    found: str
    sha256: str
    size: int


def together(items: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """Several (key, revision) as one, for a copy that holds them all."""
    keys, revisions = zip(*items, strict=True)
    return json.dumps(keys), json.dumps(revisions)
