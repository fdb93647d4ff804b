"""What the engine asks of the world: stores, the journal, and somebody who may say stop.

A store comes in two types. A `View` looks and cannot change anything; a `Store` is a view that
can also let go. Planning is handed views. Optional powers are small protocols beside them:
`Restoring` (put back what a cut-short disposal left half done), `Evaluating` (holds by predicate),
`Answering` (run the query of an event), `Identifying` (look up further identifiers of a person), `Reflecting` (items
that go with others), `Partitioned` (items that go in one act), `Paced` (waits for those who follow), `Versioned`
(several revisions of one key), `Readable` (an item's bytes), `Tabular` (whole rows), `Writable` (take in a copy),
`Shardable` (parts of a scope, side by side), `Granted` (what the account may do).
Four promises hold for every store, and the shipped `StoreContract` tests them:

1. Looking changes nothing. `scan` and `probe` leave no trace.
2. Only what was shown is let go: a step acts on the revision it names, and otherwise leaves it alone.
3. A yielded outcome is a fact: it survives a power cut. What was not yielded may or may not have happened.
4. Half done looks undone: an item whose disposal was cut short is still sighted, in the revision it had.

`StoreUnavailable` says that trying again may help, `StoreDenied` that it will not; trouble with
a single item is that item's outcome, never an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol, runtime_checkable

from retentiond.core.anonymise import Columns
from retentiond.core.item import Kin, Page
from retentiond.core.lifecycle import Expiry
from retentiond.core.outcome import Settled
from retentiond.core.policy import Action, Copying, Requirement, Selection, Start
from retentiond.core.registers import Registers
from retentiond.core.selector import Predicate

PAGE = 1000
"""So many items travel together, and so many steps share one intent where their store does not take more."""
PIECE = 2**20
"""The most bytes that an item's content travels in at a time."""

Stop = Callable[[], str | None]
"""Asked between batches, and while others are waited for, from any thread: None to go on, or the reason to stop."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What a store can do, as found at opening, not as hoped.

    `atomic`: comparing and deleting are one act, so that no change can slip between. `batch`: the most steps that one
    disposal takes. `clock`: the store's own, as it stood at opening, for whoever compares it with ours; None where it has
    none. `lanes`: how many handles side by side make it faster; 1 where they do not, or where it takes no more.
    """

    atomic: bool
    batch: int = PAGE
    notes: Sequence[str] = ()
    clock: datetime | None = None
    lanes: int = 1


@dataclass(frozen=True, slots=True)
class Scope:
    """What to look at: one selection, and what of each item the judge needs to see.

    `waiting_from` lets a store leave out items whose start is certainly at or after that instant and not after `now`; it
    counts them in `Page.unseen`. A store may ignore it. `predicates` are holds that only the store can evaluate; their
    matches come in `Page.held`. `columns` are those that the rule anonymises: which items are done comes in `Page.done`,
    and what cannot be masked is in doubt. With `leave_done` a store may leave out items that are
    certainly done; it counts them in `Page.unseen_done`. `part` is "" for the whole scope, else what a `Shardable`
    store has named one of its parts; it bounds a scan, and means nothing to anybody but the store. `category` and
    `rule` say whose scope it is; what the rule requires of its items (`require`, `copy`), and which fields say whose they
    are (`subject`, by kind), is looked at by whoever stands before the store, which ignores it. With `expiry` the item is a
    rule of the store's own, there as long as it is not as it should be. By `bypass` a lock to pass is part of the revision.
    """

    selection: Selection
    start: Start
    fields: tuple[str, ...] = ()
    predicates: tuple[Predicate, ...] = ()
    waiting_from: datetime | None = None
    now: datetime | None = None
    columns: Columns = ()
    leave_done: bool = False
    part: str = ""
    category: str = ""
    rule: str = ""
    require: Requirement | None = None
    copy: Copying | None = None
    subject: tuple[tuple[str, str], ...] = ()
    expiry: Expiry | None = None
    bypass: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """A page's worth of steps of one rule, side by side. `first` is the number of the first step.

    `predicates` are the holds that the store evaluates in the same act that lets go. `key` is the
    secret of the store's hashes, where the action needs one. `parents` has the key that each step's item
    refers to and goes before, None for the root of a family, which ends it; left out, nothing has kin.
    A family goes as a whole, in one transaction, or stays. `request` is the erasure request on whose ground all
    of it goes; None where the rule says so. `starts` are those of the steps; left out, unknown. `bypass`: locks may be passed.
    """

    first: int
    scope: Scope
    action: Action
    keys: Sequence[str]
    revisions: Sequence[str]
    predicates: tuple[Predicate, ...] = ()
    store: str = ""
    key: bytes = field(default=b"", repr=False)
    parents: Sequence[str | None] = ()
    request: int | None = None
    starts: Sequence[datetime | None] = ()
    bypass: bool = False

    def __len__(self) -> int:
        return len(self.keys)

    def only(self, positions: Sequence[int]) -> Batch:
        """The same batch with some of its positions, which are numbered anew from 0."""
        if len(positions) == len(self.keys):
            return self
        place = {old: new for new, old in enumerate(positions)}
        predicates = tuple(
            Predicate(p.hold, p.sql, None if p.positions is None else frozenset(place[i] for i in p.positions if i in place))
            for p in self.predicates
        )
        keys, revisions = [self.keys[i] for i in positions], [self.revisions[i] for i in positions]
        parents = [self.parents[i] for i in positions] if self.parents else ()
        starts = [self.starts[i] for i in positions] if self.starts else ()
        told = (predicates, self.store, self.key, parents, self.request, starts, self.bypass)
        return Batch(self.first, self.scope, self.action, keys, revisions, *told)

    def families(self) -> list[range]:
        """The positions of each family."""
        if not self.parents:
            return [range(i, i + 1) for i in range(len(self))]
        ends = [i + 1 for i, parent in enumerate(self.parents) if parent is None]
        return [range(first, end) for first, end in zip([0, *ends], ends, strict=False)]

    def whole(self, positions: Iterable[int]) -> set[int]:
        """Some positions with their families."""
        some = set(positions)
        if not self.parents or not some:
            return some
        return {i for family in self.families() if not some.isdisjoint(family) for i in family}


