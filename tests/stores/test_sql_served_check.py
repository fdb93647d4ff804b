"""SQL on servers, what `check` says: a missing index with its statement, triggers and rules, references that would be lost."""

import re

import pytest

from tests.stores.served import look
from tests.stores.tables import scope


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
