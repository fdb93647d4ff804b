"""SQL, tables: their keys, their names, who refers to their rows, and what is refused."""

from contextlib import closing

import pytest

from retentiond.core.ladder import CHILDREN
from retentiond.core.policy import PathSelection, Start
from retentiond.errors import StoreDenied
from retentiond.stores.sql.reading import UNNAMED
from tests.stores.tables import AT, connect, everything, look, scope, shown, sql

EVENT = Start("event", "over", by="id")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


def doubts(view, what):
    return {item.key: item.doubt for item in shown(view, what)}


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
        (
            "a INTEGER PRIMARY KEY",
            [(-5,), (2**63 - 1,), (-(2**63),)],
            ["t/-9223372036854775808", "t/-5", "t/9223372036854775807"],
        ),
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
    strange = [
        "t/x,,1",
        "t/x%2c,1",
        "t/x%2C,01",
        "t/x%2C",
        "u/x%2C,1",
        "t",
        "x%2C,1",
        "b64:!",
        "b64:dC94JTJDLDE=",
        "t/7, 7",
        "t/%1",
    ]
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


@pytest.mark.parametrize(
    "column", ["a PRIMARY KEY", "a BLOB PRIMARY KEY", "a REAL PRIMARY KEY", "a DOUBLE PRIMARY KEY", "a ANY PRIMARY KEY"]
)
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
        for key, words in [
            ((), "no primary key"),
            (("a",), "may be NULL"),
            (("b",), "not unique"),
            (("d",), "not unique"),
            (("c",), "not unique"),
            (("e",), "no column e"),
        ]:
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
        con.execute("BEGIN")
        con.executemany(
            "INSERT INTO t VALUES (?)", [(word,) for i in range(4000) for word in (f"a{i}", f"A{i}", f"z{i}", f"Z{i}")]
        )
        con.execute("COMMIT")
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
        for clause in (
            statements.page(("a", 1), (), [], 10),
            *[statements.lookup(n, []) for n in statements.named([("a", 1), ("b", 2)])],
        ):
            plan = " ".join(row[3] for row in view.database.con.execute("EXPLAIN QUERY PLAN " + clause.sql, clause.values))
            assert "sqlite_autoindex_t_1" in plan
            assert "TEMP B-TREE" not in plan


# Tables


def test_names_may_be_anything(path):
    sql(
        path,
        'CREATE TABLE "or""der by, 100%" ("select" INTEGER PRIMARY KEY, "at ""all""" TEXT, "group" TEXT)',
        "INSERT INTO \"or\"\"der by, 100%\" VALUES (1, '2020-01-01', 'g')",
    )
    what = scope('or"der by, 100%', "\"group\" = 'g'", Start("column", 'at "all"'), fields=("group", "select"))
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


# References


@pytest.mark.parametrize("index", [True, False], ids=["indexed", "not indexed"])
@pytest.mark.parametrize(
    "action", ["CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION", "NO ACTION DEFERRABLE INITIALLY DEFERRED"]
)
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
        told = f"{CHILDREN}: rows of children or others"
        assert {"parents/1": told, "parents/2": told, "parents/3": None} == doubts(view, scope("parents"))
        page = view.probe(scope("parents"), ["parents/3", "parents/2"])
        assert {1: told} == dict(page.doubts)
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
