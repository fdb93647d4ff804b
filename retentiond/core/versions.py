"""Two versions of a category: what a change of its rules makes newly due, and what no longer.

A rule of the old version is compared with the rule of the same name if both look at the same
items with the same start; otherwise every due item counts as newly due, which is the side that
asks a person. The old version is read back from what the ledger kept of its meaning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from retentiond.core.ladder import Bench, Judgement
from retentiond.core.policy import Rule


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


@dataclass(slots=True)
class Change:
    """What a change of a rule comes to: items newly due, items no longer due, and items due under both."""

    newly: Amount
    no_longer: Amount
    both: int = 0

    def take(self, judged: Judgement, old: Bench | None) -> None:
        """Compares one page: judged by the new rule, and due by the old one (None: it looked at something else)."""
        page, due = judged.page, judged.due
        if old is None:
            self.newly.add(page.starts, page.sizes, due)
            return
        was = old.still_due(page.starts)
        mine = set(due)
        self.newly.add(page.starts, page.sizes, [i for i in due if not was[i]])
        self.no_longer.add(page.starts, page.sizes, [i for i, before in enumerate(was) if before and i not in mine])
        self.both += sum(was[i] for i in due)


def comparable(old: Rule | None, new: Rule) -> bool:
    """Whether two rules look at the same items with the same start, so that their verdicts can be compared one by one."""
    return old is not None and (old.store, old.selection, old.start) == (new.store, new.selection, new.start)


def rules_from(meaning: Mapping[str, Any]) -> dict[str, Rule]:
    """The rules of a version, by name, from what `Category.meaning` said of it."""
    return {rule.name: rule for rule in (_value(Rule, plain) for plain in meaning["rules"])}


def _value(kind: Any, plain: Any) -> Any:
    """A plain value as a value of this type again."""
    if is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        return kind(**{f.name: _value(hints[f.name], plain[f.name]) for f in fields(kind) if f.name in plain})
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _one_of([k for k in inner if k is not NoneType], plain)
    if origin is tuple:
        return tuple(_value(inner[0], p) if inner[-1] is Ellipsis else p for p in plain)
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
