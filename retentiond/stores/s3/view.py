"""Looking at a bucket, without the means to change it.

Guarantees: nothing here sends anything but GET and HEAD. In a bucket that keeps versions each version is
an item, and so is each delete marker; the versions of a key come before its markers. A marker's
clock starts with the last of what it hides, so that it is never due before. What is locked is looked up
for what may be due only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from retentiond.core.item import NOTHING, Page, key_of, raw_of
from retentiond.engine.ports import OUTSIDE, PAGE, Scope, Traits
from retentiond.errors import StoreDenied, StoreUnavailable
from retentiond.stores.s3.client import Bucket
from retentiond.stores.s3.content import edges_of, pieces_of, server_side_of
from retentiond.stores.s3.details import NONE, Detail, detail_of
from retentiond.stores.s3.inventory import Inventory
from retentiond.stores.s3.legal_hold import LegalHolds, version_of
from retentiond.stores.s3.lifecycle import Lifecycle
from retentiond.stores.s3.listing import Listing, Row
from retentiond.stores.s3.looking import Found, Looking
from retentiond.stores.s3.options import Options
from retentiond.stores.s3.shards import bounds_of, parts_of
from retentiond.stores.s3.uploads import Uploads
from retentiond.stores.s3.wanted import Match, Wanted

LANES = 4
"""So many handles side by side: more wait for one another in the server, which then needs a fifth longer for each deletion."""
HIDES = "it is a delete marker, and hides versions that are there still"
_APART = ("metadata", "tag")
"""Starts that a marker has none of, and hides."""
_COMPARED = "the server compares while it deletes: conditional deletes were declared in the configuration"
_LOOKED = "objects without a version id are compared just before they are deleted, not while: `conditional_deletes` is not on"


class Entry(NamedTuple):
    """A row of the selection, with what the rows beside it say about a marker: the last of what it hides."""

    row: Row
    match: Match | bool
    since: datetime
    hides: bool = False


class S3View:
    """An open handle on a bucket that only looks; it belongs to the thread that opened it."""

    def __init__(self, options: Options, *, acts: bool = False) -> None:
        self._bucket = Bucket(options, acts=acts)
        self._looking = Looking(self._bucket)
        self._uploads = Uploads(self._bucket)
        self._inventory: Inventory | None = None
        self._lifecycle = Lifecycle(self._bucket)
        self._legal_holds = LegalHolds(self._bucket)

    @property
    def place(self) -> str:
        return self._bucket.place

    @property
    def traits(self) -> Traits:
        """Atomic by version id, and where the server compares ETags; else an upload can slip in."""
        versioned, declared = self._bucket.versioning == "enabled", self._bucket.options.conditional_deletes
        notes = () if versioned else (_COMPARED,) if declared else (_LOOKED,)
        return Traits(atomic=versioned or declared, notes=notes, clock=self._bucket.clock, lanes=LANES)

    def scan(self, scope: Scope) -> Iterator[Page]:
        """Every version of the scope, once. `ValueError` for a scope that objects do not have, before anything is read."""
        return self._scan(Wanted(scope, self._bucket.options.prefix))

    def probe(self, scope: Scope, keys: Sequence[str]) -> Page:
        """What lies under these keys now; of several versions the newest that the scope selects."""
        if scope.expiry is not None:
            return self._rule(scope, keys)
        wanted = Wanted(scope, self._bucket.options.prefix)
        chosen = [_newest(wanted, entries) for entries in self._entries_at(wanted, keys)]
        return self._page(wanted, chosen, keys=keys)

    def probe_revisions(self, scope: Scope, keys: Sequence[str], revisions: Sequence[str]) -> Page:
        """Each of these versions; what an upload can replace is shown as it is now."""
        if scope.expiry is not None:
            return self._rule(scope, keys)
        wanted = Wanted(scope, self._bucket.options.prefix)
        several = self._entries_at(wanted, keys)
        chosen = [named(entries, revision) for entries, revision in zip(several, revisions, strict=True)]
        return self._page(wanted, chosen, keys=keys)

    def read(self, scope: Scope, key: str, revision: str) -> Iterator[bytes]:
        return pieces_of(self._bucket, key, revision)

    def edges(self, scope: Scope, key: str, revision: str, head: int, tail: int) -> tuple[bytes, bytes]:
        return edges_of(self._bucket, key, revision, head, tail)

    def server_side(self, key: str, revision: str) -> str:
        return server_side_of(self._bucket, key, revision)

    def shards(self, scope: Scope, wanted: int) -> Sequence[Scope]:
        """The scope in ranges of keys. Uploads and reports are not split, nor versions on a server that cannot begin anywhere."""
        asked = Wanted(scope, self._bucket.options.prefix)
        if scope.part or asked.selection.uploads or self._bucket.options.inventory or not self._looking.walks():
            return [scope]
        return [replace(scope, part=part) for part in parts_of(self._bucket, asked.prefix, wanted)]

    def expires(self, scope: Scope) -> str:
        assert scope.expiry is not None
        wanted = Wanted(scope, self._bucket.options.prefix)
        self._lifecycle.check(wanted, self._looking)
        return self._lifecycle.state(scope.expiry, wanted)

    def check_holds(self) -> None:
        self._legal_holds.check()

    def versions(self, revisions: Sequence[str | None]) -> Sequence[str]:
        return [version_of(revision) for revision in revisions]

    def are_held(self, keys: Sequence[str], versions: Sequence[str]) -> Sequence[bool | None]:
        return self._legal_holds.state(keys, versions)

    def warnings(self, scope: Scope) -> Sequence[str]:
        from retentiond.stores.s3.advice import advice

        wanted = Wanted(scope, self._bucket.options.prefix)
        told = advice(self._bucket, wanted, next(self._scan(wanted), None))
        if self._inventory is not None:
            told.append(
                f"what is planned is what the inventory report of {self._inventory.made:%Y-%m-%d %H:%M} UTC says was there"
            )
        return told

    def has_unfinished(self) -> bool:
        with suppress(StoreDenied, StoreUnavailable):  # it is a word in a check: that a server lists no uploads stops no rule
            return any(self._uploads.pages(self._bucket.options.prefix))
        return False

    def close(self) -> None:
        self._bucket.close()

    def _rule(self, scope: Scope, keys: Sequence[str]) -> Page:
        """The rule of the bucket's own as an item, which is there as long as it is not as it should be."""
        assert scope.expiry is not None
        state = self._lifecycle.state(scope.expiry, Wanted(scope, self._bucket.options.prefix)) or None
        several = len(keys)
        return Page(list(keys), [state] * several, [None] * several, [0] * several)

    # From rows to pages

    def _scan(self, wanted: Wanted) -> Iterator[Page]:
        gathered: list[Entry] = []
        unseen = 0
        for answer in self._answers(wanted):
            for entry in answer:
                if self._waits(wanted, entry):
                    unseen += 1
                    continue
                gathered.append(entry)
                if len(gathered) == PAGE:
                    yield self._page(wanted, gathered, unseen=unseen)
                    gathered, unseen = [], 0
        if gathered or unseen:
            yield self._page(wanted, gathered, unseen=unseen)

    def _answers(self, wanted: Wanted) -> Iterator[list[Entry]]:
        """The entries of the selection, an answer of the server at a time."""
        if wanted.selection.uploads:
            for rows in self._uploads.pages(wanted.prefix):
                mine = self._uploads.sized([row for row in rows if wanted.match(row.raw)])
                yield [Entry(row, wanted.match(row.raw), row.modified) for row in mine]
            return
        pages = self._rows(wanted)
        if self._bucket.versioning == "unversioned":
            if wanted.selection.versions == "noncurrent":
                return
            for rows in pages:
                yield [Entry(row, match, row.modified) for row in rows if (match := wanted.match(row.raw))]
            return
        rest: list[Row] = []
        for rows in pages:
            rows = rest + rows  # noqa: PLW2901 the versions of one key may come in two answers
            cut = next((i for i in range(len(rows) - 1, -1, -1) if rows[i].raw != rows[-1].raw), -1) + 1
            rest = rows[cut:]
            yield list(_entries(wanted, rows[:cut]))
        yield list(_entries(wanted, rest))

    def _rows(self, wanted: Wanted) -> Iterator[list[Row]]:
        """The rows below the prefix of a selection: of the newest report where there are reports, else listed."""
        if self._bucket.options.inventory:
            return self._report().pages(wanted.prefix)
        after, until = bounds_of(wanted.scope.part)
        return Listing(self._bucket, wanted.prefix, after=after, until=until).pages()

    def _report(self) -> Inventory:
        if self._inventory is None:
            self._inventory = Inventory(self._bucket)
        return self._inventory

    def _entries_at(self, wanted: Wanted, keys: Sequence[str], *, present: bool = False) -> list[list[Entry]]:
        """The entries under each key, selected or not; `present`: they are expected to be there."""
        raws = [_raw(key) for key in keys]
        found = self._at(wanted, [raw for raw in raws if raw is not None], present=present)
        return [[] if raw is None else _under(wanted, found[raw]) for raw in raws]

    def _at(self, wanted: Wanted, raws: Sequence[str], *, present: bool) -> Found:
        return self._uploads.at(raws) if wanted.selection.uploads else self._looking.at(raws, present=present)

    @staticmethod
    def _waits(wanted: Wanted, entry: Entry) -> bool:
        scope = wanted.scope
        if not wanted.by_time or scope.waiting_from is None or scope.now is None or wanted.needs_tags:
            return False
        return scope.waiting_from <= entry.since <= scope.now

    def _page(
        self, wanted: Wanted, entries: Sequence[Entry | None], *, keys: Sequence[str] | None = None, unseen: int = 0
    ) -> Page:
        """Entries as a page. Where `keys` were asked for, each has its place; else what bears other tags is left out."""
        details = self._details(wanted, entries)
        if details is None and keys is None and wanted.is_plain:
            return _plain(wanted, [e for e in entries if e is not None], unseen)
        details = details or [NONE] * len(entries)
        if keys is None and wanted.selection.tags:
            both = [(e, d) for e, d in zip(entries, details, strict=True) if d.doubt or wanted.is_tagged(d.tags)]
            entries, details = [e for e, _ in both], [d for _, d in both]
        passable = {i: d.locked for i, d in enumerate(details) if wanted.scope.bypass and d.governed and d.locked}
        starts = [_start(wanted, e, d) for e, d in zip(entries, details, strict=True)]
        scope, held = wanted.scope, wanted.scope.predicates[0].hold if wanted.scope.predicates else None
        return Page(
            keys=[key_of(e.row.raw) for e in entries if e is not None] if keys is None else list(keys),
            revisions=[
                None if e is None else wanted.revision(e.row, d.tags, passable.get(i))
                for i, (e, d) in enumerate(zip(entries, details, strict=True))
            ],
            starts=starts,
            sizes=[0 if e is None else e.row.size for e in entries],
            facts={name: [None if e is None else _fact(wanted, e, name) for e in entries] for name in scope.fields} or NOTHING,
            locked_until=_locks(entries, {i: d.locked for i, d in enumerate(details) if d.locked and i not in passable}),
            passable=passable,
            doubts=_doubts(wanted, entries, details),
            held=dict.fromkeys(range(len(entries)), held) if held is not None else NOTHING,
            unseen=unseen,
        )

    def _details(self, wanted: Wanted, entries: Sequence[Entry | None]) -> list[Detail] | None:
        """What the listing does not tell, of those for whom it matters; None where it tells all that is asked."""
        tags, heads = wanted.needs_tags, wanted.needs_metadata
        if wanted.selection.uploads or not (tags or heads or self._bucket.locks):
            return None

        def look(entry: Entry | None) -> Detail:
            if entry is None or entry.row.marker:
                return NONE
            head = heads or (self._bucket.locks and _may_be_due(wanted, entry))
            return detail_of(self._bucket, entry.row, head=head, tags=tags) if head or tags else NONE

        return self._bucket.all(look, entries)


