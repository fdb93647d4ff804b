"""What a sandbox has to open so that the rules can be kept: the paths of this machine, and why each.

Guarantee: nothing is looked at but the configuration, and whether the path of mail is one file. A path that no
rule, no event and not the program itself needs is not among them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from retentiond.config.settings import Settings
from retentiond.config.stores import local_path
from retentiond.core.policy import Rulebook, StoreDefinition

_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 named because a sandbox replaces them; nothing is made there
"""What `ProtectHome=` and `PrivateTmp=` put something empty in the place of."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A directory (absolute, links followed), for whom it is opened, and how.

    `vital`: without it nothing can run; a store may be away. `hidden`: it lies where a sandbox
    shows nothing, so that it has to be shown again even to be read.
    """

    path: str
    why: str
    writable: bool
    vital: bool

    @property
    def hidden(self) -> bool:
        return any(_within(self.path, folder) for folder in _HIDDEN)


def openings(settings: Settings, rulebook: Rulebook) -> list[Opening]:
    """What is to be opened, by path. What lies below another opening of the same kind is covered by it."""
    wanted = [o for o in (*_own(settings), *_stores(rulebook), *_anchors(settings)) if o.writable or o.hidden]
    found: list[Opening] = []
    for opening in sorted(wanted, key=lambda o: (o.path, not o.writable, not o.vital)):
        above = next((at for at, other in enumerate(found) if _covers(other, opening)), None)
        if above is None:
            found.append(opening)
        elif opening.vital:
            found[above] = replace(found[above], vital=True)
    return found


def _covers(other: Opening, opening: Opening) -> bool:
    return _within(opening.path, other.path) and other.writable >= opening.writable and other.hidden >= opening.hidden


def _own(settings: Settings) -> Iterator[Opening]:
    """What the program itself lives on. The signing key is made once, by a person, and then only read."""
    yield _opening(settings.state.directory, "the state", writable=True, vital=True)
    if settings.state.file is not None:
        yield _opening(os.path.dirname(settings.state.file), "the database of the state", writable=True, vital=True)
    yield _opening(settings.audit.reference_keys, "the reference keys, a new one each year", writable=True, vital=True)
    if isinstance(settings.audit.signing_key, str):
        yield _opening(os.path.dirname(settings.audit.signing_key), "the signing key", writable=False, vital=True)
    yield _opening(settings.folder, "the configuration", writable=False, vital=True)
    yield _opening(settings.policies, "the policies", writable=False, vital=True)


def _stores(rulebook: Rulebook) -> Iterator[Opening]:
    for name, rules in _used(rulebook).items():
        store = rulebook.stores[name]
        path = local_path(store.type, store.options)
        if path:
            yield _opening(*_place(store, path), writable=_is_database(store) or any(rules.values()), vital=False)


def _anchors(settings: Settings) -> Iterator[Opening]:
    """Local folders into which checkpoints are written."""
    for one in settings.audit.anchors:
        store = settings.stores[one.place[0]] if one.way == "store" else None
        path = local_path(store.type, store.options) if store else ""
        if path:
            yield _opening(path, f"checkpoints go into the store {one.place[0]}", writable=True, vital=False)


def _used(rulebook: Rulebook) -> Mapping[str, Mapping[str, bool]]:
    """The stores that rules and events name; for each, its rules and whether they dispose of something there, or write."""
    found: dict[str, dict[str, bool]] = {}
    for category in rulebook.categories.values():
        for store in rulebook.stores_of(category):
            found.setdefault(store, {})
        for rule in category.rules:
            name = f"{category.name}/{rule.name}"
            found[rule.store][name] = not rule.action.keeps
            for other in rule.stores[1:]:
                found[other][name] = rule.copies_to(other)
    return found


def _place(store: StoreDefinition, path: str) -> tuple[str, str]:
    """SQLite makes its journal beside the database, and one in WAL mode a file for whoever only looks."""
    if _is_database(store):
        return os.path.dirname(os.path.realpath(path)), f"the store {store.name}, with SQLite's journal beside it"
    if store.options.get("format") == "mbox" and os.path.isfile(path):
        return os.path.dirname(os.path.realpath(path)), f"the store {store.name}, with its lock beside it"
    return path, f"the store {store.name}"


def _is_database(store: StoreDefinition) -> bool:
    return "url" in store.options


def _opening(path: str, why: str, *, writable: bool, vital: bool) -> Opening:
    return Opening(os.path.realpath(path), why, writable, vital)


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
