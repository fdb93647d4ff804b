"""Reading claims: items whose disposal was cut short, and the names that they had.

As files on a local disk: `<directory>/.retentiond~<16 random hex digits>/<the item's own name>`. Nothing here changes
anything. Which claims a directory has is only told by a listing of it, so a handle that acts remembers it: nobody else
makes claims meanwhile, since that takes the execute lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from retentiond.core.item import NOTHING
from retentiond.stores.paths import RESERVED
from retentiond.stores.sftp.listing import listed, walked
from retentiond.stores.sftp.packets import Attributes
from retentiond.stores.sftp.root import Root
from retentiond.stores.sftp.session import Session

_REMEMBERED = 4096


class Claimed(NamedTuple):
    """A claimed file: the claim directory that it is in, and what it is."""

    claim: str
    attributes: Attributes


class Found(NamedTuple):
    """The claims of one directory: the claimed files by their own names, and the names of the claim directories."""

    items: Mapping[str, Claimed]
    claims: Sequence[str]


def is_claim(name: str, attributes: Attributes) -> bool:
    """Whether an entry of a listing is a claim directory."""
    return name.startswith(RESERVED) and attributes.is_directory


def claimed_in(root: Root, session: Session, directory: str, claims: Iterable[str]) -> dict[str, Claimed]:
    """The files in some claim directories of a directory, by their own names. The first of several is shown."""
    found: dict[str, Claimed] = {}
    prefix = directory and directory + "/"
    for claim in sorted(claims):
        for part in listed(root, session, prefix + claim):
            for name, attributes in part.entries:
                if attributes.is_file:
                    found.setdefault(name, Claimed(claim, attributes))
    return found


_NONE = Found(NOTHING, ())


class Claims:
    """The claims of directories, each looked for once."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._of: dict[str, Found] = {}

    def of(self, directories: Iterable[str]) -> Mapping[str, Found]:
        """The claims of directories; what is not known yet is looked for together."""
        asked = list(directories)
        unknown = [directory for directory in asked if directory not in self._of]
        if len(self._of) + len(unknown) > _REMEMBERED:
            self._of.clear()
            unknown = asked
        session = self._root.session()
        claims: dict[str, list[str]] = {directory: [] for directory in unknown}
        for part in walked(self._root, session, unknown, lambda _: False, RESERVED.encode()):
            claims[part.directory] += [name for name, attributes in part.entries if is_claim(name, attributes)]
        for directory, names in claims.items():
            self._of[directory] = Found(claimed_in(self._root, session, directory, names), names) if names else _NONE
        return {directory: self._of[directory] for directory in asked}

    def forget(self, directory: str | None = None) -> None:
        """What is known of a directory may not be so any more; of all of them where none is named."""
        if directory is None:
            self._of.clear()
        else:
            self._of.pop(directory, None)