def _plain(wanted: Wanted, entries: Sequence[Entry], unseen: int) -> Page:
    """A page of selected entries of which a listing tells all, which is most of what is ever shown."""
    rows = [e.row for e in entries]
    return Page(
        keys=[key_of(row.raw) for row in rows],
        revisions=[row.revision for row in rows],
        starts=[_start(wanted, e, NONE) for e in entries],
        sizes=[row.size for row in rows],
        doubts={i: HIDES for i, e in enumerate(entries) if e.hides} if wanted.scope.start.kind in _APART else NOTHING,
        unseen=unseen,
    )


def _entries(wanted: Wanted, rows: Iterable[Row], *, every: bool = False) -> Iterator[Entry]:
    """The entries of whole keys, of each key the versions first, then its markers; `every`: selected or not."""
    several: dict[str, list[Row]] = {}
    for row in rows:
        several.setdefault(row.raw, []).append(row)
    for raw, mine in several.items():
        match = wanted.match(raw)
        if not match and not every:
            continue
        versions = [row for row in mine if not row.marker]
        for row in (*versions, *(row for row in mine if row.marker)):
            hidden = [v for v in versions if row.marker and is_hidden(v, row)]
            entry = Entry(row, match, max([row.modified, *(v.modified for v in hidden)]), bool(hidden))
            if every or wanted.takes(row, hides=entry.hides):
                yield entry