class View(Protocol):
    """An open handle on one place that holds items; it belongs to the thread that opened it, and only looks.

    `place` names the physical place (host, real path and mount source; database; bucket): no
    marker is written for it, and it holds no secret.
    """

    @property
    def place(self) -> str: ...

    @property
    def traits(self) -> Traits: ...

    def scan(self, scope: Scope) -> Iterator[Page]:
        """Every item of the scope, once, in pages of at most `PAGE` items; an item counts as seen or unseen."""

    def probe(self, scope: Scope, keys: Sequence[str]) -> Page:
        """These items as they are now, position by position; revision None where one is absent.

        An item that is there but that the scope does not select has the doubt `OUTSIDE`.
        """

    def warnings(self, scope: Scope) -> Sequence[str]:
        """What `check` should tell an operator about this scope, in sentences without data."""

    def close(self) -> None: ...


class Store(View, Protocol):
    """A view that can also let go."""

    def dispose(self, batch: Batch) -> Iterator[Settled]:
        """Lets go of the batch's items that are still as they were; yields facts as they become facts."""


@runtime_checkable
class Restoring(Protocol):
    """A store in which a cut-short disposal can leave something half done."""

    def put_back(self, scope: Scope, keys: Sequence[str]) -> None:
        """Gives half-disposed items their names back. Destroys nothing, overwrites nothing."""


@runtime_checkable
class Reflecting(Protocol):
    """A store in which items refer to one another, and go together where the scope says so."""

    def families(self, scope: Scope, keys: Sequence[str], taken: Container[str]) -> Iterator[Sequence[Kin] | str]:
        """For each key, in order: what goes with it, before it, in this order; or why it has to stay, in fixed words.

        What is `taken` when an answer is asked for stands elsewhere and is left out.
        """


@runtime_checkable
class Versioned(Protocol):
    """A store that may hold several revisions under one key: each is an item of its own, and `scan` shows every one."""

    def probe_revisions(self, scope: Scope, keys: Sequence[str], revisions: Sequence[str]) -> Page:
        """`probe` for each key in this revision: absent where that is gone, whatever else lies under the key.

        Where the key can hold one item only, which changes in place, what is there now is shown.
        """


def sighted(view: View, batch: Batch) -> Page:
    """The items of a batch as they are now, position by position."""
    if isinstance(view, Versioned):
        return view.probe_revisions(batch.scope, batch.keys, batch.revisions)
    return view.probe(batch.scope, batch.keys)


class Stretch(NamedTuple):
    """Items that follow one another in a scan: the keys of the first and the last, and how many they are."""

    first: str
    last: str
    items: int


