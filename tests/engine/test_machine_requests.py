"""The same machine, where people ask to be erased and stores are restored from backups.

A request stands once a plan of it was allowed. Whatever is about the person and no newer than the request may go, and
comes back by no backup; a hold wins over it, before the plan and after; what is newer is a newcomer's.
"""

from datetime import timedelta
from itertools import groupby

from hypothesis import HealthCheck, settings
from hypothesis.stateful import precondition, rule

from retentiond.core.reference import of_word
from retentiond.core.request import Erased, ErasureRequest
from retentiond.engine.pipeline import scope_for
from retentiond.engine.ports import Batch
from retentiond.engine.work import Work
from retentiond.ledger.clock import micros, moment
from retentiond.ledger.requests import RequestRegister
from tests.engine.test_machine import KEYS, Way


class Names:
    """References under one key: `core.request.Naming`."""

    def subject(self, year, kind, value):
        return of_word(b"s" * 32, kind, value)

    def item(self, year, category, store, key):
        return of_word(b"i" * 32, store, key)


class WayOfRequests(Way):
    """`asked` has the instant of each person's request; here a person is known by the key of their one item."""

    def __init__(self):
        super().__init__()
        self.asked, self.backup, self.acting = {}, {}, False

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
        request = self.requests.receive(key, "asked", "a person", whom, until, self.office.word)
        assert self.requests.receive(key, "asked", "a person", whom, until, self.office.word).entry == request.entry
        self.requests.allow(request.entry, self.office.plan)
        self.asked[key] = moment(self.requests.get(request.entry).received)

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
            yield Work(bench, Batch(batch[0][0], scope, action, keys, revisions, store="memory", request=request))

    def carry_out(self):
        self.acting = True
        try:
            super().carry_out()
        finally:
            self.acting = False


WayOfRequests.TestCase.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestWayOfRequests = WayOfRequests.TestCase
