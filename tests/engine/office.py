"""A real ledger, a store in memory and the real executor, without configuration or command line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from retentiond.core.outcome import Outcome
from retentiond.core.period import IMMEDIATELY, Period
from retentiond.core.policy import Action, Category, EventSource, PathSelection, Rule, Start
from retentiond.core.reference import References, derive, of_word
from retentiond.core.registers import Hold
from retentiond.engine.executor import Executor
from retentiond.engine.fates import inferred_fates
from retentiond.engine.pipeline import bench_for, scope_for
from retentiond.engine.ports import Batch, Closing, Store
from retentiond.engine.work import Work
from retentiond.ledger.clock import Reading, micros
from retentiond.ledger.database import Database, Sqlite
from retentiond.ledger.journal import RunJournal, Runs
from retentiond.ledger.ledger import Ledger
from retentiond.ledger.registers import EventRegister, HoldRegister
from retentiond.testing.faults import FaultyStore
from retentiond.testing.memory import MemoryPlace

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
OLD = NOW - timedelta(days=200)
UTC_ZONE = ZoneInfo("UTC")
MONTHS = Period(months=3, words="3 months")


class Known:
    """Events that a test has told: subject → instant."""

    def __init__(self) -> None:
        self.at: dict[str, datetime] = {}
        self.asked = 0
        self.before_answer: Callable[[], None] | None = None

    def latest(self, category, event, subjects, *, acting):
        self.asked += 1
        if self.before_answer:
            self.before_answer()
        return [None if s is None else self.at.get(s) for s in subjects]


class Office:
    """Everything that one run needs. Batches hold ten items each."""

    def __init__(
        self,
        folder: Path,
        start: Start | None = None,
        subject: Mapping[str, str] | None = None,
        items: int = 25,
        database: Database | None = None,
    ) -> None:
        self.folder, self.wall = folder, micros(NOW)
        self.ledger = Ledger(database or Sqlite(folder / "state.db"), lambda: Reading(self.wall, self.wall, "boot"))
        self.ledger.begin_log()
        self.holds, self.recorded, self.runs = HoldRegister(self.ledger), EventRegister(self.ledger), Runs(self.ledger)
        self.place, self.events = MemoryPlace(), Known()
        self.keys = [f"item-{i:02}" for i in range(items)]
        for i, key in enumerate(self.keys):
            self.place.put(key, OLD, b"x", facts={"who": str(i), "ticket": str(i)})
        period = MONTHS if start is None or start.kind != "event" else IMMEDIATELY
        rule = Rule(
            "r", "memory", PathSelection("*"), start or Start("modified"), period, period, Action("delete"), subject=subject or {}
        )
        settle = Period(minutes=60, words="1 hour")
        sources = {"resolved": EventSource("resolved", recorded=True, settle=settle)}
        self.category = Category("c", "t", (), "contract", (), (), "o", (), "", (rule,), sources)
        self.bench = bench_for(self.category, rule, UTC_ZONE, NOW, ())
        self.plan = "ab" * 32
        self.revisions = {key: str(record.revision) for key, record in self.place.records.items()}

    def word(self, kind: str, word: str) -> str:
        return of_word(b"m" * 32, kind, word)

    def hold(self, hold_id: str, **scope) -> int:
        return self.holds.place(Hold(hold_id, "reason", "mandate", **scope), self.word)

    def works(self, keys: list[str] | None = None) -> list[Work]:
        keys = self.keys if keys is None else keys
        scope = scope_for(self.bench, everything=True)
        found = []
        for first in range(0, len(keys), 10):
            part = keys[first : first + 10]
            number = self.keys.index(part[0]) + 1
            batch = Batch(number, scope, self.bench.rule.action, part, [self.revisions[k] for k in part], store="memory")
            found.append(Work(self.bench, batch))
        return found

    def journal(self) -> RunJournal:
        run = self.runs.begin(self.plan, "person", ["c"])
        return RunJournal(self.ledger, run, self.plan, references, self.holds.read, self.folder)

    def executor(self, store: Store | None = None, stop=lambda: None, lane: Callable[[], Store] | None = None) -> Executor:
        handle, lane = store or self.place.act(), lane or self.place.act
        return Executor(lambda _: handle, lambda _: lane(), self.journal(), self.events, self.holds.current, stop)

    def run(self, store=None, stop=lambda: None, works: list[Work] | None = None, lane=None) -> Counter[str]:
        counts: Counter[str] = Counter()
        for result in self.executor(store, stop, lane).run(self.works() if works is None else works):
            counts += result.counts
        return counts

    def recover(self) -> None:
        """As the program does at the start of the next run."""
        for intent in self.runs.open_intents():
            keys = [self.keys[n - 1] for n in intent.steps]
            batch = Batch(
                intent.steps[0],
                scope_for(self.bench, everything=True),
                self.bench.rule.action,
                keys,
                [self.revisions[k] for k in keys],
            )
            settled = inferred_fates(self.place.act(), batch, range(len(keys)))
            gone = [i for s in settled if s.outcome is Outcome.DISPOSED for i in s.positions]
            self.runs.resolve(Closing(intent.index, len(keys), settled, gone))

    def finish(self) -> None:
        """Recovers and carries out what is left, as the same command again would."""
        self.recover()
        done = self.runs.done(self.plan)
        left = [key for n, key in enumerate(self.keys, 1) if n not in done]
        self.run(works=[w for key in left for w in self.works([key])])

    def fates(self) -> dict[str, list[str]]:
        """What the log says of each item, in the order in which it was said."""
        import json

        bodies = [json.loads(b) for b in self.ledger.entries(0, self.ledger.size())]
        names = {References(derive(b"m" * 32, "c"), "memory").of(k): k for k in self.keys}
        found: dict[str, list[str]] = {key: [] for key in self.keys}
        for body in bodies:
            if body["type"] not in ("outcome", "spared"):
                continue
            entry = body["intent"] if body["type"] == "outcome" else bodies.index(body)
            refs = next(r for e, r in self._refs() if e == entry)
            for position in range(len(refs) // 16):
                fate = next((name for name, at in body["otherwise"].items() if position in at), "disposed")
                found[names[refs[16 * position : 16 * position + 16]]].append(fate)
        return found

    def _refs(self):
        import sqlalchemy as sa

        from retentiond.ledger import schema

        with self.ledger.transaction() as change:
            return change.connection.execute(sa.select(schema.batch.c.entry, schema.batch.c.refs)).all()


def references(category: str, store: str) -> References:
    return References(derive(b"m" * 32, category), store)


def faulty(office: Office, fail_at: int) -> FaultyStore:
    return FaultyStore(office.place.act(), fail_at)
