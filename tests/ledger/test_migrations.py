"""A state of any earlier version opens, as the tables of today; a newer one is refused; and nobody pays for it at every start."""

import json
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory

from retentiond.errors import StateUnavailable
from retentiond.ledger import migrating, schema
from retentiond.ledger.clock import Reading
from retentiond.ledger.database import Sqlite
from retentiond.ledger.ledger import Ledger
from retentiond.ledger.looks import Looks
from retentiond.ledger.registers import HoldRegister
from retentiond.ledger.snapshot import snapshot
from tests.acceptance.shop import LETTERS, Shop

NOW = 1_795_000_000_000_000

BEFORE = """
CREATE TABLE meta (key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (key)) STRICT;
CREATE TABLE entry (seq INTEGER NOT NULL, type TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (seq)) STRICT;
CREATE TABLE version (id INTEGER NOT NULL, category TEXT NOT NULL, digest TEXT NOT NULL, meaning TEXT NOT NULL,
 seen_at INTEGER NOT NULL, PRIMARY KEY (id)) STRICT;
CREATE TABLE approval (category TEXT NOT NULL, rulebook TEXT NOT NULL, meaning TEXT NOT NULL, "by" TEXT NOT NULL,
 at INTEGER NOT NULL, revoked INTEGER NOT NULL, PRIMARY KEY (category)) STRICT;
CREATE TABLE plan (name TEXT NOT NULL, made_at INTEGER NOT NULL, at INTEGER NOT NULL, expires INTEGER NOT NULL,
 header TEXT NOT NULL, forecast INTEGER NOT NULL, done INTEGER NOT NULL, PRIMARY KEY (name)) STRICT;
CREATE TABLE run (id TEXT NOT NULL, "plan" TEXT NOT NULL, allowed_by TEXT NOT NULL, started INTEGER NOT NULL,
 ended INTEGER, counts TEXT, PRIMARY KEY (id)) STRICT;
CREATE INDEX ix_run_plan ON run ("plan");
CREATE TABLE batch (id INTEGER NOT NULL, run TEXT NOT NULL, "plan" TEXT NOT NULL, category TEXT NOT NULL, rule TEXT NOT NULL,
 store TEXT NOT NULL, entry INTEGER NOT NULL, outcome INTEGER, "offset" INTEGER NOT NULL, steps TEXT NOT NULL, again TEXT,
 refs BLOB NOT NULL, PRIMARY KEY (id)) STRICT;
CREATE INDEX ix_batch_plan ON batch ("plan");
CREATE INDEX ix_batch_run ON batch (run);
CREATE INDEX batch_open ON batch (outcome) WHERE outcome IS NULL;
CREATE TABLE hold (id TEXT NOT NULL, scope TEXT NOT NULL, reason TEXT NOT NULL, mandate TEXT NOT NULL, review_on TEXT,
 placed INTEGER NOT NULL, placed_at INTEGER NOT NULL, released INTEGER, released_at INTEGER, release_reason TEXT,
 PRIMARY KEY (id)) STRICT;
CREATE TABLE happened (id INTEGER NOT NULL, name TEXT NOT NULL, subject TEXT NOT NULL, at INTEGER NOT NULL,
 recorded INTEGER NOT NULL, recorded_at INTEGER NOT NULL, withdrawn INTEGER, PRIMARY KEY (id)) STRICT;
CREATE INDEX happened_subject ON happened (name, subject);
CREATE TABLE place (store TEXT NOT NULL, definition TEXT NOT NULL, place TEXT NOT NULL, PRIMARY KEY (store)) STRICT;
CREATE TABLE population (category TEXT NOT NULL, rule TEXT NOT NULL, total INTEGER NOT NULL, disposed INTEGER NOT NULL,
 PRIMARY KEY (category, rule)) STRICT;
CREATE TABLE history (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, category TEXT NOT NULL, rule TEXT NOT NULL,
 "plan" TEXT NOT NULL, disposed INTEGER NOT NULL) STRICT;
CREATE UNIQUE INDEX history_rule ON history (category, rule, "plan");
CREATE TABLE reference_scope (year INTEGER NOT NULL, category TEXT NOT NULL, PRIMARY KEY (year, category)) STRICT;
INSERT INTO meta VALUES ('schema', '1'), ('last-time', '1794999999000000'), ('last-hold', '1');
INSERT INTO entry VALUES (0, 'log-started', CAST('{"format":1,"time":1794999998000000,"type":"log-started"}' AS BLOB));
INSERT INTO entry VALUES (1, 'hold-placed', CAST('{"time":1794999999000000,"type":"hold-placed"}' AS BLOB));
INSERT INTO hold VALUES ('H',
 '{"category": null, "store": null, "path": "a/**", "subjects": [], "where": null, "everything": false}',
 'claim', 'legal', NULL, 1, 1794999999000000, NULL, NULL, NULL);
"""
"""What the first version of the program made, before there were reviews, looks, alarms and migrations."""


def clock():
    return Reading(NOW, NOW, "boot")


def opened(database):
    return closing(Ledger(database, clock))


def tables(database):
    """Every table with its columns, key and indexes, as the database itself tells them."""
    with closing(database.reader().connect()) as connection:
        found = sa.inspect(connection)
        return {
            name: (
                [(c["name"], str(c["type"]), c["nullable"], bool(c.get("autoincrement"))) for c in found.get_columns(name)],
                found.get_pk_constraint(name)["constrained_columns"],
                sorted((i["name"], i["column_names"], bool(i["unique"]), "postgresql_where" in i.get("dialect_options", {}))
                       for i in found.get_indexes(name)),
            )
            for name in found.get_table_names()
        }  # fmt: skip


