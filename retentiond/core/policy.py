"""What a company has promised, as values: categories, their rules, and the rulebook of all.

The words are those of ISO/IEC 27555: a *category* of personal data with one purpose, a
*retention period* from a *starting point*, a *deletion period* by whose end it must be gone,
and a *minimum* that a statute demands. The rulebook is named by a digest of what it means, so
that a comment or a changed title makes no plan stale, and a changed rule always does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal
from zoneinfo import ZoneInfo

from retentiond.core.anonymise import Columns, Hash
from retentiond.core.assurance import Encrypted
from retentiond.core.canonical import digest
from retentiond.core.forbid import Forbid
from retentiond.core.generations import Generations
from retentiond.core.item import NOTHING
from retentiond.core.naming import fields_of
from retentiond.core.period import Period

StartKind = Literal["created", "modified", "column", "path", "metadata", "tag", "header", "event"]


@dataclass(frozen=True, slots=True)
class PathSelection:
    """The items of a file-like store whose path matches a pattern (`core.pattern`)."""

    pattern: str
    empty_directories: Literal["keep", "remove"] = "keep"


@dataclass(frozen=True, slots=True)
class ObjectSelection(PathSelection):
    """The objects of a bucket whose key matches a pattern, and that bear all of the tags.

    `versions` says which of an object's versions are meant, where the bucket keeps them: gone means gone, so
    all are by default. With `uploads` the items are uploads that never came to their end, and no objects.
    """

    versions: Literal["all", "current", "noncurrent"] = "all"
    tags: tuple[tuple[str, str], ...] = ()
    uploads: Literal["", "incomplete"] = ""


@dataclass(frozen=True, slots=True)
class TableSelection:
    """The rows of a table for which a condition in the database's own dialect holds.

    `key` names the columns of the key (empty: the primary key); `version` a column that
    changes with the row (None: a digest of the row). `children` says what happens to rows
    that refer to a due row: `forbid` keeps the due row, `reflect` lets them go first, a list
    names the tables whose rows may go. `apart` are the tables that rules of their own speak for,
    whose rows never go so.
    """

    table: str
    where: str | None = None
    key: tuple[str, ...] = ()
    version: str | None = None
    children: Literal["forbid", "reflect"] | tuple[str, ...] = "forbid"
    apart: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MailSelection:
    """The messages of a store of mail for which every word said holds (`core.mail`).

    `folder` is a pattern of paths; `senders` are patterns of addresses of which one has to match one in From,
    `recipients` the same of To, `headers` pairs of a header's name and a pattern of what it says.
    """

    folder: str = "**"
    senders: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def conditions(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[tuple[str, str], ...]] | None:
        """What is said of a message beside its folder; None where nothing is, so that every message fits."""
        senders, recipients = (() if "*" in one else one for one in (self.senders, self.recipients))
        return (senders, recipients, self.headers) if senders or recipients or self.headers else None


Selection = PathSelection | ObjectSelection | TableSelection | MailSelection


@dataclass(frozen=True, slots=True)
class Start:
    """Where the clock starts: a kind and the name of its column, capture, tag, header or event.

    `by` is the field whose value is the event's subject. `zone` is that of times without one,
    `unit` that of numbers.
    """

    kind: StartKind
    name: str = ""
    by: str = ""
    zone: str = "UTC"
    unit: Literal["s", "ms"] | None = None


@dataclass(frozen=True, slots=True)
class Minimum:
    """A statutory floor: `mandate` names the law; it beats even an erasure request."""

    period: Period
    mandate: str


@dataclass(frozen=True, slots=True)
class Archive:
    """Where an item goes before it is let go: a store, a path there, and who will be able to read it (age recipients).

    `path` is a template (`core.naming`). Without recipients the copy is written as the item is.
    """

    to: str
    path: str
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Copying:
    """A second store, in which every item of a rule has a verified copy before it may be let go; encrypted to recipients."""

    to: str
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Copies:
    """That an item has so many verified copies in a store."""

    store: str
    at_least: int = 1


@dataclass(frozen=True, slots=True)
class Requirement:
    """What has to be true of every item of a rule; one of which it is not is a violation."""

    encrypted: Encrypted | None = None
    copies: Copies | None = None


@dataclass(frozen=True, slots=True)
class Exempt:
    """That an erasure request is refused for the items of a rule: on which ground of Art. 17(3) GDPR, and why it applies."""

    ground: Literal["a", "b", "c", "d", "e"]
    because: str


@dataclass(frozen=True, slots=True)
class Action:
    """What happens to an item that is due. `keep` never disposes of anything; `anonymise` destroys what its columns hold.

    `review` leaves an item alone until a person has let it go, and then it is deleted. `archive` writes a copy elsewhere
    first, and deletes once that is verified. `lifecycle` is only ever the action of a step: it has the bucket delete by itself.
    """

    kind: Literal["delete", "anonymise", "archive", "review", "keep", "lifecycle"]
    columns: Columns = ()
    archive: Archive | None = None

    @property
    def keeps(self) -> bool:
        """Whether it never disposes of anything."""
        return self.kind == "keep"

    @property
    def destroys(self) -> bool:
        """Whether a step of it is carried out without anybody being asked; of `review` only its step is."""
        return self.kind in ("delete", "anonymise", "archive")

    @property
    def reviewed(self) -> bool:
        """Whether a person looks at each item before it goes."""
        return self.kind == "review"

    @property
    def step(self) -> Action:
        """What a step of a plan does."""
        return Action("delete") if self.reviewed else self

    @property
    def erasing(self) -> Action:
        """What a step does whose ground is an erasure request: whatever else the rule does, an item that stays is not erased."""
        return self if self.anonymises else Action("delete")

    @property
    def anonymises(self) -> bool:
        """Whether the item stays, without what says whose it is."""
        return self.kind == "anonymise"

    @property
    def needs_key(self) -> bool:
        """Whether a column is hashed."""
        return any(isinstance(strategy, Hash) for _, strategy in self.columns)


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one plan, for each rule: items, share of the population in percent, bytes."""

    items: int = 10_000
    share: int = 25
    bytes: int = 100 * 2**30


