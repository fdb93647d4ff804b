"""What cannot be worked with on a server, as an operator meets it: each is told in clear words, and nothing is touched."""

import pytest

from tests.acceptance.shop import OLD, Shop

RULE = """\
  calls:
    store: till
    select: {{table: {table}, where: "{where}"}}
    start: {{column: at}}
    retention_period: 3 months
    action: {action}
"""
SECRET = "anna@example.org"
REFUSED = {
    "a view": {"table": "seen", "words": "is a view"},
    "no key": {"table": "keyless", "words": "no primary key"},
    "no such table": {"table": "cals", "words": "did you mean calls"},
    "no such column": {"where": "kint = 'x'", "words": "it names a column that is not there"},
    "no condition": {"where": f"kind = '{SECRET}' x", "words": "the condition on calls cannot be used"},
    "a value of another type": {"where": f"kind = '{SECRET}' AND", "words": "the condition on calls cannot be used"},
}


@pytest.fixture
def till(served, tmp_path):
    shop = Shop(tmp_path / "shop")
    shop.settings(text=shop.config.read_text().replace("sqlite:///till.db", served.url))
    served.sql(
        "CREATE TABLE calls (id INT PRIMARY KEY, at TIMESTAMP NULL, kind VARCHAR(40), note VARCHAR(40))",
        "CREATE VIEW seen AS SELECT * FROM calls",
        "CREATE TABLE keyless (at TIMESTAMP NULL, kind VARCHAR(40))",
    )
    served.many("INSERT INTO calls VALUES (%s, %s, 'x', 'y')", [(n, f"{OLD:%Y-%m-%d %H:%M:%S}") for n in range(40)])
    shop.database = served
    return shop


def ruled(shop, table="calls", where="kind = 'x'", action="delete"):
    shop.category("trade", RULE.format(table=table, where=where, action=action))


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_looked_at_is_refused_by_check_and_plan_without_a_value(till, case):
    asked = dict(REFUSED[case])
    words = asked.pop("words")
    ruled(till, **asked)
    for command in ("check", "plan"):
        said = till.told(command, code=5)
        text = " ".join((said.out + said.err).split())
        assert words in text
        assert SECRET not in text, "what the database says is told without its data"
    assert 40 == till.database.sql("SELECT count(*) FROM calls")[0][0]


@pytest.mark.parametrize("column", ["at", "kind", "note"])
@pytest.mark.parametrize("action", ["delete", "{anonymise: {note: null}}"])
def test_a_column_that_is_dropped_after_the_plan_leaves_every_row_and_a_true_trail(till, column, action):
    """A rule that does not need the column finds other rows than were planned; one that does is refused. Then a new plan goes."""
    ruled(till, action=action)
    plan = till.plan()
    till.database.sql("DROP VIEW seen", f"ALTER TABLE calls DROP COLUMN {column}")
    said = till.told("apply", plan, code=None)
    assert said.code in (0, 5)
    assert 40 == till.database.sql("SELECT count(*) FROM calls")[0][0]
    till.told("audit", "verify")
    assert 0 == sum(entry["disposed"] for entry in till.entries("outcome"))
    kind = "TIMESTAMP NULL" if column == "at" else "VARCHAR(40)"
    till.database.sql(f"ALTER TABLE calls ADD COLUMN {column} {kind}")
    till.database.sql(f"UPDATE calls SET at = '{OLD:%Y-%m-%d}', kind = 'x', note = 'y'")
    assert 40 == till.json("apply", till.plan())["counts"]["disposed"]
    till.told("audit", "verify")


def test_a_table_that_is_gone_after_the_plan_is_told_at_every_try(till):
    ruled(till)
    plan = till.plan()
    till.database.sql("DROP VIEW seen", "ALTER TABLE calls RENAME TO elsewhere")
    for _ in range(4):
        said = till.told("apply", plan, code=5)
        assert "Not reached: till: there is no table calls" in " ".join(said.out.split())
    till.database.sql("ALTER TABLE elsewhere RENAME TO calls")
    assert 40 == till.json("apply", till.plan())["counts"]["disposed"]
    till.told("audit", "verify")
