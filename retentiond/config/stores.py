"""The stores that `retentiond.yaml` declares: their options, checked by their types, secrets by reference.

Guarantee: no store is opened, and no secret is read. A store with a mistake in it is still
declared, so that the rules that name it can be judged.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from retentiond.config.places import absolute, absolute_url, zone_problem
from retentiond.config.reading import Part, entries, kind_of
from retentiond.config.secrets import is_reference, reference, refuse_inline_password
from retentiond.config.suggest import did_you_mean, listed, quoted
from retentiond.config.words import Unreadable
from retentiond.core.item import NOTHING
from retentiond.core.policy import StoreDefinition
from retentiond.engine.ports import StoreType
from retentiond.errors import ConfigurationError, Problem

_SECRETS = frozenset({"password", "access_key", "secret_key"})
_SECRETS_OF_TYPE: Mapping[str, frozenset[str]] = {"sftp": frozenset({"key", "passphrase"})}
_LOCAL = frozenset({"files", "mail"})
"""Types whose `path` is one of this machine."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A declared store, as far as it could be read; `definition` is None where something is wrong with it.

    `local_path` is the real place of a store on this machine, as far as its options tell.
    """

    where: Part
    type: str
    selects: Literal["path", "table", "mail", "unknown"]
    location: str = ""
    zone: str = ""
    local_path: str = ""
    definition: StoreDefinition | None = None
    written: Mapping[str, str] = field(default_factory=lambda: NOTHING)


def declared_stores(
    part: Part | None, folder: str, types: Mapping[str, StoreType], found: list[Problem]
) -> dict[str, Declared] | None:
    """Every declared store by its name; None where the stores are no mapping at all."""
    if part is None or part.data is None:
        return None
    stores = {name: _declared(name, entry, folder, types, found) for name, entry in entries(part, "store", found)}
    if part.data == {}:
        found.append(part.problem("no stores", "without a place to look at there is nothing to do", "declare one"))
    return stores if isinstance(part.data, dict) else None


def _declared(name: str, part: Part, folder: str, types: Mapping[str, StoreType], found: list[Problem]) -> Declared:
    if not isinstance(part.data, dict):
        found.append(
            part.problem(f"the store '{name}' is no mapping", f"it is {kind_of(part.data)}", "write {type: …, location: …}")
        )
        return Declared(part, "", "unknown")
    before = len(found)
    type_name, location = (_required(part, key, found) for key in ("type", "location"))
    known = _known(part, type_name, types, found) if type_name else None
    options, written, bad = _options(part, type_name, folder, found)
    zone = _zone(part, options, bad, found)
    if known is not None:
        found += _problems(part, known, options, bad)
    _compare_location(part, known, location, options, found)
    definition = StoreDefinition(name, type_name, location, options) if len(found) == before else None
    path = local_path(type_name, options)
    return Declared(part, type_name, _selects(type_name, known), location, zone, path, definition, written)


def _required(part: Part, key: str, found: list[Problem]) -> str:
    value = part.data.get(key)
    if isinstance(value, str) and value.strip():
        return value
    if key in part.data:
        found.append(part.at(key).problem(f"'{key}' of a store is {kind_of(value)}", "it is a text"))
    else:
        found.append(part.problem_with_key(f"'{key}' is missing", f"every store has its {key}", f"add {key}: …"))
    return ""


def _known(part: Part, name: str, types: Mapping[str, StoreType], found: list[Problem]) -> StoreType | None:
    """The type of this name, which may be loaded only now; a plugin that fails to load is a problem like others."""
    try:
        if name in types:
            return types[name]
        found.append(_unknown_type(part.at("type"), name, types))
    except ConfigurationError as error:
        found += [part.at("type").problem(p.what, p.why, p.do) for p in error.problems]
    return None


def _unknown_type(part: Part, name: str, types: Mapping[str, StoreType]) -> Problem:
    return part.problem(f"unknown store type {quoted(name)}", f"known are {listed(sorted(types))}", did_you_mean(name, types))


def _selects(name: str, known: StoreType | None) -> Literal["path", "table", "mail", "unknown"]:
    """How items are selected in a type of store: as a plugin says (`selects`), else as its name tells."""
    if known is None and name not in ("files", "sftp", "s3", "sql", "mail"):
        return "unknown"
    said = getattr(known, "selects", None)
    by_name: Literal["path", "table", "mail"] = "table" if name == "sql" else "mail" if name == "mail" else "path"
    return said if said in ("path", "table", "mail") else by_name


def _options(part: Part, type_name: str, folder: str, found: list[Problem]) -> tuple[dict[str, Any], dict[str, str], set[str]]:
    """The options as the type gets them, the texts of those made absolute, and the names of the bad ones."""
    options: dict[str, Any] = {}
    written: dict[str, str] = {}
    bad = set()
    secrets = _SECRETS | _SECRETS_OF_TYPE.get(type_name, frozenset())
    for key, option in part.each():
        if key in ("type", "location"):
            continue
        try:
            options[key] = _option(key, option.data, type_name, folder, secrets)
        except Unreadable as error:
            found.append(option.unreadable(error))
            bad.add(key)
            continue
        if options[key] != option.data and isinstance(option.data, str):
            written[key] = option.data
    return options, written, bad


def _option(key: str, value: Any, type_name: str, folder: str, secrets: frozenset[str]) -> Any:
    """One option, its path absolute and its secrets referred to."""
    if not key.isascii():
        raise Unreadable(f"unknown option {quoted(key)}", "options have ASCII names")
    if value is None:
        raise Unreadable(f"the option {quoted(key)} is empty", "it must say something, or not be there")
    if key in secrets or is_reference(value):
        return reference(value, folder)
    if isinstance(value, dict):
        return {inner: _option(inner, v, type_name, folder, secrets) for inner, v in value.items()}
    if isinstance(value, list):
        return [_option(key, v, type_name, folder, secrets) for v in value]
    refuse_inline_password(value)
    if key == "path" and isinstance(value, str) and value.strip() and type_name in _LOCAL:
        return absolute(folder, value)
    if key == "known_hosts" and isinstance(value, str) and value.strip() and type_name == "sftp":
        return absolute(folder, value)
    return absolute_url(folder, value) if key == "url" and isinstance(value, str) else value


def _zone(part: Part, options: Mapping[str, Any], bad: set[str], found: list[Problem]) -> str:
    """The zone of a store's times without one; empty where none is said, or a wrong one, which is then bad."""
    zone = options.get("zone")
    if zone is None:
        return ""
    wrong = zone_problem(zone) if isinstance(zone, str) else (f"'zone' is {kind_of(part.data['zone'])}", "it is a text", "")
    if wrong is None:
        return str(zone)
    found.append(part.at("zone").problem(*wrong))
    bad.add("zone")
    return ""


