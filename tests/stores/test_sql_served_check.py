"""SQL on servers, what `check` says: a missing index with its statement, triggers and rules, references that would be lost."""

import re

import pytest

from retentiond.errors import StoreDenied
from tests.servers.databases import made
from tests.servers.own import Own
from tests.stores.served import act, look
from tests.stores.tables import everything, fates, scope


@pytest.fixture
def calls(served):
    served.sql(
        "CREATE TABLE calls (id BIGINT PRIMARY KEY, at TIMESTAMP NULL)",
        "CREATE TABLE notes (id INT PRIMARY KEY, call_id BIGINT, FOREIGN KEY (call_id) REFERENCES calls (id) ON DELETE SET NULL)",
    )
    return served


def warnings(database, **selection):
    with look(database) as view:
        return [text for text in view.warnings(scope("calls", **selection)) if "not known: grant" not in text]


def test_the_statement_that_is_named_makes_the_index_that_is_missing(calls):
    """MariaDB makes one for each foreign key by itself."""
    missing = [re.sub(r".*?(CREATE INDEX)", r"\1", text) for text in warnings(calls) if "has no index" in text]
    assert (2 if calls.kind == "postgres" else 1) == len(missing)
    calls.sql(*missing)
    assert not [text for text in warnings(calls) if "index" in text]


def test_rows_that_would_lose_their_reference_are_a_finding_unless_the_rule_names_them(calls):
    told = [text for text in warnings(calls) if "lose their reference to calls" in text]
    assert ["notes"] == [re.findall(r"rows of (\w+)", text)[0] for text in told]
    assert told == [text for text in warnings(calls, children="reflect") if "lose their reference" in text]
    assert not [text for text in warnings(calls, children=("notes",)) if "lose their reference" in text]


def test_triggers_and_rules_are_named(calls):
    if calls.kind == "postgres":
        calls.sql(
            "CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN old; END'",
            "CREATE TRIGGER watches AFTER DELETE ON calls FOR EACH ROW EXECUTE FUNCTION seen()",
            "CREATE RULE keeps AS ON DELETE TO calls DO INSTEAD NOTHING",
        )
    else:
        calls.sql("CREATE TRIGGER watches AFTER DELETE ON calls FOR EACH ROW SET @seen = 1")
    named = [re.findall(r"the trigger (?:or rule )?(\w+) runs on calls", text) for text in warnings(calls)]
    assert [["keeps"]] * (calls.kind == "postgres") + [["watches"]] == sorted(name for name in named if name)


def test_a_table_that_refers_to_itself_is_told_of_once(calls):
    calls.sql(
        "CREATE TABLE strips (id INT PRIMARY KEY, call_id BIGINT, line INT, FOREIGN KEY (line) REFERENCES strips (id),"
        " FOREIGN KEY (call_id) REFERENCES calls (id))",
        "ALTER TABLE calls ADD COLUMN first BIGINT",
        "ALTER TABLE calls ADD CONSTRAINT of_first FOREIGN KEY (first) REFERENCES calls (id)",
    )
    told = [text for text in warnings(calls, children=("strips", "calls")) if "go with the rows of" in text]
    assert sorted(set(told)) == sorted(told)
    assert {("strips", "calls"), ("strips", "strips"), ("calls", "calls")} == {
        re.findall(r"rows of (\w+) go with the rows of (\w+)", text)[0] for text in told
    }


def test_a_key_that_is_generated_is_called_so(served):
    served.sql(
        "CREATE TABLE calls (number INT NOT NULL, at TIMESTAMP NULL, id INT GENERATED ALWAYS AS (number + 1) STORED UNIQUE)"
    )
    with look(served) as view, pytest.raises(StoreDenied, match="the key column id is generated"):
        list(view.scan(scope("calls", key=("id",))))


def test_a_primary_key_that_is_generated_is_called_so(postgres):
    postgres.sql("CREATE TABLE calls (number INT, at TIMESTAMP NULL, id INT GENERATED ALWAYS AS (number + 1) STORED PRIMARY KEY)")
    with look(postgres) as view, pytest.raises(StoreDenied, match="the key column id is generated"):
        list(view.scan(scope("calls")))


def test_a_binary_log_of_statements_is_warned_of_and_named_where_it_lets_no_row_go():
    own = Own("mariadb", ("--server-id=1", "--log-bin=log", "--binlog-format=STATEMENT"))
    try:
        own.start()
        with made("mariadb", own.address) as database:
            database.sql("CREATE TABLE calls (id INT PRIMARY KEY, at DATETIME)", "INSERT INTO calls VALUES (1, '2020-01-01')")
            with look(database) as view:
                assert any("binlog_format STATEMENT" in note for note in view.traits.notes)
            with act(database) as store, pytest.raises(StoreDenied, match="lets no row go") as refusal:
                fates(store, scope("calls"), everything(store, scope("calls")))
            assert "error 1665" in refusal.value.why
            assert "binlog_format" in refusal.value.do
            database.sql("SET GLOBAL binlog_format = MIXED")
            with look(database) as view:
                assert not any("binlog_format" in note for note in view.traits.notes)
            assert [(1,)] == database.sql("SELECT id FROM calls")
    finally:
        own.close()
