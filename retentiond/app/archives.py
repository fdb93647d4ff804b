"""Archives and copies as people ask for them: which there are, whether they are whole, and bringing them back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from retentiond.app.house import House
from retentiond.archive.reading import EVERYTHING, Reading
from retentiond.archive.restoring import restored
from retentiond.config.places import inside
from retentiond.config.stores import local_path
from retentiond.core.copied import Copied
from retentiond.engine.ports import PAGE, View
from retentiond.errors import ItemChanged, RetentiondError, StoreTrouble, StoreUnavailable, UsageError

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


@dataclass(frozen=True, slots=True)
class Brought:
    """What became of one archive: the file that it is now, whether that was there before, or why there is none."""

    key: str
    path: Path | None = None
    was_there: bool = False
    error: RetentiondError | None = None


def restore(
    house: House, keys: Sequence[str], *, store: str | None, everything: bool, identity: str | None, into: Path
) -> Iterator[Brought]:
    """Brings archives back into a folder, one after the other, and goes on after one that cannot be brought back.

    Where one key alone is named, its error is raised. Once the store cannot be reached, no more of it is tried.
    """
    noted = house.copies.all(store) if house.directory.exists() else []
    if everything and not any(one.purpose == "archive" and one.state == "kept" for one in noted):
        raise _not_noted(store)
    name = _store(house, store, noted)
    known = {one.key: one for one in noted if one.destination == name and one.state == "kept"}
    wanted = [key for key, one in known.items() if one.purpose == "archive"] if everything else list(dict.fromkeys(keys))
    if not wanted:
        raise (
            _not_noted(name)
            if everything
            else UsageError("no archive is named", do="name the key of one, as `retentiond archive list` shows it, or --all")
        )
    if identity is not None and not Path(identity).is_file():
        raise UsageError("there is no such file of an identity", do="name the file that age-keygen has written")
    if identity is None and any(key in known and known[key].recipients for key in wanted):
        raise UsageError("what is wanted is encrypted", do="name the identity of a recipient: --identity FILE")
    _keep_out_of_stores(house, into)
    _make(into)
    view = house.view(name)
    if not everything and len(wanted) == 1:
        yield Brought(wanted[0], *restored(view, wanted[0], known.get(wanted[0]), identity, into))
        return
    lost: StoreUnavailable | None = None
    for key in wanted:
        if lost is not None:
            yield Brought(key, error=StoreUnavailable("it was not tried", why=lost.what, do=lost.do))
            continue
        try:
            yield Brought(key, *restored(view, key, known.get(key), identity, into))
        except RetentiondError as error:
            yield Brought(key, error=error)
            lost = error if isinstance(error, StoreUnavailable) and not _is_there(view) else None


def _is_there(view: View) -> bool:
    """Whether the store answers now: what broke off may have been one archive's trouble."""
    try:
        view.probe(EVERYTHING, ["-"])
    except StoreUnavailable:
        return False
    return True


def _not_noted(store: str | None) -> UsageError:
    where = f" for the store {store}" if store is not None else ""
    return UsageError(
        f"nobody here knows which archives there are{where}",
        why="the list of them is in the state, and this state has none",
        do="name their keys one by one, as they lie in the store: retentiond archive restore KEY… --store NAME --into DIR; "
        "or bring a backup of the state back first",
    )


def _make(into: Path) -> None:
    try:
        into.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError("the folder cannot be made", why=error.strerror or "", do="name another one: --into DIR") from error


def _keep_out_of_stores(house: House, into: Path) -> None:
    """`UsageError` for a folder in, above, or the same as a store: what is brought back is not encrypted, and no item there."""
    for name, store in house.rulebook.stores.items():
        place = local_path(store.type, store.options) if store.type in ("files", "mail") else ""
        if place and (_lies_in(into, Path(place)) or _lies_in(Path(place), into)):
            raise UsageError(
                "the folder overlaps with a store",
                why=f"what was brought back would lie in the store {name}, or beside its items, and be taken for one of them",
                do="name a folder apart from every store: --into DIR",
            )


def _lies_in(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or lies in it, links and mounts followed."""
    if inside(str(path), str(folder)):
        return True
    real = path.resolve()
    return folder.exists() and any(above.exists() and above.samefile(folder) for above in (real, *real.parents))


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
