"""After a store was restored: what was erased or disposed of since, and is there again, is planned once more.

A disposal is known again by the keyed reference of its key and by its start: what lies under the same key with another
start is a newcomer's, and is left alone. Where no start was kept (generations, runs of earlier versions), what was not due
when that went is a newcomer's. An erasure is known again by the person.
Whatever is back is judged by the rules, holds and minimums of today: a replay never takes what a plan would not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from retentiond.app.house import House
from retentiond.app.judging import standing_requests
from retentiond.app.planning import Planned, Progress, make_plan, silent
from retentiond.core.ladder import Bench, Judgement
from retentiond.core.reference import NO_START, SIZE, START_SIZE, References, seconds_of
from retentiond.errors import UsageError
from retentiond.ledger.clock import micros
from retentiond.ledger.journal import Disposal

Went = tuple[datetime, bytes]
"""When an item went last, and its starts (`seconds_of`), one after the other."""
Gone = Mapping[tuple[str, str, str], Mapping[int, Mapping[bytes, Went]]]
"""By (category, rule, store) and year: the reference of each item that went."""


@dataclass(slots=True)
class Back:
    """Tells what is back of what went since an instant; `newcomers` lie under the key of something that went.

    `erased` went as people had requested. `stayed` are a person's, and never went: they are planned once more, and are not back.
    """

    references: Callable[[int], Callable[[str, str], References]]
    gone: Gone
    erased: Gone = field(default_factory=dict)
    found: int = field(default=0)
    stayed: int = field(default=0)
    newcomers: int = field(default=0)

    def of(self, judged: Judgement, bench: Bench) -> Judgement:
        """The judgement of what is back, and of nothing else."""
        there = self._positions(judged, bench)
        stayed = bench.erased.stayed(judged.page, judged.meant.erased) if bench.erased else set()
        stayed -= self._went_by_request(judged, bench, stayed)
        self.stayed += len(stayed)
        self.found += len(there - stayed)
        pairs = [(i, at) for i, at in zip(judged.due, judged.due_at, strict=True) if i in there]
        groups = [replace(g, positions=mine) for g in judged.groups if (mine := [i for i in g.positions if i in there])]
        families = {i: kin for i, kin in judged.families.items() if i in there}
        due, due_at = [i for i, _ in pairs], [at for _, at in pairs]
        overdue = bench.overdue([judged.page.starts[i] for i in due])
        return replace(judged, due=due, due_at=due_at, groups=groups, families=families, overdue=overdue, kept_by={}, staying=())

    def _went_by_request(self, judged: Judgement, bench: Bench, positions: Iterable[int]) -> set[int]:
        """Those positions whose items went on the ground of a request, and have been seen again since."""
        found = set[int]()
        for year, gone in self.erased.get((bench.category, bench.rule.name, bench.rule.store), {}).items():
            references = self.references(year)(bench.category, bench.rule.store)
            found |= {i for i in positions if references.of(judged.page.keys[i]) in gone}
        return found

    def _positions(self, judged: Judgement, bench: Bench) -> set[int]:
        page, found, others = judged.page, {*judged.meant.erased}, set[int]()
        names = bench.category, bench.rule.name, bench.rule.store
        for year, gone in self.gone.get(names, {}).items():
            references = self.references(year)(bench.category, bench.rule.store)
            for i, key in enumerate(page.keys):
                reference = references.of(key)
                went = gone.get(reference) if i not in page.done else None
                if went is not None:
                    is_back = _is_back(bench, page.starts[i], seconds_of([page.starts[i]]), went)
                    (found if is_back else others).add(i)
        self.newcomers += len(others - found)
        return found


def _is_back(bench: Bench, start: datetime | None, known: bytes, went: Went) -> bool:
    """Whether an item under the key of one that went is that one."""
    at, starts = went
    each = [starts[i : i + START_SIZE] for i in range(0, len(starts), START_SIZE)]
    return (known in each and known != NO_START) or (NO_START in each and _was_due(bench, start, at))


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

    def gone(*, requested: bool) -> Gone:
        went = house.runs.disposed_since(micros(since), requested=requested)
        return gone_by(house.references, (one for one in went if house.reference_keys.existing(one.year) is not None))

    back = Back(house.references, gone(requested=False), gone(requested=True))
    whom = [replace(request, reach="back") for request in standing_requests(house)]
    planned = make_plan(house, whom=whom, back=back.of, stays=True, progress=progress)
    house.requests.replayed(planned.name, micros(since), len(whom), planned.header.total)
    return planned, back


def gone_by(references: Callable[[int], Callable[[str, str], References]], disposals: Iterable[Disposal]) -> Gone:
    """What went by these batches."""
    found: dict[tuple[str, str, str], dict[int, dict[bytes, Went]]] = {}
    for one in disposals:
        at = datetime.fromtimestamp(one.body["time"] / 1_000_000, UTC)
        gone = found.setdefault((one.category, one.rule, one.store), {}).setdefault(one.year, {})
        starts = references(one.year)(one.category, one.store).unveiled(one.starts)
        for reference, start in _went(one.refs, starts, one.body):
            before = gone[reference][1] if reference in gone else b""
            gone[reference] = at, before + start
    return found


def _went(refs: bytes, starts: bytes, body: Mapping[str, Any]) -> Iterator[tuple[bytes, bytes]]:
    """The reference of each item that went, and of its start."""
    stayed = {i for positions in body["otherwise"].values() for i in positions}
    for i in range(len(refs) // SIZE):
        if i not in stayed:
            yield refs[i * SIZE : (i + 1) * SIZE], starts[i * START_SIZE : (i + 1) * START_SIZE] or NO_START
