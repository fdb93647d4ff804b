"""SQL, looking: rows and their revisions, conditions, holds by predicate, warnings, events."""

import json
import subprocess
import sys
from contextlib import closing

import pytest

from retentiond.core.policy import Start
from retentiond.core.selector import Predicate
from retentiond.engine.ports import OUTSIDE, Answering, Restoring
from retentiond.errors import StoreDenied
from tests.stores.tables import LONG_AGO, act, connect, everything, look, scope, shown, sql

EVENT = Start("event", "over", by="id")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


def held(view, what):
    return {page.keys[i]: hold for page in view.scan(what) for i, hold in page.held.items()}


@pytest.fixture
def calls(path):
    sql(
        path,
        "CREATE TABLE calls (id INTEGER PRIMARY KEY, at TEXT, kind TEXT, rev INT, big INT AS (id * 2))",
        "INSERT INTO calls VALUES (1, '2020-01-01', 'in', 7), (2, '2020-01-02', 'out', 7), (3, NULL, NULL, NULL)",
    )
    return path


# Rows


def test_a_revision_is_of_the_whole_row_and_the_same_in_every_process(calls):
    with look(calls) as view:
        mine = everything(view, scope("calls"))
    script = (
        "import json, sys; from tests.stores.tables import everything, look, scope\n"
        "with look(sys.argv[1]) as view: print(json.dumps(everything(view, scope('calls'))))"
    )
    theirs = subprocess.run([sys.executable, "-c", script, str(calls)], capture_output=True, check=True, text=True)
    assert mine == json.loads(theirs.stdout)
    assert all(len(revision) == 32 for revision in mine.values())
    sql(calls, "UPDATE calls SET kind = 'IN' WHERE id = 1")
    with look(calls) as view:
        after = everything(view, scope("calls"))
    assert ["calls/1"] == [key for key in mine if mine[key] != after[key]]


