"""Archives and copies as people ask for them: which there are, whether they are whole, and bringing them back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from retentiond.app.house import House
from retentiond.archive.reading import EVERYTHING, Reading
from retentiond.archive.restoring import restored
from retentiond.core.copied import Copied
from retentiond.engine.ports import PAGE
from retentiond.errors import ItemChanged, StoreTrouble, UsageError

Condition = Literal["there", "whole", "missing", "changed", "damaged", "unfinished", "unseen"]
"""There as it was left; read and found to be what was written; not there; there in another revision; there with other
bytes; begun by a run that was cut short; in a store that cannot be seen now."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One copy, and how it is now."""

    copied: Copied
    condition: Condition


def listed(house: House, *, destination: str | None = None, category: str | None = None, read: bool = False) -> Iterator[Listed]:
    """Every archive and copy that was noted, oldest first. With `read` each is read, and its digest compared."""
    known = [one for one in house.copies.all(destination) if category in (None, one.category)]
    for name in dict.fromkeys(one.destination for one in known):
        mine = [one for one in known if one.destination == name]
        for low in range(0, len(mine), PAGE):
            yield from _looked_at(house, name, mine[low : low + PAGE], read=read)


def _looked_at(house: House, name: str, some: Sequence[Copied], *, read: bool) -> Iterator[Listed]:
    try:
        view = house.view(name)
        revisions = view.probe(EVERYTHING, [one.key for one in some]).revisions
    except (StoreTrouble, KeyError):
        yield from (Listed(one, "unseen") for one in some)
        return
    for one, revision in zip(some, revisions, strict=True):
        yield Listed(one, _condition(one, revision, house.patient(name).digest if read else None))


def _condition(one: Copied, revision: str | None, read: Reading | None) -> Condition:
    if one.state == "begun":
        return "unfinished"
    if revision is None:
        return "missing"
    if read is None:
        return "there" if revision == one.found else "changed"
    try:
        return "whole" if read(one.key, revision, one.size or 0) == (one.sha256, one.size) else "damaged"
    except ItemChanged:
        return "changed"
    except StoreTrouble:
        return "unseen"


def restore(
    house: House, keys: Sequence[str], *, store: str | None, everything: bool, identity: str | None, into: Path
) -> Iterator[tuple[str, Path]]:
    """Brings archives back into a folder, one after the other: the key of each and its file. Errors are those of `restored`."""
    noted = house.copies.all(store) if house.directory.exists() else []
    name = _store(house, store, noted)
    known = {one.key: one for one in noted if one.destination == name and one.state == "kept"}
    wanted = [key for key, one in known.items() if one.purpose == "archive"] if everything else list(dict.fromkeys(keys))
    if not wanted:
        raise UsageError("no archive is named", do="name the key of one, as `retentiond archive list` shows it, or --all")
    if identity is not None and not Path(identity).is_file():
        raise UsageError("there is no such file of an identity", do="name the file that age-keygen has written")
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    view = house.view(name)
    for key in wanted:
        yield key, restored(view, key, known.get(key), identity, into)


def _store(house: House, store: str | None, noted: Sequence[Copied]) -> str:
    if store is not None:
        if store not in house.rulebook.stores:
            raise UsageError(f"there is no store '{store}'", do="the stores are: " + ", ".join(house.rulebook.stores))
        return store
    names = list(dict.fromkeys(one.destination for one in noted))
    if len(names) != 1:
        why = f"archives lie in {', '.join(names)}" if names else "nothing was archived from here"
        raise UsageError("it is not known which store is meant", why=why, do="name it: --store NAME")
    return names[0]