def _under(wanted: Wanted, rows: Sequence[Row]) -> list[Entry]:
    """The entries under one key, selected or not; most keys have one version."""
    if len(rows) == 1 and not rows[0].marker:
        return [Entry(rows[0], wanted.match(rows[0].raw), rows[0].modified)]
    return list(_entries(wanted, rows, every=True))


def is_hidden(version: Row, marker: Row) -> bool:
    """Whether a version lies below a marker, so that it would be seen again without it."""
    return marker.latest or (version.modified <= marker.modified and not version.latest)


def _newest(wanted: Wanted, entries: Sequence[Entry]) -> Entry | None:
    selected = [e for e in entries if e.match and wanted.takes(e.row, hides=e.hides)]
    return next(iter(selected or entries), None)


def named(entries: Sequence[Entry], revision: str) -> Entry | None:
    """The entry of a revision, tags apart: the version itself, or what has taken the place of an overwritable one."""
    name = revision.partition("#")[0]
    for e in entries:
        if e.row.revision == name:
            return e
    return next((e for e in entries if e.row.overwritable), None) if "@" in name else None


def _raw(key: str) -> str | None:
    try:
        return raw_of(key) or None
    except ValueError:
        return None


def _fact(wanted: Wanted, entry: Entry, name: str) -> str | None:
    fact = wanted.fact(entry.match, name)
    return None if fact is None else key_of(fact)


