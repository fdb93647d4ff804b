"""One category file: whose data it is, on what ground, and the rules that keep its promise.

Guarantee: everything that can be judged without opening a store is judged, and all of it is
reported at once; a category that compiles means exactly what its file says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from retentiond.config.places import absolute, zone_problem
from retentiond.config.reading import Part, Reading, entries, read
from retentiond.config.rule import Bench, compile_rule
from retentiond.config.schedule import Schedule, schedule
from retentiond.config.settings import Surroundings, asks_a_store
from retentiond.config.shapes import CategoryShape, CronShape, EventShape, LimitsShape, PromiseShape
from retentiond.config.suggest import quoted
from retentiond.config.words import Unreadable, longer_by
from retentiond.core.entry import name as entry_name
from retentiond.core.policy import Category, EventSource, Limits, Promise, Rule
from retentiond.errors import Problem


@dataclass(frozen=True, slots=True)
class Compiled:
    """What came of one file. `name` is known even where the category is not usable.

    `rules` are the usable ones, for judging rules against each other.
    """

    part: Part
    name: str
    category: Category | None
    rules: tuple[Rule, ...]


def compile_category(part: Part, around: Surroundings, found: list[Problem], warnings: list[Problem]) -> Compiled:
    """The category of one file; every problem goes into `found`."""
    before = len(found)
    top = read(CategoryShape, part, found)
    name = _name(top, found)
    promise = _promise(top.piece("promise"), around, found)
    times = _schedule(top.piece("schedule"), found)
    limits = _limits(top.piece("limits"), found)
    events = _events(top.piece("events"), around, found, warnings)
    bench = Bench(around, name, top.get("locations"), events, found, warnings, top.get("cooling_off"), top.get("approval") or "")
    rules = _rules(top, bench)
    if times:
        for rule in rules:
            warnings += _late(rule, events, times, part)
    if len(found) > before or times is None:
        return Compiled(part, name, None, tuple(rules))
    category = Category(
        name=name,
        title=top.get("title"),
        purpose=tuple(top.get("purpose")),
        lawful_basis=top.get("lawful_basis"),
        data=tuple(top.get("data")),
        subjects=tuple(top.get("subjects")),
        owner=top.get("owner"),
        locations=tuple(top.get("locations")),
        schedule=times.text,
        rules=tuple(rules),
        events=events,
        recipients=tuple(top.get("recipients")),
        promise=promise,
        approval=top.get("approval"),
        limits=limits,
    )
    return Compiled(part, name, category, tuple(rules))


def _name(top: Reading[CategoryShape], found: list[Problem]) -> str:
    name: str = top.get("category") or ""
    if name and not entry_name(name):
        why = "names have up to 64 letters, digits, '_', '-' and '.', and begin with a letter, a digit or '_'"
        found.append(top.where("category").problem(f"{quoted(name)} is no name for a category", why, "choose another name"))
        return ""
    return name


def _promise(part: Part | None, around: Surroundings, found: list[Problem]) -> Promise | None:
    if part is None or part.data is None:
        return None
    shape = read(PromiseShape, part, found)
    if not shape.has("text", "source"):
        return None
    return Promise(shape.get("text"), absolute(around.folder, shape.get("source")))


def _schedule(part: Part | None, found: list[Problem]) -> Schedule | None:
    if part is None or part.data is None:
        return None
    if isinstance(part.data, dict):
        times: Schedule | None = read(CronShape, part, found).get("cron")
        return times
    try:
        return schedule(part.data)
    except Unreadable as error:
        found.append(part.unreadable(error))
        return None


def _limits(part: Part | None, found: list[Problem]) -> Limits:
    if part is None or part.data is None:
        return Limits()
    shape = read(LimitsShape, part, found)
    usual = Limits()
    return Limits(shape.get("items") or usual.items, shape.get("share") or usual.share, shape.get("bytes") or usual.bytes)


def _events(part: Part | None, around: Surroundings, found: list[Problem], warnings: list[Problem]) -> dict[str, EventSource]:
    return {name: _event(name, entry, around, found, warnings) for name, entry in entries(part, "event", found)}


def _event(name: str, part: Part, around: Surroundings, found: list[Problem], warnings: list[Problem]) -> EventSource:
    shape = read(EventShape, part, found)
    store, query, recorded = shape.get("store"), shape.get("query"), bool(shape.get("recorded"))
    written = part.data if isinstance(part.data, dict) else {}
    if isinstance(part.data, dict) and ("query" in written) != ("store" in written):
        missing = "store" if "query" in written else "query"
        found.append(
            part.problem_with_key(
                f"'{missing}' is missing", "a query and the store that it asks go together", f"add {missing}: …"
            )
        )
    elif shape.lacks("query") and not recorded and ("recorded" not in written or shape.has("recorded")):
        why, do = "it has no query, and nobody records it", "add store and query, or recorded: yes"
        found.append(part.problem_with_key(f"the event '{name}' never happens", why, do))
    if store and around.stores is not None:
        found += asks_a_store(shape.where("store"), store, around.stores)
    zone = shape.get("zone")
    wrong = zone_problem(zone) if zone else None
    if wrong:
        found.append(shape.where("zone").problem(*wrong))
    declared = (around.stores or {}).get(store) if store else None
    if shape.has("query") and declared and not (zone or declared.zone):
        why = f"neither the event nor its store says otherwise, so they are read in {around.zone}"
        warnings.append(shape.where("query").problem("times without a zone", why, "add 'zone' to the store if that is wrong"))
    definite = zone or (declared.zone if declared else "") or around.zone
    return EventSource(name, store or "", query or "", shape.get("settle"), recorded, definite)


def _rules(top: Reading[CategoryShape], bench: Bench) -> list[Rule]:
    part = top.piece("rules")
    if part is None or part.data is None:
        return []
    if part.data in ({}, []):
        bench.found.append(part.problem_with_key("no rules", "a category without rules keeps no promise", "add a rule"))
        return []
    rules = [compile_rule(name, entry, bench) for name, entry in entries(part, "rule", bench.found)]
    linked = [name for name, entry in part.each() if isinstance(entry.data, dict) and entry.data.get("link")]
    if len(linked) == 1:
        why, do = "one rule makes no set", "give the other rules of the set a link, too, or leave it out"
        bench.found.append(part.at(linked[0]).at("link").problem_with_key("a link that leads nowhere", why, do))
    return [rule for rule in rules if rule is not None]


def _late(rule: Rule, events: Mapping[str, EventSource], times: Schedule, part: Part) -> list[Problem]:
    """That a schedule comes too seldom for a rule's deletion period: an item may be overdue before it is looked at."""
    if not rule.action.destroys or rule.generations or rule.forbid or rule.deletion.forever:
        return []
    floors = [rule.retention]
    if rule.minimum:
        floors.append(rule.minimum.period)
    source = events.get(rule.start.name) if rule.start.kind == "event" else None
    if source and source.settle:
        floors.append(source.settle)
    slack = min(longer_by(rule.deletion, floor)[0] for floor in floors)
    if not 0 <= slack < times.longest_gap:
        return []
    gap, left = hours(times.longest_gap), hours(slack)
    why = f"{times.text} may come {gap} after an item of the rule '{rule.name}' is due, and it must be gone within {left}"
    where = part.at("schedule")
    return [
        where.problem("the schedule cannot keep the deletion period", why, "look more often, or promise a longer deletion period")
    ]


def hours(minutes: float) -> str:
    """A number of minutes in words, rounded to the largest fitting unit."""
    for unit, size in (("day", 1440), ("hour", 60)):
        if minutes >= 2 * size:
            return f"{int(minutes // size)} {unit}s"
    return f"{int(minutes)} minutes"
