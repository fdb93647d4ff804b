"""`retentiond.yaml` as values: who promises, in which zone, where the data is, where the state is.

Guarantee: every relative path, `sqlite:///` URL and notice is relative to the folder of the
file, never to the working directory; a store that holds the policies, the state or this file,
or lies inside the state, is refused, because a rule on it would destroy what the program runs on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from retentiond.config.anchors import Anchor, anchors
from retentiond.config.not_yet import NOT_YET, WHY
from retentiond.config.notify import Address, addresses
from retentiond.config.places import absolute, absolute_url, inside, zone_problem
from retentiond.config.reading import Part, Reading, entries, not_among, read
from retentiond.config.secrets import Secret, is_reference, reference, refuse_inline_password
from retentiond.config.shapes import AuditShape, IdentityShape, SettingsShape, StateShape
from retentiond.config.stores import Declared, declared_stores
from retentiond.config.suggest import did_you_mean, listed, quoted
from retentiond.config.words import Unreadable
from retentiond.core.item import NOTHING
from retentiond.core.period import Period
from retentiond.core.policy import StoreDefinition
from retentiond.engine.ports import StoreType
from retentiond.errors import Problem

_TAKEN = re.compile(r"(?<!:):([A-Za-z_]\w*)")
"""An identifier that a query takes."""
SUPPRESSION = Period(months=24, words="2 years")


@dataclass(frozen=True, slots=True)
class State:
    """What the program remembers: a directory (absolute), and a SQLAlchemy URL of the database, with its password's place."""

    directory: str
    database: str
    password: Secret | None = None

    @property
    def file(self) -> str | None:
        """The database's file; None where it is on a server."""
        return self.database.partition(":///")[2].partition("?")[0] if self.database.startswith("sqlite") else None


