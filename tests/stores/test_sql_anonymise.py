"""SQL, anonymising: what cannot be masked is refused beforehand, and a row is anonymised wholly, once, or not at all."""

from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest

from retentiond.core.anonymise import Constant, Hash, Mask, Null, Truncate
from retentiond.core.policy import Action
from retentiond.core.selector import Predicate
from retentiond.engine import failpoints
from retentiond.engine.ports import Batch
from retentiond.errors import StoreDenied, StoreUnavailable
from retentiond.stores.sql.spelling_sqlite import SQLITE
from tests.stores.masks import ALL, KEY, TABLE, anonymise, due, what
from tests.stores.tables import CHANGED, DISPOSED, GONE, NOW, act, connect, look, shown, sql

CANNOT = "cannot anonymise"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture
def people(path):
    with closing(connect(path)) as con:
        con.execute(TABLE)
        rows = [
            ("2020-01-01", f"192.0.2.{i}", f"p{i}@example.org", f"Anna{i}", f"c{i % 10}", f"198{i % 10}-05-17", "x")
            for i in range(1, 41)
        ]
        con.executemany("INSERT INTO people (at, ip, email, name, ref, born, note) VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    return path


def test_every_strategy_is_carried_out_and_done_rows_are_known(people):
    with act(people) as store:
        plan = due(store, what())
        assert len(plan) == 40
        assert {DISPOSED} == set(anonymise(store, what(), plan).values())
        (page,) = store.scan(what())
        assert page.done == frozenset(range(40))
        assert page.doubts == {}
    rows = sql(people, "SELECT ip, email, name, ref, born, note FROM people ORDER BY id")
    assert {("192.0.2.0", None)} == {row[:2] for row in rows}
    assert [f"A{'*' * (len(str(i)) + 3)}" for i in range(1, 41)] == [row[2] for row in rows]
    assert len({row[3] for row in rows}) == 10, "equal values stay equal"
    assert all(len(row[3]) == 16 and row[3][0] == "#" for row in rows)
    assert {f"198{i}-01-01" for i in range(10)} == {row[4] for row in rows}
    assert {"removed"} == {row[5] for row in rows}
    assert [("ok",)] == sql(people, "PRAGMA integrity_check")


def test_what_was_anonymised_is_overwritten(people):
    with act(people) as store:
        anonymise(store, what(), due(store, what()))
    assert b"p7@example.org" not in people.read_bytes()
    assert b"192.0.2.7" not in people.read_bytes()


def test_nothing_is_hashed_twice_and_a_row_half_done_is_finished(people):
    columns = (("ref", Hash(16)), ("email", Null()))
    with act(people) as store:
        anonymise(store, what(columns), due(store, what(columns)))
        before = sql(people, "SELECT ref FROM people ORDER BY id")
        sql(people, "UPDATE people SET email = 'new@example.org' WHERE id = 5")
        plan = due(store, what(columns))
        assert list(plan) == ["people/5"]
        assert {"people/5": DISPOSED} == anonymise(store, what(columns), plan)
    assert before == sql(people, "SELECT ref FROM people ORDER BY id")


def test_one_update_for_a_batch_whatever_its_values(people):
    with act(people) as store:
        plan = due(store, what())
        said = []
        store.database.con.set_trace_callback(said.append)
        anonymise(store, what(), plan)
    assert len([s for s in said if "UPDATE " in s]) == 1


def test_each_row_has_its_own_fate(people):
    with act(people) as store:
        sc = what(where="id < 30")
        plan = due(store, sc) | {"people/99": "0" * 32}
        sql(people, "UPDATE people SET email = 'new' WHERE id = 1", "DELETE FROM people WHERE id = 2")
        sql(people, "UPDATE people SET id = 50 WHERE id = 3")
        plan["people/50"] = store.probe(sc, ["people/50"]).revisions[0]
        said = anonymise(store, sc, plan, (Predicate("h", "id = 4"), Predicate("n", "id = 5", frozenset({4}))))
    odd = {
        "people/1": CHANGED,
        "people/2": GONE,
        "people/3": GONE,
        "people/4": ("held", "predicate"),
        "people/5": ("held", "predicate"),
        "people/50": ("changed", "outside"),
        "people/99": GONE,
    }
    assert {**dict.fromkeys(plan, DISPOSED), **odd} == said
    left = {4: "p4@example.org", 5: "p5@example.org", 50: "p3@example.org", 1: "new"}
    left |= {i: f"p{i}@example.org" for i in range(30, 41)}
    assert left == dict(sql(people, "SELECT id, email FROM people WHERE email IS NOT NULL"))


def test_a_row_that_cannot_be_masked_is_in_doubt_and_stays_whole(people):
    sql(people, "UPDATE people SET ip = 'not an address' WHERE id = 3", "UPDATE people SET born = 'May 1980' WHERE id = 4")
    with act(people) as store:
        (page,) = store.scan(what())
        assert {
            2: f"its column ip holds what truncate {CANNOT}",
            3: f"its column born holds what truncate {CANNOT}",
        } == page.doubts
        assert page.doubts[2] == store.probe(what(), ["people/3"]).doubts[0]
        said = anonymise(store, what(), due(store, what()))
    assert {"people/3", "people/4"} == {key for key, fate in said.items() if fate == ("failed", "unmaskable")}
    assert {3: "p3@example.org", 4: "p4@example.org"} == dict(sql(people, "SELECT id, email FROM people WHERE email NOT NULL"))


def test_a_row_whose_version_stays_is_known_by_what_it_holds(people):
    sql(people, "ALTER TABLE people ADD COLUMN rev INT DEFAULT 1")
    sc = what(version="rev")
    with act(people) as store:
        plan = due(store, sc)
        assert {DISPOSED} == set(anonymise(store, sc, plan).values())
        page = store.probe(sc, list(plan))
        assert list(page.revisions) == list(plan.values())
        assert page.done == frozenset(range(40))
        assert {("changed", "done-already")} == set(anonymise(store, sc, plan).values())


def test_a_hash_without_its_key_and_other_columns_than_those_looked_at_are_refused(people):
    with act(people) as store:
        plan = due(store, what())
        with pytest.raises(StoreDenied, match="hashed"):
            anonymise(store, what(), plan, key=b"")
        for action, columns in ((Action("anonymise", ALL), ()), (Action("delete"), ALL), (Action("anonymise"), ())):
            with pytest.raises(StoreDenied):
                list(store.dispose(Batch(1, what(columns), action, list(plan), list(plan.values()), key=KEY)))
    assert [(40,)] == sql(people, "SELECT count(*) FROM people WHERE email NOT NULL")


# What the schema forbids


@pytest.mark.parametrize(
    ("declared", "strategy", "why"),
    [
        ("x TEXT NOT NULL", Null(), "NOT NULL"),
        ("x TEXT UNIQUE", Constant("a"), "unique"),
        ("x TEXT UNIQUE", Mask(1), "unique"),
        ("x TEXT UNIQUE", Truncate(24), "unique"),
        ("x TEXT UNIQUE", Hash(15), "unique"),
        ("x TEXT, UNIQUE (x, id)", Constant("a"), "unique"),
        ("x VARCHAR(8)", Hash(16), "at most 8"),
        ("x VARCHAR (8)", Constant("too long for it"), "at most 8"),
        ("x INTEGER", Hash(16), "numbers"),
        ("x DECIMAL(8, 2)", Mask(1), "numbers"),
        ("x INT", Constant("removed"), "numbers"),
        ("x DATE", Constant("007"), "another number"),
        ("x TEXT GENERATED ALWAYS AS (at || 'x')", Null(), "generated"),
        ("x TEXT REFERENCES other (y)", Hash(16), "refers"),
        ("x TEXT REFERENCES other (y)", Mask(1), "refers"),
    ],
)
def test_what_the_schema_forbids_is_refused_beforehand_with_column_and_why(path, declared, strategy, why):
    sql(path, "CREATE TABLE other (y TEXT PRIMARY KEY)", f"CREATE TABLE t (id INTEGER PRIMARY KEY, at TEXT, {declared})")
    sql(
        path, "INSERT INTO t (id, at, x) VALUES (1, '2020-01-01', NULL)"
    ) if "GEN" not in declared and "NOT" not in declared else 0
    with look(path) as view:
        for attempt in (view.warnings, lambda sc: list(view.scan(sc)), lambda sc: view.probe(sc, ["t/1"])):
            with pytest.raises(StoreDenied, match="the column x cannot be anonymised") as caught:
                attempt(what([("X", strategy)], "t"))
            assert why in caught.value.why


@pytest.mark.parametrize(
    ("columns", "selection", "why"),
    [
        ([("ID", Constant(1))], {}, "key"),
        ([("email", Null())], {"key": ("email",)}, "key"),
        ([("at", Truncate("year"))], {}, "start"),
        ([("ref", Null())], {"version": "ref"}, "version"),
        ([("ref", Null()), ("REF", Hash(16))], {}, "twice"),
        ([("code", Hash(16))], {}, "refer to it"),
        ([("lower", Constant("a"))], {}, "unique"),
        ([("part", Constant("a"))], {}, "unique"),
    ],
)
def test_what_a_row_is_known_by_stays(path, columns, selection, why):
    sql(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, at TEXT, email TEXT NOT NULL UNIQUE, ref TEXT, code TEXT UNIQUE, lower, part)",
        "CREATE TABLE child (code TEXT REFERENCES t (code) ON UPDATE CASCADE)",
        "CREATE UNIQUE INDEX i ON t (lower(lower))",
        "CREATE UNIQUE INDEX p ON t (part) WHERE part > ''",
    )
    with look(path) as view, pytest.raises(StoreDenied) as caught:
        list(view.scan(what(columns, "t", **selection)))
    assert why in caught.value.why


