"""SQL, looking: keys, tables, conditions, holds by predicate, references, events, and what is refused."""

import json
import subprocess
import sys
from contextlib import closing

import pytest

from retentiond.core.policy import PathSelection, Start
from retentiond.core.selector import Predicate
from retentiond.engine.ports import CHILDREN, OUTSIDE, Answering, Restoring
from retentiond.errors import StoreDenied
from retentiond.stores.sql.reading import UNNAMED
from tests.stores.tables import AT, LONG_AGO, act, connect, everything, look, scope, shown, sql

EVENT = Start("event", "over", by="id")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


def doubts(view, what):
    return {item.key: item.doubt for item in shown(view, what)}


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


# Keys


@pytest.mark.parametrize(
    ("key", "rows", "keys"),
    [
        ("a INTEGER PRIMARY KEY", [(-5,), (2**63 - 1,), (-(2**63),)], ["t/-9223372036854775808", "t/-5", "t/9223372036854775807"]),
        ("a TEXT PRIMARY KEY", [("b,%/",), ("%2C",)], ["t/%252C", "t/b%2C%25%2F"]),
        ("a UUID PRIMARY KEY", [("0e1-f",), (12,), ("x/y",)], ["t/12", "t/0e1-f", "t/x%2Fy"]),
        ("a TEXT, b INT, PRIMARY KEY (b, a)", [("x", 2), ("y", 1), ("a,1", 1)], ["t/1,a%2C1", "t/1,y", "t/2,x"]),
    ],
)
def test_a_key_is_the_primary_key_in_its_own_order_and_finds_its_row_again(path, key, rows, keys):
    with closing(connect(path)) as con:
        con.execute(f"CREATE TABLE t ({key})")
        con.executemany(f"INSERT INTO t VALUES ({','.join('?' * len(rows[0]))})", rows)
    with look(path) as view:
        what = scope("t", start=EVENT, fields=())
        found = everything(view, what)
        assert keys == list(found)
        assert list(found.values()) == list(view.probe(what, keys).revisions)


def test_keys_that_are_no_spelling_of_a_row_are_absent(path):
    sql(path, "CREATE TABLE t (a TEXT, b INT, PRIMARY KEY (a, b))", "INSERT INTO t VALUES ('x,', 1), ('7', 7)")
    strange = ["t/x,,1", "t/x%2c,1", "t/x%2C,01", "t/x%2C", "u/x%2C,1", "t", "x%2C,1", "b64:!", "b64:dC94JTJDLDE=", "t/7, 7", "t/%1"]
    with look(path) as view:
        page = view.probe(scope("t", start=EVENT), ["t/x%2C,1", *strange, "t/7,7"])
    assert [True, *[False] * len(strange), True] == [revision is not None for revision in page.revisions]
    assert dict(page.doubts) == {}


def test_rows_without_a_key_are_shown_once_in_doubt_and_cannot_be_named(path):
    with closing(connect(path)) as con:
        con.execute("CREATE TABLE t (a TEXT, b NUMERIC, at TEXT, PRIMARY KEY (a, b))")
        rows = [("x", 1), (None, 1), (None, None), ("x", None), (b"x", 1), ("x", 1.5), ("y", 2**70)]
        con.executemany("INSERT INTO t VALUES (?, ?, '2020-01-01')", [(a, float(b) if b == 2**70 else b) for a, b in rows])
        con.executemany("INSERT INTO t VALUES (NULL, 1, '2020-01-01')", [()] * 1500)
    with look(path) as view:
        found = doubts(view, scope("t"))
        assert len(rows) + 1500 == len(found)
        assert {"t/x,1": None} == {key: doubt for key, doubt in found.items() if doubt != UNNAMED}
        assert {None} == set(view.probe(scope("t"), [key for key in found if key != "t/x,1"]).revisions)


@pytest.mark.parametrize("column", ["a PRIMARY KEY", "a BLOB PRIMARY KEY", "a REAL PRIMARY KEY", "a DOUBLE PRIMARY KEY", "a ANY PRIMARY KEY"])
def test_key_columns_in_which_one_name_could_be_two_rows_are_refused(path, column):
    sql(path, f"CREATE TABLE t ({column})")
    with look(path) as view, pytest.raises(StoreDenied, match="has no type"):
        everything(view, scope("t", start=EVENT))


def test_a_key_is_named_or_found_or_refused(path):
    sql(
        path,
        "CREATE TABLE t (a TEXT, b TEXT NOT NULL, c TEXT NOT NULL, d TEXT NOT NULL, UNIQUE (b, c), UNIQUE (a))",
        "CREATE UNIQUE INDEX some ON t (d) WHERE d > 'x'",
        "CREATE UNIQUE INDEX folded ON t (lower(c))",
        "INSERT INTO t VALUES ('a', 'b', 'c', 'd')",
    )
    with look(path) as view:
        assert ["t/c,b"] == list(everything(view, scope("t", start=EVENT, key=("C", "b"))))
        for key, words in [((), "no primary key"), (("a",), "may be NULL"), (("b",), "not unique"), (("d",), "not unique"), (("c",), "not unique"), (("e",), "no column e")]:
            with pytest.raises(StoreDenied, match=words):
                everything(view, scope("t", start=EVENT, key=key))