@dataclass(frozen=True, slots=True)
class Identity:
    """A query in a store by which one identifier of a person leads to others; to `several` of a kind where that is meant."""

    name: str
    store: str
    query: str
    several: bool = False

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of identifiers that the query takes."""
        return frozenset(_TAKEN.findall(self.query))


@dataclass(frozen=True, slots=True)
class Audit:
    """The audit trail's name and keys: `signing_key` a path or a reference to a secret, `reference_keys` a folder."""

    origin: str
    signing_key: str | Secret
    reference_keys: str
    anchors: tuple[Anchor, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole of `retentiond.yaml`. `file`, `folder` and `policies` are absolute paths.

    `silence` counts periods of a category's schedule. `written` has, by store and option, the text of each
    option that was made absolute.
    """

    file: str
    folder: str
    organisation: str
    timezone: str
    state: State
    policies: str
    stores: Mapping[str, StoreDefinition]
    audit: Audit
    identities: Mapping[str, Identity] = field(default_factory=lambda: NOTHING)
    notify: tuple[Address, ...] = ()
    silence: int = 3
    suppression: Period = SUPPRESSION
    engine: str = "local"
    written: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What category files are judged against, however much of `retentiond.yaml` was usable.

    `stores` has every declared name; None where no stores could be read at all. `policies` is
    None where the folder is not known.
    """

    folder: str
    zone: str
    stores: Mapping[str, Declared] | None
    policies: Part | None


def read_settings(
    part: Part, file: str, types: Mapping[str, StoreType], found: list[Problem]
) -> tuple[Settings | None, Surroundings]:
    """The settings, if nothing is wrong with them, and what can be said in any case."""
    before, folder = len(found), os.path.dirname(file)
    top = read(SettingsShape, part, found)
    zone = _timezone(top, found)
    state = _state(top.piece("state"), folder, found)
    stores = declared_stores(top.piece("stores"), folder, types, found)
    identities = dict(_identities(top.piece("identities"), stores, found))
    audit = _audit(top.piece("audit"), folder, state, stores, found)
    notify = addresses(top.piece("notify"), folder, found)
    _refuse_what_is_not_built(top, found)
    found += _misplaced(file, top, state, audit, stores)
    policies = top.piece("policies") if top.has("policies") else None
    surroundings = Surroundings(folder, zone or "UTC", stores, policies)
    if len(found) > before or stores is None or state is None or audit is None or zone is None:
        return None, surroundings
    definitions = {name: store.definition for name, store in stores.items() if store.definition}
    written = {name: store.written for name, store in stores.items() if store.written}
    where = absolute(folder, top.get("policies"))
    settings = Settings(
        file,
        folder,
        top.get("organisation"),
        zone,
        state,
        where,
        definitions,
        audit,
        identities,
        notify,
        top.get("silence"),
        top.get("suppression") or SUPPRESSION,
        written=written,
    )
    return settings, surroundings


def _timezone(top: Reading[SettingsShape], found: list[Problem]) -> str | None:
    if not top.has("timezone"):
        return None
    name: str = top.get("timezone")
    wrong = zone_problem(name)
    if wrong:
        found.append(top.where("timezone").problem(*wrong))
    return None if wrong else name


def _state(part: Part | None, folder: str, found: list[Problem]) -> State | None:
    if part is None or part.data is None:
        return None
    password = None
    if isinstance(part.data, dict):
        shape = read(StateShape, part, found)
        directory, database = shape.get("directory"), shape.get("database")
        if database:
            database = _database(shape.where("database"), folder, found)
        password = _password(shape.piece("password"), database, folder, found)
    elif isinstance(part.data, str) and part.data.strip():
        directory, database = part.data, ""
    else:
        found.append(part.problem("'state' is no place", "it is a directory, or {directory: …, database: …}"))
        return None
    if not directory or database is None:
        return None
    directory = absolute(folder, directory)
    return State(directory, database or f"sqlite:///{os.path.join(directory, 'state.db')}", password)


def _database(part: Part, folder: str, found: list[Problem]) -> str | None:
    """A file of SQLite, or a database of PostgreSQL, whose address names no password."""
    try:
        refuse_inline_password(part.data)
    except Unreadable as error:
        found.append(part.unreadable(error))
        return None
    if re.match(r"sqlite(?:\+pysqlite)?:///.", part.data):
        return absolute_url(folder, part.data)
    if _on_server(part.data):
        return str(part.data)
    found.append(
        part.problem(
            "this is no database for the state",
            "it is kept in a file of SQLite, or in PostgreSQL",
            "write sqlite:///state.db, or postgresql+psycopg://user@host/database",
        )
    )
    return None


def _on_server(url: str) -> bool:
    """Whether an address names a database of PostgreSQL."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "postgresql+psycopg" and len(parts.path) > 1 and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _server_of(url: str) -> tuple[str, int, str] | None:
    """Which database of PostgreSQL an address names, as far as its words tell; None for any other."""
    try:
        parts = urlsplit(url)
        host = "".join(parse_qs(parts.query).get("host", [])) or parts.hostname or "localhost"
        return (host, parts.port or 5432, parts.path) if parts.scheme.startswith("postgresql") else None
    except ValueError:
        return None


def _password(part: Part | None, database: str | None, folder: str, found: list[Problem]) -> Secret | None:
    if part is None or part.data is None:
        return None
    if database is not None and not database.startswith("postgresql"):
        found.append(part.problem("a file needs no 'password'", "it is for a database on a server", "leave it out"))
        return None
    try:
        return reference(part.data, folder)
    except Unreadable as error:
        found.append(part.unreadable(error))
        return None


def _identities(part: Part | None, stores: Mapping[str, Declared] | None, found: list[Problem]) -> Iterable[tuple[str, Identity]]:
    for name, entry in entries(part, "look-up", found):
        shape = read(IdentityShape, entry, found)
        store, query = shape.get("store"), shape.get("query")
        if store and stores is not None:
            found += asks_a_store(shape.where("store"), store, stores)
        if query and not _TAKEN.search(query):
            why = "without an identifier to look up, it would lead from everybody to everybody"
            found.append(shape.where("query").problem("the query takes no identifier", why, "use one, such as :email"))
        yield name, Identity(name, store or "", query or "", bool(shape.get("several")))


def asks_a_store(part: Part, name: str, stores: Mapping[str, Declared]) -> Iterable[Problem]:
    """What is wrong with asking this store a query."""
    if name not in stores:
        yield part.problem(
            f"the store {quoted(name)} is not declared", f"declared are {listed(stores)}", did_you_mean(name, stores)
        )
    elif stores[name].selects in ("path", "mail"):
        yield part.problem(
            f"the store {quoted(name)} answers no queries", f"its type is {stores[name].type}", "name a store of type sql"
        )


def _audit(
    part: Part | None, folder: str, state: State | None, stores: Mapping[str, Declared] | None, found: list[Problem]
) -> Audit | None:
    if part is None or part.data is None:
        return None
    shape = read(AuditShape, part, found)
    origin = shape.get("origin")
    if origin and re.search(r"[\s+]", origin):
        why = "signed notes name their log without spaces and without '+' (C2SP signed-note)"
        found.append(
            shape.where("origin").problem("'origin' is no name of a log", why, "write for example audit.example.org/retentiond")
        )
    kept = anchors(shape.piece("anchors"), stores, found)
    default = os.path.join(state.directory, "keys") if state else ""
    signing, masters = (_key(shape.piece(name), folder, default, found) for name in ("signing_key", "reference_keys"))
    if isinstance(masters, Secret):
        why = "it has a key for each year, so that each year can be destroyed by itself"
        found.append(shape.where("reference_keys").problem("'reference_keys' is a folder", why, "write the path of a folder"))
        return None
    return Audit(origin, signing, masters, kept) if origin else None


def _key(part: Part | None, folder: str, default: str, found: list[Problem]) -> str | Secret:
    if part is None or part.data is None:
        return default
    try:
        if is_reference(part.data):
            return reference(part.data, folder)
        if isinstance(part.data, str) and part.data.strip():
            if "PRIVATE KEY" in part.data:
                raise Unreadable(
                    "a key is written down", "files are read by more people than keys are meant for", "write the path of its file"
                )
            return absolute(folder, part.data)
        found.append(
            part.problem("this is no place of a key", "it is a path, or a reference to a secret", "leave it out for <state>/keys")
        )
    except Unreadable as error:
        found.append(part.unreadable(error))
    return default


def _refuse_what_is_not_built(top: Reading[SettingsShape], found: list[Problem]) -> None:
    engine = top.piece("engine")
    if engine is None or engine.data in (None, "local"):
        return
    words = list(engine.data) if isinstance(engine.data, dict) else [str(engine.data)]
    unbuilt = [word for word in words if word in NOT_YET["engine"]]
    if unbuilt:
        found.append(engine.problem(f"the engine '{unbuilt[0]}' is not in this version", WHY, "write engine: local"))
    else:
        found.append(engine.problem(*not_among("'engine'", " ".join(words), ["local"])))


def _misplaced(
    file: str, top: Reading[SettingsShape], state: State | None, audit: Audit | None, stores: Mapping[str, Declared] | None
) -> Iterable[Problem]:
    """Stores that hold what the program runs on, or lie inside its state."""
    folder = os.path.dirname(file)
    vital = [("this file", file)]
    if top.has("policies"):
        vital.append(("the policies", absolute(folder, top.get("policies"))))
    if state:
        vital += [("the state", state.directory), *([("the state's database", state.file)] if state.file else [])]
    if audit:
        vital += [
            ("the audit trail's keys", key) for key in (audit.signing_key, audit.reference_keys) if isinstance(key, str) and key
        ]
    for name, store in (stores or {}).items():
        url = store.definition.options.get("url") if store.definition else None
        if state and isinstance(url, str) and _server_of(url) and _server_of(url) == _server_of(state.database):
            why, do = "a rule on it would destroy what the program runs on", "give the state a database of its own"
            yield store.where.problem(f"the store '{name}' holds the state's database", why, do)
        place = store.local_path
        if not place:
            continue
        held = next((what for what, path in vital if inside(path, place)), None)
        do = "give it a folder of its own"
        if held:
            yield store.where.problem(
                f"the store '{name}' holds {held}", "a rule on it would destroy what the program runs on", do
            )
        elif state and inside(place, state.directory):
            yield store.where.problem(f"the store '{name}' lies inside the state", "what is in the state is evidence", do)
