"""Rows that refer to rows that are due: they go first, in one transaction with them, or the whole family stays."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from dataclasses import replace

import psycopg
import pymysql
import pytest

from retentiond.core.ladder import OTHERS
from retentiond.core.outcome import Outcome
from retentiond.core.policy import Action
from retentiond.core.selector import Predicate
from retentiond.engine import failpoints
from retentiond.engine.fates import inferred_fates
from retentiond.engine.ports import OUTSIDE, Batch
from retentiond.errors import StoreDenied, StoreUnavailable
from retentiond.stores.sql import SqlType
from retentiond.stores.sql.closure import CIRCLE, LARGE, LARGEST
from retentiond.testing.faults import FaultyStore
from tests.stores import tables
from tests.stores.tables import CHANGED, DISPOSED, GONE, scope

FAMILY, HELD = ("changed", "children"), ("held", "predicate")
CALLS = "CREATE TABLE calls (id BIGINT PRIMARY KEY, at TIMESTAMP NULL, kind VARCHAR(20))"
NOTES = "CREATE TABLE notes (id BIGINT PRIMARY KEY, call_id BIGINT REFERENCES calls(id){}, text VARCHAR(20))"
WORDS = "CREATE TABLE words (id BIGINT PRIMARY KEY, note_id BIGINT REFERENCES notes(id), kind VARCHAR(20))"
ROWS = (
    "INSERT INTO calls VALUES (1, '2020-01-01', 'in'), (2, '2020-01-01', 'in'), (3, '2020-01-01', 'in')",
    "INSERT INTO notes VALUES (11, 1, 'a'), (12, 1, 'b'), (21, 2, 'c')",
    "INSERT INTO words VALUES (111, 11, 'w'), (112, 11, 'w'), (211, 21, 'w')",
)


class OnFile:
    """SQLite, behind the same words as a database on a server."""

    kind = "sqlite"

    def __init__(self, path):
        self.path, self.url = path, f"sqlite:///{path}"

    def sql(self, *statements, values=()):
        return tables.sql(self.path, *statements, values=values)


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def bare(request, tmp_path):
    return OnFile(tmp_path / "calls.db") if request.param == "sqlite" else request.getfixturevalue(request.param)


@pytest.fixture
def calls(bare):
    bare.sql(CALLS, NOTES.format(" ON DELETE CASCADE"), WORDS, *ROWS)
    return bare


def look(database):
    return closing(SqlType().look({"url": database.url}))


def act(database):
    return closing(SqlType().act({"url": database.url}))


def reflect(table="calls", children="reflect", **others):
    return scope(table, children=children, **others)


def families(view, what, taken=()):
    """Each root's family as keys, or why it stays."""
    keys = [key for page in view.scan(what) for key in page.keys]
    found, taken = {}, set(taken)
    for key, kin in zip(keys, view.families(what, keys, taken), strict=True):
        found[key] = kin if isinstance(kin, str) else [one.key for one in kin]
        taken.update((key, *found[key]) if not isinstance(kin, str) else ())
    return found


def planned(view, what, predicates=()):
    """A batch as a plan has it: each family together, its root last."""
    pages = list(view.scan(what))
    roots = {key: revision for page in pages for key, revision in zip(page.keys, page.revisions, strict=True)}
    doubts = {page.keys[i] for page in pages for i in page.doubts}
    steps, taken = [], set()
    for key, kin in zip(roots, view.families(what, list(roots), taken), strict=True):
        if key not in taken and key not in doubts and not isinstance(kin, str):
            steps += [*((one.key, one.revision, one.parent) for one in kin), (key, roots[key], None)]
            taken.update((key, *(one.key for one in kin)))
    keys, revisions, parents = (list(column) for column in zip(*steps, strict=True))
    return Batch(1, what, Action("delete"), keys, revisions, predicates, parents=parents)


def fates(store, batch):
    said = {batch.keys[i]: (s.outcome.value, s.code) for s in store.dispose(batch) for i in s.positions}
    assert set(said) == set(batch.keys), "every position has one fate"
    return said


def left(database, *names):
    return {name: [row[0] for row in database.sql(f"SELECT id FROM {name} ORDER BY id")] for name in names}


KILLED = """
import os, signal, sys
from retentiond.engine import failpoints
from retentiond.stores.sql import SqlType
from tests.stores.test_sql_children import planned, reflect
url, arrow = sys.argv[1:]
store = SqlType().act({"url": url})
batch = planned(store, reflect())
failpoints.watch(lambda reached: os.kill(os.getpid(), signal.SIGKILL) if reached == arrow else None)
list(store.dispose(batch))
"""
FIRST = ["words/111", "words/112", "notes/11", "notes/12", "calls/1"]
SECOND = ["words/211", "notes/21", "calls/2"]


