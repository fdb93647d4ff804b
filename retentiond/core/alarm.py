"""What is wrong now, as a value, and what of it is news: a state is told once, and once more when it is over.

A state is named by its kind and by what it is about: a category, or the entry of a hold in the audit
log. It holds counts, codes and names of plans, never anything of an item or a person. A state that
grows tenfold since it was told is news again; any other change of its size is not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

Kind = Literal[
    "failure",
    "limit",
    "overdue",
    "violation",
    "hold-review",
    "request",
    "returned",
    "silence",
    "approval",
    "clock",
    "configuration",
    "audit",
    "anchor",
    "erasure",
]
KINDS: tuple[str, ...] = get_args(Kind)
Change = Literal["new", "grown", "over", "test"]

GROWTH = 10
"""A state that is so many times as large as when it was told is told again."""

Name = tuple[Kind, str]
"""The kind of an alarm and what it is about."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A state that somebody should know of. `since` is in microseconds since 1970, `size` a count.

    `about` is the name of a category, or words such as `entry 12`, or empty; `facts` are counts, codes and
    names of plans; `do` is what to type.
    """

    kind: Kind
    about: str = ""
    since: int = 0
    size: int = 1
    facts: Mapping[str, int | str] = field(default_factory=dict)
    do: str = ""

    @property
    def name(self) -> Name:
        return self.kind, self.about


@dataclass(frozen=True, slots=True)
class News:
    """A change of a state, at an instant (microseconds since 1970)."""

    change: Change
    at: int
    alarm: Alarm

    @property
    def id(self) -> str:
        """The same for the same news, however often it is sent: by it a receiver knows what came twice."""
        words = (self.change, *self.alarm.name, str(self.alarm.since), str(self.at))
        return hashlib.sha256("\n".join(words).encode()).hexdigest()[:32]


def news(told: Sequence[Alarm], found: Sequence[Alarm], undecided: Iterable[Name], now: int) -> list[News]:
    """What has changed between what was told and what is found now; what nobody could see now stays as it was told."""
    before = {alarm.name: alarm for alarm in told}
    after = {alarm.name: alarm for alarm in found}
    changes = [News("new", now, alarm) for name, alarm in after.items() if name not in before]
    grown = [name for name in after if name in before and after[name].size >= GROWTH * max(1, before[name].size)]
    changes += [News("grown", now, replace(after[name], since=before[name].since)) for name in grown]
    gone = before.keys() - after.keys() - set(undecided)
    return changes + [News("over", now, alarm) for name, alarm in before.items() if name in gone]
