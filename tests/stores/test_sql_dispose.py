"""SQL, letting go: only what the plan names, as it was; cascades, triggers, constraints, holds and locks."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from retentiond.core.policy import Action
from retentiond.core.selector import Predicate
from retentiond.engine import failpoints
from retentiond.engine.ports import Batch
from retentiond.errors import StoreDenied, StoreUnavailable
from retentiond.stores.sql.statements import Statements
from retentiond.stores.sql.store import SchemaChanged
from tests.stores.tables import CHANGED, DISPOSED, GONE, act, connect, everything, fates, look, scope, shown, sql

FAILED, HELD = "failed", ("held", "predicate")
WHERE = "kind = 'in'"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture
def calls(path):
    with closing(connect(path)) as con:
        con.execute("CREATE TABLE calls (id INTEGER PRIMARY KEY, at TEXT, kind TEXT DEFAULT 'in', rev INT DEFAULT 1)")
        con.executemany("INSERT INTO calls (at) VALUES (?)", [("2020-01-01",)] * 40)
    return path


def ids(path, table="calls"):
    return [row[0] for row in sql(path, f"SELECT id FROM {table} ORDER BY id")]


def is_sound(path):
    return sql(path, "PRAGMA integrity_check") == [("ok",)] and sql(path, "PRAGMA foreign_key_check") == []


def test_each_row_has_its_own_fate(calls):
    what = scope("calls", WHERE)
    with act(calls) as store:
        plan = everything(store, what) | {"calls/99": "0" * 32, "other/1": "0" * 32}
        sql(
            calls,
            "UPDATE calls SET rev = 2 WHERE id = 1",
            "UPDATE calls SET kind = 'out' WHERE id = 2",
            "DELETE FROM calls WHERE id = 3",
        )
        plan["calls/4"] = "f" * 32
        plan["calls/2"] = store.probe(what, ["calls/2"]).revisions[0]
        said = fates(store, what, plan, (Predicate("h", "id = 5"), Predicate("n", "CASE id WHEN 6 THEN NULL ELSE 0 END")))
    odd = {
        "calls/1": CHANGED,
        "calls/2": ("changed", "outside"),
        "calls/3": GONE,
        "calls/4": CHANGED,
        "calls/5": HELD,
        "calls/6": HELD,
    }
    assert {**dict.fromkeys(plan, DISPOSED), **odd, "calls/99": GONE, "other/1": GONE} == said
    assert [1, 2, 4, 5, 6] == ids(calls)


def test_rows_beside_the_key_list_stay_whatever_the_condition_says(calls):
    with act(calls) as store:
        plan = everything(store, scope("calls", "1 = 1"))
        fates(store, scope("calls", "1 = 1"), {key: plan[key] for key in ("calls/7", "calls/9")})
    assert [i for i in range(1, 41) if i not in (7, 9)] == ids(calls)


def test_a_version_column_is_compared(calls):
    what = scope("calls", version="rev")
    with act(calls) as store:
        plan = everything(store, what)
        sql(calls, "UPDATE calls SET kind = 'same version' WHERE id = 1", "UPDATE calls SET rev = 2 WHERE id = 2")
        said = fates(store, what, {key: plan[key] for key in ("calls/1", "calls/2")})
    assert {"calls/1": DISPOSED, "calls/2": CHANGED} == said


def test_a_row_named_twice_goes_once(calls):
    with act(calls) as store:
        revision = everything(store, scope("calls"))["calls/1"]
        batch = Batch(1, scope("calls"), Action("delete"), ["calls/1", "calls/1"], [revision, revision])
        assert [([0], "disposed", ""), ([1], FAILED, "named-twice")] == [
            (list(s.positions), s.outcome.value, s.code) for s in store.dispose(batch)
        ]
    assert 1 not in ids(calls)


def test_only_deletion_is_known(calls):
    with act(calls) as store, pytest.raises(StoreDenied):
        list(store.dispose(Batch(1, scope("calls"), Action("keep"), ["calls/1"], [""])))


def test_a_key_that_was_respelled_is_changed_and_not_gone(path):
    sql(
        path,
        "CREATE TABLE t (a TEXT COLLATE NOCASE PRIMARY KEY, at TEXT, rev INT)",
        "INSERT INTO t VALUES ('Anna', '', 1), ('Bob', '', 1)",
    )
    what = scope("t", version="rev")
    with act(path) as store:
        plan = everything(store, what)
        sql(path, "UPDATE t SET a = 'ANNA' WHERE a = 'Anna'")
        assert {"t/Anna": CHANGED, "t/Bob": DISPOSED} == fates(store, what, plan)


@pytest.mark.parametrize(
    "key",
    ["a TEXT, b INT, PRIMARY KEY (a, b)", "a INT, b TEXT NOT NULL, PRIMARY KEY (b, a)", "a TEXT, b TEXT, PRIMARY KEY (a, b)"],
)
@pytest.mark.parametrize("end", [")", ") WITHOUT ROWID"])
def test_keys_of_several_columns_go_pair_by_pair(path, key, end):
    with closing(connect(path)) as con:
        con.execute(f"CREATE TABLE t (at TEXT, {key}{end}")
        con.executemany("INSERT INTO t (a, b) VALUES (?, ?)", [(i % 20, f"{i // 20}") for i in range(400)])
    with act(path) as store:
        plan = everything(store, scope("t"))
        doomed = dict(list(plan.items())[::2])
        assert {DISPOSED} == set(fates(store, scope("t"), doomed).values())
        assert {key: plan[key] for key in plan if key not in doomed} == everything(store, scope("t"))


# Holds


def test_a_hold_covers_the_positions_that_it_was_narrowed_to(calls):
    with act(calls) as store:
        plan = {key: rev for key, rev in everything(store, scope("calls")).items() if key in ("calls/1", "calls/2", "calls/3")}
        said = fates(store, scope("calls"), plan, (Predicate("h", "id <> 1", frozenset({0, 1})),))
    assert {"calls/1": DISPOSED, "calls/2": HELD, "calls/3": DISPOSED} == said


@pytest.mark.parametrize(
    "broken", ["nosuch = 1", "1) OR (1", "json_extract(kind, '$') = 1", "id = ?", '"typo" = 1', "rev = (SELECT 1 FROM nowhere)"]
)
def test_a_predicate_that_cannot_be_asked_holds_what_it_may_cover(calls, broken):
    with act(calls) as store:
        plan = everything(store, scope("calls"))
        said = fates(store, scope("calls"), plan, (Predicate("b", broken, frozenset({0})), Predicate("g", "id = 2")))
        assert {"calls/1": HELD, "calls/2": HELD} == {key: fate for key, fate in said.items() if fate != DISPOSED}
        assert {HELD} == set(
            fates(store, scope("calls"), {k: plan[k] for k in ("calls/1", "calls/2")}, (Predicate("b", broken),)).values()
        )
    assert [1, 2] == ids(calls)


# References


@pytest.mark.parametrize(
    "action", ["CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION", "NO ACTION DEFERRABLE INITIALLY DEFERRED"]
)
def test_nothing_is_taken_along_and_no_child_loses_its_parent(path, action):
    sql(
        path,
        "CREATE TABLE calls (id INTEGER PRIMARY KEY, at TEXT)",
        "INSERT INTO calls (id) VALUES (1), (2), (3)",
        f"CREATE TABLE notes (id INTEGER PRIMARY KEY, call INT REFERENCES calls ON DELETE {action})",
    )
    with act(path) as store:
        plan = everything(store, scope("calls"))
        sql(path, "INSERT INTO notes VALUES (1, 2)")
        assert {"calls/1": DISPOSED, "calls/2": ("changed", "children"), "calls/3": DISPOSED} == fates(
            store, scope("calls"), plan
        )
    assert ([2], [(1, 2)]) == (ids(path), sql(path, "SELECT * FROM notes"))
    assert is_sound(path)


def test_references_made_after_the_look_are_seen(calls):
    with act(calls) as store:
        plan = everything(store, scope("calls"))
        sql(calls, "CREATE TABLE notes (call INT REFERENCES calls ON DELETE CASCADE)", "INSERT INTO notes VALUES (4)")
        said = fates(store, scope("calls"), plan)
    assert {"calls/4": ("changed", "children")} == {key: fate for key, fate in said.items() if fate != DISPOSED}
    assert [(4,)] == sql(calls, "SELECT call FROM notes")


def test_a_cascade_that_the_look_at_references_missed_is_undone(path):
    sql(
        path,
        "CREATE TABLE calls (id INTEGER PRIMARY KEY, at TEXT)",
        "INSERT INTO calls (id) VALUES (1), (2)",
        "CREATE TABLE notes (call INT REFERENCES calls ON DELETE CASCADE)",
        "INSERT INTO notes VALUES (2)",
    )
    with act(path) as store:
        plan = everything(store, scope("calls"))
        layout = store.layout(scope("calls"))
        blind = replace(
            layout,
            statements=Statements(replace(layout.table, references=()), None, store.database.spelling, layout.statements.reads),
        )
        batch = Batch(1, scope("calls"), Action("delete"), list(plan), list(plan.values()))
        assert {1: (FAILED, "cascade")} == store._dispose(batch, blind)
    assert ([2], [(2,)]) == (ids(path), sql(path, "SELECT * FROM notes"))


def test_a_schema_that_changed_before_the_lock_was_taken_stops_the_act(calls):
    with act(calls) as store:
        plan = everything(store, scope("calls"))
        stale = store.layout(scope("calls"))
        sql(calls, "CREATE TABLE notes (call INT REFERENCES calls ON DELETE CASCADE)")
        with pytest.raises(SchemaChanged):
            store._dispose(Batch(1, scope("calls"), Action("delete"), list(plan), list(plan.values())), stale)
    assert 40 == len(ids(calls))


def test_a_tree_goes_leaves_first_run_after_run(path):
    sql(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, up INT REFERENCES t ON DELETE CASCADE, at TEXT)",
        "INSERT INTO t (id, up) VALUES (1, 1), (2, 1), (3, 2)",
    )
    left = []
    with act(path) as store:
        while plan := everything(store, scope("t")):
            fates(store, scope("t"), plan)
            left.append(ids(path, "t"))
    assert [[1, 2], [1], []] == left


def test_a_mismatched_foreign_key_refuses_and_deletes_nothing(path):
    sql(
        path,
        "CREATE TABLE calls (id INTEGER PRIMARY KEY, code TEXT, at TEXT)",
        "CREATE TABLE notes (code TEXT REFERENCES calls (code))",
        "INSERT INTO calls (id) VALUES (1)",
    )
    with act(path) as store, pytest.raises(StoreDenied):
        fates(store, scope("calls"), everything(store, scope("calls")))
    assert [1] == ids(path)


# Triggers and constraints


@pytest.mark.parametrize(
    ("trigger", "code"),
    [
        ("BEFORE DELETE ON calls WHEN old.id % 10 = 3 BEGIN SELECT RAISE(IGNORE); END", "still-there"),
        (
            "BEFORE DELETE ON calls WHEN old.id % 10 = 3 BEGIN UPDATE calls SET at = 0 WHERE id = 3; SELECT RAISE(IGNORE); END",
            "still-there",
        ),
        (
            "AFTER DELETE ON calls WHEN old.id % 10 = 3 BEGIN INSERT INTO calls (id, at) VALUES (old.id, old.at); END",
            "still-there",
        ),
        ("BEFORE DELETE ON calls WHEN old.id % 10 = 3 BEGIN SELECT RAISE(ABORT, 'secret 4711'); END", "trigger"),
        ("BEFORE DELETE ON calls WHEN old.id % 10 = 3 BEGIN SELECT RAISE(FAIL, 'secret 4711'); END", "trigger"),
        ("BEFORE DELETE ON calls WHEN old.id % 10 = 3 BEGIN INSERT INTO kept VALUES (NULL); END", "constraint"),
    ],
)
def test_rows_that_a_trigger_keeps_are_singled_out_and_the_others_go(calls, trigger, code):
    sql(calls, "CREATE TABLE kept (id INT NOT NULL)", f"CREATE TRIGGER keeps {trigger}")
    before = sql(calls, "SELECT * FROM calls WHERE id % 10 = 3")
    with act(calls) as store:
        said = fates(store, scope("calls", WHERE), everything(store, scope("calls", WHERE)))
    kept = {f"calls/{i}": (FAILED, code) for i in (3, 13, 23, 33)}
    assert dict.fromkeys(said, DISPOSED) | kept == said
    assert before == sql(calls, "SELECT * FROM calls")


def test_a_trigger_that_ends_the_transaction_keeps_the_batch(calls):
    sql(calls, "CREATE TRIGGER keeps BEFORE DELETE ON calls WHEN old.id = 3 BEGIN SELECT RAISE(ROLLBACK, 'no'); END")
    with act(calls) as store:
        assert {(FAILED, "rolled-back")} == set(fates(store, scope("calls"), everything(store, scope("calls"))).values())
    assert 40 == len(ids(calls))


def test_a_constraint_that_objects_at_the_end_keeps_the_batch(calls):
    sql(
        calls,
        "CREATE TABLE kept (call INT REFERENCES parents DEFERRABLE INITIALLY DEFERRED)",
        "CREATE TABLE parents (id INTEGER PRIMARY KEY)",
        "CREATE TRIGGER keeps AFTER DELETE ON calls BEGIN INSERT INTO kept VALUES (old.id); END",
    )
    with act(calls) as store:
        assert {(FAILED, "foreign-key")} == set(fates(store, scope("calls"), everything(store, scope("calls"))).values())
    assert 40 == len(ids(calls))


def test_history_that_a_trigger_writes_is_no_obstacle(calls):
    sql(
        calls,
        "CREATE TABLE history (id INT)",
        "CREATE TRIGGER writes AFTER DELETE ON calls BEGIN INSERT INTO history VALUES (old.id); END",
    )
    with act(calls) as store:
        assert {DISPOSED} == set(fates(store, scope("calls"), everything(store, scope("calls"))).values())
    assert list(range(1, 41)) == ids(calls, "history")


# Locks, schema, disks


def test_a_store_that_another_program_writes_to_is_unavailable_and_then_goes_on(calls):
    with act(calls, lock_timeout="50 ms") as store, closing(connect(calls)) as other:
        plan = everything(store, scope("calls"))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            fates(store, scope("calls"), plan)
        other.execute("ROLLBACK")
        assert {DISPOSED} == set(fates(store, scope("calls"), plan).values())


def test_a_reader_that_keeps_the_commit_from_happening_loses_nothing(calls):
    with act(calls, lock_timeout=0.05) as store, closing(connect(calls)) as other:
        plan = everything(store, scope("calls"))
        other.execute("BEGIN")
        other.execute("SELECT * FROM calls").fetchone()
        with pytest.raises(StoreUnavailable, match="locked"):
            fates(store, scope("calls"), plan)
        other.execute("ROLLBACK")
        assert plan == everything(store, scope("calls"))


def test_a_table_that_changed_its_shape_is_compared_as_it_is_now(calls):
    with act(calls) as store:
        plan = everything(store, scope("calls"))
        sql(calls, "ALTER TABLE calls ADD COLUMN more TEXT")
        assert {CHANGED} == set(fates(store, scope("calls"), plan).values())
        sql(calls, "ALTER TABLE calls RENAME TO other")
        with pytest.raises(StoreDenied, match="no table calls"):
            fates(store, scope("calls"), plan)


def test_a_full_disk_loses_nothing(calls):
    sql(
        calls,
        "CREATE TABLE history (id INT, more TEXT)",
        "CREATE TRIGGER writes AFTER DELETE ON calls BEGIN INSERT INTO history VALUES (old.id, zeroblob(9000)); END",
    )
    with act(calls) as store:
        plan = everything(store, scope("calls"))
        store.database.con.execute(f"PRAGMA max_page_count={sql(calls, 'PRAGMA page_count')[0][0]}")
        with pytest.raises(StoreUnavailable, match="full"):
            fates(store, scope("calls"), plan)
        assert plan == everything(store, scope("calls"))
    assert is_sound(calls)


def test_a_statement_that_takes_too_long_is_stopped(path):
    sql(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, at TEXT)", "INSERT INTO t (id) VALUES (1)")
    endless = "(WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n) > 0"
    with act(path, statement_timeout="50 ms") as store:
        revision = everything(store, scope("t"))["t/1"]
        with pytest.raises(StoreUnavailable, match="statement_timeout"):
            everything(store, scope("t", endless))
        with pytest.raises(StoreUnavailable, match="statement_timeout"):
            fates(store, scope("t", endless), {"t/1": revision})
    assert [1] == ids(path, "t")


def test_a_failure_at_any_arrow_leaves_no_transaction_behind(calls):
    class Broken(Exception):
        pass

    def breaks(arrow):
        if arrow == "destroyed":
            raise Broken

    with act(calls) as store:
        plan = everything(store, scope("calls"))
        failpoints.watch(breaks)
        try:
            with pytest.raises(Broken):
                fates(store, scope("calls"), plan)
        finally:
            failpoints.watch(None)
        sql(calls, "UPDATE calls SET rev = 2 WHERE id = 1")
        assert 40 == len(everything(store, scope("calls")))
        with pytest.raises(sqlite3.OperationalError):
            store.database.con.execute("DELETE FROM calls")


def test_a_disposal_reaches_its_four_arrows_in_order(calls):
    reached = []
    with act(calls) as store:
        plan = everything(store, scope("calls"))
        failpoints.watch(reached.append)
        try:
            fates(store, scope("calls"), plan)
        finally:
            failpoints.watch(None)
    assert ["claimed", "compared", "destroyed", "settled"] == reached


def test_what_was_let_go_is_overwritten(calls):
    sql(calls, "UPDATE calls SET kind = 'Anna Example' WHERE id = 7")
    with act(calls) as store:
        plan = everything(store, scope("calls"))
        fates(store, scope("calls"), {"calls/7": plan["calls/7"]})
    assert b"Anna Example" not in calls.read_bytes()


@pytest.mark.parametrize("wal", [False, True])
def test_a_copy_that_was_looked_at_is_the_same_to_the_byte(calls, tmp_path, wal):
    if wal:
        sql(calls, "PRAGMA journal_mode=WAL")
    twin = tmp_path / "twin" / "store.db"
    twin.parent.mkdir()
    shutil.copy(calls, twin)
    what = scope("calls", WHERE, predicates=(Predicate("h", "id = 1"),), fields=("kind",))
    with look(calls) as view:
        shown(view, what)
        view.probe(what, ["calls/1"])
        list(view.ask("SELECT id AS subject, at AS at FROM calls", ["1"]))
        view.warnings(what)
        if not wal:
            assert [calls.name, "twin"] == sorted(p.name for p in calls.parent.iterdir())
    assert twin.read_bytes() == calls.read_bytes()
    assert wal == (sql(calls, "PRAGMA journal_mode") == [("wal",)])