def test_a_column_that_is_not_there_is_named_with_the_nearest(people):
    with look(people) as view, pytest.raises(StoreDenied, match="no column emial") as caught:
        list(view.scan(what([("emial", Null())])))
    assert "email" in caught.value.do


@pytest.mark.parametrize(
    ("declared", "strategy"),
    [
        ("x TEXT UNIQUE", Hash(16)),
        ("x TEXT UNIQUE", Null()),
        ("x VARCHAR(16) UNIQUE NOT NULL", Hash(16)),
        ("x TEXT REFERENCES other (y)", Null()),
        ("x TEXT REFERENCES other (y)", Constant("there")),
        ("x INT", Constant(0)),
        ("x TEXT", Constant(5)),
        ("x", Hash(20)),
        ("x DATE", Constant("2020")),
    ],
)
def test_what_the_schema_allows_is_done_for_every_row(path, declared, strategy):
    sql(
        path,
        "CREATE TABLE other (y TEXT PRIMARY KEY)",
        "INSERT INTO other VALUES ('there'), ('1'), ('2'), ('3')",
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, at TEXT, {declared})",
        "INSERT INTO t VALUES (1, '2020-01-01', 1), (2, '2020-01-01', 2), (3, '2020-01-01', 3)",
    )
    sc = what([("x", strategy)], "t")
    with act(path) as store:
        assert {DISPOSED} == set(anonymise(store, sc, due(store, sc)).values())
        assert {} == due(store, sc)
        assert {} == due(store, replace(sc, leave_done=True))


