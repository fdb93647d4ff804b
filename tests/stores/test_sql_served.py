"""SQL on servers, letting go: only what the plan names, as it was; references, triggers, holds, locks and lost connections."""

import threading
from contextlib import closing

import pytest

from retentiond.core.ladder import CHILDREN
from retentiond.core.selector import Predicate
from retentiond.engine import failpoints
from retentiond.engine.ports import OUTSIDE
from retentiond.errors import StoreDenied, StoreUnavailable
from tests.stores.served import act, look
from tests.stores.tables import CHANGED, DISPOSED, GONE, everything, fates, scope, shown

FAILED, HELD = "failed", ("held", "predicate")
WHERE = "kind = 'in'"
COLUMNS = "at TIMESTAMP NULL, kind VARCHAR(20) DEFAULT 'in', rev INT DEFAULT 1"


@pytest.fixture
def calls(served):
    served.sql(f"CREATE TABLE calls (id BIGINT PRIMARY KEY, {COLUMNS})")
    served.many("INSERT INTO calls (id, at) VALUES (%s, %s)", [(i, "2020-01-01") for i in range(1, 41)])
    return served


def ids(database, table="calls"):
    return [row[0] for row in database.sql(f"SELECT id FROM {table} ORDER BY id")]


def doubts(view, what):
    return {item.key: item.doubt for item in shown(view, what)}


def test_each_row_has_its_own_fate(calls):
    what = scope("calls", WHERE)
    with act(calls) as store:
        plan = everything(store, what) | {"calls/99": "0" * 32, "other/1": "0" * 32}
        calls.sql(
            "UPDATE calls SET rev = 2 WHERE id = 1",
            "UPDATE calls SET kind = 'out' WHERE id = 2",
            "DELETE FROM calls WHERE id = 3",
        )
        plan["calls/4"] = "f" * 32
        plan["calls/2"] = store.probe(what, ["calls/2"]).revisions[0]
        said = fates(store, what, plan, (Predicate("h", "id = 5"), Predicate("n", "CASE id WHEN 6 THEN NULL ELSE 1 = 0 END")))
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


def test_a_version_column_is_compared(calls):
    what = scope("calls", version="rev")
    with act(calls) as store:
        plan = everything(store, what)
        assert {"1"} == set(plan.values()), "text, as a plan writes it down"
        calls.sql("UPDATE calls SET kind = 'same version' WHERE id = 1", "UPDATE calls SET rev = 2 WHERE id = 2")
        said = fates(store, what, {key: plan[key] for key in ("calls/1", "calls/2")})
    assert {"calls/1": DISPOSED, "calls/2": CHANGED} == said


@pytest.mark.parametrize(
    "broken", ["nosuch = 1", "1 = 1) OR (1 = 0", "id = %s", "rev = (SELECT 1 FROM nowhere)", "1 = 0 -- ", "'"]
)
def test_a_predicate_that_cannot_be_asked_holds_what_it_may_cover(calls, broken):
    covers = broken != "1 = 0 -- "
    with act(calls) as store:
        plan = everything(store, scope("calls"))
        said = fates(store, scope("calls"), plan, (Predicate("b", broken, frozenset({0})), Predicate("g", "id = 2")))
        assert {"calls/2", *(["calls/1"] if covers else [])} == {key for key, fate in said.items() if fate == HELD}
        left = {key: plan[key] for key in ("calls/1", "calls/2")}
        assert {HELD} == set(fates(store, scope("calls"), left, (Predicate("b", broken), Predicate("g", "id > 0"))).values()) - {
            GONE
        }


TRICKS = [
    "kind = 'in') OR (kind = 'out'", "kind = 'in' /*", "kind = 'in'; DELETE FROM calls", "kind = 'in' LIMIT 1",
    "1 = 1); DELETE FROM calls; SELECT (1", "1 = 1); COMMIT; DELETE FROM calls; SELECT (1", "kind = 'in' UNION SELECT 1",
    "kind = ?", "kind = $1", "kind = %s", "kind = :kind", "kind = 'in", "(kind = 'in'", "kind, at", "", "-- nothing",
    "kin = 'in'", "count(*) > 1", "nosuch(kind)", "kind = 'in'\0", "\"kindd\" <> 'in'", "SELECT 1", "kind = '\udcff'",
]  # fmt: skip


@pytest.mark.parametrize("text", TRICKS)
def test_what_is_not_one_whole_condition_is_refused(calls, text):
    with look(calls) as view, act(calls) as store:
        plan = everything(store, scope("calls"))
        for attempt in (lambda: everything(view, scope("calls", text)), lambda: view.probe(scope("calls", text), ["calls/1"])):
            with pytest.raises(StoreDenied, match="the condition on calls cannot be used"):
                attempt()
        with pytest.raises(StoreDenied):
            fates(store, scope("calls", text), plan)
        assert {HELD} == set(fates(store, scope("calls"), plan, (Predicate("h", text),)).values())
    assert 40 == len(ids(calls))