def _problems(part: Part, known: StoreType, options: Mapping[str, Any], bad: set[str]) -> list[Problem]:
    """What the type says about the options, those apart that are known to be bad, but there all the same."""
    found = []
    written = {key: part.data[key] for key in bad if key in part.data}
    for option, what in known.problems({**written, **options}):
        if option in bad:
            continue
        where = part.at(option) if option in part.data else part
        found.append(where.problem_with_key(f"'{option}': {what}", f"the store type {known.name} judges its own options"))
    return found


def _compare_location(
    part: Part, known: StoreType | None, location: str, options: Mapping[str, Any], found: list[Problem]
) -> None:
    """That a store is in the country that it is said to be in, where its type can tell (`country`) and the location is a code."""
    country: str | None = getattr(known, "country", lambda _: None)(options)
    if country is None or not re.fullmatch("[A-Z]{2}", location) or country == location:
        return
    why, do = f"its options put it in {country}", f"write location: {country}, or correct where it is"
    found.append(part.at("location").problem(f"the store is not in {quoted(location)}", why, do))


def local_path(type_name: str, options: Mapping[str, Any]) -> str:
    """Where on this machine a store is: the path of files, the file of a SQLite database."""
    path, url = options.get("path"), options.get("url")
    if type_name in _LOCAL and isinstance(path, str):
        return path
    if isinstance(url, str) and url.startswith("sqlite") and ":////" in url:
        return os.path.normpath("/" + url.partition(":////")[2].partition("?")[0])
    return ""