def test_a_family_is_all_that_refers_to_a_row_children_first(calls):
    with look(calls) as view:
        found = families(view, reflect())
        kin = next(iter(view.families(reflect(), ["calls/1"], set())))
    assert {"calls/1": sorted(FIRST[:-1]), "calls/2": SECOND[:-1], "calls/3": []} == found | {"calls/1": sorted(found["calls/1"])}
    above = {"words/111": "notes/11", "words/112": "notes/11", "notes/11": "calls/1", "notes/12": "calls/1"}
    assert above == {one.key: one.parent for one in kin}
    places = {one.key: n for n, one in enumerate(kin)}
    assert max(places["words/111"], places["words/112"]) < places["notes/11"]


def test_families_go_as_a_whole(calls):
    with act(calls) as store:
        batch = planned(store, reflect())
        assert dict.fromkeys([*FIRST, *SECOND, "calls/3"], DISPOSED) == fates(store, batch)
        assert not any(store.probe(batch.scope, batch.keys).revisions)
    assert {"calls": [], "notes": [], "words": []} == left(calls, "calls", "notes", "words")


def test_kin_is_sighted_by_its_own_key(calls):
    with look(calls) as view:
        batch = planned(view, reflect())
        page = view.probe(batch.scope, [*batch.keys, "notes/99", "nowhere/1"])
    assert [*batch.revisions, None, None] == page.revisions
    assert {key for i, key in enumerate(batch.keys) if batch.parents[i]} == {
        page.keys[i] for i, d in page.doubts.items() if d == OUTSIDE
    }


@pytest.mark.parametrize(
    ("meanwhile", "fate"),
    [
        ("UPDATE words SET kind = 'changed' WHERE id = 111", CHANGED),
        ("UPDATE notes SET text = 'changed' WHERE id = 12", CHANGED),
        ("UPDATE calls SET kind = 'changed' WHERE id = 1", CHANGED),
        ("INSERT INTO words VALUES (199, 12, 'new')", FAMILY),
        ("INSERT INTO notes VALUES (19, 1, 'new')", FAMILY),
        ("UPDATE words SET note_id = 12 WHERE id = 111", CHANGED),
    ],
)
def test_what_came_or_changed_since_leaves_its_whole_family(calls, meanwhile, fate):
    with act(calls) as store:
        batch = planned(store, reflect())
        calls.sql(meanwhile)
        said = fates(store, batch)
    assert dict.fromkeys(FIRST, fate) | dict.fromkeys([*SECOND, "calls/3"], DISPOSED) == said
    assert {"calls": [1], "notes": [11, 12]} == {
        name: [i for i in ids if i < 19] for name, ids in left(calls, "calls", "notes").items()
    }


def test_a_row_that_is_gone_already_is_no_trouble_but_a_lost_root_is(calls):
    with act(calls) as store:
        batch = planned(store, reflect())
        calls.sql("DELETE FROM words WHERE id = 111", "DELETE FROM words WHERE id = 211", "DELETE FROM notes WHERE id = 21")
        calls.sql("DELETE FROM calls WHERE id = 2")
        said = fates(store, batch)
    assert dict.fromkeys(FIRST, DISPOSED) | {"words/111": GONE} | dict.fromkeys(SECOND, GONE) | {"calls/3": DISPOSED} == said


def test_a_hold_on_one_row_holds_its_family(calls):
    with act(calls) as store:
        held = replace(reflect(), predicates=(Predicate("h", "text = 'c'"), Predicate("k", "kind = 'w' AND id = 112")))
        kin = dict(zip(["calls/1", "calls/2"], store.families(held, ["calls/1", "calls/2"], set()), strict=True))
        assert {"words/112": "k", "notes/21": "h"} == {one.key: one.held for each in kin.values() for one in each if one.held}
        batch = replace(planned(store, reflect()), predicates=(Predicate("k", "kind = 'w' AND id = 112"),))
        assert dict.fromkeys(FIRST, HELD) | dict.fromkeys([*SECOND, "calls/3"], DISPOSED) == fates(store, batch)


def test_a_list_lets_these_tables_go_and_no_others(calls):
    with look(calls) as view:
        found = families(view, reflect(children=("notes",)))
        assert (OTHERS, OTHERS, []) == tuple(found.values())
        assert set(FIRST[:-1]) == set(families(view, reflect(children=("notes", "words")))["calls/1"])