def test_refusals_quote_no_data(calls):
    texts = ("mail = 'anna@example.org'", "kind = 'in' 'anna@example.org' x", "kind = 'anna@example.org", "at > 2024 4711")
    with look(calls) as view:
        for text in texts:
            with pytest.raises(StoreDenied) as refusal:
                everything(view, scope("calls", text))
            assert "anna" not in str(refusal.value.problems[0])
            assert "4711" not in str(refusal.value.problems[0])


def test_a_condition_may_have_comments_and_per_cent_signs(calls):
    with look(calls) as view:
        assert ["calls/7"] == list(everything(view, scope("calls", "kind LIKE 'i%' AND id % 10 = 7 AND id < 10 -- 100%\n")))
        page = view.probe(scope("calls", "id = 1 --"), ["calls/1", "calls/2"])
    assert {1: OUTSIDE} == dict(page.doubts)


# Queries


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM calls RETURNING id AS subject, at", "SELECT 1 AS subject, 2 AS at; DELETE FROM calls",
        "SELECT 1 AS subject, 2 AS at) AS x; DELETE FROM calls; SELECT 1 FROM (SELECT 1", "SELECT 1 AS subject", "SELECT 1 AS at",
        "WITH d AS (DELETE FROM calls RETURNING id) SELECT id AS subject, 1 AS at FROM d", "SELECT 1 AS subject, %s AS at", "",
        "ANALYZE DELETE FROM calls", "COMMIT", "SET TRANSACTION READ WRITE", "SELECT id AS subject, at INTO x FROM calls",
    ],
)  # fmt: skip
def test_what_is_not_one_query_that_reads_is_refused(calls, query):
    for open_ in (look, act):
        with open_(calls) as view, pytest.raises(StoreDenied):
            list(view.ask(query, ["1"]))
    assert 40 == len(ids(calls))


def test_events_and_identities_are_looked_up(calls):
    calls.sql("UPDATE calls SET kind = 'it''s 100%' WHERE id = 3")
    with look(calls) as view:
        asked = list(view.ask("SELECT id AS subject, at FROM calls WHERE id % 2 = 1;", ["1", "2", "3"]))
        assert [("1", "2020-01-01 00:00:00"), ("3", "2020-01-01 00:00:00")] == sorted(asked)
        assert [] == list(view.ask("SELECT id AS subject, at FROM calls", []))
        found = list(
            view.identify("SELECT id AS number, kind FROM calls WHERE kind = :kind AND ':x' <> '%'", {"kind": "it's 100%"})
        )
        assert [("number", "3"), ("kind", "it's 100%")] == found
        with pytest.raises(StoreDenied):
            list(view.identify("SELECT id FROM calls WHERE id = :other", {"kind": "x"}))


# References


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "RESTRICT", "NO ACTION"])
def test_nothing_is_taken_along_and_no_child_loses_its_parent(calls, action):
    with act(calls) as store:
        plan = everything(store, scope("calls"))
    calls.sql(
        "CREATE TABLE notes (id INT PRIMARY KEY, call_id BIGINT,"
        f" FOREIGN KEY (call_id) REFERENCES calls (id) ON DELETE {action})",
        "INSERT INTO notes VALUES (1, 2), (2, NULL)",
    )
    with look(calls) as view:
        assert {"calls/2": f"{CHILDREN}: rows of notes"} == {
            key: doubt for key, doubt in doubts(view, scope("calls")).items() if doubt
        }
    with act(calls) as store:
        said = fates(store, scope("calls"), plan)
    assert {**dict.fromkeys(plan, DISPOSED), "calls/2": ("changed", "children")} == said
    assert ([2], [1, 2]) == (ids(calls), ids(calls, "notes"))


def test_references_from_another_schema_count(calls):
    other = "elsewhere" if calls.kind == "postgres" else calls.name + "_elsewhere"
    home = "public" if calls.kind == "postgres" else calls.name
    calls.sql(
        f"CREATE SCHEMA {other}",
        f"CREATE TABLE {other}.notes (call_id BIGINT, FOREIGN KEY (call_id) REFERENCES {home}.calls (id) ON DELETE CASCADE)",
        f"INSERT INTO {other}.notes VALUES (4)",
    )
    try:
        with look(calls) as view:
            told = f"{CHILDREN}: rows of {other}.notes"
            assert ["calls/4"] == [key for key, doubt in doubts(view, scope("calls")).items() if doubt == told]
    finally:
        calls.sql(f"DROP SCHEMA {other}" + (" CASCADE" if calls.kind == "postgres" else ""))


