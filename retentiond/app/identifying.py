"""One identifier of a person leads to others: the look-ups of `identities:`, each with what it gave."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from retentiond.app.house import House
from retentiond.config.load import place_of_identity
from retentiond.config.settings import Identity
from retentiond.core.mail import address_of
from retentiond.core.reference import References, derive
from retentiond.engine.ports import Identifying
from retentiond.errors import ConfigurationError, RetentiondError, StoreDenied, StoreTrouble, StoreUnavailable, UsageError

Identifier = tuple[str, str]
"""(kind, value)."""


@dataclass(frozen=True, slots=True)
class LookedUp:
    """One look-up: its name, the identifier that it took, and those that it gave."""

    name: str
    took: Identifier
    gave: Sequence[Identifier]
    several: bool = False


@dataclass(slots=True)
class Widened:
    """Who a person is: the identifiers that were given and those that they led to, in this order, and the look-ups.

    `left_out` are identifiers that others share, each with the look-up that led from it to somebody who was not named.
    """

    identifiers: list[Identifier] = field(default_factory=list)
    look_ups: list[LookedUp] = field(default_factory=list)
    left_out: dict[Identifier, LookedUp] = field(default_factory=dict)


@dataclass(slots=True)
class Missed:
    """The look-ups that could not be made, by name, each with why; `down` are the stores that are not asked again."""

    look_ups: dict[str, RetentiondError] = field(default_factory=dict)
    down: dict[str, RetentiondError] = field(default_factory=dict)


def identifiers_of(words: Iterable[str], option: str) -> tuple[Identifier, ...]:
    """The identifiers that a person typed as K=V; `UsageError` for a word that is none."""
    return tuple(_pair(word, option) for word in words)


def _pair(word: str, option: str) -> Identifier:
    kind, sign, value = word.partition("=")
    if not (kind and sign and value):
        raise UsageError(f"{option} names nobody", why="a subject is an identifier kind and its value", do="write customer=42")
    return kind, value


def widen(house: House, given: Sequence[Identifier], missed: Missed | None = None, *, certain: bool = False) -> Widened:
    """The given identifiers and all that the configured look-ups give for them. One that fails raises, or is noted in `missed`.

    An address is asked for as it was typed and in small letters, as rules are searched for it. `certain` leaves out what is not
    surely the one person's who was named: an identifier that nobody gave, and that leads to whom was named and to others.
    """
    known, named = dict.fromkeys(given), {_plain(each) for each in given}
    found = Widened()
    waiting = list(known)
    while waiting:
        took = waiting.pop(0)
        look_ups = list(_look_ups(house, took, missed))
        shared = next((u for u in look_ups if _is_shared(u, named)), None) if certain and _plain(took) not in named else None
        if shared is not None:
            del known[took]
            found.left_out[took] = shared
            continue
        found.look_ups += look_ups
        for look_up in look_ups:
            fresh = [each for each in look_up.gave if each not in known and each not in found.left_out]
            known |= dict.fromkeys(fresh)
            waiting += fresh
    found.identifiers = list(known)
    return found


def _plain(identifier: Identifier) -> Identifier:
    """An identifier as it is compared with others: an address in small letters."""
    kind, value = identifier
    return kind, address_of(value) or value


def _is_shared(look_up: LookedUp, named: Collection[Identifier]) -> bool:
    """Whether a look-up leads to somebody who was named, and to others of the same kind who were not."""
    gave = {_plain(each) for each in look_up.gave} if not look_up.several else set()
    return bool({kind for kind, _ in gave.intersection(named)} & {kind for kind, _ in gave.difference(named)})


def _look_ups(house: House, took: Identifier, missed: Missed | None) -> Iterator[LookedUp]:
    kind, value = took
    for identity in house.settings.identities.values():
        if kind not in identity.kinds:
            continue
        if missed is not None and identity.store in missed.down:
            missed.look_ups[identity.name] = missed.down[identity.store]
            continue
        try:
            gave = _given(house, identity, kind, value)
        except (StoreUnavailable, StoreDenied, ConfigurationError) as error:
            if missed is None:
                raise failed_look_up(house, identity, error) if isinstance(error, StoreTrouble) else error from None
            missed.look_ups[identity.name] = error
            missed.down |= {} if isinstance(error, StoreDenied) else {identity.store: error}
            continue
        yield LookedUp(identity.name, took, [each for each in gave if each != took], identity.several)


def _given(house: House, identity: Identity, kind: str, value: str) -> list[Identifier]:
    """What a look-up gives for an identifier, each once."""
    view = identifying(house, identity)
    spellings = dict.fromkeys((value, address_of(value) or value))
    return [*dict.fromkeys(each for one in spellings for each in view.identify(identity.query, {kind: one}))]


def identifying(house: House, identity: Identity) -> Identifying:
    """The store that a look-up asks; `StoreDenied` for one that answers no queries."""
    view = house.view(identity.store)
    if not isinstance(view, Identifying):
        raise StoreDenied(f"the store {identity.store} cannot answer queries", do="an identity needs an sql store")
    return view


def failed_look_up(house: House, identity: Identity, error: StoreTrouble) -> StoreTrouble:
    """The same error, which says in which look-up it happened and where that is written."""
    error.what = f"the look-up {identity.name} cannot be made: {error.what}"
    error.place = place_of_identity(house.loaded, identity.name)
    return error


def refuse_ambiguous(given: Sequence[Identifier], widened: Widened) -> None:
    """`UsageError` where what was given may be several people: it leads to several of a kind, or to one beside those named.

    Where a kind was named, all that the look-ups lead to has to be named; where it was not, they have to agree on one, as far as
    each says who a person is. A look-up that may lead to `several` contradicts nothing, nor do those of its many each other.
    """
    named, led = {_plain(each) for each in given}, dict[str, dict[Identifier, LookedUp]]()
    kinds, firm = {kind for kind, _ in named}, set(named)
    for look_up in (each for each in widened.look_ups if not each.several):
        gave = dict.fromkeys(map(_plain, look_up.gave))
        is_firm = _plain(look_up.took) in firm
        firm |= {*gave} if is_firm else set()
        for kind in dict.fromkeys(kind for kind, _ in gave):
            mine = {each: look_up for each in gave if each[0] == kind}
            found = (led.get(kind, {}) if is_firm else {}) | mine
            if is_firm:
                led[kind] = found
            strangers = [each for each in found if each not in named]
            if strangers and (kind in kinds or len(found) > 1):
                raise _contradiction(kind, len(found), found[strangers[-1]], named, key=_typed(strangers))


def _typed(identifiers: Sequence[Identifier]) -> str:
    return " ".join(f"{kind}={value}" for kind, value in identifiers)


def _contradiction(kind: str, count: int, look_up: LookedUp, named: Collection[Identifier], *, key: str) -> UsageError:
    name, source = look_up.name, look_up.took[0]
    mine = sum(each[0] == kind for each in look_up.gave)
    why = "they may be several people, and only one of them has asked"
    if any(kind == each[0] for each in named):
        what = f"the identifiers contradict each other: the look-up {name} leads from the {source} to a {kind} that was not named"
        rest = (
            f"leave the {source} out"
            if _plain(look_up.took) in named
            else "correct what the look-up reads, or leave out what leads there"
        )
        return UsageError(what, why=why, do=f"name that {kind} as well if it is the same person's, else {rest}", key=key)
    if mine > 1:
        what, rest = f"the look-up {name} leads from one {source} to {mine} of the kind {kind}", f"the {source}"
    else:
        what, rest = (
            f"the identifiers lead to {count} of the kind {kind}, one of them by the look-up {name}",
            "what leads to others",
        )
    do = f"name the {kind} that is meant and leave {rest} out; or name all {count}"
    several = f"; where one {source} always has several, write `several: yes` beside the query" if mine > 1 else ""
    return UsageError(what, why=why, do=do + several, key=key)


class Names:
    """Makes the references of a house: `core.request.Naming`."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._subjects: dict[tuple[int, str], References] = {}
        self._items: dict[tuple[int, str, str], References] = {}

    def subject(self, year: int, kind: str, value: str) -> str:
        """The reference of one identifier of a person."""
        made = self._subjects.get((year, kind))
        if made is None:
            key = derive(self._house.reference_keys.master(year), "-subjects")
            made = self._subjects[year, kind] = References(key, kind)
        return made.of(value).hex()

    def item(self, year: int, category: str, store: str, key: str) -> str:
        """The reference of an item."""
        made = self._items.get((year, category, store))
        if made is None:
            made = self._items[year, category, store] = self._house.references(year)(category, store)
        return made.of(key).hex()