def test_tables_with_a_rule_of_their_own_never_go_along(calls):
    apart = reflect()
    apart = replace(apart, selection=replace(apart.selection, apart=("WORDS",)))
    with look(calls) as view:
        assert (OTHERS, OTHERS, []) == tuple(families(view, apart).values())
        apart = replace(apart, selection=replace(apart.selection, apart=("notes",)))
        page = next(view.scan(apart))
        assert {"calls/1": OTHERS, "calls/2": OTHERS} == {page.keys[i]: doubt for i, doubt in page.doubts.items()}
        assert any("rows of notes keep the rows of calls" in said for said in view.warnings(apart))


def test_a_reference_that_would_be_taken_away_keeps_the_row_unless_its_table_is_named(bare):
    action = " ON DELETE SET NULL"
    bare.sql(CALLS, NOTES.format(action), WORDS, *ROWS)
    with act(bare) as store:
        page = next(store.scan(reflect()))
        assert {"calls/1": OTHERS, "calls/2": OTHERS} == {page.keys[i]: doubt for i, doubt in page.doubts.items()}
        assert {"calls/3": DISPOSED} == fates(store, planned(store, reflect()))
        named = reflect(children=["notes", "words"])
        named = replace(named, selection=replace(named.selection, children=("notes", "words")))
        assert dict.fromkeys([*FIRST, *SECOND], DISPOSED) == fates(store, planned(store, named))


def test_a_tree_in_one_table_goes_from_its_leaves(bare):
    bare.sql("CREATE TABLE posts (id BIGINT PRIMARY KEY, at TIMESTAMP NULL, above BIGINT REFERENCES posts(id))")
    bare.sql(
        "INSERT INTO posts VALUES (1, '2020-01-01', NULL), (2, NULL, 1), (3, NULL, 2), (4, NULL, 1), (5, '2020-01-01', NULL)"
    )
    bare.sql("UPDATE posts SET above = 5 WHERE id = 5")
    what = reflect("posts", where="at IS NOT NULL")
    with act(bare) as store:
        assert {"posts/1": {"posts/2", "posts/3", "posts/4"}, "posts/5": set()} == {
            k: set(v) for k, v in families(store, what).items()
        }
        alone = ("failed", "foreign-key") if bare.kind == "mariadb" else DISPOSED  # there no row goes that refers to itself
        all_of_them = dict.fromkeys([f"posts/{i}" for i in range(1, 5)], DISPOSED) | {"posts/5": alone}
        assert all_of_them == fates(store, planned(store, what))


def test_rows_that_refer_to_one_another_in_a_circle_stay(bare):
    bare.sql("CREATE TABLE posts (id BIGINT PRIMARY KEY, at TIMESTAMP NULL, above BIGINT REFERENCES posts(id))")
    bare.sql(
        "INSERT INTO posts VALUES (1, '2020-01-01', NULL), (2, NULL, 1), (3, NULL, 2)", "UPDATE posts SET above = 3 WHERE id = 1"
    )
    with look(bare) as view:
        assert {"posts/1": CIRCLE} == families(view, reflect("posts", where="at IS NOT NULL"))


def test_a_row_below_two_roots_stands_once_with_the_first(bare):
    bare.sql(
        CALLS, "CREATE TABLE pairs (id BIGINT PRIMARY KEY, a BIGINT REFERENCES calls(id), b BIGINT REFERENCES calls(id))", ROWS[0]
    )
    bare.sql("INSERT INTO pairs VALUES (1, 2, 1), (2, 3, 2), (3, 1, 1)")
    with act(bare) as store:
        found = families(store, reflect())
        assert {"calls/1": {"pairs/1", "pairs/3"}, "calls/2": {"pairs/2"}, "calls/3": set()} == {
            k: set(v) for k, v in found.items()
        }
        batch = planned(store, reflect())
        later = [i for i, key in enumerate(batch.keys) if key in ("pairs/2", "calls/2")]
        assert dict.fromkeys(["pairs/2", "calls/2"], FAMILY) == fates(store, batch.only(later)), "the first must go before"
        assert {DISPOSED} == set(fates(store, batch).values())


def test_a_family_over_the_bound_stays(bare):
    bare.sql(CALLS, NOTES.format(""), ROWS[0])
    numbers = ", ".join(f"({i}, {1 if i <= LARGEST else 2}, 'x')" for i in range(1, 2 * LARGEST))
    bare.sql(f"INSERT INTO notes VALUES {numbers}")
    with act(bare) as store:
        found = families(store, reflect())
        assert (LARGE, LARGEST - 1, []) == (found["calls/1"], len(found["calls/2"]), found["calls/3"])
        batch = planned(store, reflect())
        assert LARGEST + 1 == len(batch)
        assert {DISPOSED} == set(fates(store, batch).values())
    assert {"calls": [1], "notes": list(range(1, LARGEST + 1))} == left(bare, "calls", "notes")


