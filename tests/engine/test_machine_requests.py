"""The same machine, where people ask to be erased and stores are restored from backups.

A request stands once a plan of it was allowed, until it is withdrawn. Whatever is about the person and no newer than the request
may go, and comes back by no backup; a hold wins over it, before the plan and after; what is newer is a newcomer's.
A replay means what went by the rule under this key with this start, and no item that has come under its key since.
"""

from datetime import timedelta
from itertools import groupby

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import precondition, rule

from retentiond.app.replaying import Back, gone_by
from retentiond.core.reference import References, derive, of_word
from retentiond.core.request import Erased, ErasureRequest
from retentiond.engine.pipeline import draft, scope_for, survey
from retentiond.engine.ports import Batch
from retentiond.engine.work import Work
from retentiond.errors import PlanUnusable
from retentiond.ledger import schema
from retentiond.ledger.clock import micros, moment
from retentiond.ledger.requests import RequestRegister
from tests.engine.test_machine import KEYS, Lines, Way


class Names:
    """References under one key: `core.request.Naming`."""

    def subject(self, year, kind, value):
        return of_word(b"s" * 32, kind, value)

    def item(self, year, category, store, key):
        return of_word(b"i" * 32, store, key)


class WayOfRequests(Way):
    """`asked` has the instant of each person's request; here a person is known by the key of their one item.

    `went` has (key, start) of everything that the rule has let go, by the model's own count.
    """

    def __init__(self):
        super().__init__()
        self.asked, self.names, self.backup, self.acting = {}, {}, {}, False
        self.went = set()

    @property
    def requests(self):
        return RequestRegister(self.office.ledger)

    def rules_of(self, days):
        bench = super().rules_of(days)
        bench.erased = Erased(self.requests.standing(micros(self.now)), "c", bench.rule, Names())
        return bench

    def due(self, key):
        if super().due(key):
            return True
        if key not in self.asked or self.held(key):
            return False
        record = self.office.place.records.get(key) or self.office.place.half_done.get(key)
        start = self.office.events.at.get(key) if self.by_event else record and record.start
        return self.acting or (start is not None and start <= self.asked[key])

    @precondition(lambda self: getattr(self, "lines", None))
    @rule(key=KEYS)
    def somebody_asks_to_be_erased(self, key):
        if key in self.asked:
            return
        whom = ErasureRequest(-1, 2026, self.now, frozenset({("customer", Names().subject(2026, "customer", key))}))
        until = micros(self.now + timedelta(days=10_000))
        self.counter += 1
        name = self.names[key] = f"R{self.counter}"
        request = self.requests.receive(name, "asked", "a person", whom, until, self.office.word)
        assert self.requests.receive(name, "asked", "a person", whom, until, self.office.word).entry == request.entry
        self.requests.allow(request.entry, self.office.plan)
        self.asked[key] = moment(self.requests.get(request.entry).received)

    @rule(key=KEYS)
    def a_request_is_withdrawn(self, key):
        if self.asked.pop(key, None) is not None:
            entry = self.requests.withdraw(self.names[key], "a change of mind", self.office.word).request.entry
            with pytest.raises(PlanUnusable):
                self.requests.allow(entry, self.office.plan)

    def make_a_plan(self):
        """Registered, too, as a replay reads of which year the references are."""
        super().make_a_plan()
        with self.office.ledger.transaction() as change:
            row = {"name": self.office.plan, "made_at": change.time, "at": change.time, "expires": 0, "header": "{}"}
            change.connection.execute(schema.plan.insert().values(**row, forecast=0, done=0))

    @rule()
    def a_replay_means_what_is_back_and_no_newcomer(self):
        def references(_year):
            return lambda category, store: References(derive(b"m" * 32, category), store)

        back = Back(references, gone_by(references, self.office.runs.disposed_since(0)))
        bench, lines = self.rules_of(self.days), Lines()
        bench.erased = None
        pages = survey(self.office.place.look(), scope_for(bench, everything=True), bench, self.office.events)
        draft((back.of(judged, bench) for judged in pages), bench, lines)
        there = {**self.office.place.half_done, **self.office.place.records}
        known = {key for key, record in there.items() if (key, self.start_of(key, record)) in self.went}
        assert back.found == len(known)
        assert {line.key for line in lines} == {key for key in known if super(WayOfRequests, self).due(key)}

    def start_of(self, key, record):
        start = self.office.events.at.get(key) if self.by_event else record.start
        return start and start.replace(microsecond=0)

    @rule()
    def a_backup_is_made(self):
        self.backup = dict(self.office.place.records)

    @rule()
    def the_backup_is_restored(self):
        for key, record in self.backup.items():
            if key not in self.office.place.records and key not in self.office.place.half_done:
                self.office.place.put(key, record.start, record.content, facts=record.facts)
                self.gone_lawfully[key] = False
                self.removed_by_others.discard(key)

    def works(self):
        days, lines = self.plan
        bench, done = self.rules_of(days), self.office.runs.done(self.office.plan)
        scope, action = scope_for(bench, everything=True), bench.rule.action
        left = [(n, line) for n, line in enumerate(lines, 1) if n not in done]
        for (_, request), run in groupby(enumerate(left), key=lambda each: (each[1][0] - each[0], each[1][1].request)):
            batch = [line for _, line in run]
            keys, revisions = [line.key for _, line in batch], [line.revision for _, line in batch]
            known = {"store": "memory", "request": request, "starts": [line.start for _, line in batch]}
            yield Work(bench, Batch(batch[0][0], scope, action, keys, revisions, **known))

    def carry_out(self):
        self.acting = True
        before = {**self.office.place.half_done, **self.office.place.records}
        planned = {line.key: line for line in self.plan[1]}
        try:
            super().carry_out()
        finally:
            self.acting = False
            open_ones = {line.key for line in self.begun()}
            self.note([planned[key] for key in before if key not in open_ones and self.is_absent(key)])

    def begun(self):
        """The steps of which nobody knows yet what became of them."""
        return [self.lines[intent.plan][n - 1] for intent in self.office.runs.open_intents() for n in intent.steps]

    def is_absent(self, key):
        return key not in self.office.place.half_done and key not in self.office.place.records

    def note(self, lines):
        self.went |= {(line.key, line.start.replace(microsecond=0)) for line in lines if line.request is None}

    @rule()
    def recover(self):
        begun = self.begun()
        super().recover()
        self.note([line for line in begun if self.is_absent(line.key)])


WayOfRequests.TestCase.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestWayOfRequests = WayOfRequests.TestCase