def old(path, sql=BEFORE):
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(sql)
    return Sqlite(path)


def test_the_steps_lead_to_the_tables_that_a_new_state_gets(database, tmp_path):
    with opened(database):
        pass
    new = tables(database)
    with database.engine().begin() as connection:
        schema.metadata.drop_all(connection)
        migrating._migrate(connection)
    assert tables(database) == new


def test_the_program_knows_every_step_by_its_name():
    config = Config()
    config.set_main_option("script_location", str(migrating.__file__).replace("migrating.py", "migrations"))
    config.set_main_option("path_separator", "newline")
    steps = [step.revision for step in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(steps)) == schema.REVISIONS


def test_a_state_of_the_first_version_opens_with_all_that_is_in_it(tmp_path):
    at = old(tmp_path / "state.db")
    with opened(Sqlite(tmp_path / "new.db")), opened(at) as ledger:
        (hold,) = HoldRegister(ledger).current().holds
        assert (hold.id, hold.path, hold.entry) == ("H", "a/**", 1)
        assert Looks(ledger).all() == {}
        ledger.accept_clock("0" * 32)
        assert [json.loads(b)["type"] for b in ledger.entries(0, 3)] == ["log-started", "hold-placed", "clock-accepted"]
    assert tables(at) == tables(Sqlite(tmp_path / "new.db"))


def test_a_state_with_some_of_the_later_tables_keeps_their_rows(tmp_path):
    more = "CREATE TABLE alarm_watched (category TEXT NOT NULL, since INTEGER NOT NULL, PRIMARY KEY (category)) STRICT;"
    at = old(tmp_path / "state.db", BEFORE + more + "INSERT INTO alarm_watched VALUES ('calls', 7);")
    with opened(at) as ledger, ledger.transaction() as change:
        assert change.connection.execute(sa.select(schema.alarm_watched)).all() == [("calls", 7)]


def test_two_who_come_at_once_find_one_state(database):
    together = Barrier(3)

    def come(_):
        together.wait()
        with opened(database) as ledger:
            ledger.begin_log()
            return ledger.size()

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(come, range(3))) == [1, 1, 1]


def test_two_who_come_at_once_migrate_once(tmp_path):
    at, together = old(tmp_path / "state.db"), Barrier(3)

    def come(_):
        together.wait()
        with opened(at) as ledger:
            return ledger.size()

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(come, range(3))) == [2, 2, 2]


def test_a_migration_that_fails_leaves_everything_as_it_was(tmp_path):
    """A table stands in the way of a step: what the step before it did is undone with it."""
    at = old(tmp_path / "state.db", BEFORE + "CREATE TABLE lease (something TEXT);")
    before = tables(at)
    with pytest.raises(StateUnavailable), opened(at):
        raise AssertionError
    assert tables(at) == before


@pytest.mark.parametrize("which", ["alembic_version", "meta"])
def test_a_newer_state_is_refused_by_who_writes_and_who_looks(tmp_path, which):
    at = old(tmp_path / "state.db", BEFORE + "UPDATE meta SET value = '3';")
    if which == "alembic_version":
        at = Sqlite(tmp_path / "new.db")
        with opened(at) as ledger, ledger.transaction() as change:
            change.connection.execute(schema.revision.update().values(version_num="0099"))
    for look in (opened, lambda it: snapshot(it, clock)):
        with pytest.raises(StateUnavailable, match="newer version") as told, look(at):
            raise AssertionError
        assert "newer one" in told.value.do


def test_who_only_looks_asks_for_a_command_that_writes(tmp_path):
    at = old(tmp_path / "state.db")
    before = tables(at)
    with pytest.raises(StateUnavailable, match="earlier version") as told, snapshot(at, clock):
        raise AssertionError
    assert told.value.do == "retentiond plan"
    assert tables(at) == before


def test_a_program_from_before_migrations_refuses_the_state_of_today(tmp_path):
    for at in (Sqlite(tmp_path / "new.db"), old(tmp_path / "state.db")):
        with opened(at) as ledger, ledger.transaction() as change:
            assert change.fact("schema") == "2", "it knew 1, and refuses any other"


def test_alembic_is_loaded_only_where_there_is_something_to_migrate(tmp_path):
    shop = Shop(tmp_path / "shop")
    shop.category("post", LETTERS)
    program = (
        "import sys; from retentiond.cli.front import code_of;"
        f"code_of(['--config', {str(shop.config)!r}, 'plan']); print('alembic' in sys.modules)"
    )

    def loads():
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
        return done.stdout.split()[-1]

    assert [loads(), loads()] == ["False", "False"], "neither for a new state nor for a current one"
    later = "DROP TABLE lease; DROP TABLE request; DROP INDEX ix_batch_request; ALTER TABLE batch DROP COLUMN request; "
    later += "ALTER TABLE batch DROP COLUMN starts; DROP TABLE inspected; DROP TABLE copied; DROP TABLE legal_hold; "
    drop = later + "DROP TABLE alembic_version; UPDATE meta SET value = '1' WHERE key = 'schema';"
    old(shop.folder / "state" / "state.db", drop)
    assert [loads(), loads()] == ["True", "False"]


def test_who_comes_while_another_goes_waits(tmp_path):
    """The last to close a state takes its log in, and SQLite itself does not wait for that moment's end."""
    with ThreadPoolExecutor(3) as pool:
        for n in range(40):
            at, together = Sqlite(tmp_path / f"{n}.db"), Barrier(3)

            def come(_, at=at, together=together):
                together.wait()
                with opened(at) as ledger:
                    return ledger.size()

            assert list(pool.map(come, range(3))) == [0, 0, 0]