def test_rows_without_a_name_keep_what_they_refer_to(bare):
    bare.sql(
        CALLS,
        "CREATE TABLE marks (call_id BIGINT REFERENCES calls(id), text VARCHAR(20))",
        ROWS[0],
        "INSERT INTO marks VALUES (1, 'x')",
    )
    with look(bare) as view:
        page = next(view.scan(reflect()))
        assert {"calls/1": OTHERS} == {page.keys[i]: doubt for i, doubt in page.doubts.items()}


def test_a_database_that_objects_to_one_family_lets_the_others_go(bare):
    if bare.kind != "sqlite":
        pytest.skip("the trigger is written in the words of SQLite")
    bare.sql(CALLS, NOTES.format(""), WORDS, *ROWS)
    bare.sql("CREATE TRIGGER no BEFORE DELETE ON notes WHEN OLD.id = 21 BEGIN SELECT RAISE(ABORT, 'no'); END")
    with act(bare) as store:
        said = fates(store, planned(store, reflect()))
    assert dict.fromkeys([*FIRST, "calls/3"], DISPOSED) | dict.fromkeys(SECOND, ("failed", "trigger")) == said
    assert {"words": [211], "notes": [21], "calls": [2]} == left(bare, "words", "notes", "calls")


@pytest.mark.parametrize(("arrow", "rows"), [("claimed", 3), ("compared", 3), ("destroyed", 3), ("settled", 0)])
def test_a_kill_leaves_no_half_of_a_family(calls, arrow, rows):
    child = subprocess.run([sys.executable, "-c", KILLED, calls.url, arrow], capture_output=True, text=True, check=False)
    assert -signal.SIGKILL == child.returncode, child.stderr
    assert {rows} == {len(ids) for ids in left(calls, "calls", "notes", "words").values()}


def _other(database):
    """Another program that waits for no lock."""
    if database.kind == "sqlite":
        return sqlite3.connect(database.path, timeout=0)
    con = database.connect()
    with closing(con.cursor()) as cursor:
        setting = "SET lock_timeout = '100ms'" if database.kind == "postgres" else "SET innodb_lock_wait_timeout = 1"
        cursor.execute(setting)
    return con


@pytest.mark.parametrize(
    "meanwhile",
    [
        "INSERT INTO notes VALUES (19, 1, 'new')",
        "INSERT INTO words VALUES (199, 12, 'new')",
        "UPDATE words SET kind = 'changed' WHERE id = 111",
    ],
)
def test_nobody_joins_or_changes_a_family_while_it_is_compared(calls, meanwhile):
    refused = []

    def watcher(reached):
        if reached == "compared":
            with closing(_other(calls)) as con, closing(con.cursor()) as cursor:
                try:
                    cursor.execute(meanwhile)
                except (sqlite3.Error, psycopg.Error, pymysql.Error) as error:
                    refused.append(error)

    with act(calls) as store:
        batch = planned(store, reflect())
        failpoints.watch(watcher)
        try:
            assert {DISPOSED} == set(fates(store, batch).values())
        finally:
            failpoints.watch(None)
    assert 1 == len(refused)
    assert {"calls": [], "notes": [], "words": []} == left(calls, "calls", "notes", "words")


def test_a_fault_at_any_call_leaves_whole_families_and_the_truth_is_found_by_looking(tmp_path):
    points, fail_at = 1, 0
    while fail_at <= points:
        database = OnFile(tmp_path / f"{fail_at}.db")
        database.sql(CALLS, NOTES.format(""), WORDS, *ROWS)
        with act(database) as store:
            batch = planned(store, reflect())
            database.sql("INSERT INTO notes VALUES (31, 3, 'new')")
            faulty, said = FaultyStore(store, fail_at), []
            with suppress(StoreUnavailable):
                said.extend(faulty.dispose(batch))
            points = max(points, faulty.points)
            known = {i for s in said for i in s.positions}
            missing = [i for i in range(len(batch)) if i not in known]
            said += inferred_fates(store, batch.only(missing), missing)
        disposed = {batch.keys[i] for s in said for i in s.positions if s.outcome is Outcome.DISPOSED}
        there = {f"{name}/{i}" for name, ids in left(database, "calls", "notes", "words").items() for i in ids}
        assert disposed == set(batch.keys) - there
        assert {frozenset(), frozenset([*FIRST, *SECOND])} >= {frozenset(disposed)}
        assert {"calls/3", "notes/31"} <= there
        fail_at += 1
    assert points > 1


