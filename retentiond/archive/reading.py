"""Reading whole what lies in a destination, by its key, whatever rule is about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from retentiond.archive.passing import readable
from retentiond.core.policy import PathSelection, Start
from retentiond.engine.digest import Digest
from retentiond.engine.ports import Scope, View

EVERYTHING = Scope(PathSelection("**"), Start("modified"))
"""How whatever lies in a destination is asked for by its key."""
Reading = Callable[[str, str, int], tuple[str, int]]
"""The SHA-256 (hex) and the size of a key in a revision that should have so many bytes. Errors as with `Readable.read`."""


def digest_of(pieces: Iterable[bytes]) -> tuple[str, int]:
    """The SHA-256 (hex) and the size of some bytes."""
    digest = Digest()
    for piece in pieces:
        digest.add(piece)
    return digest.hex(), digest.size


def reading(view: View) -> Reading:
    """Reads by this handle, however long it takes."""
    return lambda key, revision, _: digest_of(readable(view).read(EVERYTHING, key, revision))
