"""Anything may happen in any order, and the invariants hold: a state machine against a model that is a dictionary.

Items are created, age as time passes, change and are removed; holds are placed and released; events are recorded
and withdrawn; rules get stricter and looser; plans are made, carried out, cut short by a crash
at any arrow and resumed. The model knows what may be gone; the log must know what is gone.
"""

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from retentiond.core.period import Period
from retentiond.core.policy import Start
from retentiond.engine import failpoints
from retentiond.engine.pipeline import bench_for, draft, scope_for, survey
from retentiond.engine.ports import Batch
from retentiond.ledger.clock import micros
from tests.engine.office import NOW, UTC_ZONE, Office

KEYS = st.sampled_from([f"item-{i:02}" for i in range(8)])
AGES = st.sampled_from([0, 1, 40, 89, 95, 200])


class Crash(BaseException):
    """The process ends here."""


class Lines(list):
    """A plan in memory: `engine.pipeline.Draft`."""

    @property
    def total(self):
        return len(self)

    def add(self, rows):
        self.extend(rows)

    def add_stays(self, rows):
        """Nobody reads them here."""


class Way(RuleBasedStateMachine):
    """One store, one ledger, and a dictionary that says which items may be gone."""

    holds = Bundle("holds")

    @initialize(by_event=st.booleans(), together=st.integers(1, 4), lanes=st.sampled_from([1, 3]))
    def open(self, by_event, together, lanes):
        self.now, self.together = NOW, together
        self.folder = Path(tempfile.mkdtemp())
        start = Start("event", "resolved", "ticket") if by_event else None
        self.office = Office(self.folder, start=start, subject={"customer": "who"}, items=0)
        self.office.keys = [f"item-{i:02}" for i in range(8)]
        self.office.place.lanes = lanes
        self.by_event, self.days, self.counter, self.plan = by_event, 90, 0, None
        self.lines: dict[str, Lines] = {}
        self.gone_lawfully: dict[str, bool] = {}
        self.removed_by_others: set[str] = set()

    def teardown(self):
        self.office.ledger.close()
        shutil.rmtree(self.folder)

    def rules_of(self, days):
        from dataclasses import replace

        period = Period(days=days, words=f"{days} days")
        found = replace(self.office.bench.rule, retention=period, deletion=period)
        return bench_for(self.office.category, found, UTC_ZONE, self.now, self.office.holds.current().holds)

    # What happens outside

    @rule(key=KEYS, age=AGES)
    def create_or_change(self, key, age):
        self.counter += 1
        start = None if self.by_event else self.now - timedelta(days=age)
        self.office.place.put(key, start, str(self.counter).encode(), facts={"who": key, "ticket": key})
        self.gone_lawfully[key] = False
        self.removed_by_others.discard(key)

    @rule(key=KEYS)
    def removed_by_somebody_else(self, key):
        if key in self.office.place.records:
            del self.office.place.records[key]
            self.removed_by_others.add(key)

    @rule(key=KEYS, age=AGES)
    def an_event_happens(self, key, age):
        self.office.events.at[key] = self.now - timedelta(days=age)

    @rule(key=KEYS)
    def an_event_is_withdrawn(self, key):
        self.office.events.at.pop(key, None)

    @rule(days=st.sampled_from([30, 90, 100]))
    def the_rule_changes(self, days):
        self.days, self.plan = days, None

    @rule(days=st.sampled_from([1, 10, 60]))
    def time_passes(self, days):
        self.now += timedelta(days=days)
        self.office.wall = micros(self.now)

    # What people tell us

    @rule(target=holds, key=KEYS, by=st.sampled_from(["path", "subject", "predicate"]))
    def place_a_hold(self, key, by):
        self.counter += 1
        scope = {"path": {"path": key}, "subject": {"subjects": (("customer", key),)}, "predicate": {"where": key}}[by]
        self.office.hold(f"H{self.counter}", **scope)
        return f"H{self.counter}", key

    @rule(hold=holds)
    def release_a_hold(self, hold):
        if any(h.id == hold[0] for h in self.office.holds.current().holds):
            self.office.holds.release(hold[0], "settled", self.office.word)

    def held(self, key):
        return any(key in (h.path, h.where, dict(h.subjects).get("customer")) for h in self.office.holds.current().holds)

    def due(self, key):
        """The model's own judgement: by days, nothing else."""
        record = self.office.place.records.get(key) or self.office.place.half_done.get(key)
        start = self.office.events.at.get(key) if self.by_event else record and record.start
        return start is not None and (self.now - start).days > self.days and not self.held(key)

    # What the program does

    @rule()
    def make_a_plan(self):
        bench = self.rules_of(self.days)
        lines = Lines()
        draft(survey(self.office.place.look(), scope_for(bench), bench, self.office.events), bench, lines)
        assert {line.key for line in lines} <= set(self.office.place.records) | set(self.office.place.half_done)
        assert all(self.due(line.key) for line in lines), "a plan names what is due, and nothing else"
        self.plan = (self.days, lines)
        self.counter += 1
        self.office.plan = f"{self.counter:064x}"
        self.lines[self.office.plan] = lines
        with self.office.ledger.transaction() as change:
            change.write("plan-made", plan=self.office.plan, rulebook="0" * 64, at=change.time, steps=len(lines), forecast=0)

    def works(self):
        days, lines = self.plan
        bench = self.rules_of(days)
        done = self.office.runs.done(self.office.plan)
        scope = scope_for(bench, everything=True)
        from retentiond.engine.work import Work

        left = [(n, line) for n, line in enumerate(lines, 1) if n not in done]
        while left:
            batch = [left[i] for i in range(min(self.together, len(left))) if left[i][0] == left[0][0] + i]
            left = left[len(batch) :]
            keys, revisions = [line.key for _, line in batch], [line.revision for _, line in batch]
            yield Work(bench, Batch(batch[0][0], scope, bench.rule.action, keys, revisions, store="memory"))

    def carry_out(self):
        before = {k: (r.revision, self.due(k)) for k, r in {**self.office.place.half_done, **self.office.place.records}.items()}
        planned = {line.key: line.revision for line in self.plan[1]}
        try:
            for _ in self.office.executor().run(self.works()):
                pass
        finally:
            left = {**self.office.place.half_done, **self.office.place.records}
            for key, (revision, due) in before.items():
                if key not in left:
                    assert planned.get(key) == str(revision), "only what the plan named, in the revision that it named"
                    assert due, "only what is due and not held at the moment of disposal"
                    self.gone_lawfully[key] = True

    @rule()
    def apply(self):
        if self.plan is not None:
            self.recover()
            self.carry_out()

    @rule(
        arrow=st.sampled_from(
            ["intent-written", "intent-committed", "claimed", "destroyed", "settled", "outcome-written", "outcome-committed"]
        )
    )
    def apply_and_crash(self, arrow):
        if self.plan is None:
            return
        self.recover()

        def watcher(reached):
            if reached == arrow:
                failpoints.watch(None)
                raise Crash

        failpoints.watch(watcher)
        try:
            self.carry_out()
        except Crash:
            pass
        finally:
            failpoints.watch(None)

    @rule()
    def recover(self):
        from retentiond.core.outcome import Outcome
        from retentiond.engine.fates import inferred_fates
        from retentiond.engine.ports import Closing

        for intent in self.office.runs.open_intents():
            steps = [self.lines[intent.plan][n - 1] for n in intent.steps]
            scope = scope_for(self.rules_of(self.days), everything=True)
            batch = Batch(
                intent.steps[0],
                scope,
                self.office.bench.rule.action,
                [s.key for s in steps],
                [s.revision for s in steps],
                store="memory",
            )
            settled = inferred_fates(self.office.place.act(), batch, range(len(steps)))
            gone = [i for s in settled if s.outcome is Outcome.DISPOSED for i in s.positions]
            self.office.runs.resolve(Closing(intent.index, len(steps), settled, gone))

    # What must be true at every moment

    @invariant()
    def nothing_is_gone_that_may_not_be(self):
        if not hasattr(self, "office"):
            return
        left = {**self.office.place.half_done, **self.office.place.records}
        for key, lawful in self.gone_lawfully.items():
            assert key in left or lawful or key in self.removed_by_others, f"{key} is gone"

    @invariant()
    def every_absence_that_we_caused_has_an_intent_and_the_log_is_in_order(self):
        if not hasattr(self, "office"):
            return
        from retentiond.audit.meaning import Meaning

        wrong: list[str] = []
        meaning = Meaning(wrong.append)
        for body in self.office.ledger.entries(0, self.office.ledger.size()):
            meaning.take(body)
        assert wrong == []


Way.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
TestWay = Way.TestCase
