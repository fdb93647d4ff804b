"""Runs, intents and outcomes: each change of the state with its evidence, in one transaction.

An intent commits before its batch is touched, and names the newest hold and event entries that
were read in the same transaction. The outcome of one batch and the intent of the next commit
together, so that the price is one durable commit per batch. References are made once, kept with
the batch, and published in the order of the run's steps.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from retentiond.core.outcome import Outcome, Settled
from retentiond.core.reference import SIZE, References
from retentiond.core.registers import Registers
from retentiond.engine.failpoints import reach
from retentiond.engine.ports import Admission, Batch, Closing, Intent, OpenIntent
from retentiond.ledger import schema, spans
from retentiond.ledger.clock import moment
from retentiond.ledger.ledger import Ledger, Transaction
from retentiond.ledger.registers import Word
from retentiond.ledger.spool import Spool

_TOGETHER = 64
"""So many batches are read at a time."""
_FINAL = frozenset({Outcome.DISPOSED, Outcome.GONE, Outcome.CHANGED, Outcome.INSTALLED})
"""Fates that no later run of the plan takes up again."""
_BATCH = schema.batch.insert()
_OPEN = sa.and_(schema.batch.c.outcome.is_(None), schema.batch.c.entry == sa.bindparam("intent"))
"""An intent without an outcome; those are few, and have an index."""
_STEPS = sa.select(schema.batch.c.steps).where(_OPEN)
_CLOSE = schema.batch.update().where(_OPEN).values(outcome=sa.bindparam("index"), again=sa.bindparam("left"))


class RunJournal:
    """The journal of one run: `engine.ports.Journal`."""

    def __init__(
        self,
        ledger: Ledger,
        run: str,
        plan: str,
        references: Callable[[str, str], References],
        registers: Callable[[Transaction], Registers],
        room: Path,
    ) -> None:
        """`room` is the folder for what is too much to be held in memory."""
        self._ledger, self.run, self.plan, self._room = ledger, run, plan, room
        self._references, self._registers = references, registers
        self._offset = 0

    def references(self, category: str, batch: Batch) -> bytes:
        return self._references(category, batch.store).each(batch.keys)

    def turn(
        self, closing: Closing | None, opening: tuple[str, str, Batch, bytes] | None, admit: Callable[[Registers], Admission]
    ) -> Intent | None:
        offset = self._offset
        try:
            with self._ledger.transaction() as change:
                if closing is not None:
                    close(change, closing)
                    reach("outcome-written")
                intent = self._open(change, *opening, admit) if opening is not None else None
        except BaseException:
            self._offset = offset
            raise
        if closing is not None:
            reach("outcome-committed")
        if intent is not None:
            reach("intent-committed")
        return intent

    @contextmanager
    def gather(self, category: str, rule: str) -> Iterator[_Gathered]:
        with Spool(self._room) as spool:
            yield _Gathered(spool, partial(self._references, category), partial(self._commit, category, rule, spool))

    def _commit(self, category: str, rule: str, spool: Spool, agree: Callable[[Registers], None]) -> Sequence[int]:
        offset, found = self._offset, list[int]()
        try:
            with self._ledger.transaction() as change:
                registers = self._registers(change)
                agree(registers)
                for store, steps, refs, starts in spool:
                    names = {"run": self.run, "plan": self.plan, "category": category, "rule": rule, "store": store}
                    found.append(self._intend(change, {**names, "starts": starts or None}, steps, refs, registers))
                reach("intent-written")
        except BaseException:
            self._offset = offset
            raise
        reach("intent-committed")
        return found

    def _intend(
        self,
        change: Transaction,
        names: Mapping[str, str | int | bytes | None],
        steps: Sequence[int],
        refs: bytes,
        registers: Registers,
    ) -> int:
        read = {"holds": registers.last_hold, "events": registers.last_event}
        said = {name: names[name] for name in ("run", "plan", "category", "rule", "store")}
        index = change.write("intent", **said, first=steps[0], **self._range(refs), **read)
        self._keep(change, {"request": None, **names}, index, None, steps, refs, again=[])
        return index

    def _open(
        self, change: Transaction, category: str, rule: str, batch: Batch, refs: bytes, admit: Callable[[Registers], Admission]
    ) -> Intent:
        registers = self._registers(change)
        admission = admit(registers)
        references = self._references(category, batch.store)
        names = {"run": self.run, "plan": self.plan, "category": category, "rule": rule, "store": batch.store}
        index = -1
        if admission.admitted:
            mine, steps = _pick(refs, admission.admitted), _numbers(batch.first, admission.admitted)
            known = _known(references, _chosen(batch.starts, admission.admitted))
            index = self._intend(change, {**names, "request": batch.request, "starts": known or None}, steps, mine, registers)
            reach("intent-written")
        self._spare(change, names, batch, refs, admission.spared)
        return Intent(index, admission)

    def _spare(self, change: Transaction, names: Mapping[str, str], batch: Batch, refs: bytes, spared: Sequence[Settled]) -> None:
        positions = sorted(i for s in spared for i in s.positions)
        if not positions:
            return
        place = {old: new for new, old in enumerate(positions)}
        moved = [Settled([place[i] for i in s.positions], s.outcome, s.code) for s in spared]
        mine, steps = _pick(refs, positions), _numbers(batch.first, positions)
        index = change.write("spared", **names, **self._range(mine), **_fates(moved))
        again = sorted(batch.first + i for s in spared if s.outcome not in _FINAL for i in s.positions)
        self._keep(change, {**names, "request": batch.request}, index, index, steps, mine, again)

    def _range(self, refs: bytes) -> dict[str, int | str]:
        start, count = self._offset, len(refs) // SIZE
        self._offset += count
        return {"refs": start, "count": count, "sha256": hashlib.sha256(refs).hexdigest()}

    def _keep(
        self,
        change: Transaction,
        names: Mapping[str, str | int | bytes | None],
        entry: int,
        outcome: int | None,
        steps: Sequence[int],
        refs: bytes,
        again: Sequence[int],
    ) -> None:
        change.connection.execute(
            _BATCH,
            {
                **names,
                "entry": entry,
                "outcome": outcome,
                "offset": self._offset - len(refs) // SIZE,
                "steps": spans.written(steps),
                "again": spans.written(again),
                "refs": refs,
            },
        )


class _Gathered:
    """The batches of one act: `engine.ports.Gathered`."""

    def __init__(
        self,
        spool: Spool,
        references: Callable[[str], References],
        commit: Callable[[Callable[[Registers], None]], Sequence[int]],
    ) -> None:
        self._spool, self._references, self.commit = spool, references, commit

    def add(self, batch: Batch) -> None:
        references = self._references(batch.store)
        refs = references.each(batch.keys)
        known = _known(references, batch.starts)
        self._spool.add(batch.store, range(batch.first, batch.first + len(batch)), refs, known)


def close(change: Transaction, closing: Closing) -> None:
    """Writes the outcome of an intent, and what a later run may take up again."""
    fates = _fates(closing.settled)
    others = sum(len(positions) for positions in fates["otherwise"].values())
    index = change.write(
        "outcome", intent=closing.intent, disposed=closing.count - others, inferred=sorted(closing.inferred), **fates
    )
    unsettled = [i for s in closing.settled if s.outcome not in _FINAL for i in s.positions]
    again: list[int] = []
    if unsettled:
        steps = spans.numbers(change.connection.execute(_STEPS, {"intent": closing.intent}).scalar_one())
        again = sorted(steps[i] for i in unsettled)
    change.connection.execute(_CLOSE, {"intent": closing.intent, "index": index, "left": spans.written(again)})


def _fates(settled: Sequence[Settled]) -> dict[str, dict[str, list[int]]]:
    """Positions by outcome (without `disposed`, which is the rest) and by the reason."""
    otherwise: dict[str, list[int]] = {}
    why: dict[str, list[int]] = {}
    for s in settled:
        if s.outcome is Outcome.DISPOSED:
            continue
        otherwise.setdefault(s.outcome.value, []).extend(s.positions)
        if s.code:
            why.setdefault(s.code, []).extend(s.positions)
    return {"otherwise": {k: sorted(v) for k, v in otherwise.items()}, "why": {k: sorted(v) for k, v in why.items()}}


def _known(references: References, starts: Sequence[datetime | None]) -> bytes:
    """By what the starts are known again; empty where there is none."""
    return references.veiled(starts) if any(starts) else b""


def _chosen(starts: Sequence[datetime | None], positions: Sequence[int]) -> Sequence[datetime | None]:
    return starts if len(starts) in (0, len(positions)) else [starts[i] for i in positions]


def _numbers(first: int, positions: Sequence[int]) -> Sequence[int]:
    """The numbers of the steps at some positions."""
    if isinstance(positions, range):
        return range(first + positions.start, first + positions.stop, positions.step)
    return [first + i for i in positions]


def _pick(refs: bytes, positions: Sequence[int]) -> bytes:
    if len(positions) * SIZE == len(refs):
        return refs
    return b"".join([refs[i * SIZE : (i + 1) * SIZE] for i in positions])


@dataclass(frozen=True, slots=True)
class Found:
    """Where a reference stands: the entry of its intent or sparing, that of the outcome, and the position in it.

    `request` is the erasure request on whose ground its batch went.
    """

    run: str
    plan: str
    rule: str
    request: int | None
    entry: int
    outcome: int | None
    position: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """What came of one batch: the entry of its outcome or sparing, with its index, as it was written.

    `intent` is the entry before it was touched, `request` the erasure request on whose ground it went.
    """

    category: str
    rule: str
    store: str
    plan: str
    request: int | None
    intent: int
    entry: int
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Disposal:
    """The references of one batch, under the keys of `year`, and the entry of its outcome as it was written.

    `starts` are by what the starts are known again (`References.veiled`); empty where the batch is of an earlier version.
    """

    category: str
    rule: str
    store: str
    year: int
    refs: bytes
    starts: bytes
    body: Mapping[str, Any]


class Runs:
    """The runs of the past and the open intents that a crash left."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def begin(self, plan: str, allowed_by: str, categories: Sequence[str]) -> str:
        """Allows a plan and begins a run of it; the run's id."""
        run = secrets.token_hex(8)
        with self._ledger.transaction() as change:
            change.connection.execute(schema.run.insert().values(id=run, plan=plan, allowed_by=allowed_by, started=change.time))
            change.write("plan-allowed", plan=plan, run=run, by=allowed_by, categories=sorted(categories))
        reach("run-allowed")
        return run

    def allow_bypass(self, run: str, plan: str, by: str, word: Word) -> None:
        """A person lets a run pass locks; the name in clear stays in the ledger."""
        with self._ledger.transaction() as change:
            change.set_fact(f"bypass {run}", by)
            change.write("bypass-allowed", run=run, plan=plan, by=word("person", by))

    def done(self, plan: str) -> spans.Done:
        """Which steps of a plan need no further run."""
        columns = (schema.batch.c.steps, schema.batch.c.again)
        wanted = sa.select(*columns).where(schema.batch.c.plan == plan).order_by(schema.batch.c.id)
        with self._ledger.transaction() as change:
            return spans.Done((steps, again) for steps, again in change.connection.execute(wanted))

    def open_intents(self) -> list[OpenIntent]:
        """Intents without an outcome, oldest first."""
        b = schema.batch.c
        wanted = (
            sa.select(b.entry, b.run, b.plan, b.category, b.rule, b.store, b.steps).where(b.outcome.is_(None)).order_by(b.entry)
        )
        with self._ledger.transaction() as change:
            rows = change.connection.execute(wanted).all()
        return [OpenIntent(*row[:6], steps=spans.numbers(row[6])) for row in rows]

    def resolve(self, closing: Closing) -> None:
        """Writes the outcome of an intent that a crash had left open."""
        with self._ledger.transaction() as change:
            close(change, closing)

    def end(self, run: str, counts: Mapping[str, int], looked: int, absent: int, *, finished: bool) -> None:
        """Writes the certificate of a run; `finished` says that its plan has been carried out to its end."""
        kept = {name: n for name, n in counts.items() if n}
        with self._ledger.transaction() as change:
            plan = change.connection.execute(sa.select(schema.run.c.plan).where(schema.run.c.id == run)).scalar_one()
            change.write("certificate", run=run, plan=plan, counts=kept, looked=looked, absent=absent, back=looked - absent)
            change.connection.execute(
                schema.run.update().where(schema.run.c.id == run).values(ended=change.time, counts=json.dumps(kept))
            )
            if finished:
                change.connection.execute(schema.plan.update().where(schema.plan.c.name == plan).values(done=1))
        reach("certified")

    def cut_short(self) -> list[tuple[str, str]]:
        """Runs, with their plans, that never came to their end and were not counted since. One that is at work is among them."""
        r = schema.run.c
        with self._ledger.transaction() as change:
            rows = change.connection.execute(sa.select(r.id, r.plan).where(r.ended.is_(None), r.counts.is_(None))).all()
        return [(run, plan) for run, plan in rows]

    def counted(self, run: str) -> Counter[tuple[str, str]]:
        """What a run that was cut short has disposed of by (category, rule), by its outcomes; from then on it is counted."""
        b, found = schema.batch.c, Counter[tuple[str, str]]()
        outcomes = sa.select(b.category, b.rule, schema.entry.c.body).join(schema.entry, schema.entry.c.seq == b.outcome)
        with self._ledger.transaction() as change:
            for category, rule, body in change.connection.execute(outcomes.where(b.run == run)):
                found[category, rule] += json.loads(body).get("disposed", 0)
            change.connection.execute(schema.run.update().where(schema.run.c.id == run).values(counts="{}"))
        return found

    def all(self) -> list[dict[str, Any]]:
        """Every run, newest first."""
        r = schema.run.c
        wanted = sa.select(r.id, r.plan, r.allowed_by, r.started, r.ended, r.counts).order_by(r.started.desc())
        with self._ledger.transaction() as change:
            rows = change.connection.execute(wanted).all()
        names = ("run", "plan", "allowed_by", "started", "ended", "counts")
        return [dict(zip(names, row[:5], strict=False)) | {"counts": json.loads(row[5] or "{}")} for row in rows]

    def items_of(self, intents: Sequence[int]) -> int:
        """How many items the intents at these entries admitted."""
        b = schema.batch.c
        with self._ledger.transaction() as change:
            rows = change.connection.execute(sa.select(b.refs).where(b.entry.in_(intents))).scalars()
            return sum(len(refs) // SIZE for refs in rows)

    def of_request(self, request: int) -> list[Settlement]:
        """What came of every batch on the ground of an erasure request, in their order."""
        return self._settled(schema.batch.c.request == request)

    def of_run(self, run: str) -> list[Settlement]:
        """What came of every batch of a run, in their order."""
        return self._settled(schema.batch.c.run == run)

    def requests_of(self, run: str) -> list[int]:
        """The erasure requests on whose ground a run acted."""
        b = schema.batch.c
        with self._ledger.transaction() as change:
            wanted = sa.select(b.request).where(b.run == run, b.request.is_not(None)).distinct().order_by(b.request)
            return list(change.connection.execute(wanted).scalars())

    def disposed_since(self, at: int, *, requested: bool = False) -> Iterator[Disposal]:
        """What runs have disposed of since an instant by their rules (or as people had requested), by batch, oldest first."""
        b, e, p = schema.batch.c, schema.entry, schema.plan.c
        ground = b.request.is_not(None) if requested else b.request.is_(None)
        wanted = sa.select(b.id, b.category, b.rule, b.store, p.at, b.refs, b.starts, e.c.body)
        wanted = wanted.join_from(schema.batch, e, e.c.seq == b.outcome).join(schema.plan, p.name == b.plan)
        wanted = wanted.where(ground, e.c.type == "outcome").order_by(b.id).limit(_TOGETHER)
        last = 0
        while True:
            with self._ledger.transaction() as change:
                rows = change.connection.execute(wanted.where(b.id > last)).all()
            for last, category, rule, store, plan_at, refs, starts, text in rows:  # noqa: B007 the last one is where the next look begins
                body = json.loads(text)
                if body["time"] >= at and body["disposed"]:
                    yield Disposal(category, rule, store, moment(plan_at).year, refs, starts or b"", body)
            if len(rows) < _TOGETHER:
                return

    def _settled(self, which: sa.ColumnElement[bool]) -> list[Settlement]:
        b, e = schema.batch.c, schema.entry
        wanted = sa.select(b.category, b.rule, b.store, b.plan, b.request, b.entry, e.c.seq, e.c.body)
        wanted = wanted.join_from(schema.batch, e, e.c.seq == b.outcome).where(which).order_by(b.entry)
        with self._ledger.transaction() as change:
            rows = change.connection.execute(wanted).all()
        return [Settlement(*row[:7], body=json.loads(row[7])) for row in rows]

    def batches_with(self, category: str, reference: bytes) -> list[Found]:
        """Where a reference of a category stands: in which batches, and at which position of each."""
        b = schema.batch.c
        wanted = sa.select(b.run, b.plan, b.rule, b.request, b.entry, b.outcome, b.refs).where(
            b.category == category, sa.func.instr(b.refs, reference) > 0
        )
        with self._ledger.transaction() as change:
            rows = change.connection.execute(wanted.order_by(b.entry)).all()
        return [
            Found(run, plan, rule, request, entry, outcome, position)
            for run, plan, rule, request, entry, outcome, refs in rows
            for position in range(len(refs) // SIZE)
            if refs[position * SIZE : (position + 1) * SIZE] == reference
        ]
