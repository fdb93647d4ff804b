"""One rule: which items of which store, where their clock starts, how long they stay, what then.

Guarantee: a rule that compiles names a declared store in a place that its category allows,
selects all of a store only where that is said in words, starts its clock from something that
its selection can show, and promises nothing that its own periods contradict.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from retentiond.config.actions import action_of, refuse_needed
from retentiond.config.bucket import by_of, bypass_of
from retentiond.config.copies import Here, copy_of, requirement_of
from retentiond.config.instead import captured, clock_of, forbid_of, generations_of
from retentiond.config.mail import KEYS, MailFields, mail_of, means_everything
from retentiond.config.not_yet import NOT_YET
from retentiond.config.objects import CONDITIONS, path_selection, refuse_undescribed
from retentiond.config.places import zone_problem
from retentiond.config.reading import Part, Reading, kind_of, not_among, read
from retentiond.config.selections import MessageShape, PathShape, TableShape
from retentiond.config.settings import Surroundings
from retentiond.config.shapes import ExemptShape, MinimumShape, RuleShape, StartShape
from retentiond.config.stores import Declared
from retentiond.config.suggest import did_you_mean, listed, quoted
from retentiond.config.words import day_longer, longer_by
from retentiond.core.entry import name as entry_name
from retentiond.core.mail import is_header
from retentiond.core.pattern import PathPattern, PatternError, compile_pattern
from retentiond.core.period import FOREVER, Period
from retentiond.core.policy import (
    Exempt,
    MailSelection,
    Minimum,
    ObjectSelection,
    PathSelection,
    Rule,
    Selection,
    Start,
    TableSelection,
)
from retentiond.errors import Problem

_ALWAYS_PATHS = frozenset({"*", "**", "**/*", "**/**"})
_ALWAYS_CONDITIONS = frozenset({"1", "true", "1=1"})
_NO_CREATION = frozenset({"files", "sftp"})
_START_KINDS: tuple[Literal["column", "path", "header", "metadata", "tag", "event"], ...] = (
    "column",
    "path",
    "header",
    "metadata",
    "tag",
    "event",
)
_READ = ("column", "metadata", "tag")
"""Starts that are read from what somebody wrote as he pleased."""
Fields = PathPattern | MailFields
"""What tells which fields the items of a selection have; None for rows, whose columns only the database knows."""


@dataclass(slots=True)
class Bench:
    """What a rule is judged against, and what is found while judging it.

    `locations` is None where the category's are not known; `events` has every declared name.
    """

    around: Surroundings
    category: str
    locations: Collection[str] | None
    events: Collection[str]
    found: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    cooling_off: Period | None = None
    approval: str = ""


def compile_rule(name: str, part: Part, bench: Bench) -> Rule | None:
    """The rule of one entry; None where something is wrong with it, which is then in `bench.found`."""
    before = len(bench.found)
    rule = read(RuleShape, part, bench.found)
    store = _store(rule, bench)
    selection, pattern = _selection(rule, store, bench)
    start = _start(rule, store, selection, pattern, bench)
    generations = generations_of(rule, pattern, bench.found)
    forbid = forbid_of(rule, pattern, bench.events, bench.found)
    retention, deletion = rule.get("retention_period"), rule.get("deletion_period")
    if rule.lacks("retention_period") and not clock_of(part):
        why, do = "it is how long an item is kept at least", "for example retention_period: 3 months"
        bench.found.append(part.problem_with_key("'retention_period' is missing", why, do))
    minimum, exempt = _minimum(rule, bench.found), _exempt(rule, bench.found)
    _refuse_children(rule, part, selection, bench.found)
    here = Here(store, bench.around.stores, bench.locations, pattern, bench.found, start is not None and start.kind != "event")
    copied = copy_of(rule, here)
    require = requirement_of(rule, here, copied)
    demanded = require is not None and require.encrypted is not None
    action = action_of(rule.piece("action"), store.selects if store else "table", here, demanded=demanded)
    subject = _subject(rule, pattern, bench.found)
    _link(rule, part, pattern, bench.found)
    bucket = by_of(rule, store, selection, start, _beside(bench), bench.found), bypass_of(rule, store, bench.found)
    if action is not None and action.anonymises and selection and start:
        refuse_needed(action, rule.where("action"), selection, start, bench.found)
    if generations is not None:
        retention = deletion = FOREVER
    elif forbid is not None:
        start, retention, deletion = Start("event", forbid.event, forbid.by), FOREVER, FOREVER
    elif retention is not None:
        deletion = deletion or day_longer(retention)
        if "deletion_period" not in rule.part.data or rule.has("deletion_period"):
            _compare(rule, retention, deletion, minimum, bench)
    if len(bench.found) > before or not (selection and start and action and retention and deletion):
        return None
    cooling_off = rule.get("cooling_off") or bench.cooling_off
    told = (minimum, subject, generations, forbid, cooling_off, copied, require, exempt, rule.get("link") or "")
    return Rule(name, rule.get("store"), selection, start, retention, deletion, action, *told, *bucket)


def _beside(bench: Bench) -> list[str]:
    """What the category says of all its rules that a bucket could not keep to."""
    return [*(["cooling_off"] if bench.cooling_off else []), *(["approval: always"] if bench.approval == "always" else [])]


def _store(rule: Reading[RuleShape], bench: Bench) -> Declared | None:
    name, stores = rule.get("store"), bench.around.stores
    if not rule.has("store") or stores is None:
        return None
    where = rule.where("store")
    if name not in stores:
        bench.found.append(
            where.problem(
                f"the store {quoted(name)} is not declared", f"declared are {listed(stores)}", did_you_mean(name, stores)
            )
        )
        return None
    store = stores[name]
    if store.location and bench.locations is not None and store.location not in bench.locations:
        why = f"the store is in {quoted(store.location)}, and the category's locations are {listed(bench.locations)}"
        do = did_you_mean(store.location, bench.locations, f"add {store.location} to the locations, or name another store")
        bench.found.append(where.problem(f"the store {quoted(name)} is where the category may not be", why, do))
    return store


# --- which items


def _selection(rule: Reading[RuleShape], store: Declared | None, bench: Bench) -> tuple[Selection | None, Fields | None]:
    part = rule.piece("select")
    if part is None or part.data is None:
        return None, None
    kind = store.selects if store else "unknown"
    if kind == "unknown":
        written = part.data.keys() if isinstance(part.data, dict) else set()
        kind = "table" if "table" in written else "mail" if written & KEYS else "path"
    if kind == "table":
        return _table(rule, part, bench.found), None
    if kind == "mail":
        return _mail(rule, part, bench.found)
    return _path(rule, part, store, bench.found)


def _path(
    rule: Reading[RuleShape], part: Part, store: Declared | None, found: list[Problem]
) -> tuple[Selection | None, PathPattern | None]:
    before = len(found)
    shape = read(PathShape, part, found)
    text = shape.get("path")
    if not isinstance(part.data, dict) or text is None:
        return None, None
    try:
        pattern = compile_pattern(text)
    except PatternError as error:
        found.append(shape.where("path").problem("the pattern cannot be used", str(error), "see 'select' in the policy language"))
        return None, None
    if len(found) > before and not shape.has("path"):
        return None, None
    always = text in _ALWAYS_PATHS and not shape.part.data.keys() & set(CONDITIONS)
    _everything(rule, shape, always, (rule.get("store"),), found)
    selection = path_selection(shape, text, store, found)
    return selection if len(found) == before else None, pattern


def _table(rule: Reading[RuleShape], part: Part, found: list[Problem]) -> Selection | None:
    before = len(found)
    shape = read(TableShape, part, found)
    table = shape.get("table")
    if table and (shape.has("where") or shape.lacks("where")):
        where = shape.get("where")
        always = where is None or "".join(where.lower().split()).strip("();") in _ALWAYS_CONDITIONS
        _everything(rule, shape, always, (table, rule.get("store")), found)
    if len(found) > before or not table:
        return None
    return TableSelection(table, shape.get("where"), shape.get("key"), shape.get("version"), shape.get("children"))


def _mail(rule: Reading[RuleShape], part: Part, found: list[Problem]) -> tuple[Selection | None, Fields | None]:
    before = len(found)
    shape, selection, fields = mail_of(part, found)
    if selection is not None:
        _everything(rule, shape, means_everything(selection), (rule.get("store"),), found)
    return selection if len(found) == before else None, fields


def _refuse_children(rule: Reading[RuleShape], part: Part, selection: Selection | None, found: list[Problem]) -> None:
    """Rows go with others only where rows are deleted one by one: whole families, and nobody is asked about each."""
    if not isinstance(selection, TableSelection) or selection.children == "forbid":
        return
    data = part.data if isinstance(part.data, dict) else {}
    other = next((key for key in ("generations", "forbid") if key in data), None)
    if other is None and data.get("action") != "delete":
        other = "action"
    if other is not None:
        why, do = "rows go with others only by action: delete and a retention period", "leave `children` out, or write two rules"
        found.append(rule.where("select").problem(f"'children' does not go with '{other}'", why, do))


def _everything(
    rule: Reading[RuleShape],
    shape: Reading[PathShape] | Reading[TableShape] | Reading[MessageShape],
    always: bool,
    names: tuple[str | None, ...],
    found: list[Problem],
) -> None:
    """That a selection of all says so, word for word, and no other one does; beside `select` or inside it."""
    said = rule.piece("everything") or shape.piece("everything")
    expected = [f"yes, every item in {name}" for name in names if name]
    if said is None:
        if always and expected:
            why, do = "its text is always true", f'if that is meant, add everything: "{expected[0]}"'
            found.append(shape.part.problem("the selection is everything", why, do))
    elif not always:
        found.append(
            said.problem_with_key(
                "'everything' is out of place", "the selection is not everything", "remove it, or the condition"
            )
        )
    elif said.data not in expected and expected:
        why, do = "it must name what it means, word for word", f'write everything: "{expected[0]}"'
        found.append(said.problem("'everything' says something else", why, do))


# --- where the clock starts


def _start(
    rule: Reading[RuleShape], store: Declared | None, selection: Selection | None, pattern: Fields | None, bench: Bench
) -> Start | None:
    part, found = rule.piece("start"), bench.found
    if part is None:
        if rule.lacks("start") and clock_of(rule.part) != "forbid":
            found.append(
                rule.part.problem_with_key("'start' is missing", "without it no clock starts", "for example start: modified")
            )
        return None
    kind = store.selects if store else _kind_of(selection)
    if isinstance(part.data, dict):
        return _start_of_mapping(part, kind, store, (selection, pattern), bench)
    if part.data in ("created", "modified"):
        return _start_of_word(part, kind, store, bench)
    if isinstance(part.data, str) and part.data in _START_KINDS:
        found.append(
            part.problem(f"'{part.data}' as a start needs its name", "start is a mapping then", f"write {{{part.data}: NAME}}")
        )
    elif part.data is not None:
        known = ["created", "modified", *(f"{{{kind}: …}}" for kind in _START_KINDS)]
        found.append(part.problem(*not_among("'start'", part.data if isinstance(part.data, str) else kind_of(part.data), known)))
    return None


def _kind_of(selection: Selection | None) -> str:
    kinds = {TableSelection: "table", MailSelection: "mail", PathSelection: "path", ObjectSelection: "path"}
    return kinds.get(type(selection), "unknown")


def _start_of_word(part: Part, kind: str, store: Declared | None, bench: Bench) -> Start | None:
    if kind == "table":
        why = "a row has no time of its own, only columns"
        bench.found.append(
            part.problem(f"'{part.data}' is no start for rows", why, "write {column: NAME} or {event: NAME, by: COLUMN}")
        )
        return None
    if part.data == "created" and store and store.type in _NO_CREATION:
        why = "file systems do not tell reliably when a file was created: copies and restores are created anew"
        bench.found.append(
            part.problem("'created' is no start for files", why, "write modified, or {path: NAME} for a date in the name")
        )
        return None
    return Start(cast("Literal['created', 'modified']", part.data), zone=_zone(None, store, bench))


def _start_of_mapping(
    part: Part, kind: str, store: Declared | None, selected: tuple[Selection | None, Fields | None], bench: Bench
) -> Start | None:
    selection, pattern = selected
    before = len(bench.found)
    shape = read(StartShape, part, bench.found)
    written = [k for k in _START_KINDS if k in part.data]
    unbuilt = part.data.keys() & NOT_YET["start"]
    if len(written) != 1 and not unbuilt:
        do = f"write one of {', '.join(f'{{{k}: …}}' for k in _START_KINDS)}"
        bench.found.append(part.problem("'start' has not exactly one source", f"it has {listed(written)}", do))
    if len(written) != 1:
        return None
    chosen = written[0]
    name = shape.get(chosen)
    _refuse_strangers(shape, chosen, bench.found)
    if name and chosen in ("metadata", "tag"):
        refuse_undescribed(shape, chosen, store, selection, bench.found)
    elif name:
        {"column": _column, "path": _dated_name, "header": _header, "event": _event}[chosen](shape, name, kind, pattern, bench)
    wrong = zone_problem(shape.get("zone")) if shape.has("zone") else None
    if wrong:
        bench.found.append(shape.where("zone").problem(*wrong))
    if len(bench.found) > before or not name:
        return None
    zone = _zone(shape.get("zone"), store, bench)
    if chosen in _READ and store and not (shape.get("zone") or store.zone or shape.get("unit")):
        why = f"neither the rule nor its store says otherwise, so they are read in {zone}"
        bench.warnings.append(
            shape.where(chosen).problem("times without a zone", why, "add 'zone' to the store if that is wrong")
        )
    return Start(chosen, name, shape.get("by") or "", zone, shape.get("unit"))


def _refuse_strangers(shape: Reading[StartShape], chosen: str, found: list[Problem]) -> None:
    allowed = {"path": ("zone",), "header": ("zone",), "event": ("by",)}.get(chosen, ("zone", "unit"))
    for key in ("by", "zone", "unit"):
        stranger = shape.piece(key)
        if stranger is not None and key not in allowed:
            do = "put 'zone' beside the event's query" if (chosen, key) == ("event", "zone") else "remove it"
            found.append(
                stranger.problem_with_key(
                    f"'{key}' means nothing beside '{chosen}'", f"'{chosen}' goes with {listed(allowed)}", do
                )
            )


def _column(shape: Reading[StartShape], _name: str, kind: str, _pattern: Fields | None, bench: Bench) -> None:
    if kind == "mail":
        why, do = "items of this store are messages, and have no columns", "write created, {header: Date} or {event: …}"
        bench.found.append(shape.where("column").problem_with_key("'column' is no start for mail", why, do))
    if kind == "path":
        why = "items of this store are files, and have no columns"
        bench.found.append(
            shape.where("column").problem_with_key(
                "'column' is no start for files", why, "write modified, {path: NAME} or {event: …}"
            )
        )


def _dated_name(shape: Reading[StartShape], name: str, kind: str, pattern: Fields | None, bench: Bench) -> None:
    where = shape.where("path")
    if kind == "table":
        bench.found.append(where.problem_with_key("'path' is no start for rows", "rows have columns", "write {column: NAME}"))
    elif kind == "mail":
        do = "write created, {header: Date} or {event: …}"
        bench.found.append(where.problem_with_key("'path' is no start for mail", "messages are dated by their delivery", do))
    elif isinstance(pattern, PathPattern) and name not in pattern.dates:
        captured = name in pattern.names
        what = f"{{{name}}} captures text, not a date" if captured else f"the pattern captures no {quoted(name)}"
        do = f"write {{{name}:%Y-%m-%d}} in the pattern" if captured else did_you_mean(name, pattern.dates)
        bench.found.append(where.problem(what, f"dates that it captures: {listed(pattern.dates)}", do))


def _header(shape: Reading[StartShape], name: str, kind: str, _pattern: Fields | None, bench: Bench) -> None:
    where = shape.where("header")
    if kind in ("path", "table"):
        what = "files" if kind == "path" else "rows"
        why = "only the messages of a store of mail have headers"
        bench.found.append(where.problem_with_key(f"'header' is no start for {what}", why, "name another start"))
    elif not is_header(name):
        bench.found.append(where.problem(f"{quoted(name)} is no name of a header", "it is printable ASCII without a colon"))


def _event(shape: Reading[StartShape], name: str, _kind: str, pattern: Fields | None, bench: Bench) -> None:
    where, by = shape.where("event"), shape.piece("by")
    if name not in bench.events:
        why = f"declared are {listed(bench.events)}"
        bench.found.append(where.problem(f"the event {quoted(name)} is not declared", why, did_you_mean(name, bench.events)))
    if by is None:
        why = "it is the field whose value is the event's subject"
        bench.found.append(shape.part.problem("'by' is missing", why, f"write {{event: {name}, by: FIELD}}"))
    elif shape.has("by"):
        captured(by, by.data, pattern, bench.found)


def _zone(own: str | None, store: Declared | None, bench: Bench) -> str:
    return own or (store.zone if store else "") or bench.around.zone


# --- how long, what then, and whose


def _minimum(rule: Reading[RuleShape], found: list[Problem]) -> Minimum | None:
    part = rule.piece("minimum")
    if part is None or part.data is None:
        return None
    shape = read(MinimumShape, part, found)
    period, mandate = shape.get("period"), shape.get("mandate")
    return Minimum(period, mandate) if shape.has("period", "mandate") else None


def _link(rule: Reading[RuleShape], part: Part, pattern: PathPattern | MailFields | None, found: list[Problem]) -> None:
    """A link is a field, and joins items that are each due by a start of their own."""
    if not rule.has("link") or not rule.get("link"):
        return
    where = rule.where("link")
    captured(where, rule.get("link"), pattern, found)
    if clock_of(part):
        why = f"{clock_of(part)} judge items of one rule together, and a set items of several"
        found.append(where.problem_with_key(f"'link' does not go with '{clock_of(part)}'", why, "leave it out"))


def _exempt(rule: Reading[RuleShape], found: list[Problem]) -> Exempt | None:
    part = rule.piece("exempt")
    if part is None or part.data is None:
        return None
    shape = read(ExemptShape, part, found)
    return Exempt(shape.get("ground"), shape.get("because")) if shape.has("ground", "because") else None


def _compare(rule: Reading[RuleShape], retention: Period, deletion: Period, minimum: Minimum | None, bench: Bench) -> None:
    """That the promise can be kept: not broken by the rule's own retention period, nor by a minimum."""
    floors = [("retention period", retention, rule.where("deletion_period"))]
    if minimum:
        floors.append(("minimum", minimum.period, rule.where("deletion_period" if rule.has("deletion_period") else "minimum")))
    for name, floor, where in floors:
        least, most = longer_by(deletion, floor)
        do = f"lengthen it, to more than {floor.words}" if not floor.forever else "write deletion_period: forever"
        if most < 0:
            why = f"{deletion.words} is less than {floor.words}, so that the promise is broken from the start"
            bench.found.append(where.problem_with_key(f"the deletion period is below the {name}", why, do))
        elif least < 0:
            why = f"{deletion.words} is less than {floor.words} for some starting points"
            bench.warnings.append(where.problem_with_key(f"the deletion period can be below the {name}", why, do))


def _subject(rule: Reading[RuleShape], pattern: Fields | None, found: list[Problem]) -> Mapping[str, str]:
    subject: dict[str, str] = rule.get("subject") or {}
    part = rule.piece("subject")
    if part is None or not rule.has("subject"):
        return {}
    for kind, name in subject.items():
        if not entry_name(kind) or not re.match("[A-Za-z_]", kind):
            why = "kinds are words such as email or customer"
            found.append(part.at(kind).problem_with_key(f"{quoted(kind)} is no kind of identifier", why, "choose another word"))
        captured(part.at(kind), name, pattern, found)
    return subject
