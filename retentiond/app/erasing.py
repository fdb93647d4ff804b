"""Erasure of one person: received, planned over every store, carried out, and looked for again.

Guarantees: whom a request means is written down only as keyed references. It stands from the moment a
person carries out a plan of it, which is an entry before the first item goes. It is carried out when a
later look finds nothing: what a hold, a minimum or another ground of the law keeps is refused, said, and
goes with the next plan of its category once nothing keeps it any more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial

from retentiond.app.beyond_use import Beyond, beyond
from retentiond.app.following import Following
from retentiond.app.happenings import Happenings
from retentiond.app.house import House
from retentiond.app.identifying import Identifier, Names, Widened, refuse_ambiguous, widen
from retentiond.app.judging import ready
from retentiond.app.linking import led_by, link_up
from retentiond.app.planning import Planned, Progress, is_searched, make_plan, silent
from retentiond.core.alarm import Alarm, News
from retentiond.core.item import NOTHING
from retentiond.core.ladder import Bench, Judgement
from retentiond.core.policy import Category, Rule
from retentiond.core.request import ErasureRequest, Stay, Stays, spellings_of
from retentiond.engine.pipeline import scope_for, survey_person
from retentiond.engine.ports import PAGE
from retentiond.errors import StoreDenied, StoreUnavailable, UsageError
from retentiond.ledger.clock import micros
from retentiond.ledger.plans import PlanFile
from retentiond.ledger.requests import Kept, Place

_NEVER = 2**62


@dataclass(slots=True)
class Erasure:
    """A request with the plan that was made of it: who was looked for, and where nobody could be."""

    request: ErasureRequest
    widened: Widened
    planned: Planned
    beyond: Sequence[Beyond] = field(default_factory=list)


def plan_erasure(
    house: House, given: Sequence[Identifier], name: str, reason: str, by: str, progress: Progress = silent
) -> Erasure:
    """Receives a request and plans it over every store.

    The same one again, by some of what it was given or led to, is the one that is there: it means whom it meant then, whatever
    the look-ups give by now, since the rows that they read may have gone by it.
    """
    _refuse_blank(name, reason)
    received = house.requests.all() if house.directory.exists() else []
    before = next((one.request for one in received if one.name == name), None)
    widened, names = widen(house, given, certain=True), Names(house)
    year = house.now.year if before is None else before.year
    rules = [rule for category in house.rulebook.categories.values() for rule in category.rules]

    def references(identifier: Identifier) -> frozenset[Identifier]:
        return frozenset((identifier[0], names.subject(year, identifier[0], one)) for one in spellings_of(identifier, rules))

    notes = list[str]()
    if before is None:
        refuse_ambiguous(given, widened)
        _refuse_unmapped(house, widened.identifiers)
    elif before.subjects:
        notes = _only_known(widened, before, references)
        _refuse_unmapped(house, before.subjects)
    subjects = frozenset().union(*map(references, widened.identifiers))
    copies = house.copies.holding([(each[0], one) for each in widened.identifiers for one in spellings_of(each, rules)])
    until = house.settings.suppression.end(house.now, house.rulebook.zone)
    whom, end = ErasureRequest(-1, year, house.now, subjects), micros(until) if until else _NEVER
    request = house.requests.receive(name, reason, by, whom, end, house.word, [*map(references, given)], copies)
    planned = plan_again(house, request, progress)
    planned.warnings += notes
    if not planned.header.total and house.requests.get(request.entry).allowed is not None:  # nobody will apply it
        look_again(house, [request.entry])
    return Erasure(request, widened, planned, beyond(house, request))


def _refuse_blank(name: str, reason: str) -> None:
    if not name.strip():
        raise UsageError("the request has no name", do="give --request, for instance the number of its ticket")
    if not reason.strip():
        raise UsageError("the request has no reason", do="give --reason, in words for people")


def _only_known(widened: Widened, before: ErasureRequest, references: Callable[[Identifier], Set[Identifier]]) -> list[str]:
    """Leaves of what look-ups give now what a request has already; says what is new, and what it knows beside.

    One that others share by now stays the request's: it was the person's alone when it was received.
    """
    known = [each for each in widened.identifiers if references(each) & before.subjects]
    others, notes = len(widened.identifiers) - len(known), list[str]()
    beside = sorted({kind for kind, _ in before.subjects} - {kind for kind, _ in known})
    if others:
        what = f"{others} identifiers that the look-ups give by now are not of this request, and are not searched for"
        notes.append(f"{what}: if they are the person's, give another --request for them")
    if beside:
        notes.append(f"the request knows the person by {', '.join(beside)} as well, as when it was received")
    widened.identifiers = known
    widened.left_out = {each: u for each, u in widened.left_out.items() if not references(each) & before.subjects}
    return notes


def plan_again(house: House, request: ErasureRequest, progress: Progress = silent) -> Planned:
    """A plan of all that is there of a person, in every rule that maps one of the identifiers."""
    whom = [replace(request, reach="whole")]
    names = [c.name for c in house.rulebook.categories.values() if any(is_searched(c, rule, whom) for rule in c.rules)]
    return make_plan(house, names, stays=True, whom=whom, progress=progress)


def _refuse_unmapped(house: House, identifiers: Iterable[Identifier]) -> None:
    """`UsageError` where no rule maps any of the identifiers: nobody would be looked for, and nothing found."""
    kinds = sorted({kind for c in house.rulebook.categories.values() for rule in c.rules for kind in rule.subject})
    if not {kind for kind, _ in identifiers} & {*kinds}:
        raise UsageError(
            "no rule maps any of these identifiers",
            why=f"rules map {', '.join(kinds)}" if kinds else "no rule says by `subject` whose its items are",
            do="name the person by one of these, or add `subject` to the rules",
        )


def meant_by(house: House, plan: PlanFile) -> Mapping[int, Mapping[Place, Stays]]:
    """By request, what a plan that a person carries out is about: whatever of it stays is known to have stayed.

    What stays according to a plan of several people is nobody's in particular, and is left out.
    """
    entries, names = plan.header.requests or (), Names(house)
    years = {entry: house.requests.get(entry).request.year for entry in entries}
    found: dict[int, dict[tuple[str, str, str], set[str]]] = {entry: {} for entry in entries}

    def take(entry: int, category: str, rule: str, store: str, key: str) -> None:
        found[entry].setdefault((category, rule, store), set()).add(names.item(years[entry], category, store, key))

    for block in plan.blocks(PAGE) if entries else ():
        for s in block:
            if s.request in found:
                take(s.request, s.category, s.rule, s.store, s.key)
    for line in plan.stays() if len(entries) == 1 else ():
        one = json.loads(line)
        take(entries[0], one["category"], one["rule"], one["store"], one["key"])
    return {
        entry: {(category, rule): Stays(store, frozenset(items), ()) for (category, rule, store), items in mine.items()}
        for entry, mine in found.items()
    }


def look_again(house: House, entries: Iterable[int]) -> None:
    """Looks for people whose erasure was carried out, notes what is left, and tells the recipients.

    Nobody looks on, so that what is newer than a request and was in no plan of it is a newcomer's.
    """
    for entry in entries:
        kept, copied = house.requests.get(entry), house.copies.destinations()
        request, found = kept.request, dict[Place, Stays]()
        looked = [place for place, stays in kept.stays.items() if stays.store in copied]  # a copy that went is not searched for
        for category in house.rulebook.categories.values():
            for rule, stays in _looks(house, category, request):
                looked.append((category.name, rule.name))
                if stays is not None:
                    found[category.name, rule.name] = stays
        house.requests.saw(entry, found, looked)
        _tell_recipients(house, house.requests.get(entry))


def _looks(house: House, category: Category, request: ErasureRequest) -> Iterator[tuple[Rule, Stays | None]]:
    """What is there of a person in each rule of a category that is searched."""
    rules = [rule for rule in category.rules if is_searched(category, rule, [request])]
    led = led_by(house, category, [request], house.now) if rules else NOTHING
    holds = house.holds.current().holds

    def bench_of(rule: Rule) -> Bench:
        return ready(house, category, rule, house.now, holds, [request], led if rule.link else NOTHING)

    def judged(bench: Bench) -> Iterator[Judgement]:
        view = house.view(bench.rule.store)
        return survey_person(view, scope_for(bench, everything=True), bench, Happenings(house))

    mates = [rule for rule in rules if rule.link]
    linked = link_up(mates, lambda rule: judged(bench_of(rule))) if len(mates) > 1 else None
    names = Names(house)
    for rule in rules:
        bench = bench_of(rule)
        bench.linked = linked if rule.link else None
        following = Following(bench, partial(_item, names, request, bench))
        try:
            for _ in following.watch(judged(bench)):
                pass
        except (StoreUnavailable, StoreDenied):
            yield rule, Stays(rule.store, None, [Stay("unseen", "its store could not be looked at", 0)])
        else:
            yield rule, following.stays().get(request.entry)


def _item(names: Names, request: ErasureRequest, bench: Bench, _entry: int, key: str) -> str:
    return names.item(request.year, bench.category, bench.rule.store, key)


def _tell_recipients(house: House, kept: Kept) -> None:
    """A notification for each recipient of a category in which something of the person went, once (Art. 19 GDPR).

    Where no address takes such messages nobody is told, and nobody is noted as told.
    """
    if not any("erasure" in address.on for address in house.settings.notify):
        return
    went = {one.category for one in house.runs.of_request(kept.request.entry) if one.body.get("disposed")}
    for name in sorted(went - kept.told.keys()):
        category = house.rulebook.categories.get(name)
        if category is None or not category.recipients:
            continue
        news = [_news(house, kept, name, number, who) for number, who in enumerate(category.recipients, 1)]
        house.requests.told(kept.request.entry, name, category.recipients)
        house.alarms.announce(news, {each: address.on for address in house.settings.notify for each in address.ids})


def _news(house: House, kept: Kept, category: str, number: int, recipient: str) -> News:
    at, about = micros(house.now), f"{category} entry {kept.request.entry} recipient {number}"
    facts = {"recipient": recipient, "category": category, "request": f"entry {kept.request.entry}"}
    return News("new", at, Alarm("erasure", about, at, facts=facts, do="retentiond audit certificate, and hand it on"))