def test_a_tree_goes_leaves_first_run_after_run(served):
    served.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, up INT, at TIMESTAMP NULL, FOREIGN KEY (up) REFERENCES t (id) ON DELETE CASCADE)",
        "INSERT INTO t (id, up) VALUES (1, 1), (2, 1), (3, 2)",
    )
    left = []
    with act(served) as store:
        while plan := everything(store, scope("t")):
            fates(store, scope("t"), plan)
            left.append(ids(served, "t"))
    assert [[1, 2], [1], []] == left


# Triggers


def keeps(database, body):
    """A trigger that stands in the way of rows 3, 13, 23 and 33."""
    if database.kind == "postgres":
        text = {"ignore": "RETURN NULL", "raise": "RAISE EXCEPTION 'secret 4711'"}[body]
        database.sql(
            "CREATE FUNCTION keeps() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN IF old.id % 10 = 3 THEN {text}; END IF; RETURN old; END $$",
            "CREATE TRIGGER keeps BEFORE DELETE ON calls FOR EACH ROW EXECUTE FUNCTION keeps()",
        )
    else:
        database.sql(
            "CREATE TRIGGER keeps BEFORE DELETE ON calls FOR EACH ROW IF old.id % 10 = 3 THEN "
            "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'secret 4711'; END IF"
        )


@pytest.mark.parametrize(("body", "code"), [("ignore", "still-there"), ("raise", "trigger")])
def test_rows_that_a_trigger_keeps_are_singled_out_and_the_others_go(calls, body, code):
    if calls.kind == "mariadb" and body == "ignore":
        pytest.skip("a trigger of MariaDB cannot pass over a row")
    keeps(calls, body)
    with act(calls) as store:
        said = fates(store, scope("calls", WHERE), everything(store, scope("calls", WHERE)))
    kept = {f"calls/{i}": (FAILED, code) for i in (3, 13, 23, 33)}
    assert dict.fromkeys(said, DISPOSED) | kept == said
    assert [3, 13, 23, 33] == ids(calls)


# Others at work


def test_a_locked_row_makes_the_store_unavailable_and_then_it_goes_on(calls):
    with act(calls, lock_timeout="1 s") as store, closing(calls.connect()) as other, closing(other.cursor()) as cursor:
        plan = everything(store, scope("calls"))
        cursor.execute("BEGIN")
        cursor.execute("UPDATE calls SET rev = 1 WHERE id = 5")
        with pytest.raises(StoreUnavailable, match="locked"):
            fates(store, scope("calls"), plan)
        cursor.execute("ROLLBACK")
        assert {DISPOSED} == set(fates(store, scope("calls"), plan).values())