def test_rows_that_refer_to_an_anonymised_row_are_no_obstacle(people):
    sql(
        people,
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, person INT REFERENCES people ON DELETE CASCADE ON UPDATE CASCADE)",
        "INSERT INTO orders VALUES (1, 7)",
    )
    with act(people) as store:
        assert {DISPOSED} == set(anonymise(store, what(), due(store, what())).values())
    assert [(1, 7)] == sql(people, "SELECT * FROM orders")


# What only the act shows


@pytest.mark.parametrize(
    ("hurdle", "code"),
    [
        (
            "CREATE TRIGGER k BEFORE UPDATE ON people WHEN old.id % 10 = 3 BEGIN SELECT RAISE(ABORT, 'secret 4711'); END",
            "trigger",
        ),
        ("CREATE TRIGGER k BEFORE UPDATE ON people WHEN old.id % 10 = 3 BEGIN SELECT RAISE(IGNORE); END", "still-there"),
        (
            "CREATE TRIGGER k AFTER UPDATE ON people BEGIN UPDATE people SET email = 'b' WHERE id = old.id AND id % 10 = 3; END",
            "still-there",
        ),
        ("CREATE TRIGGER k BEFORE UPDATE ON people WHEN old.id % 10 = 3 BEGIN INSERT INTO kept VALUES (NULL); END", "constraint"),
    ],
)
def test_rows_that_the_database_keeps_are_singled_out_and_the_others_are_done(people, hurdle, code):
    sql(people, "CREATE TABLE kept (id INT NOT NULL)")
    with act(people) as store:
        plan = due(store, what())
        sql(people, hurdle)
        before = sql(people, "SELECT * FROM people WHERE id % 10 = 3")
        said = anonymise(store, what(), plan)
    kept = {f"people/{i}": ("failed", code) for i in (3, 13, 23, 33)}
    assert dict.fromkeys(said, DISPOSED) | kept == said
    assert before == sql(people, "SELECT * FROM people WHERE id % 10 = 3")


