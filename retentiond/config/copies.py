"""What is copied elsewhere: `archive` as an action, `copy`, and what `require` demands.

Guarantee: what compiles goes to a declared store of another place, which lies where the category's data may be, under
a name that the items have; is encrypted where somebody demands it; and is read by nobody but the recipients, each of
whom can be encrypted to. Whether two stores that are named apart are one place after all is seen when they are opened.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from retentiond.config.copy_shapes import ArchiveShape, CopiesShape, CopyShape, RequireShape
from retentiond.config.places import inside
from retentiond.config.reading import Part, Reading, read
from retentiond.config.shapes import RuleShape
from retentiond.config.stores import Declared
from retentiond.config.suggest import did_you_mean, listed, quoted
from retentiond.core.naming import OF_ITEMS, OF_ROWS, TELLING, NamingError, words_of
from retentiond.core.policy import Archive, Category, Copies, Copying, Requirement
from retentiond.errors import Problem

_EXAMPLE = "write encrypt: [age1…], with the recipients that age-keygen -y prints"
_ITEM_PATH, _ROW_PATH = "{category}/{rule}/{key}", "{category}/{rule}/{table}-{batch}.jsonl"


class Named(Protocol):
    """A selection that names fields of its items."""

    @property
    def names(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class Here:
    """Where a rule is: its store, all stores, and the places that its category allows (None where these are not known)."""

    store: Declared | None
    stores: Mapping[str, Declared] | None
    locations: Collection[str] | None
    pattern: Named | None
    found: list[Problem]
    dated: bool = True

    @property
    def has_rows(self) -> bool:
        """Whether the rule is about rows."""
        return self.store is not None and self.store.selects == "table"


def archive_of(part: Part, here: Here, *, demanded: bool) -> Archive | None:
    """Where items are archived; None where something is wrong with it. `demanded`: the rule asks for encryption."""
    before = len(here.found)
    shape = read(ArchiveShape, part, here.found)
    _destination(shape, "to", here)
    path = shape.get("path")
    if shape.has("path"):
        _path(shape.where("path"), path, here)
    if demanded and shape.lacks("encrypt"):
        why = "the rule requires its items to be encrypted, and so are their copies"
        here.found.append(part.problem_with_key("'archive' has no recipients", why, _EXAMPLE))
    if len(here.found) > before or not shape.has("to"):
        return None
    recipients = tuple(shape.get("encrypt") or ())
    default = (_ROW_PATH if here.has_rows else _ITEM_PATH) + (".age" if recipients else "")
    return Archive(shape.get("to"), path or default, recipients)


def copy_of(rule: Reading[RuleShape], here: Here) -> Copying | None:
    """Where every item is copied to; None where it is not, or something is wrong with it."""
    part = rule.piece("copy")
    if part is None or part.data is None:
        return None
    before = len(here.found)
    shape = read(CopyShape, part, here.found)
    _destination(shape, "to", here)
    _no_rows(part, "copy", here)
    if len(here.found) > before or not shape.has("to"):
        return None
    return Copying(shape.get("to"), tuple(shape.get("encrypt") or ()))


def requirement_of(rule: Reading[RuleShape], here: Here, copied: Copying | None) -> Requirement | None:
    """What is required of every item; None where nothing is, or something is wrong with it."""
    part = rule.piece("require")
    if part is None or part.data is None:
        return None
    before = len(here.found)
    shape = read(RequireShape, part, here.found)
    if not part.data:
        here.found.append(part.problem("'require' is empty", "it demands nothing", "write {encrypted: any}, or leave it out"))
    _no_rows(part, "require", here)
    copies = _copies(shape.piece("copies"), here, copied)
    if len(here.found) > before:
        return None
    return Requirement(shape.get("encrypted"), copies)


def _copies(part: Part | None, here: Here, copied: Copying | None) -> Copies | None:
    if part is None or part.data is None:
        return None
    shape = read(CopiesShape, part, here.found)
    _destination(shape, "store", here)
    store = shape.get("store")
    if store and copied is not None and copied.to != store:
        why = f"'copy' makes them in {quoted(copied.to)}"
        here.found.append(shape.where("store").problem("the copies are required elsewhere", why, f"write store: {copied.to}"))
    return Copies(store, shape.get("at_least")) if shape.has("store") else None


def _no_rows(part: Part, what: str, here: Here) -> None:
    if here.has_rows:
        why = "rows are no files; the database's own backups are, in the store where they lie"
        here.found.append(part.problem_with_key(f"'{what}' is not for rows", why, "write it in the rule about the backups"))


def _destination(shape: Reading[ArchiveShape] | Reading[CopyShape] | Reading[CopiesShape], key: str, here: Here) -> None:
    """That a store can take copies, lies elsewhere, and where the category allows."""
    name, stores = shape.get(key), here.stores
    if not shape.has(key) or stores is None:
        return
    where = shape.where(key)
    if name not in stores:
        why = f"declared are {listed(stores)}"
        here.found.append(where.problem(f"the store {quoted(name)} is not declared", why, did_you_mean(name, stores)))
        return
    there = stores[name]
    if there.selects in ("table", "mail"):
        why = f"its type is {there.type}, and copies are files"
        here.found.append(where.problem(f"the store {quoted(name)} takes no copies", why, "name a store of files"))
    if here.store is not None and _same(here.store, there):
        why = "a copy beside the original goes with it, by the same fire or the same rule"
        here.found.append(where.problem(f"the store {quoted(name)} is the same place", why, "name a store somewhere else"))
    if there.location and here.locations is not None and there.location not in here.locations:
        why = f"the store is in {quoted(there.location)}, and the category's locations are {listed(here.locations)}"
        do = did_you_mean(there.location, here.locations, f"add {there.location} to the locations, or name another store")
        here.found.append(where.problem(f"the store {quoted(name)} is where the category may not be", why, do))


_PLACES = {"s3": (("bucket", "endpoint"), "prefix"), "sftp": (("host", "port"), "path")}
"""What names the server side of a place, whoever comes there, and what is below it."""


def _same(one: Declared, other: Declared) -> bool:
    """Whether two stores are one place, or one lies in the other, as far as their options tell."""
    if one is other:
        return True
    if one.local_path and other.local_path:
        return inside(one.local_path, other.local_path) or inside(other.local_path, one.local_path)
    if one.definition is None or other.definition is None or one.type != other.type:
        return False
    mine, others = one.definition.options, other.definition.options
    if one.type not in _PLACES:
        return mine == others
    names, below = _PLACES[one.type]
    roots = [f"{str(options.get(below) or '').rstrip('/')}/".lstrip("/") for options in (mine, others)]
    nested = roots[0].startswith(roots[1]) or roots[1].startswith(roots[0])
    return nested and all(str(mine.get(name) or "") == str(others.get(name) or "") for name in names)


def _path(part: Part, template: str, here: Here) -> None:
    """That the path of a copy can be rendered of what is known of each item, and tells two items apart."""
    try:
        names = [name for name, _ in words_of(template)]
    except NamingError as error:
        here.found.append(part.problem("the path cannot be used", str(error), "write for example {category}/{key}.age"))
        return
    known = [*(OF_ROWS if here.has_rows else OF_ITEMS), *(here.pattern.names if here.pattern is not None else ())]
    for name in dict.fromkeys(names):
        if name not in known:
            why = f"known of {'rows' if here.has_rows else 'items'} are {listed(known)}"
            here.found.append(part.problem(f"the path has an unknown word {quoted(name)}", why, did_you_mean(name, known)))
    if "date" in names and not here.dated:
        why = "the clock of the rule starts at an event, and an item has no date of its own"
        here.found.append(part.problem("the path has a date", why, "name it by {key}"))
    telling = {"batch"} if here.has_rows else TELLING - {"batch"}
    captured = here.pattern is not None and set(here.pattern.names) & set(names)
    if not telling & set(names) and not captured:
        word = "{batch}" if here.has_rows else "{key}"
        here.found.append(part.problem("the path is the same for every copy", "each has a name of its own", f"add {word}"))


def unencrypted(categories: Mapping[str, Category], parts: Mapping[str, Part]) -> Iterable[Problem]:
    """Copies that would be a violation where they come to: written plain into a store that some rule wants encrypted."""
    rules = [(name, rule) for name, category in categories.items() for rule in category.rules]
    wanting = {rule.store for _, rule in rules if rule.require is not None and rule.require.encrypted is not None}
    for name, rule in rules:
        part = parts[name].at("rules").at(rule.name)
        archive, copying = rule.action.archive, rule.copy
        already = rule.require is not None and rule.require.encrypted is not None
        why, what = "a rule on it requires that what lies there is encrypted", "would be written in plain"
        if archive is not None and archive.to in wanting and not archive.recipients:
            where = part.at("action").at("archive")
            yield where.problem_with_key(f"the archive {what} into {quoted(archive.to)}", why, _EXAMPLE)
        if copying is not None and copying.to in wanting and not copying.recipients and not already:
            yield part.at("copy").problem_with_key(f"the copies {what} into {quoted(copying.to)}", why, _EXAMPLE)
