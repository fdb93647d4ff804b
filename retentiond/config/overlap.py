"""Two rules for one item: which pairs of selections can name the same thing.

Guarantee: two patterns are told apart only if no path matches both (their automata have no
word in common); two rules for one table, or for one folder of mail, only if both have a condition, and not the
same one. What two conditions have in common only the store knows, and planning finds out. A rule that
deletes and one that anonymises may meet.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from retentiond.config.reading import Part
from retentiond.core.policy import Category, MailSelection, ObjectSelection, PathSelection, Rule, Selection, TableSelection
from retentiond.errors import Problem

_TOKEN = re.compile(r"\{(\w+)(?::([^{}]*))?\}|(\*\*/)|(\*\*)|(\*)|(.)", re.DOTALL)
_WIDTHS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2, "y": 2, "j": 3}
_DIGIT, _NO_SLASH, _ANY = "digit", "no slash", "any"
Edge = tuple[str | None, int]


@dataclass(frozen=True, slots=True)
class Placed:
    """A rule with its category and the place of its selection."""

    category: str
    rule: Rule
    select: Part


def overlaps(rules: Iterable[Placed]) -> list[Problem]:
    """A problem for each pair of rules that can name the same item, at the later of the two."""
    by_store: dict[str, list[tuple[str, int, Placed]]] = defaultdict(list)
    for n, placed in enumerate(rules):
        by_store[placed.rule.store].append((_beginning(placed.rule.selection), n, placed))
    return [_problem(one, other) for group in by_store.values() for one, other in _meeting(sorted(group, key=lambda g: g[:2]))]


def told_apart(categories: Mapping[str, Category]) -> dict[str, Category]:
    """The same categories, in which each rule whose rows take others along knows which tables other rules speak for.

    Two stores may be one database, so that a table counts wherever a rule names it.
    """
    told = [rule for category in categories.values() for rule in category.rules if isinstance(rule.selection, TableSelection)]
    return {
        name: replace(category, rules=tuple(_apart(rule, told) for rule in category.rules))
        for name, category in categories.items()
    }


def rivals(
    categories: Iterable[Category], category: str, rule: Rule, is_same: Callable[[str], bool] = lambda _store: False
) -> list[tuple[str, Rule]]:
    """The rules, each with its category, of which only the store knows whether they select an item of this rule too.

    Of a rulebook that was loaded: patterns have none, as what meets by its text was refused. `is_same` says whether
    another store is the same place; it is asked only about those with a rule on a table that may be this rule's.
    """
    if isinstance(rule.selection, PathSelection):
        return []
    others = [(one.name, other) for one in categories for other in one.rules if (one.name, other.name) != (category, rule.name)]
    return [
        (name, other)
        for name, other in others
        if _may_meet(rule.selection, other.selection)
        and not _agree(rule, other)
        and (other.store == rule.store or (isinstance(rule.selection, TableSelection) and is_same(other.store)))
    ]


def _may_meet(one: Selection, other: Selection) -> bool:
    """As `_beside`; a table without a schema may be one of any schema."""
    if isinstance(one, TableSelection) and isinstance(other, TableSelection):
        mine, theirs = one.table.lower(), other.table.lower()
        return mine == theirs or f".{mine}" == theirs[-len(mine) - 1 :] or f".{theirs}" == mine[-len(theirs) - 1 :]
    return _beside(one, other)


def _apart(rule: Rule, told: Iterable[Rule]) -> Rule:
    selection = rule.selection
    if not isinstance(selection, TableSelection) or selection.children == "forbid":
        return rule
    others = {one.selection.table for one in told if one is not rule and isinstance(one.selection, TableSelection)}
    return replace(rule, selection=replace(selection, apart=tuple(sorted(others))))


def _beginning(selection: Selection) -> str:
    """What every key of a selection begins with."""
    if isinstance(selection, TableSelection):
        return f"{selection.table.lower()}/"
    pattern = selection.folder if isinstance(selection, MailSelection) else selection.pattern
    return re.split(r"[*{]", pattern, maxsplit=1)[0]


def _meeting(group: list[tuple[str, int, Placed]]) -> Iterable[tuple[Placed, Placed]]:
    """The pairs that meet, each in its written order; in a sorted group only neighbours begin alike."""
    for at, (beginning, n, one) in enumerate(group):
        for other_beginning, m, other in group[at + 1 :]:
            if not other_beginning.startswith(beginning):
                break
            if meet(one.rule.selection, other.rule.selection) and not _agree(one.rule, other.rule):
                yield (one, other) if n < m else (other, one)


def _agree(one: Rule, other: Rule) -> bool:
    """Whether one rule destroys and the other anonymises: where both are due, the destroying one acts."""
    return {one.action.kind, other.action.kind} == {"delete", "anonymise"}


def _problem(one: Placed, other: Placed) -> Problem:
    where = one.select
    file, (line, _) = where.document.file, where.document.place_of_value(where.path)
    why = f"{one.category}/{one.rule.name} ({file}:{line}) can name the same items, and only one rule can decide"
    return other.select.problem("the selections of two rules overlap", why, "make one of them narrower, or join the rules")


def meet(one: Selection, other: Selection) -> bool:
    """Whether two selections of one store can name the same item, as far as their text tells."""
    if isinstance(one, TableSelection) and isinstance(other, TableSelection):
        alike = one.where is None or other.where is None or one.where.split() == other.where.split()
        return alike and _beside(one, other)
    if isinstance(one, PathSelection) and isinstance(other, PathSelection):
        return not _told_apart(one, other) and _common_path(one.pattern, other.pattern)
    if isinstance(one, MailSelection) and isinstance(other, MailSelection):
        apart = None not in (one.conditions, other.conditions) and one.conditions != other.conditions
        return not apart and _beside(one, other)
    return False


def _beside(one: Selection, other: Selection) -> bool:
    """Whether two selections are about one table or have a folder of mail in common, whatever their conditions."""
    if isinstance(one, TableSelection) and isinstance(other, TableSelection):
        return one.table.lower() == other.table.lower()
    if isinstance(one, MailSelection) and isinstance(other, MailSelection):
        return _common_path(one.folder, other.folder)
    return False


def _told_apart(one: PathSelection, other: PathSelection) -> bool:
    """Whether two selections of objects can have none in common, whatever their patterns."""
    if not isinstance(one, ObjectSelection) or not isinstance(other, ObjectSelection):
        return False
    mine = dict(one.tags)
    return (
        one.uploads != other.uploads
        or {one.versions, other.versions} == {"current", "noncurrent"}
        or any(mine.get(name, value) != value for name, value in other.tags)
    )


def _common_path(one: str, other: str) -> bool:
    """Whether a path matches both: a walk through both automata at once."""
    left, right = _automaton(one), _automaton(other)
    seen = {(0, 0)}
    todo = [(0, 0)]
    while todo:
        i, j = todo.pop()
        if i == len(left) - 1 and j == len(right) - 1:
            return True
        for step in _steps(left[i], right[j], i, j):
            if step not in seen:
                seen.add(step)
                todo.append(step)
    return False


def _steps(left: tuple[Edge, ...], right: tuple[Edge, ...], i: int, j: int) -> Iterable[tuple[int, int]]:
    for kind, target in left:
        if kind is None:
            yield target, j
    for kind, target in right:
        if kind is None:
            yield i, target
    for kind, target in left:
        for other, beside in right:
            if kind is not None and other is not None and _share(kind, other):
                yield target, beside


def _share(one: str, other: str) -> bool:
    """Whether two kinds of characters have one in common; a literal is a single character."""
    if len(one) == 1 and len(other) == 1:
        return one == other
    if len(other) == 1:
        one, other = other, one
    if len(one) == 1:
        return other == _ANY or (one.isdecimal() if other == _DIGIT else one != "/")
    return True


@lru_cache(maxsize=4096)
def _automaton(pattern: str) -> tuple[tuple[Edge, ...], ...]:
    """The states of a pattern, each with its edges (None takes no character); the last one accepts."""
    states: list[list[Edge]] = [[]]

    def one(kind: str) -> None:
        states[-1].append((kind, len(states)))
        states.append([])

    def some(kind: str) -> None:
        states[-1].append((kind, len(states) - 1))

    for token in _TOKEN.finditer(pattern):
        name, form, segments, below, star, literal = token.groups()
        if name and form is not None:
            for kind in _dated(form):
                one(kind)
        elif name:
            one(_NO_SLASH)
            some(_NO_SLASH)
        elif segments:
            here = len(states) - 1
            states[here] += [(None, here + 2), (_NO_SLASH, here + 1)]
            states += [[(_NO_SLASH, here + 1), ("/", here)], []]
        elif below:
            one(_ANY)
            some(_ANY)
        elif star:
            states[-1].append((None, len(states)))
            states.append([(_NO_SLASH, len(states))])
        else:
            one(literal)
    return tuple(tuple(edges) for edges in states)


def _dated(form: str) -> list[str]:
    kinds: list[str] = []
    for directive in re.finditer(r"%(.)|(.)", form, re.DOTALL):
        letter, text = directive.groups()
        kinds += [_DIGIT] * _WIDTHS[letter] if letter in _WIDTHS else [letter or text]
    return kinds
