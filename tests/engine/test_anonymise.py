"""Anonymising through the engine: a row that stays is no row that nothing happened to, whatever fails and whenever."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from itertools import count

import pytest

from retentiond.core.anonymise import Mask, Null, Truncate
from retentiond.core.item import Page
from retentiond.core.outcome import Outcome, Settled
from retentiond.core.policy import Action, Rule, Start, TableSelection
from retentiond.engine.fates import inferred_fates
from retentiond.engine.pipeline import bench_for, scope_for
from retentiond.engine.ports import Batch
from retentiond.engine.work import Work
from retentiond.stores.sql import SqlType
from retentiond.testing.faults import FaultyStore
from tests.engine.office import MONTHS, NOW, OLD, UTC_ZONE, Office

ACTION = Action("anonymise", (("email", Null()), ("ip", Truncate(24)), ("name", Mask(1))))
DONE = (None, "192.0.2.0", "A***")


class Rows(Office):
    """The same office over a table of a real database; `version` makes revisions that anonymising leaves as they are."""

    def __init__(self, folder, version=None):
        super().__init__(folder)
        self.path = folder / "rows.db"
        with closing(sqlite3.connect(self.path)) as con, con:
            con.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, at TEXT, email TEXT, ip TEXT, name TEXT, rev INT DEFAULT 1)")
            rows = [(f"{OLD:%Y-%m-%d}", f"p{i}@example.org", f"192.0.2.{i + 1}", "Anna") for i in range(25)]
            con.executemany("INSERT INTO t (at, email, ip, name) VALUES (?, ?, ?, ?)", rows)
        rule = Rule("r", "memory", TableSelection("t", version=version), Start("column", "at"), MONTHS, MONTHS, ACTION)
        self.bench = bench_for(replace(self.category, rules=(rule,)), rule, UTC_ZONE, NOW, ())
        self.place = self
        self.store = self.act()
        (page,) = self.store.scan(scope_for(self.bench, everything=True))
        self.keys, self.revisions = list(page.keys), dict(zip(page.keys, page.revisions, strict=True))

    def act(self):
        return SqlType().act({"url": f"sqlite:///{self.path}"})

    def sql(self, statement):
        with closing(sqlite3.connect(self.path)) as con, con:
            return con.execute(statement).fetchall()

    def done(self):
        return {f"t/{i}" for i, *values in self.sql("SELECT id, email, ip, name FROM t") if tuple(values) == DONE}


@pytest.fixture(params=[None, "rev"])
def office(tmp_path, request):
    made = Rows(tmp_path, request.param)
    yield made
    made.ledger.close()


def check_truth(office):
    done = office.done()
    for key, fates in office.fates().items():
        assert (key in done) == ("disposed" in fates), f"{key}: {fates}"
    assert office.runs.open_intents() == []


def test_a_quiet_run_anonymises_every_row_once_and_looks_at_it_again(office):
    results = list(office.executor(office.store).run(office.works()))
    assert (25, 25) == (sum(r.looked for r in results), sum(r.absent for r in results))
    assert set(office.keys) == office.done()
    check_truth(office)


@pytest.mark.parametrize("version", [None, "rev"])
def test_a_fault_at_every_call_leaves_true_evidence_and_the_next_run_finishes(tmp_path, version):
    for n in count(1):
        folder = tmp_path / str(n)
        folder.mkdir()
        office = Rows(folder, version)
        store = FaultyStore(office.act(), n)
        office.run(store)
        office.recover()
        check_truth(office)
        office.finish()
        check_truth(office)
        assert set(office.keys) == office.done()
        assert all(fates.count("disposed") == 1 for fates in office.fates().values())
        office.ledger.close()
        if store.points < n:
            assert n == 10, "three batches: dispose, its fact, and the look after it"
            break


def test_what_was_cut_short_is_inferred_from_what_the_columns_hold(office):
    office.sql("UPDATE t SET email = NULL, ip = '192.0.2.0', name = 'A***' WHERE id = 1")
    office.sql("UPDATE t SET email = 'other', rev = 2 WHERE id = 2")
    office.sql("DELETE FROM t WHERE id = 3")
    work: Work = office.works()[0]
    said = {i: (s.outcome, s.code) for s in inferred_fates(office.store, work.batch, range(10)) for i in s.positions}
    changed, gone, short = (Outcome.CHANGED, ""), (Outcome.GONE, ""), (Outcome.FAILED, "cut-short")
    assert {0: (Outcome.DISPOSED, ""), 1: changed, 2: gone, **dict.fromkeys(range(3, 10), short)} == said


def test_what_was_to_be_deleted_is_not_inferred_from_columns(office):
    """A plan of before the rule was changed to anonymise: a row that is there was not deleted, whatever it holds."""
    office.sql("UPDATE t SET email = NULL, ip = '192.0.2.0', name = 'A***' WHERE id = 1")
    batch: Batch = replace(office.works()[0].batch, action=Action("delete")).only([0])
    (settled,) = inferred_fates(office.store, batch, [0])
    assert settled.outcome in (Outcome.CHANGED, Outcome.FAILED)


class Lying:
    """Says that it has anonymised, and has not."""

    def __init__(self, store):
        self.store, self.traits = store, store.traits

    def dispose(self, batch):
        yield Settled(range(len(batch)), Outcome.DISPOSED)

    def probe(self, scope, keys) -> Page:
        return self.store.probe(scope, keys)


def test_a_store_that_lies_is_found_out(office):
    results = list(office.executor(Lying(office.store)).run(office.works()))
    assert (25, 0) == (sum(r.looked for r in results), sum(r.absent for r in results))


def test_a_row_that_is_written_again_between_act_and_look_counts_as_back(office):
    class Rewritten(Lying):
        def dispose(self, batch):
            yield from self.store.dispose(batch)
            office.sql("UPDATE t SET email = 'again' WHERE id = 7")

    results = list(office.executor(Rewritten(office.store)).run(office.works()))
    assert (25, 24) == (sum(r.looked for r in results), sum(r.absent for r in results))
