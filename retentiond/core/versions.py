"""Two versions of a category: what a change of its rules makes newly due, and what no longer.

A rule of the old version is compared with the rule of the same name if both look at the same
items with the same start; otherwise every due item counts as newly due, which is the side that
asks a person. The old version is read back from what the ledger kept of its meaning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from retentiond.core.ladder import COOLING, LADDER, MINIMUM, Bench, Judgement
from retentiond.core.period import IMMEDIATELY, Period
from retentiond.core.policy import Action, Limits, Rule


@dataclass(slots=True)
class Amount:
    """Some items: how many, their bytes, and the oldest start among them."""

    items: int = 0
    bytes: int = 0
    oldest: datetime | None = None

    def add(self, starts: Sequence[datetime | None], sizes: Sequence[int], positions: Sequence[int]) -> None:
        """Counts these positions of a page."""
        for i in positions:
            start = starts[i]
            self.items += 1
            self.bytes += sizes[i]
            if start is not None and (self.oldest is None or start < self.oldest):
                self.oldest = start


_OTHERWISE_DUE = frozenset(rung.name for rung in LADDER if rung.beats_due and rung.name != MINIMUM)
"""The rungs of what the rule itself makes due; a minimum is of the rule."""


@dataclass(slots=True)
class Change:
    """What a change of a rule comes to: items newly due, items no longer due, and items due under both."""

    newly: Amount = field(default_factory=Amount)
    no_longer: Amount = field(default_factory=Amount)
    both: int = 0

    def watch(self, judgements: Iterable[Judgement], old: Bench | None) -> Iterator[Judgement]:
        """Passes the judgements on, and compares each page as it goes by."""
        for judged in judgements:
            self.take(judged, old)
            yield judged

    def take(self, judged: Judgement, old: Bench | None) -> None:
        """Compares one page: judged by the new rule, and due by the old one (None: it looked at something else).

        What cools off is newly due as well. What is due by both, but held, locked, in doubt or waiting for a person, is neither.
        """
        page = judged.page
        due = [*judged.due, *(i for group in judged.groups if group.rung == COOLING for i in group.positions)]
        if old is None:
            self.newly.add(page.starts, page.sizes, due)
            return
        was = old.still_due(page.starts)
        mine = {*due, *(i for group in judged.groups if group.rung in _OTHERWISE_DUE for i in group.positions)}
        self.newly.add(page.starts, page.sizes, [i for i in due if not was[i]])
        self.no_longer.add(page.starts, page.sizes, [i for i, before in enumerate(was) if before and i not in mine])
        self.both += sum(was[i] for i in due)


def comparable(old: Rule | None, new: Rule) -> bool:
    """Whether two rules look at the same items with the same start, so that their verdicts can be compared one by one."""
    if old is None or old.generations or new.generations or old.forbid or new.forbid:
        return False
    if old.action != new.action and (old.action.anonymises or new.action.anonymises):
        return False  # a row that one of them has done is due by the other
    if old.action.kind in ("keep", "review") and new.action.kind not in ("keep", old.action.kind):
        return False  # what stayed, or waited for a person, goes now
    return (old.store, old.selection, old.start, old.link) == (new.store, new.selection, new.start, new.link)


def not_stricter(old: Rule | None, new: Rule) -> bool:
    """Whether a changed rule can never dispose of an item that the old one would have kept at that moment."""
    if old is None or not comparable(old, new) or new.action not in (old.action, Action("keep")):
        return False
    if (old.copy and old.copy != new.copy) or (old.require and old.require != new.require):
        return False  # what it took to go may be less now
    if new.by not in ("", old.by) or new.bypass_governance > old.bypass_governance:
        return False  # a bucket asks nobody, and a lock that was kept may be passed
    floors = (old.minimum.period if old.minimum else IMMEDIATELY, new.minimum.period if new.minimum else IMMEDIATELY)
    return _not_shorter(old.retention, new.retention) and _not_shorter(*floors)


def _not_shorter(old: Period, new: Period) -> bool:
    """Whether a period ends no earlier than another, from every start; in doubt not."""
    if new.forever or (old.months, old.days, old.minutes, old.forever) == (new.months, new.days, new.minutes, new.forever):
        return True
    if old.forever:
        return False
    longer = new.months >= old.months and new.days >= old.days and new.minutes >= old.minutes
    return longer and (new.is_civil or not old.is_civil)


def rules_from(meaning: Mapping[str, Any]) -> dict[str, Rule]:
    """The rules of a version, by name, from what `Category.meaning` said of it."""
    return {rule.name: rule for rule in (_value(Rule, plain) for plain in meaning["rules"])}


def limits_from(meaning: Mapping[str, Any]) -> Limits:
    """The limits of a version, from what `Category.meaning` said of it."""
    return Limits(**meaning["limits"])


def _value(kind: Any, plain: Any) -> Any:
    """A plain value as a value of this type again."""
    if is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        return kind(**{f.name: _value(hints[f.name], plain[f.name]) for f in fields(kind) if f.name in plain})
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _one_of([k for k in inner if k is not NoneType], plain)
    if origin is tuple:
        kinds = inner[:1] * len(plain) if inner[-1] is Ellipsis else inner
        return tuple(_value(one, p) for one, p in zip(kinds, plain, strict=True))
    return plain


def _one_of(kinds: Sequence[Any], plain: Any) -> Any:
    """The alternative of a union that a plain value is of: the one dataclass that has all its keys, or what is no dataclass."""
    if plain is None:
        return None
    if isinstance(plain, Mapping):
        named = [k for k in kinds if is_dataclass(k) and plain.keys() <= {f.name for f in fields(k)}]
        return _value(named[0], plain)
    if isinstance(plain, list):
        return tuple(plain)
    return plain
