"""Erasure of one person: received, planned over every store, carried out, and looked for again.

Guarantees: whom a request means is written down only as keyed references. It stands from the moment a
person carries out a plan of it, which is an entry before the first item goes. It is carried out when a
later look finds nothing: what a hold, a minimum or another ground of the law keeps is refused, said, and
goes with the next plan of its category once nothing keeps it any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from retentiond.app.following import Following
from retentiond.app.happenings import Happenings
from retentiond.app.house import House
from retentiond.app.identifying import Identifier, Names, Widened, refuse_ambiguous, widen
from retentiond.app.judging import ready
from retentiond.app.planning import Planned, Progress, is_searched, make_plan, silent
from retentiond.core.alarm import Alarm, News
from retentiond.core.generations import Generations
from retentiond.core.period import Period
from retentiond.core.policy import Category, Rule
from retentiond.core.request import ErasureRequest, Stay, Stays, spellings_of
from retentiond.engine.pipeline import scope_for, survey_person
from retentiond.errors import StoreDenied, StoreUnavailable, UsageError
from retentiond.ledger.clock import micros
from retentiond.ledger.requests import Kept

_NEVER = 2**62


@dataclass(frozen=True, slots=True)
class Beyond:
    """A rule whose items nobody can tell to be about this person or not, and until when they stay.

    `until` is the day by which what lies there today is gone by the rule; None where the rule sets no end.
    """

    category: str
    rule: str
    store: str
    backup: bool
    words: str
    until: date | None


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
    """Receives a request (the same one again is the one that is there) and plans it over every store."""
    if not name.strip():
        raise UsageError("the request has no name", do="give --request, for instance the number of its ticket")
    widened = widen(house, given)
    refuse_ambiguous(given, widened)
    _refuse_unmapped(house, widened)
    year, names = house.now.year, Names(house)
    for one in house.requests.all():
        year = one.request.year if one.name == name else year
    rules = [rule for category in house.rulebook.categories.values() for rule in category.rules]
    spelled = [(each[0], one) for each in widened.identifiers for one in spellings_of(each, rules)]
    subjects = frozenset((kind, names.subject(year, kind, value)) for kind, value in spelled)
    until = house.settings.suppression.end(house.now, house.rulebook.zone)
    whom = ErasureRequest(-1, year, house.now, subjects)
    request = house.requests.receive(name, reason, by, whom, micros(until) if until else _NEVER, house.word)
    return Erasure(request, widened, plan_again(house, request, progress), beyond(house, request))


def plan_again(house: House, request: ErasureRequest, progress: Progress = silent) -> Planned:
    """A plan of all that is there of a person, in every rule that maps one of the identifiers."""
    whom = [replace(request, reach="whole")]
    names = [c.name for c in house.rulebook.categories.values() if any(is_searched(rule, whom) for rule in c.rules)]
    return make_plan(house, names, stays=True, whom=whom, progress=progress)


def _refuse_unmapped(house: House, widened: Widened) -> None:
    """`UsageError` where no rule maps any of the identifiers: nobody would be looked for, and nothing found."""
    kinds = sorted({kind for c in house.rulebook.categories.values() for rule in c.rules for kind in rule.subject})
    if not {kind for kind, _ in widened.identifiers} & {*kinds}:
        raise UsageError(
            "no rule maps any of these identifiers",
            why=f"rules map {', '.join(kinds)}" if kinds else "no rule says by `subject` whose its items are",
            do="name the person by one of these, or add `subject` to the rules",
        )


def look_again(house: House, entries: Sequence[int]) -> None:
    """Looks for people whose erasure was carried out, notes what is left, and tells the recipients."""
    for entry in entries:
        request = house.requests.get(entry).request
        found, looked = dict[tuple[str, str], Stays](), list[tuple[str, str]]()
        for category, rule in _searched(house, request):
            looked.append((category.name, rule.name))
            stays = _look(house, category, rule, request)
            if stays is not None:
                found[category.name, rule.name] = stays
        house.requests.saw(entry, found, looked)
        _tell_recipients(house, house.requests.get(entry))


def _searched(house: House, request: ErasureRequest) -> Iterator[tuple[Category, Rule]]:
    for category in house.rulebook.categories.values():
        yield from ((category, rule) for rule in category.rules if is_searched(rule, [request]))


def _look(house: House, category: Category, rule: Rule, request: ErasureRequest) -> Stays | None:
    """What is there of a person in one rule."""
    bench = ready(house, category, rule, house.now, house.holds.current().holds, [replace(request, reach="whole")])
    names = Names(house)
    following = Following(bench, lambda _entry, key: names.item(request.year, category.name, rule.store, key))
    try:
        pages = survey_person(house.view(rule.store), scope_for(bench, everything=True), bench, Happenings(house))
        for _ in following.watch(pages):
            pass
    except (StoreUnavailable, StoreDenied):
        return Stays(rule.store, None, [Stay("unseen", "its store could not be looked at", 0)])
    return following.stays().get(request.entry)


def _tell_recipients(house: House, kept: Kept) -> None:
    """A notification for each recipient of a category in which something of the person went, once (Art. 19 GDPR)."""
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


def beyond(house: House, request: ErasureRequest) -> list[Beyond]:
    """Every rule that was not searched, as nothing says whose its items are: copies that nobody uses, and when they go."""
    rules = [(category, rule) for category in house.rulebook.categories.values() for rule in category.rules]
    found = [_beyond(house, category, rule) for category, rule in rules if not is_searched(rule, [request])]
    copied = [(category, rule, store) for category, rule in rules for store in rule.stores if store != rule.store]
    words = "copies and archives that this rule has made; they may hold this person, and are not searched"
    return found + [Beyond(category.name, rule.name, store, True, words, None) for category, rule, store in copied]


def _beyond(house: House, category: Category, rule: Rule) -> Beyond:
    names = (category.name, rule.name, rule.store)
    if rule.generations is not None:
        reach = longest(rule.generations)
        words = "backups that may hold this person, kept by generations"
        return Beyond(*names, True, words if reach else f"{words} without an end in time", _day(house, reach))
    kept = rule.action.keeps or rule.forbid is not None or rule.start.kind == "event"
    end = None if kept else rule.deletion
    return Beyond(*names, False, "its items say of nobody whose they are (no `subject`)", _day(house, end))


def _day(house: House, period: Period | None) -> date | None:
    end = period.end(house.now, house.rulebook.zone) if period is not None else None
    return end.astimezone(house.rulebook.zone).date() if end is not None else None


def longest(generations: Generations) -> Period | None:
    """How long a generation stays that is made today, as long as newer ones are made; None where nothing tells.

    Each count of years, months, weeks or days says so by itself; of `last: N` and of a count without end nothing does.
    """
    if generations.last or any(count == "all" for _, count in generations.counts):
        return None
    months = max(12 * int(generations.yearly), int(generations.monthly))
    days = max(7 * int(generations.weekly), int(generations.daily), int(generations.hourly) // 24 + 1)
    within = generations.within
    reaches = [Period(months=months + 1 if months else 0, days=1), Period(days=days + 7), *([within] if within else [])]
    return max(reaches, key=lambda p: (p.forever, p.months * 31 + p.days))