def test_keys_that_the_database_folds_are_told_apart(path):
    sql(path, "CREATE TABLE t (a TEXT COLLATE NOCASE PRIMARY KEY)", "INSERT INTO t VALUES ('Anna'), ('BOB')")
    with look(path) as view:
        assert [False, True] == [r is not None for r in view.probe(scope("t", start=EVENT), ["t/anna", "t/Anna"]).revisions]


def test_an_index_that_tells_more_apart_than_its_column_loses_no_row_between_pages(path):
    with closing(connect(path)) as con:
        con.execute("CREATE TABLE t (a TEXT COLLATE NOCASE NOT NULL)")
        con.execute("CREATE UNIQUE INDEX exact ON t (a COLLATE BINARY)")
        con.executemany("INSERT INTO t VALUES (?)", [(word,) for i in range(4000) for word in (f"a{i}", f"A{i}", f"z{i}", f"Z{i}")])
    with look(path) as view:
        assert len(everything(view, scope("t", start=EVENT, key=("a",)))) == 16_000


def test_walking_in_key_order_uses_the_key_whatever_else_is_indexed(path):
    sql(
        path,
        "CREATE TABLE t (a TEXT, b INT, at TEXT, kind TEXT, PRIMARY KEY (a, b))",
        "CREATE INDEX kinds ON t (kind, at)",
    )
    with look(path) as view:
        statements = view.layout(scope("t", "kind = 'x'")).statements
        for clause in (statements.page(("a", 1), None, [], 10), *[statements.lookup(n, []) for n in statements.named([("a", 1), ("b", 2)])]):
            plan = " ".join(row[3] for row in view.database.con.execute("EXPLAIN QUERY PLAN " + clause.sql, clause.values))
            assert "sqlite_autoindex_t_1" in plan
            assert "TEMP B-TREE" not in plan


# Tables


def test_names_may_be_anything(path):
    sql(
        path,
        'CREATE TABLE "or""der by, 100%" ("select" INTEGER PRIMARY KEY, "at ""all""" TEXT, "group" TEXT)',
        'INSERT INTO "or""der by, 100%" VALUES (1, \'2020-01-01\', \'g\')',
    )
    what = scope('or"der by, 100%', '"group" = \'g\'', Start("column", 'at "all"'), fields=("group", "select"))
    with look(path) as view:
        (item,) = shown(view, what)
    assert 'or"der by%2C 100%25/1' == item.key
    assert {"group": "g", "select": "1"} == item.facts


def test_tables_and_columns_are_found_as_the_database_finds_them(calls):
    with look(calls) as view:
        for name in ("calls", "CALLS", "main.calls"):
            assert ["calls/1", "calls/2", "calls/3"] == list(everything(view, scope(name, start=Start("column", "AT"))))


@pytest.mark.parametrize(
    ("what", "words", "do"),
    [
        (scope("cals"), "no table cals", "did you mean calls?"),
        (scope("seen"), "is a view", "name the table behind it"),
        (scope("notes"), "is virtual", ""),
        (scope("notes_data"), "is virtual", ""),
        (scope("sqlite_schema"), "no table sqlite_schema", "there are: "),
        (scope("other.calls"), "no table other.calls", ""),
        (scope("calls", start=Start("column", "att")), "no column att", "did you mean at?"),
        (scope("calls", fields=("Kindd",)), "no column Kindd", "did you mean kind?"),
        (scope("calls", version="rex"), "no column rex", "did you mean rev?"),
        (scope("calls", start=Start("column", "big")), "no column big", ""),
        (scope("calls", start=Start("modified")), "no start of the kind modified", ""),
        (scope("calls", start=Start("column", "at", zone="Mars/Base")), "no time zone Mars/Base", ""),
        (scope("calls", children="reflect"), "not in this version", ""),
        (scope("calls", children=("calls",)), "not in this version", ""),
    ],
)
def test_what_cannot_be_looked_at_is_refused_in_clear_words(calls, what, words, do):
    sql(calls, "CREATE VIEW seen AS SELECT * FROM calls", "CREATE VIRTUAL TABLE notes USING fts5(text)")
    with look(calls) as view:
        for attempt in (lambda: everything(view, what), lambda: view.probe(what, ["calls/1"]), lambda: view.warnings(what)):
            with pytest.raises(StoreDenied, match=words) as refusal:
                attempt()
            assert do in refusal.value.do


def test_paths_are_refused(calls):
    what = scope("calls")
    with look(calls) as view, pytest.raises(StoreDenied, match="tables, not paths"):
        everything(view, type(what)(PathSelection("**"), AT))