def test_an_account_that_may_only_look_at_a_table_lets_no_family_go(calls):
    if calls.kind == "sqlite":
        pytest.skip("a file has no accounts")
    name = f"actor_{calls.name}"
    where = "" if calls.kind == "postgres" else f"{calls.name}."
    make = f"CREATE ROLE {name} LOGIN" if calls.kind == "postgres" else f"CREATE USER {name}"
    more = ", UPDATE (id)" if calls.kind == "postgres" else ""
    calls.sql(make, f"GRANT SELECT, DELETE{more} ON {where}calls TO {name}", f"GRANT SELECT ON {where}notes TO {name}")
    calls.sql(f"GRANT SELECT, DELETE{more} ON {where}words TO {name}")
    try:
        with closing(SqlType().act({"url": calls.as_user(name)})) as store:
            batch = planned(store, reflect())
            assert 9 == len(batch)
            with pytest.raises(StoreDenied):
                list(store.dispose(batch))
            assert {3} == {len(ids) for ids in left(calls, "calls", "notes", "words").values()}
        calls.sql(f"GRANT DELETE{more} ON {where}notes TO {name}")
        with closing(SqlType().act({"url": calls.as_user(name)})) as store:
            assert {DISPOSED} == set(fates(store, planned(store, reflect())).values())
    finally:
        calls.sql(*([f"DROP OWNED BY {name}", f"DROP ROLE {name}"] if calls.kind == "postgres" else [f"DROP USER {name}"]))


def test_keys_of_several_parts_and_of_texts_are_followed(bare):
    name = "VARCHAR(20)"
    bare.sql(
        f"CREATE TABLE calls (name {name} PRIMARY KEY, at TIMESTAMP NULL)",
        f"CREATE TABLE parts (name {name} REFERENCES calls(name), n INT, PRIMARY KEY (name, n))",
        f"CREATE TABLE bits (id INT PRIMARY KEY, name {name}, n INT, FOREIGN KEY (name, n) REFERENCES parts (name, n))",
        "INSERT INTO calls VALUES ('a/b,c', '2020-01-01'), ('d', '2020-01-01')",
        "INSERT INTO parts VALUES ('a/b,c', 1), ('a/b,c', 2), ('d', 1)",
        "INSERT INTO bits VALUES (1, 'a/b,c', 2), (2, NULL, 2), (3, 'd', 1)",
    )
    with act(bare) as store:
        batch = planned(store, reflect())
        assert {"parts/a%2Fb%2Cc,2", "calls/a%2Fb%2Cc", "bits/3"} < set(batch.keys)
        assert 7 == len(batch)
        assert {DISPOSED} == set(fates(store, batch).values())
    assert [(2,)] == bare.sql("SELECT id FROM bits")


def test_a_table_that_begins_to_refer_after_the_plan_keeps_what_it_refers_to(calls):
    with look(calls) as view:
        batch = planned(view, reflect())
    calls.sql("CREATE TABLE late (id BIGINT PRIMARY KEY, word BIGINT REFERENCES words(id) ON DELETE CASCADE)")
    calls.sql("INSERT INTO late VALUES (1, 111)")
    with act(calls) as store:
        said = fates(store, batch)
    assert dict.fromkeys(FIRST, FAMILY) | dict.fromkeys([*SECOND, "calls/3"], DISPOSED) == said
    assert [(1,)] == calls.sql("SELECT id FROM late")


def test_rows_of_another_schema_go_along(served):
    other = f"{served.name}_other"
    served.sql(CALLS, f"CREATE SCHEMA {other}")
    try:
        served.sql(f"CREATE TABLE {other}.calls (id BIGINT PRIMARY KEY, of_call BIGINT REFERENCES {calls_of(served)}(id))")
        served.sql(ROWS[0], f"INSERT INTO {other}.calls VALUES (1, 1), (2, 1)")
        with act(served) as store:
            batch = planned(store, reflect())
            assert {f"{other}.calls/1", f"{other}.calls/2"} < set(batch.keys)
            assert {DISPOSED} == set(fates(store, batch).values())
        assert [] == served.sql(f"SELECT * FROM {other}.calls")
    finally:
        served.sql(f"DROP SCHEMA {other}" + (" CASCADE" if served.kind == "postgres" else ""))


def calls_of(database):
    return "calls" if database.kind == "postgres" else f"{database.name}.calls"
