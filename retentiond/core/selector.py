"""Which items a hold means.

Exact paths and whole categories are looked up, patterns are matched, so that thousands of
holds cost a page little. Covering errs on one side only: an item that cannot be told from a
covered one is covered. Where a look-up could not be made of the subjects of a hold, any rule that
says whose its items are may be about them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from retentiond.core.item import ENCODED, Page, raw_of
from retentiond.core.mail import as_fact, identifiers
from retentiond.core.pattern import PatternError, compile_pattern, glob_covers, is_plain
from retentiond.core.policy import PathSelection, Rule
from retentiond.core.registers import Hold


class FactsNeeded(Exception):
    """Holds by subject can be read only against fields that were not looked up yet."""


@dataclass(frozen=True, slots=True)
class Predicate:
    """A hold that only the store can evaluate, for the positions that its other scopes cover (None: all)."""

    hold: str
    sql: str
    positions: frozenset[int] | None = None


class HoldIndex:
    """The holds that may concern one rule, arranged for looking up."""

    def __init__(self, holds: Iterable[Hold], category: str, rule: Rule) -> None:
        mine = [h for h in holds if in_scope(h, category, rule)]
        self._rule = rule
        self._paths: dict[str, list[Hold]] = {}
        self._others: list[Hold] = []
        self._predicates: list[Hold] = []
        for hold in mine:
            if hold.where is not None:
                self._predicates.append(hold)
            elif hold.path is not None and (exact := _exact(hold.path)):
                self._paths.setdefault(exact, []).append(hold)
            else:
                self._others.append(hold)

    def __bool__(self) -> bool:
        return bool(self._paths or self._others or self._predicates)

    @property
    def predicates(self) -> tuple[Predicate, ...]:
        """Holds by predicate, for a look at the store; their other scopes are judged afterwards."""
        return tuple(Predicate(h.id, h.where or "") for h in self._predicates)

    def confirmed(
        self,
        reported: Mapping[int, str],
        keys: Sequence[str],
        facts: Mapping[str, Sequence[str | None]],
        positions: Iterable[int],
    ) -> dict[int, str]:
        """The positions that a hold by predicate covers, by what a store reported in `Page.held`.

        A store names one hold whose predicate is true, or could not be asked. Where the other
        scopes of that one leave the item out, further predicates may have been true as well: in
        doubt, any of them whose other scopes cover the item covers it.
        """
        found: dict[int, str] = {}
        for i in positions:
            if i not in reported:
                continue
            named = [h for h in self._predicates if h.id == reported[i]]
            raw = _raw(keys[i])
            covering = (h.id for h in (*named, *self._predicates) if self._covers(h, raw, facts, i))
            hold = next(covering, None) if named else reported[i]
            if hold is not None:
                found[i] = hold
        return found

    def covered(self, keys: Sequence[str], facts: Mapping[str, Sequence[str | None]], positions: Iterable[int]) -> dict[int, str]:
        """The positions that a hold covers, each with the id of the first such hold; predicates apart."""
        if not (self._paths or self._others):
            return {}
        found: dict[int, str] = {}
        for i in positions:
            raw = _raw(keys[i])
            for hold in (*self._by_path(raw), *self._others):
                if self._covers(hold, raw, facts, i):
                    found[i] = hold.id
                    break
        return found

    def of_person(
        self, is_about: Callable[[tuple[str, str]], bool], keys: Sequence[str], positions: Iterable[int]
    ) -> dict[int, str]:
        """The positions, all of one person, that a hold covers which names that person by any identifier.

        What else such a hold asks of an item but its path is not asked here: in doubt it covers.
        """
        everyone = [*self._others, *self._predicates, *(hold for holds in self._paths.values() for hold in holds)]
        mine = [hold for hold in everyone if hold.unasked or any(map(is_about, hold.subjects))]
        found: dict[int, str] = {}
        for i in positions if mine else ():
            raw = _raw(keys[i])
            hold = next((h for h in mine if h.path is None or raw is None or _path_covers(h.path, raw)), None)
            if hold is not None:
                found[i] = hold.id
        return found

    def means(self, page: Page) -> set[int]:
        """The positions of a page that any hold covers."""
        everyone = range(len(page))
        confirmed = self.confirmed(page.held, page.keys, page.facts, everyone)
        return {*self.covered(page.keys, page.facts, everyone), *confirmed}

    def narrowed(self, keys: Sequence[str], facts: Mapping[str, Sequence[str | None]]) -> tuple[Predicate, ...]:
        """Each predicate with the positions that the other scopes of its hold cover."""
        answers = []
        for hold in self._predicates:
            if hold.path is None and not hold.subjects:
                answers.append(Predicate(hold.id, hold.where or ""))
                continue
            inside = frozenset(i for i, key in enumerate(keys) if self._covers(hold, _raw(key), facts, i))
            if inside:
                answers.append(Predicate(hold.id, hold.where or "", inside))
        return tuple(answers)

    def _by_path(self, raw: str | None) -> list[Hold]:
        if not self._paths:
            return []
        if raw is None:
            return [hold for holds in self._paths.values() for hold in holds]
        raw = raw.lstrip("/")
        found = list(self._paths.get(raw, ()))
        at = raw.find("/")
        while at >= 0:
            found += self._paths.get(raw[:at], ())
            at = raw.find("/", at + 1)
        return found

    def _covers(self, hold: Hold, raw: str | None, facts: Mapping[str, Sequence[str | None]], i: int) -> bool:
        if hold.path is not None and raw is not None and not _path_covers(hold.path, raw):
            return False
        if hold.unasked and self._rule.subject:
            return True
        return not hold.subjects or self._means(hold.subjects, facts, i)

    def _means(self, subjects: Iterable[tuple[str, str]], facts: Mapping[str, Sequence[str | None]], i: int) -> bool:
        for kind, value in subjects:
            name = self._rule.subject.get(kind)
            if name is None:
                continue
            if name not in facts:
                raise FactsNeeded(name)
            if as_fact(self._rule.selection, name, value) in identifiers(self._rule.selection, facts[name][i]):
                return True
        return False


def _raw(key: str) -> str | None:
    """The name behind a key; None for what is no key, which every path may mean."""
    try:
        return raw_of(key)
    except ValueError:
        return None


def _exact(path: str) -> str | None:
    """The one path that a hold names, as a key or as a name; None for a pattern. "" is the root, above everything."""
    if path.startswith(ENCODED):
        try:
            return raw_of(path).strip("/")
        except ValueError:
            pass
    return path.strip("/") if is_plain(path) else None


def path_covers(path: str, key: str) -> bool:
    """Whether a path means an item of this key: itself, by a pattern, or as something below it."""
    raw = _raw(key)
    return raw is not None and _path_covers(path, raw)


def _path_covers(path: str, raw: str) -> bool:
    exact = _exact(path)
    if exact is not None:
        return not exact or f"{raw.lstrip('/')}/".startswith(f"{exact}/")
    try:
        return glob_covers(path, raw)
    except PatternError:
        return True


def selects(rule: Rule, store: str, key: str) -> bool:
    """Whether a rule is about what lies under this path of a store; whatever else it asks of an item is not looked at."""
    selection, raw = rule.selection, _raw(key)
    if rule.store != store or raw is None or not isinstance(selection, PathSelection):
        return False
    return compile_pattern(selection.pattern).match(raw) is not None


def uncovered(hold: Hold, rules: Sequence[tuple[str, Rule]]) -> list[tuple[str, str]]:
    """The rules (category, rule) in a hold's scope that map none of its subjects: it cannot protect their items."""
    sets = _sets_reached(hold, rules)
    return [(category, rule.name) for category, rule in _unmapped(hold, rules) if not (rule.link and category in sets)]


def through_sets(hold: Hold, rules: Sequence[tuple[str, Rule]]) -> list[tuple[str, str]]:
    """The rules that map none of its subjects, but whose items it protects by another item of their set."""
    sets = _sets_reached(hold, rules)
    return [(category, rule.name) for category, rule in _unmapped(hold, rules) if rule.link and category in sets]


def in_scope(hold: Hold, category: str, rule: Rule) -> bool:
    """Whether a hold is about a rule, by its category and its store."""
    return hold.category in (None, category) and hold.store in (None, rule.store)


def _unmapped(hold: Hold, rules: Sequence[tuple[str, Rule]]) -> list[tuple[str, Rule]]:
    mine = rules if hold.subjects else ()
    return [(category, rule) for category, rule in mine if in_scope(hold, category, rule) and not _maps(hold, rule)]


def _sets_reached(hold: Hold, rules: Sequence[tuple[str, Rule]]) -> set[str]:
    return {category for category, rule in rules if rule.link and in_scope(hold, category, rule) and _maps(hold, rule)}


def _maps(hold: Hold, rule: Rule) -> bool:
    kinds = {kind for kind, _ in hold.subjects}
    return bool(rule.subject if hold.unasked else kinds & {*rule.subject})
