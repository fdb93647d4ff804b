"""The breaker: bounds on one plan, on by default, judged before anything is destroyed.

Every bound is judged on the live inventory, for each rule. The lesson behind them: opt-in
limits do not protect, one bound alone has holes, and a listing that is suddenly empty or
shrunken is not a small one but a broken one. A rule with nothing due never trips; what would
have tripped is a warning then. `PlanRefused` is raised from here alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from retentiond.core.policy import Limits
from retentiond.errors import PlanRefused

LimitName = Literal["items", "share", "bytes", "history", "shrunken", "children", "clock", "place"]
UNPASSABLE: frozenset[LimitName] = frozenset({"clock", "place"})
"""Refusals that no person can pass with `--over-limits`."""

SHARE_ABOVE = 50
"""Up to so many due items the share of the population does not count."""
HISTORY_NEEDED = 5
"""So many runs that disposed of something make a history."""
HISTORY_FLOOR = 100
"""Up to so many due items no history trips."""
HISTORY_FACTOR = 10


@dataclass(frozen=True, slots=True)
class Tally:
    """What one rule's plan amounts to: items due of the population, and their bytes.

    `along` of the population are not selected by the rule, and go with items that are: a hold on these takes them out as well.
    """

    due: int
    population: int
    bytes_due: int
    along: int = 0

    @property
    def selected(self) -> int:
        """So many items the rule selects: what does not shrink by itself."""
        return self.population - self.along


@dataclass(frozen=True, slots=True)
class Past:
    """What the ledger remembers of a rule: its last population less what we disposed of since, and its last runs."""

    expected: int | None = None
    disposed: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """One bound that one rule has crossed. `share` is in percent, rounded up.

    `store` names the one that has moved, where it is one that archives or copies go to.
    """

    category: str
    rule: str
    limit: LimitName
    value: int
    allowed: int
    store: str = ""

    @property
    def blocks(self) -> bool:
        """Whether it stops its category (refused children stop only themselves)."""
        return self.limit != "children"


def judge_limits(category: str, rule: str, limits: Limits, tally: Tally, past: Past) -> list[Refusal]:
    """Every bound that the tally crosses, warnings of an idle rule included."""
    found: list[Refusal] = []

    def bound(limit: LimitName, value: int, allowed: int) -> None:
        if value > allowed:
            found.append(Refusal(category, rule, limit, value, allowed))

    bound("items", tally.due, limits.items)
    bound("bytes", tally.bytes_due, limits.bytes)
    if tally.due > SHARE_ABOVE:
        bound("share", -(-100 * tally.due // max(tally.population, 1)), limits.share)
    if len(past.disposed) >= HISTORY_NEEDED:
        bound("history", tally.due, max(HISTORY_FLOOR, int(HISTORY_FACTOR * median(past.disposed))))
    if past.expected and tally.selected * 2 < past.expected:
        found.append(Refusal(category, rule, "shrunken", tally.selected, -(-past.expected // 2)))
    return found


def trips(refusals: Iterable[Refusal], tally: Tally) -> tuple[list[Refusal], list[Refusal]]:
    """The refusals that stop a rule, and those that only warn because nothing is due."""
    found = list(refusals)
    return (found, []) if tally.due else ([], found)


def refuse(plan: str, refusals: Sequence[Refusal], *, whole: bool = False) -> PlanRefused:
    """The error that says which bounds stand in the way, and prints the line that lets them pass.

    `whole` is said of an erasure, of which nothing goes then: an identifier that matches so much may be mistaken.
    """
    lines = [words(r) for r in refusals]
    fixed = [r for r in refusals if r.limit in UNPASSABLE]
    do = (
        "this cannot be passed: see `retentiond clock` and `retentiond approve`"
        if fixed
        else f"if this is meant: {passing_line(plan)}"
    )
    if whole:
        what = "a limit stands in the way of this erasure, and nothing of it is done"
        lines.append("an identifier that matches so much may be mistaken")
        do = do if fixed else f"look at what would go: retentiond plan show {plan[:12]}; {do}"
        return PlanRefused(what, why="; ".join(lines), do=do)
    return PlanRefused("a limit stands in the way of this plan", why="; ".join(lines), do=do)


def passing_line(plan: str) -> str:
    """The exact line that lets a refused plan pass."""
    return f"retentiond apply {plan[:12]} --over-limits {plan[:12]}"


def words(refusal: Refusal) -> str:
    """One refusal as a sentence."""
    where = f"{refusal.category}/{refusal.rule}"
    value, allowed = refusal.value, refusal.allowed
    texts = {
        "items": f"{value:,} items are due, {allowed:,} are allowed",
        "share": f"{value} % of the population are due, {allowed} % are allowed",
        "bytes": f"{value:,} bytes are due, {allowed:,} are allowed",
        "history": f"{value:,} items are due, ten times the usual run is {allowed:,}",
        "shrunken": f"the population is {value:,}, fewer than the {allowed:,} that half of the last one was",
        "children": f"{value:,} due rows stay, because other rows refer to them (see `children`)",
        "clock": f"the clock differs by {value:,} seconds from what the ledger expects",
        "place": f"the store {refusal.store}".rstrip() + " is not the place that it was",
    }
    return f"{where}: {texts[refusal.limit]}"