def test_a_check_that_objects_keeps_its_row_whole(path):
    sql(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, at TEXT, ip TEXT, email TEXT, CHECK (id <> 2 OR email NOT NULL))",
        "INSERT INTO t VALUES (1, '2020-01-01', '192.0.2.1', 'a'), (2, '2020-01-01', '192.0.2.2', 'b')",
    )
    sc = what([("ip", Truncate(24)), ("email", Null())], "t")
    with act(path) as store:
        assert {"t/1": DISPOSED, "t/2": ("failed", "constraint")} == anonymise(store, sc, due(store, sc))
    assert [(1, "192.0.2.0", None), (2, "192.0.2.2", "b")] == sql(path, "SELECT id, ip, email FROM t ORDER BY id")


def test_a_value_whose_parent_is_missing_is_refused_and_where_it_goes_later_it_keeps_the_batch(path):
    sql(
        path,
        "CREATE TABLE other (y TEXT PRIMARY KEY)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, at TEXT, x TEXT REFERENCES other (y))",
        "INSERT INTO other VALUES ('a')",
        "INSERT INTO t VALUES (1, '2020-01-01', 'a')",
    )
    sc = what([("x", Constant("nobody"))], "t")
    with act(path) as store:
        with pytest.raises(StoreDenied, match="the column x cannot be anonymised by a value") as refusal:
            due(store, sc)
        assert "it refers to another table, where there is no such row" == refusal.value.why
        sql(path, "INSERT INTO other VALUES ('nobody')")
        plan = due(store, sc)
        sql(path, "DELETE FROM other WHERE y = 'nobody'")
        assert {"t/1": ("failed", "foreign-key")} == anonymise(store, sc, plan)
    assert [("a",)] == sql(path, "SELECT x FROM t")


def test_a_trigger_is_warned_of(people):
    sql(people, "CREATE TRIGGER audit AFTER UPDATE ON people BEGIN SELECT 1; END")
    with look(people) as view:
        assert any("may keep what people held" in w for w in view.warnings(what()))


def test_a_locked_database_is_unavailable_and_then_goes_on(people):
    with act(people, lock_timeout="50 ms") as store, closing(connect(people)) as other:
        plan = due(store, what())
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable):
            anonymise(store, what(), plan)
        other.execute("ROLLBACK")
        assert {DISPOSED} == set(anonymise(store, what(), plan).values())


# Keys, conditions, values


@pytest.mark.parametrize("key", ["a TEXT, b INT, PRIMARY KEY (a, b)", "a INT, b TEXT NOT NULL, PRIMARY KEY (b, a)"])
@pytest.mark.parametrize("end", [")", ") WITHOUT ROWID"])
def test_keys_of_several_columns(path, key, end):
    with closing(connect(path)) as con:
        con.execute(f"CREATE TABLE t (at TEXT, email TEXT, {key}{end}")
        con.executemany("INSERT INTO t (a, b, email) VALUES (?, ?, 'x')", [(i % 20, f"{i // 20}") for i in range(400)])
    sc = what([("email", Hash(16))], "t")
    with act(path) as store:
        plan = due(store, sc)
        doomed = dict(list(plan.items())[::2])
        assert {DISPOSED} == set(anonymise(store, sc, doomed).values())
        assert {key: plan[key] for key in plan if key not in doomed} == due(store, sc)