def test_values_of_other_types_are_other_revisions(path):
    values = ["1", "1.0", "'1'", "x'31'", "NULL", "''", "x''", "x'ff'", "CAST(x'ff' AS TEXT)", "0.1", "'a'||char(0)", "'a'"]
    sql(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", *[f"INSERT INTO t (v) VALUES ({v})" for v in values])
    with look(path) as view:
        digests = [item.revision for item in shown(view, scope("t", start=EVENT))]
        sql(path, "UPDATE t SET v = 'same'")
    assert len(set(digests)) == len(values)


def test_a_version_column_is_the_revision_and_an_unset_one_is_not(calls):
    with look(calls) as view:
        revisions = list(everything(view, scope("calls", version="rev")).values())
    assert ["7", "7"] == revisions[:2]
    assert len(revisions[2]) == 32


def test_a_size_is_about_the_bytes_of_the_row(path):
    sql(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", "INSERT INTO t VALUES (1, zeroblob(1000)), (2, NULL)")
    with look(path) as view:
        sizes = [item.size for item in shown(view, scope("t", start=EVENT))]
    assert 1000 <= sizes[0] <= 1010
    assert 1 <= sizes[1] <= 10


def test_large_rows_are_not_held_together(path):
    with closing(connect(path)) as con:
        con.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v, at TEXT DEFAULT '2020-01-01')")
        con.executemany("INSERT INTO t (v) VALUES (zeroblob(?))", [(200_000,)] * 300)
    with look(path) as view:
        pages = list(view.scan(scope("t")))
        keys = [key for page in pages for key in page.keys]
        assert [f"t/{i}" for i in range(1, 301)] == keys
        assert len(pages) > 1
        assert [LONG_AGO.year] * 300 == [start.year for page in pages for start in page.starts]
        assert None not in view.probe(scope("t"), keys).revisions


def test_facts_are_the_database_s_own_text(path):
    values = [
        (1, "x"),
        (2, -7),
        (3, 1.5),
        (4, 1e20),
        (5, 1.0),
        (6, None),
        (7, b"bytes"),
        (8, 123456789.123456789),
        (9, float("inf")),
        (10, 1e-7),
    ]
    with closing(connect(path)) as con:
        con.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
        con.executemany("INSERT INTO t VALUES (?, ?)", values)
        expected = [row[0] for row in con.execute("SELECT CAST(v AS TEXT) FROM t ORDER BY id")]
    with look(path) as view:
        items = shown(view, scope("t", start=EVENT, fields=("v",)))
    assert [str(text).lower() for text in expected] == [str(item.facts["v"]).lower() for item in items]


# Conditions and holds


def test_a_condition_may_be_written_over_lines_with_comments(calls):
    with look(calls) as view:
        assert ["calls/1"] == list(everything(view, scope("calls", "kind = 'in' -- and no other\n OR 0 -- )")))
        page = view.probe(scope("calls", "kind = 'in' --"), ["calls/1", "calls/2", "calls/3"])
    assert {1: OUTSIDE, 2: OUTSIDE} == dict(page.doubts)


@pytest.mark.parametrize("column", ["key", "value", "type", "id", "rowid"])
def test_a_condition_sees_the_columns_of_its_table_only(path, column):
    sql(
        path,
        "CREATE TABLE t (pk INTEGER PRIMARY KEY, key, value, type, id)",
        "INSERT INTO t VALUES (1, 1, 1, 1, 1), (2, 2, 2, 2, 2)",
    )
    what = scope("t", f"{column} = 1", EVENT)
    with look(path) as view:
        assert ["t/1"] == list(everything(view, what))
        assert {1: OUTSIDE} == dict(view.probe(what, ["t/1", "t/2"]).doubts)


TRICKS = [
    "kind = 'in') OR (kind = 'out'",
    "kind = 'in' /*",
    "kind = 'in'; DELETE FROM calls",
    "kind = 'in' LIMIT 1",
    "kind = 'in' UNION SELECT 1",
    "kind = ?",
    "kind = ?1",
    "kind = :kind",
    "kind = 'in",
    "(kind = 'in'",
    "kind, at",
    "",
    "-- nothing",
    "kin = 'in'",
    "count(*) > 1",
    "nosuch(kind)",
    "kind = 'in'\0",
    "\"kindd\" <> 'in'",
    "SELECT 1",
    "kind = '\udcff'",
]


@pytest.mark.parametrize("text", TRICKS)
def test_what_is_not_one_whole_condition_is_refused(calls, text):
    with look(calls) as view:
        for attempt in (lambda: everything(view, scope("calls", text)), lambda: view.probe(scope("calls", text), ["calls/1"])):
            with pytest.raises(StoreDenied, match="the condition on calls cannot be used"):
                attempt()


def test_refusals_quote_no_data(calls):
    with look(calls) as view:
        for text in ("mail = 'anna@example.org'", "kind = 'in' 'anna@example.org'", "kind = 'anna@example.org", "at > 2024 4711"):
            with pytest.raises(StoreDenied) as refusal:
                everything(view, scope("calls", text))
            assert "anna" not in str(refusal.value.problems[0])
            assert "4711" not in str(refusal.value.problems[0])


def test_names_in_double_quotes_are_names(calls):
    with look(calls) as view:
        assert ["calls/1"] == list(everything(view, scope("calls", '"KIND" = \'in\' AND \'"x"\' = \'"x"\' -- "y"')))
        inner = 'EXISTS (SELECT 1 FROM calls AS "c" WHERE "c"."id" = calls.id + 1)'
        assert ["calls/1", "calls/2"] == list(everything(view, scope("calls", inner)))


def test_a_condition_that_fails_on_a_row_refuses_the_table(calls):
    with look(calls) as view, pytest.raises(StoreDenied):
        everything(view, scope("calls", "json_extract(kind, '$.a') = 1"))


@pytest.mark.parametrize(
    ("predicate", "covered"),
    [
        ("kind = 'in'", ["calls/1", "calls/3"]),
        ("kind IS 'in'", ["calls/1"]),
        ("NULL", ["calls/1", "calls/2", "calls/3"]),
        ("0", []),
        ("kind = 'in' -- comment", ["calls/1", "calls/3"]),
        *[(trick, ["calls/1", "calls/2", "calls/3"]) for trick in TRICKS],
        ("json_extract(kind, '$.a') = 1", ["calls/1", "calls/2", "calls/3"]),
        ("id IN (SELECT id FROM elsewhere)", ["calls/1", "calls/2", "calls/3"]),
    ],
)
def test_a_hold_by_predicate_covers_what_is_not_certainly_outside_it(calls, predicate, covered):
    what = scope("calls", predicates=(Predicate("none", "0"), Predicate("h", predicate), Predicate("later", "1")))
    with look(calls) as view:
        assert covered == [key for key, hold in held(view, what).items() if hold == "h"]
        page = view.probe(what, ["calls/3", "calls/9", "calls/1", "calls/2"])
        assert covered == sorted(page.keys[i] for i, hold in page.held.items() if hold == "h")
        assert 1 not in page.held


# Warnings


def test_check_is_told_what_is_slow_or_unplanned(calls):
    sql(
        calls,
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, call INT REFERENCES calls)",
        "CREATE TRIGGER history AFTER DELETE ON CALLS BEGIN SELECT 1; END",
    )
    with look(calls) as view:
        told = "\n".join(view.warnings(scope("calls")))
        assert 'CREATE INDEX "ix_calls_at" ON "calls" ("at")' in told
        assert 'CREATE INDEX "ix_notes_call" ON "notes" ("call")' in told
        assert "history" in told
        sql(calls, "CREATE INDEX a ON calls (at, kind)", "CREATE INDEX b ON notes (call)", "DROP TRIGGER history")
        assert list(view.warnings(scope("calls"))) == []