@runtime_checkable
class Paced(Protocol):
    """A store that lets nothing go while somebody who follows it is behind."""

    def heed(self, stop: Stop) -> None:
        """Whom to ask while it waits: a reason to stop ends the wait, and what is left of the batch in hand stays unsettled."""

    def is_behind(self) -> bool:
        """Whether the next batch would have to wait."""

    def catch_up(self) -> None:
        """Waits until nobody is behind, or there is a reason to stop. `StoreUnavailable` where waiting does not help."""


class Likeness(NamedTuple):
    """What tells many revisions from others, in any order: the sums, modulo 2**64, of their halves (16 hex digits each)."""

    first: int = 0
    second: int = 0

    def plus(self, revisions: Iterable[str]) -> Likeness:
        """That of more revisions."""
        first, second = self
        for revision in revisions:
            first += int(revision[:16], 16)
            second += int(revision[16:32], 16)
        return Likeness(first % 2**64, second % 2**64)


@runtime_checkable
class Partitioned(Protocol):
    """A store in which many items can go in one act, where all of them are due; it needs no list of them."""

    def stretches(self, scope: Scope, most: int) -> Sequence[Stretch]:
        """Which items lie together so, as they are now, in the order of a scan; none that has more than `most`."""

    def let_go_whole(
        self, scope: Scope, stretch: Stretch, likeness: Likeness, predicates: Sequence[Predicate], agree: Callable[[], None]
    ) -> bool:
        """Lets all items of a stretch go in one act, which is a fact when this returns; or nothing, and is False.

        They go only if they are as many as the stretch says, in revisions of this likeness, all of them selected, and no
        predicate is true, or unknown, of any: compared while nobody else can change one. Then `agree` is called, last
        before it cannot be undone; whatever that raises undoes everything and comes through. `StoreDenied` after it says
        that nothing went, `StoreUnavailable` that it is not known.
        """


@dataclass(frozen=True, slots=True)
class Deposit:
    """A copy that a store has taken in: its key there, the SHA-256 of its bytes (64 hex digits), and how many they are."""

    key: str
    sha256: str
    size: int


@runtime_checkable
class Readable(Protocol):
    """A store that gives out the bytes of an item. Reading leaves no trace."""

    def read(self, scope: Scope, key: str, revision: str) -> Iterator[bytes]:
        """The item in this revision, in pieces of at most `PIECE` bytes.

        `ItemChanged` where it is not there in this revision, before the first piece or after the last: whoever has
        had all pieces has had this revision and nothing else.
        """

    def edges(self, scope: Scope, key: str, revision: str, head: int, tail: int) -> tuple[bytes, bytes]:
        """The first and the last so many bytes of the item (fewer where it is short); errors as with `read`."""


@runtime_checkable
class Tabular(Protocol):
    """A store of rows, which gives them out as values: whole numbers, fractions, texts, None, and bytes as `{"base64": …}`."""

    def definition(self, scope: Scope) -> Mapping[str, Any]:
        """The table: its name, its columns with their declared types, and those of its key."""

    def rows(self, scope: Scope, keys: Sequence[str], revisions: Sequence[str]) -> Sequence[Mapping[str, Any] | None]:
        """Each row, whole and in this revision, as one moment saw it; None where it is not there in it."""


@runtime_checkable
class Writable(Protocol):
    """A store that takes in copies, whole or not at all, never in the place of something else; all keys begin with `home`."""

    @property
    def home(self) -> str: ...

    def take(self, key: str, pieces: Iterable[bytes]) -> Deposit:
        """Writes a new item under a temporary name, reads it back, compares, and gives it its key.

        When this returns, what lies under `key` has been read back as the bytes that were given, and survives a power
        cut. Whatever it raises, nothing lies under `key` that did not lie there before; a temporary that a crash
        leaves is never shown by `scan`, and is taken away by the next `take` of the same key.
        `Occupied` where something lies there already. Whatever `pieces` raises comes through.
        """


@runtime_checkable
class Shardable(Protocol):
    """A store that can split a scope into parts, which share no item and leave none out."""

    def shards(self, scope: Scope, wanted: int) -> Sequence[Scope]:
        """The scope in about so many parts of like size, each with its `part`; the scope itself where it cannot be split."""