@pytest.mark.parametrize("name", ["it's", "nul\0byte", "\udcff", "émile", "a,b/c%", "007"])
def test_unusual_keys(path, name):
    with closing(connect(path)) as con:
        con.execute("CREATE TABLE t (name TEXT PRIMARY KEY, at TEXT, email TEXT)")
        raw = name.encode("utf-8", "surrogateescape")
        con.executemany("INSERT INTO t VALUES (CAST(? AS TEXT), '2020-01-01', 'x')", [(raw,), (b"other",)])
    sc = what([("email", Null())], "t")
    with act(path) as store:
        plan = due(store, sc)
        one = {key: plan[key] for key in plan if key != "t/other"}
        assert {DISPOSED} == set(anonymise(store, sc, one).values())
    assert [(1,)] == sql(path, "SELECT count(*) FROM t WHERE email = 'x'")


@pytest.mark.parametrize(
    "where", ["rowid < 30", "people.id < 30", "id IN (SELECT id FROM people WHERE id < 30)", "id < 30 -- so"]
)
def test_conditions_see_the_table_alone(people, where):
    sc = what(where=where)
    with act(people) as store:
        plan = due(store, sc)
        said = anonymise(store, sc, plan, (Predicate("h", "rowid = 4"),))
    assert (28, ("held", "predicate")) == (list(said.values()).count(DISPOSED), said["people/4"])
    assert [(11,)] == sql(people, "SELECT count(*) FROM people WHERE id >= 30 AND email NOT NULL")


def test_rows_with_large_values_are_judged_whole(path):
    sql(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, at TEXT, email TEXT, more BLOB)",
        "WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)"
        " INSERT INTO t SELECT i, '2020-01-01', 'a@b', zeroblob(100000) FROM n",
    )
    sc = what([("email", Mask(1))], "t")
    with act(path) as store:
        assert {DISPOSED} == set(anonymise(store, sc, due(store, sc)).values())
        assert {} == due(store, sc)


def test_waiting_and_done_rows_are_counted_apart(people):

    sql(people, f"INSERT INTO people (at, email) VALUES ('{NOW - timedelta(days=5):%Y-%m-%d}', 'young')")
    columns = (("email", Null()),)
    with act(people) as store:
        plan = due(store, what(columns, where="id <= 30"))
        anonymise(store, what(columns, where="id <= 30"), plan)
        sc = what(columns, leave_done=True, waiting_from=NOW - timedelta(days=30))
        (page,) = store.scan(sc)
    assert (10, 1, 30) == (len(page), page.unseen, page.unseen_done)


def test_quoted_names(path):
    column = 'e"m ail'
    sql(
        path,
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, at TEXT, {SQLITE.quoted(column)} TEXT)",
        "INSERT INTO t VALUES (1, '', 'x')",
    )
    sc = what([(column, Hash(16))], "t", leave_done=True)
    with act(path) as store:
        assert {"t/1": DISPOSED} == anonymise(store, sc, due(store, sc))
        assert [] == shown(store, sc)


def test_looking_at_what_could_be_anonymised_changes_no_byte(people):
    before = people.read_bytes()
    with look(people) as view:
        list(view.scan(what(leave_done=True)))
        view.probe(what(), ["people/1"])
        view.warnings(what())
    assert before == people.read_bytes()


def test_a_disposal_reaches_its_four_arrows_in_order(people):
    reached = []
    with act(people) as store:
        plan = due(store, what())
        failpoints.watch(reached.append)
        try:
            anonymise(store, what(), plan)
        finally:
            failpoints.watch(None)
    assert ["claimed", "compared", "destroyed", "settled"] == reached


def test_a_number_with_a_fraction_is_a_number(path):
    sql(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, at TEXT, x DECIMAL(5,2))", "INSERT INTO t VALUES (1, '2020-01-01', 3)")
    sc = what([("x", Constant("12.5"))], "t")
    with act(path) as store:
        assert {"t/1": DISPOSED} == anonymise(store, sc, due(store, sc))
        assert {} == due(store, sc)
    assert [(12.5,)] == sql(path, "SELECT x FROM t")