def _start(wanted: Wanted, entry: Entry | None, detail: Detail) -> datetime | None:
    if entry is None:
        return None
    if entry.row.marker and wanted.scope.start.kind not in ("path", "event"):
        return entry.since.astimezone(UTC)
    return wanted.start_of(entry.row, entry.match, detail.metadata, detail.tags)


def _may_be_due(wanted: Wanted, entry: Entry) -> bool:
    """Whether a lock may matter: what starts in the future or certainly waits stays in any case."""
    scope = wanted.scope
    start = wanted.start_of(entry.row, entry.match, NOTHING, NOTHING)
    if start is None:
        return wanted.scope.start.kind in ("metadata", "tag", "event")
    return (scope.now is None or start <= scope.now) and (scope.waiting_from is None or start < scope.waiting_from)


def _locks(entries: Sequence[Entry | None], found: dict[int, datetime]) -> dict[int, datetime]:
    """The locks that were found, and those of what markers hide: a marker above a locked version stays with it."""
    if not found:
        return found
    by_key: dict[str, datetime] = {}
    for i, until in found.items():
        entry = entries[i]
        if entry is not None:
            by_key[entry.row.raw] = max(until, by_key.get(entry.row.raw, until))
    for i, entry in enumerate(entries):
        if entry is not None and entry.hides and entry.row.raw in by_key:
            found[i] = by_key[entry.row.raw]
    return found


def _doubts(wanted: Wanted, entries: Sequence[Entry | None], details: Sequence[Detail]) -> dict[int, str]:
    found: dict[int, str] = {}
    apart = wanted.scope.start.kind in _APART
    for i, (entry, detail) in enumerate(zip(entries, details, strict=True)):
        if entry is None:
            continue
        if not (entry.match and wanted.takes(entry.row, hides=entry.hides) and (detail.doubt or wanted.is_tagged(detail.tags))):
            found[i] = OUTSIDE
        elif detail.doubt:
            found[i] = detail.doubt
        elif apart and entry.hides:
            found[i] = HIDES
    return found
