"""One identifier of a person leads to others: the look-ups of `identities:`, each with what it gave."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from retentiond.app.house import House
from retentiond.config.settings import Identity
from retentiond.core.mail import address_of
from retentiond.core.reference import References, derive
from retentiond.engine.ports import Identifying
from retentiond.errors import ConfigurationError, RetentiondError, StoreDenied, StoreTrouble, UsageError

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
    """Who a person is: the identifiers that were given and those that they led to, in this order, and the look-ups."""

    identifiers: list[Identifier] = field(default_factory=list)
    look_ups: list[LookedUp] = field(default_factory=list)


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


def widen(house: House, given: Sequence[Identifier], missed: Missed | None = None) -> Widened:
    """The given identifiers and all that the configured look-ups give for them. One that fails raises, or is noted in `missed`.

    An address is asked for as it was typed and in small letters, as rules are searched for it.
    """
    known = dict.fromkeys(given)
    found = Widened()
    waiting = list(known)
    while waiting:
        took = waiting.pop(0)
        for look_up in _look_ups(house, took, missed):
            found.look_ups.append(look_up)
            fresh = [each for each in look_up.gave if each not in known]
            known |= dict.fromkeys(fresh)
            waiting += fresh
    found.identifiers = list(known)
    return found


def _look_ups(house: House, took: Identifier, missed: Missed | None) -> Iterator[LookedUp]:
    kind, value = took
    for identity in house.settings.identities.values():
        if not re.search(rf"(?<!:):{re.escape(kind)}\b", identity.query):
            continue
        if missed is not None and identity.store in missed.down:
            missed.look_ups[identity.name] = missed.down[identity.store]
            continue
        try:
            gave = _given(house, identity, kind, value)
        except (StoreTrouble, ConfigurationError) as error:
            if missed is None:
                raise
            missed.look_ups[identity.name] = error
            missed.down |= {} if isinstance(error, StoreDenied) else {identity.store: error}
            continue
        yield LookedUp(identity.name, took, [each for each in gave if each != took], identity.several)


def _given(house: House, identity: Identity, kind: str, value: str) -> list[Identifier]:
    """What a look-up gives for an identifier, each once."""
    view = house.view(identity.store)
    if not isinstance(view, Identifying):
        raise StoreDenied(f"the store {identity.store} cannot answer queries", do="an identity needs an sql store")
    spellings = dict.fromkeys((value, address_of(value) or value))
    return [*dict.fromkeys(each for one in spellings for each in view.identify(identity.query, {kind: one}))]


def refuse_ambiguous(given: Sequence[Identifier], widened: Widened) -> None:
    """`UsageError` where one identifier led to several of a kind that the person who asked has not named all."""
    for look_up in widened.look_ups:
        for kind in dict.fromkeys(kind for kind, _ in look_up.gave):
            several = [each for each in look_up.gave if each[0] == kind]
            if len(several) > 1 and not look_up.several and not {*several} <= {*given}:
                raise UsageError(
                    f"the look-up {look_up.name} leads from one {look_up.took[0]} to {len(several)} of the kind {kind}",
                    why="they may be several people, and only one of them has asked",
                    do=f"name the {kind} that is meant and leave the {look_up.took[0]} out; or name all {len(several)}; "
                    f"where one {look_up.took[0]} always has several, write `several: yes` beside the query",
                )


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
