"""Sets at the moment of disposal: what was judged as one goes as one, as far as stores without a common transaction let it.

Leaves come before rows. Before the first item of a set goes, the other items that the plan has of it are looked at once
more, in their stores and under the holds of that moment; where one has changed or is held by now, all of the set stays. And
where an item did not go, for whatever reason, what comes after it in its set stays, too. So an index row never goes before
what it is the index of. What is spared so has the code `set`, and the next plan judges it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from retentiond.core.ladder import Bench
from retentiond.core.registers import Hold
from retentiond.engine.pipeline import scope_for, with_events
from retentiond.engine.ports import Events, Store
from retentiond.errors import StoreDenied, StoreUnavailable

SPARED = "set"
"""The code of a step that is spared because another item of its set stays."""

BenchOf = Callable[[str, str, Sequence[Hold]], Bench]
"""(category, rule, holds) → the rule, ready to judge by."""


@dataclass(frozen=True, slots=True)
class Member:
    """An item of a set, as the plan has it. `at` is the ground of the rule's steps: by the rule, or by a request."""

    rule: str
    key: str
    revision: str
    request: int | None


MembersOf = Callable[[Sequence[int]], Iterable[tuple[int, Member]]]
"""The items that the plan has of some sets, each with the number of its set."""


@dataclass(slots=True)
class Sets:
    """The sets of one category in one run. `stopped` are those of which something stayed."""

    category: str
    members_of: MembersOf
    bench_of: BenchOf
    stopped: set[int] = field(default_factory=set)

    def spared(self, numbers: Sequence[int | None]) -> set[int]:
        """The positions of a batch whose set must stay."""
        return {i for i, number in enumerate(numbers) if number in self.stopped}

    def hear(self, numbers: Sequence[int | None], stayed: Iterable[int]) -> None:
        """Some positions of a batch did not go."""
        self.stopped |= {number for i in stayed if (number := numbers[i]) is not None}

    def look(
        self, rule: str, numbers: Sequence[int | None], holds: Sequence[Hold], open_store: Callable[[str], Store], events: Events
    ) -> None:
        """Looks at the items of other rules in the sets of a batch that have not been begun; stops the sets that may not go."""
        wanted = [n for n in dict.fromkeys(numbers) if n is not None and n not in self.stopped]
        by_rule: dict[str, list[tuple[int, Member]]] = {}
        for number, member in self.members_of(wanted):
            if member.rule != rule:
                by_rule.setdefault(member.rule, []).append((number, member))
        for other, members in by_rule.items():
            bench = self.bench_of(self.category, other, holds)
            try:
                self._look_at(bench, members, open_store(bench.rule.store), events)
            except (StoreUnavailable, StoreDenied):
                self.stopped |= {number for number, _ in members}

    def _look_at(self, bench: Bench, members: Sequence[tuple[int, Member]], store: Store, events: Events) -> None:
        scope = scope_for(bench, everything=True)
        page = with_events(store.probe(scope, [member.key for _, member in members]), bench, events, acting=True)
        everyone = range(len(page))
        held = {*bench.holds.covered(page.keys, page.facts, everyone)}
        held |= {*bench.holds.confirmed(page.held, page.keys, page.facts, everyone)}
        due = bench.still_due(page.starts)
        for i, (number, member) in enumerate(members):
            now = page.revisions[i]
            if now is not None and (i in held or now != member.revision or not (due[i] or member.request is not None)):
                self.stopped.add(number)