def test_a_table_that_changes_its_shape_is_reflected_again(calls):
    with look(calls) as view:
        before = everything(view, scope("calls"))
        sql(calls, "ALTER TABLE calls ADD COLUMN more TEXT DEFAULT 'x'")
        after = everything(view, scope("calls"))
    assert before.keys() == after.keys()
    assert not set(before.values()) & set(after.values())


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
        con.execute("PRAGMA synchronous=OFF")
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
    values = [(1, "x"), (2, -7), (3, 1.5), (4, 1e20), (5, 1.0), (6, None), (7, b"bytes"), (8, 123456789.123456789), (9, float("inf")), (10, 1e-7)]
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
    sql(path, "CREATE TABLE t (pk INTEGER PRIMARY KEY, key, value, type, id)", "INSERT INTO t VALUES (1, 1, 1, 1, 1), (2, 2, 2, 2, 2)")
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
    '"kindd" <> \'in\'',
    "SELECT 1",
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
        assert ["calls/1"] == list(everything(view, scope("calls", "\"KIND\" = 'in' AND '\"x\"' = '\"x\"' -- \"y\"")))
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


# References


@pytest.mark.parametrize("index", [True, False], ids=["indexed", "not indexed"])
@pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION", "NO ACTION DEFERRABLE INITIALLY DEFERRED"])
def test_rows_that_other_rows_refer_to_are_in_doubt(path, action, index):
    sql(
        path,
        "CREATE TABLE parents (id INTEGER PRIMARY KEY, code TEXT UNIQUE COLLATE NOCASE, at TEXT)",
        f"CREATE TABLE children (id INTEGER PRIMARY KEY, parent TEXT REFERENCES PARENTS ON DELETE {action})",
        f"CREATE TABLE others (id INTEGER PRIMARY KEY, code TEXT REFERENCES parents (CODE) ON DELETE {action})",
        "INSERT INTO parents VALUES (1, 'a', '2020-01-01'), (2, 'b', '2020-01-01'), (3, 'c', '2020-01-01')",
        "INSERT INTO children VALUES (1, 1), (2, NULL), (3, 99)",
        "INSERT INTO others VALUES (1, 'B'), (2, NULL)",
        *(["CREATE INDEX one ON children (parent)", "CREATE INDEX two ON others (code)"] if index else []),
    )
    with look(path) as view:
        assert {"parents/1": CHILDREN, "parents/2": CHILDREN, "parents/3": None} == doubts(view, scope("parents"))
        page = view.probe(scope("parents"), ["parents/3", "parents/2"])
        assert {1: CHILDREN} == dict(page.doubts)
        assert (not index) is any("CREATE INDEX" in w and "children" in w for w in view.warnings(scope("parents")))


@pytest.mark.parametrize("index", [True, False], ids=["indexed", "not indexed"])
def test_a_row_that_refers_to_itself_is_no_other_row(path, index):
    sql(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, up INT REFERENCES t, at TEXT)",
        "INSERT INTO t (id, up) VALUES (1, 1), (2, 1), (3, 3), (4, NULL), (5, 4)",
        *(["CREATE INDEX ups ON t (up)"] if index else []),
    )
    with look(path) as view:
        assert ["t/1", "t/4"] == [key for key, doubt in doubts(view, scope("t")).items() if doubt]


@pytest.mark.parametrize("index", [True, False], ids=["indexed", "not indexed"])
def test_references_by_several_columns_count_when_all_match(path, index):
    sql(
        path,
        "CREATE TABLE t (a INT, b TEXT, at TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID",
        "CREATE TABLE c (id INTEGER PRIMARY KEY, x TEXT, y INT, FOREIGN KEY (y, x) REFERENCES t (a, b))",
        "INSERT INTO t VALUES (1, 'a', ''), (1, 'b', ''), (2, 'a', '')",
        "INSERT INTO c (x, y) VALUES ('a', 1), ('a', NULL), (NULL, 2), ('z', 2)",
        *(["CREATE INDEX both ON c (x, y)"] if index else []),
    )
    with look(path) as view:
        assert ["t/1,a"] == [key for key, doubt in doubts(view, scope("t")).items() if doubt]


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


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM tickets RETURNING id AS subject, resolved_at AS at",
        "SELECT 1 AS subject, 2 AS at; DELETE FROM tickets",
        "SELECT 1 AS subject, 2 AS at) WHERE 1; DELETE FROM tickets --",
        "SELECT 1 AS subject, 2 AS at) , (SELECT 1",
        "SELECT 1 AS subject",
        "SELECT 1 AS at",
        "SELECT 1 AS subject, ? AS at",
        "PRAGMA journal_mode=WAL",
        "ATTACH 'other.db' AS other",
        "VACUUM",
        "",
        "SELEC 1",
        'SELECT "idd" AS subject, 1 AS at FROM tickets',
        "QUERY PLAN SELECT 1 AS subject, 2 AS at",
    ],
)
@pytest.mark.parametrize("open_", [look, act])
def test_what_is_not_one_query_that_reads_is_refused(tickets, open_, query):
    before = tickets.read_bytes()
    with open_(tickets) as view, pytest.raises(StoreDenied):
        list(view.ask(query, ["1"]))
    assert before == tickets.read_bytes()
    assert [tickets] == list(tickets.parent.iterdir())
