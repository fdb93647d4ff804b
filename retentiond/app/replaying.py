"""After a store was restored: what was erased or disposed of since, and is there again, is planned once more.

A disposal is known again by the keyed reference of its key, and by its start: what lies under the same key
but was not due when that went is a newcomer's and is left alone. An erasure is known again by the person.
Whatever is back is judged by the rules, holds and minimums of today: a replay never takes what a plan would not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from retentiond.app.house import House
from retentiond.app.judging import standing_requests
from retentiond.app.planning import Planned, Progress, make_plan, silent
from retentiond.core.ladder import Bench, Judgement
from retentiond.core.reference import SIZE
from retentiond.errors import UsageError
from retentiond.ledger.clock import micros

Gone = Mapping[tuple[str, str, str], Mapping[int, Mapping[bytes, datetime]]]
"""By (category, rule, store) and year: the reference of each item that went, and when it did last."""


@dataclass(slots=True)
class Back:
    """Tells what is back of what went since an instant."""

    house: House
    gone: Gone
    found: int = field(default=0)

    def of(self, judged: Judgement, bench: Bench) -> Judgement:
        """The judgement of what is back, and of nothing else."""
        there = self._positions(judged, bench)
        self.found += len(there)
        pairs = [(i, at) for i, at in zip(judged.due, judged.due_at, strict=True) if i in there]
        groups = [replace(g, positions=mine) for g in judged.groups if (mine := [i for i in g.positions if i in there])]
        families = {i: kin for i, kin in judged.families.items() if i in there}
        due, due_at = [i for i, _ in pairs], [at for _, at in pairs]
        overdue = bench.overdue([judged.page.starts[i] for i in due])
        return replace(judged, due=due, due_at=due_at, groups=groups, families=families, overdue=overdue, kept_by={}, staying=())

    def _positions(self, judged: Judgement, bench: Bench) -> set[int]:
        page, found = judged.page, {*judged.meant.erased}
        names = bench.category, bench.rule.name, bench.rule.store
        for year, gone in self.gone.get(names, {}).items():
            references = self.house.references(year)(bench.category, bench.rule.store)
            for i, key in enumerate(page.keys):
                went = gone.get(references.of(key))
                if went is not None and i not in page.done and _was_due(bench, page.starts[i], went):
                    found.add(i)
        return found


def _was_due(bench: Bench, start: datetime | None, went: datetime) -> bool:
    """Whether an item of this start was due when one of its key went: what was not is a newcomer's."""
    if start is None or start > went:
        return False
    due = went if bench.rule.generations is not None else bench.due([start])[0]
    return due is not None and due <= went


def replay(house: House, since: datetime, progress: Progress = silent) -> tuple[Planned, Back]:
    """A plan of everything that went since an instant and is there again. A store that is down is among what was not seen."""
    house.require_state()
    if since > house.now:
        raise UsageError("--since lies in the future", do="name the time as of which the store was restored")
    back = Back(house, _gone(house, micros(since)))
    whom = [replace(request, reach="back") for request in standing_requests(house)]
    planned = make_plan(house, whom=whom, back=back.of, stays=True, progress=progress)
    house.requests.replayed(planned.name, micros(since), len(whom), planned.header.total)
    return planned, back


def _gone(house: House, since: int) -> Gone:
    """What went since an instant by the rules, and by no erasure request: these are known by the person."""
    found: dict[tuple[str, str, str], dict[int, dict[bytes, datetime]]] = {}
    for one in house.runs.disposed_since(since):
        if house.reference_keys.existing(one.year) is None:
            continue
        at = datetime.fromtimestamp(one.body["time"] / 1_000_000, UTC)
        gone = found.setdefault((one.category, one.rule, one.store), {}).setdefault(one.year, {})
        gone |= dict.fromkeys(_went(one.refs, one.body), at)
    return found


def _went(refs: bytes, body: Mapping[str, Any]) -> list[bytes]:
    stayed = {i for positions in body["otherwise"].values() for i in positions}
    return [refs[i * SIZE : (i + 1) * SIZE] for i in range(len(refs) // SIZE) if i not in stayed]