@dataclass(frozen=True, slots=True)
class EventSource:
    """Where events of one name come from: a query in a store, records by hand, or both.

    `settle` is how long an event may still be withdrawn before anything is done about it.
    """

    name: str
    store: str = ""
    query: str = ""
    settle: Period | None = None
    recorded: bool = False
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Rule:
    """How one category is disposed of in one store. `subject` maps an identifier kind to a field.

    Where `generations` decide, or the rule forbids, the periods are for ever. A rule that forbids
    starts at the event that allows an item, and what has none is due. `cooling_off` is how long
    items wait that a change of the rule has made due. `copy` has copies made, `require` looks whether
    what was promised is so. `by` says who deletes: we, or a rule of the bucket's own. With `bypass_governance` a lock in
    governance mode may be passed, if a person says so, too.
    """

    name: str
    store: str
    selection: Selection
    start: Start
    retention: Period
    deletion: Period
    action: Action
    minimum: Minimum | None = None
    subject: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    generations: Generations | None = None
    forbid: Forbid | None = None
    cooling_off: Period | None = None
    copy: Copying | None = None
    require: Requirement | None = None
    exempt: Exempt | None = None
    link: str = ""
    by: Literal["", "lifecycle"] = ""
    bypass_governance: bool = False

    @property
    def step_action(self) -> Action:
        """What a step of a plan does by this rule."""
        return Action(self.by) if self.by else self.action.step

    @property
    def copied_to(self) -> str:
        """The store in which every item must have a verified copy before it goes; empty for none."""
        if self.require is not None and self.require.copies is not None:
            return self.require.copies.store
        return self.copy.to if self.copy is not None else ""

    def copies_to(self, store: str) -> bool:
        """Whether it writes archives or copies into a store."""
        archive = self.action.archive
        return (archive is not None and archive.to == store) or (self.copy is not None and self.copy.to == store)

    @property
    def inspects(self) -> bool:
        """Whether it wants to see every item, whatever its age: to look into it, or for its copies."""
        return self.require is not None or self.copy is not None

    @property
    def stores(self) -> tuple[str, ...]:
        """The stores that it reads from or writes to: its own, and those of archives and copies."""
        archive = self.action.archive
        return tuple(dict.fromkeys(name for name in (self.store, archive.to if archive else "", self.copied_to) if name))

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of an item that this rule may need to see beside its start."""
        names = [self.start.by, self.link]
        if self.action.archive is not None:
            names += fields_of(self.action.archive.path)
        if self.generations is not None:
            names += [self.generations.group_by, self.generations.set_by]
        return tuple(dict.fromkeys(name for name in (*names, *self.subject.values()) if name))

    @property
    def words(self) -> str:
        """What decides how long an item stays: a period, generations, or that it must not exist."""
        if self.generations is not None:
            return f"generations: {self.generations.words}"
        return self.forbid.words if self.forbid is not None else self.retention.words


@dataclass(frozen=True, slots=True)
class Promise:
    """The words of a published notice, and the file that they stand in."""

    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Category:
    """A body of personal data processed for one purpose, with its rules: one file in `policies.d/`."""

    name: str
    title: str
    purpose: tuple[str, ...]
    lawful_basis: str
    data: tuple[str, ...]
    subjects: tuple[str, ...]
    owner: str
    locations: tuple[str, ...]
    schedule: str
    rules: tuple[Rule, ...]
    events: Mapping[str, EventSource] = field(default_factory=lambda: NOTHING)
    recipients: tuple[str, ...] = ()
    promise: Promise | None = None
    approval: Literal["none", "first", "always"] = "first"
    limits: Limits = Limits()

    def meaning(self) -> dict[str, Any]:
        """The part that decides what happens to data: rules, events and limits."""
        return {
            "rules": [_plain(rule) for rule in self.rules],
            "events": {name: _plain(source) for name, source in self.events.items()},
            "limits": _plain(self.limits),
        }


@dataclass(frozen=True, slots=True)
class StoreDefinition:
    """A place as the configuration names it. `options` hold references to secrets, never secrets."""

    name: str
    type: str
    location: str
    options: Mapping[str, Any]

    def meaning(self) -> dict[str, Any]:
        return {"type": self.type, "options": _plain(self.options)}


@dataclass(frozen=True, slots=True)
class Rulebook:
    """All categories and stores, in the zone in which civil dates and periods are counted."""

    zone_name: str
    categories: Mapping[str, Category]
    stores: Mapping[str, StoreDefinition]

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.zone_name)

    def stores_of(self, category: Category) -> list[str]:
        """The stores that a category looks at or acts on, sorted."""
        asked = {event.store for event in category.events.values() if event.store}
        return sorted({store for rule in category.rules for store in rule.stores} | asked)

    def digest(self, names: Iterable[str]) -> str:
        """Names what these categories mean, with the stores that they use: SHA-256, 64 hex digits."""
        chosen = [self.categories[name] for name in sorted(names)]
        stores = {store for category in chosen for store in self.stores_of(category)}
        return digest(
            {
                "zone": self.zone_name,
                "categories": {category.name: category.meaning() for category in chosen},
                "stores": {name: self.stores[name].meaning() for name in sorted(stores)},
            }
        )


def _plain(value: Any) -> Any:
    """A value of this module as strings, numbers, lists and objects."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value) if f.name != "words"}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