def blocked(database):
    """Waits until some session waits for a lock."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        if database.kind == "postgres"
        else "SELECT count(*) FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'"
    )
    for _ in range(500):
        if database.sql(waiting)[0][0]:
            return
        threading.Event().wait(0.12)  # MariaDB tells anew only after a tenth of a second
    raise AssertionError("nobody waits for a lock")


@pytest.mark.parametrize("parent", [False, True], ids=["changed", "became a parent"])
def test_what_happens_while_a_batch_waits_for_a_lock_counts(calls, parent):
    if parent:
        calls.sql("CREATE TABLE notes (id INT, call_id BIGINT, FOREIGN KEY (call_id) REFERENCES calls (id) ON DELETE CASCADE)")
    with look(calls) as view:
        plan = everything(view, scope("calls"))
    said = {}

    def run():
        with act(calls, lock_timeout="60 s") as store:
            said.update(fates(store, scope("calls"), plan))

    with closing(calls.connect()) as other, closing(other.cursor()) as cursor:
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO notes VALUES (1, 5)" if parent else "UPDATE calls SET rev = 2 WHERE id = 5")
        thread = threading.Thread(target=run)
        thread.start()
        blocked(calls)
        cursor.execute("COMMIT")
        thread.join(60)
    assert {**dict.fromkeys(plan, DISPOSED), "calls/5": ("changed", "children") if parent else CHANGED} == said
    assert [5] == ids(calls)


def kill(database, con):
    cursor = con.cursor()
    cursor.execute("SELECT pg_backend_pid()" if database.kind == "postgres" else "SELECT CONNECTION_ID()")
    number = cursor.fetchall()[0][0]
    database.sql(f"SELECT pg_terminate_backend({number})" if database.kind == "postgres" else f"KILL {number}")


@pytest.mark.parametrize("arrow", ["claimed", "compared", "destroyed"])
def test_a_connection_that_is_killed_loses_nothing_and_the_next_act_connects_anew(calls, arrow):
    with act(calls) as store:
        plan = everything(store, scope("calls"))
        failpoints.watch(lambda reached: kill(calls, store.database.con) if reached == arrow else None)
        try:
            with pytest.raises(StoreUnavailable, match="connection"):
                fates(store, scope("calls"), plan)
        finally:
            failpoints.watch(None)
        assert plan == everything(store, scope("calls"))
        assert {DISPOSED} == set(fates(store, scope("calls"), plan).values())


def test_a_batch_that_others_win_against_again_and_again_fails_with_a_word(calls):
    """A deadlock each time: the store holds row 1 and wants row 2, of which somebody else does the reverse."""
    calls.sql("CREATE TABLE turns (n INT)")
    with act(calls, lock_timeout="60 s") as store, closing(calls.connect()) as other:
        plan = {key: rev for key, rev in everything(store, scope("calls")).items() if key in ("calls/1", "calls/2")}
        rounds = Rounds(calls, other)
        failpoints.watch(rounds.reached)
        try:
            said = fates(store, scope("calls"), plan)
        finally:
            failpoints.watch(None)
            rounds.end()
    assert {(FAILED, "contended")} == set(said.values()) or {DISPOSED} == set(said.values())
    assert ([1, 2] if FAILED in {fate[0] for fate in said.values()} else []) == [i for i in ids(calls) if i < 3]


class Rounds:
    """Somebody who takes row 2 whenever the store begins, and then wants a row that the store has."""

    def __init__(self, database, con):
        self.database, self.con, self.threads = database, con, []

    def reached(self, arrow):
        if arrow == "claimed":
            self._run("BEGIN", "UPDATE calls SET rev = rev WHERE id = 2")
            thread = threading.Thread(target=self._wish)
            self.threads.append(thread)
            thread.start()

    def _wish(self):
        try:
            blocked(self.database)
            self._run("UPDATE calls SET rev = rev WHERE id = 1")
        except Exception:  # noqa: BLE001 whoever of the two the database chooses
            pass
        self._run("ROLLBACK")

    def _run(self, *statements):
        with closing(self.con.cursor()) as cursor:
            for statement in statements:
                cursor.execute(statement)

    def end(self):
        for thread in self.threads:
            thread.join(60)


def test_a_table_that_changed_its_shape_is_compared_as_it_is_now(calls):
    with act(calls) as store:
        plan = everything(store, scope("calls"))
        calls.sql("ALTER TABLE calls ADD COLUMN more VARCHAR(10)", "ALTER TABLE calls DROP COLUMN rev")
        assert {CHANGED} == set(fates(store, scope("calls"), plan).values())
        calls.sql("ALTER TABLE calls RENAME TO other")
        with pytest.raises(StoreDenied, match="no table calls"):
            fates(store, scope("calls"), plan)


def test_a_statement_that_takes_too_long_is_stopped(calls):
    slow = "pg_sleep(9) IS NOT NULL" if calls.kind == "postgres" else "SLEEP(9) IS NOT NULL"
    with act(calls, statement_timeout="100 ms") as store:
        with pytest.raises(StoreUnavailable, match="statement_timeout"):
            everything(store, scope("calls", slow))
        assert 40 == len(everything(store, scope("calls")))


def test_looking_has_no_means_to_write(calls):
    with look(calls) as view, pytest.raises(Exception, match=r"(?i)read.only"):
        view.database.con.cursor().execute("DELETE FROM calls")
    with act(calls) as store, pytest.raises(Exception, match=r"(?i)read.only"):
        store.database.con.cursor().execute("DELETE FROM calls")
    assert 40 == len(ids(calls))


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


# What is held, and for how long

IN_TRANSACTION = {
    "postgres": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'",
    "mariadb": "SELECT count(*) FROM information_schema.INNODB_TRX",
}


def test_between_two_pages_no_transaction_is_open(calls):
    calls.many("INSERT INTO calls (id, at, kind) VALUES (%s, '2020-01-01', 'in')", [(n,) for n in range(1000, 7000)])
    with look(calls) as view:
        pages = view.scan(scope("calls"))
        seen = 0
        for page in pages:
            seen += len(page)
            assert [(0,)] == calls.sql(IN_TRANSACTION[calls.kind])
    assert 6040 == seen


LIMITS = {
    "postgres": "SELECT current_setting('lock_timeout'), current_setting('statement_timeout')",
    "mariadb": "SELECT @@innodb_lock_wait_timeout, @@lock_wait_timeout, @@max_statement_time",
}


def test_locks_and_statements_have_a_time_limit_whatever_the_server_is_used_to(calls):
    for open_ in (look, act):
        with open_(calls) as view, closing(view.database.con.cursor()) as cursor:
            cursor.execute(LIMITS[calls.kind])
            told = cursor.fetchall()[0]
            assert (("5s", "5min") if calls.kind == "postgres" else (5, 5, 300)) == tuple(
                one if calls.kind == "postgres" else round(float(one)) for one in told
            )