def test_what_there_is_to_know_of_a_database_is_told_once(calls):
    """It is a note of the store; a rule has only what is about the rule."""
    sql(calls, "PRAGMA journal_mode=WAL")
    with look(calls) as view:
        assert view.traits.notes
        assert not set(view.traits.notes) & set(view.warnings(scope("calls")))


# Events


@pytest.fixture
def tickets(path):
    sql(
        path,
        "CREATE TABLE tickets (id INTEGER PRIMARY KEY, status TEXT, resolved_at TEXT)",
        "INSERT INTO tickets VALUES (1, 'resolved', '2020-01-01 10:00:00'), (2, 'open', NULL), (3, 'resolved', 5)",
    )
    return path


QUERY = "SELECT id AS subject, resolved_at AS at FROM tickets WHERE status = 'resolved'"


@pytest.mark.parametrize("open_", [look, act])
def test_an_event_is_asked_for_subjects_as_text(tickets, open_):
    with open_(tickets) as view:
        assert isinstance(view, Answering)
        assert not isinstance(view, Restoring)
        assert [("1", "2020-01-01 10:00:00")] == list(view.ask(QUERY, ["1", "2", "7"]))
        assert [("3", "5")] == list(view.ask(QUERY + " -- all;\n;", ["3"]))
        assert [] == list(view.ask(QUERY, []))


NO_QUERIES = [
    "DELETE FROM tickets RETURNING id AS subject, resolved_at AS at",
    "SELECT 1 AS subject, 2 AS at; DELETE FROM tickets",
    "SELECT 1 AS subject, 2 AS at) WHERE 1; DELETE FROM tickets --",
    "SELECT 1 AS subject, 2 AS at) , (SELECT 1",
    "SELECT 1 AS subject, ? AS at",
    "PRAGMA journal_mode=WAL",
    "PRAGMA foreign_keys=OFF",
    "PRAGMA query_only=OFF",
    "ATTACH 'other.db' AS other",
    "VACUUM",
    "",
    "SELEC 1",
    'SELECT "idd" AS subject, 1 AS at FROM tickets',
    "QUERY PLAN SELECT 1 AS subject, 2 AS at",
]


@pytest.mark.parametrize("query", [*NO_QUERIES, "SELECT 1 AS subject", "SELECT 1 AS at"])
@pytest.mark.parametrize("open_", [look, act])
def test_what_is_not_one_query_that_reads_is_refused(tickets, open_, query):
    before = tickets.read_bytes()
    with open_(tickets) as view:
        with pytest.raises(StoreDenied):
            list(view.ask(query, ["1"]))
        assert [1, 1] == [view.database.one(f"PRAGMA {name}") for name in ("foreign_keys", "query_only")]
    assert before == tickets.read_bytes()
    assert [tickets] == list(tickets.parent.iterdir())


@pytest.mark.parametrize("open_", [look, act])
def test_an_identity_is_looked_up_by_its_parameters_and_by_no_other(tickets, open_):
    query = "SELECT id AS ticket, status FROM tickets WHERE id = :ticket -- one;\n;"
    with open_(tickets) as view:
        assert [("ticket", "1"), ("status", "resolved")] == list(view.identify(query, {"ticket": "1"}))
        for other in ("SELECT id FROM tickets WHERE id = :other", "SELECT id FROM tickets WHERE id = ?"):
            with pytest.raises(StoreDenied):
                list(view.identify(other, {"ticket": "1"}))


@pytest.mark.parametrize("query", NO_QUERIES)
@pytest.mark.parametrize("open_", [look, act])
def test_an_identity_that_is_not_one_query_that_reads_is_refused(tickets, open_, query):
    before = tickets.read_bytes()
    with open_(tickets) as view:
        with pytest.raises(StoreDenied):
            list(view.identify(query, {"ticket": "1"}))
        assert [1, 1] == [view.database.one(f"PRAGMA {name}") for name in ("foreign_keys", "query_only")]
    assert before == tickets.read_bytes()