@runtime_checkable
class Evaluating(Protocol):
    """A store that evaluates the predicates of holds."""

    def unaskable(self, scope: Scope) -> Mapping[str, str]:
        """The predicates of a scope that cannot be evaluated, by hold, each with why in fixed words: they hold every item."""


@runtime_checkable
class Granted(Protocol):
    """A store that knows what its account may do."""

    def lacking(self, scope: Scope, action: Action) -> Sequence[str]:
        """What the account would have to be granted for an action on a scope, as statements of the store's own."""


@runtime_checkable
class Unfinished(Protocol):
    """A store in which something may lie that no selection of items takes: uploads that never came to their end."""

    def has_unfinished(self) -> bool:
        """Whether there is such a thing, as far as the account may ask."""
        ...


@runtime_checkable
class Answering(Protocol):
    """A store that can run the query of an event."""

    def ask(self, query: str, subjects: Sequence[str]) -> Iterator[tuple[str, Any]]:
        """Rows (subject as text, at as the store holds it) of the query for these subjects."""


@runtime_checkable
class Identifying(Protocol):
    """A store that can look up further identifiers of a person."""

    def identify(self, query: str, known: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """(kind, value) of every column and row that the query gives for the known identifiers (`:kind`)."""

    def refuse_identity(self, query: str, kind: str) -> None:
        """`StoreDenied` unless `identify` could be asked this for an identifier of the kind. It is explained, and not run."""


@runtime_checkable
class Proving(Protocol):
    """A store that can show, on a scratch object of its own, what its server does. `check --probe` asks it to."""

    def prove(self) -> Sequence[str]:
        """Writes a scratch object, takes it away again, and says in sentences what was seen."""


class StoreType(Protocol):
    """A kind of store: one class, registered under the entry points `retentiond.stores`."""

    name: str

    def problems(self, options: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """What is wrong with a store's options: (option, what)."""

    def look(self, options: Mapping[str, Any]) -> View:
        """Opens for looking, without the means to change anything."""

    def act(self, options: Mapping[str, Any]) -> Store:
        """Opens for disposal."""


OUTSIDE = "it is outside the rule's selection"
"""The doubt of an item that a probe finds but that the scope does not select."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Which positions of a batch may go now, and the fate of those that may not."""

    admitted: Sequence[int]
    spared: Sequence[Settled] = ()
    predicates: tuple[Predicate, ...] = ()


@dataclass(frozen=True, slots=True)
class Intent:
    """A committed intent: `index` of its entry (-1 when nothing was admitted), and what it admitted."""

    index: int
    admission: Admission


@dataclass(frozen=True, slots=True)
class OpenIntent:
    """An intent without an outcome, found after a crash: the steps that it admitted."""

    index: int
    run: str
    plan: str
    category: str
    rule: str
    store: str
    steps: Sequence[int]


@dataclass(frozen=True, slots=True)
class Closing:
    """The fate of an intent's positions, which are numbered from 0 among the admitted."""

    intent: int
    count: int
    settled: Sequence[Settled]
    inferred: Sequence[int] = field(default=())


class Journal(Protocol):
    """Where intents and outcomes are committed, each with its evidence in one transaction."""

    def references(self, category: str, batch: Batch) -> bytes:
        """What names the items of a batch in the evidence. It changes nothing, and may be asked for in any thread."""

    def turn(
        self, closing: Closing | None, opening: tuple[str, str, Batch, bytes] | None, admit: Callable[[Registers], Admission]
    ) -> Intent | None:
        """Commits the outcome of one batch and the intent of the next, together; when this returns, they survive a power cut.

        `opening` is (category, rule, batch, references). `admit` is called inside the transaction with the registers
        as they are at that moment; whatever it raises undoes the transaction.
        """

    def gather(self, category: str, rule: str) -> AbstractContextManager[Gathered]:
        """For the intents of one act on more items than a batch has; nothing is committed until its `commit`."""


class Gathered(Protocol):
    """Batches of one rule that go in one act: an intent for each, all of them in one transaction."""

    def add(self, batch: Batch) -> None: ...

    def commit(self, agree: Callable[[Registers], None]) -> Sequence[int]:
        """Commits the intents; their indices, in order. `agree` is called inside the transaction, and undoes it by raising."""


class Events(Protocol):
    """Where events are looked up: queries and records together."""

    def latest(self, category: str, event: str, subjects: Sequence[str | None], *, acting: bool) -> list[datetime | None]:
        """For each subject the newest event that is not withdrawn; None where there is none."""
