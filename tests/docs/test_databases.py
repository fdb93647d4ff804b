"""docs/databases.md: the privileges that it names are enough to plan and to act, and no more than that, on both servers."""

import json
import os
import re
import textwrap
from dataclasses import replace

import pytest

from retentiond.app.house import House, read_clock
from retentiond.errors import StoreDenied
from retentiond.stores.sql import SqlType
from retentiond.stores.sql.address import _OPTIONS
from tests.acceptance.shop import NEW, OLD, Shop
from tests.docs.test_readme import ROOT
from tests.stores.tables import scope

PAGE = (ROOT / "docs" / "databases.md").read_text(encoding="utf-8")
GRANTS = dict(re.findall(r"<!-- grants: ([a-z ]+) -->\n\n```sql\n(.*?)```", PAGE, re.DOTALL))
NOT_ALLOWED = (
    "DELETE FROM notes",
    "DELETE FROM callers",
    "UPDATE calls SET secret = 'y'",
    "UPDATE callers SET at = NULL",
    "INSERT INTO calls (id) VALUES (99)",
    "SELECT * FROM others",
    "DROP TABLE calls",
)
RULES = """\
  calls:
    store: till
    select: {table: calls, where: "kind <> 'kept'"}
    start: {column: at}
    retention_period: 3 months
    action: delete
  callers:
    store: till
    select: {table: callers, everything: "yes, every item in callers"}
    start: {column: at}
    retention_period: 3 months
    action: {anonymise: {caller: {mask: 2}}}
"""


@pytest.fixture
def pbx(served, tmp_path):
    """A shop whose till is on a server: old and new calls, one of them with a note, and who called."""
    served.sql(
        "CREATE TABLE calls (id INT PRIMARY KEY, at TIMESTAMP NULL, kind VARCHAR(20), secret VARCHAR(20))",
        "CREATE TABLE notes (id INT PRIMARY KEY, call_id INT, FOREIGN KEY (call_id) REFERENCES calls (id) ON DELETE CASCADE)",
        "CREATE INDEX of_call ON notes (call_id)",
        "CREATE TABLE callers (id INT PRIMARY KEY, at TIMESTAMP NULL, caller VARCHAR(20))",
        "CREATE TABLE others (id INT PRIMARY KEY, at TIMESTAMP NULL)",
    )
    times = [f"{OLD if n <= 40 else NEW:%Y-%m-%d %H:%M:%S}" for n in range(1, 61)]
    served.many(
        "INSERT INTO calls VALUES (%s, %s, %s, 'x')", [(n, at, "kept" if n == 1 else "in") for n, at in enumerate(times, 1)]
    )
    served.many("INSERT INTO callers VALUES (%s, %s, %s)", [(n, at, f"+44{n:08}") for n, at in enumerate(times, 1)])
    served.sql("INSERT INTO notes VALUES (1, 2)")
    yield Pbx(served, tmp_path)
    for user in map(named, ("looker", "actor")):
        if served.kind == "postgres" and served.sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{user}'"):
            served.sql(f"DROP OWNED BY {user}", f"DROP ROLE {user}")
        elif served.kind == "mariadb":
            served.sql(f"DROP USER IF EXISTS {user}")


def named(user):
    """An account of this process: those of others are on the same server."""
    return f"{user}_{os.getpid()}"


class Pbx(Shop):
    """The shop, with accounts."""

    def __init__(self, database, folder):
        super().__init__(folder / "shop")
        self.database = database
        self.category("trade", RULES)

    def let_in(self, user, kind):
        text = GRANTS[f"{self.database.kind} {kind}"].replace("pbx.", f"{self.database.name}.").replace(user, named(user))
        self.database.sql(*filter(str.strip, text.split(";")))
        self.settings(text=self.configuration(user))

    def configuration(self, user):
        return textwrap.dedent(f"""\
            organisation: Corner Shop Ltd
            timezone: UTC
            state: state
            policies: policies.d
            stores:
              till: {{type: sql, url: "{self.database.as_user(named(user))}", zone: UTC, location: GB}}
            audit: {{origin: audit.example.org/shop}}
            """)

    def rows(self, table="calls"):
        return self.database.sql(f"SELECT * FROM {table} ORDER BY id")


def test_an_account_that_looks_plans_and_cannot_act(pbx):
    pbx.let_in("looker", "looking")
    if pbx.database.kind == "postgres":
        pbx.database.sql(f"GRANT SELECT ON callers TO {named('looker')}")
    else:
        pbx.database.sql(f"GRANT SELECT ON {pbx.database.name}.callers TO {named('looker')}")
    before = pbx.rows(), pbx.rows("notes"), pbx.rows("callers")
    pbx.told("check")
    plan = pbx.json("plan")
    counts = {rule["rule"]: (rule["scanned"], rule["due"]) for rule in plan["rules"]}
    assert {"calls": (59, 38), "callers": (60, 40)} == counts
    pbx.told("apply", plan["plan"], code=None)
    assert before == (pbx.rows(), pbx.rows("notes"), pbx.rows("callers"))


def test_an_account_that_acts_carries_out_what_was_planned_and_the_trail_verifies(pbx):
    pbx.let_in("actor", "acting")
    plan = pbx.json("plan")["plan"]
    counts = pbx.json("apply", plan)["counts"]
    assert {"disposed": 78} == {name: count for name, count in counts.items() if count}
    assert [1, 2, *range(41, 61)] == [row[0] for row in pbx.rows()]
    assert [(1, 2)] == pbx.rows("notes")
    assert {"+4*********"} == {row[2] for row in pbx.rows("callers")[:40]}
    pbx.told("audit", "verify")
    again = pbx.json("plan")
    assert [0, 0] == [rule["due"] for rule in again["rules"]]


def texts(value):
    """Every text in a JSON answer."""
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(inner)


def grants(pbx):
    """The statements that `check` would have somebody run, whether it could look at everything or not."""
    found = re.findall(r"GRANT .*", "\n".join(texts(json.loads(pbx.told("--json", "check", code=None).out))))
    return sorted({grant for line in found for grant in line.split("; ")})


def test_check_names_the_grants_that_are_missing_and_no_more(pbx):
    pbx.let_in("looker", "looking")
    if pbx.database.kind == "mariadb":  # there, what an account may not read is not there
        pbx.database.sql(f"GRANT SELECT ON {pbx.database.name}.callers TO {named('looker')}")
    missing = grants(pbx)
    assert 2 == len(missing), missing
    pbx.database.sql(*missing)
    assert [] == grants(pbx)
    assert 78 == pbx.json("apply", pbx.json("plan")["plan"])["counts"]["disposed"]
    refuses("looker", pbx)


def test_check_says_what_an_account_of_mariadb_cannot_see_once_for_each_rule(pbx):
    pbx.let_in("actor", "acting")
    told = list(texts(json.loads(pbx.told("--json", "check").out)))
    unseen = [text for text in told if "foreign keys of tables" in text]
    hidden = [text for text in told if text.startswith("triggers of")]
    if pbx.database.kind == "postgres":
        assert [] == unseen == hidden
        return
    assert 2 == len(unseen)
    assert ["triggers of callers are not known", "triggers of calls are not known"] == sorted(t.partition(",")[0] for t in hidden)
    pbx.database.sql(f"GRANT TRIGGER ON {pbx.database.name}.* TO {named('actor')}")
    assert not [t for t in texts(json.loads(pbx.told("--json", "check").out)) if t.startswith("triggers of")]


def test_an_account_that_acts_may_do_nothing_else(pbx):
    pbx.let_in("actor", "acting")
    assert [] == grants(pbx)
    refuses("actor", pbx)
    assert 60 == len(pbx.rows()) == len(pbx.rows("callers"))


def refuses(user, pbx):
    """What a rule does not need, the account cannot do."""
    store = SqlType().act({"url": pbx.database.as_user(named(user))})
    try:
        for statement in NOT_ALLOWED:
            with pytest.raises(StoreDenied), store.database.write():
                store.database.con.cursor().execute(statement)
        with pytest.raises(StoreDenied):
            list(store.scan(scope("others")))
    finally:
        store.close()


@pytest.mark.parametrize("minutes", [-2, 2])
def test_a_server_whose_clock_is_another_is_refused(pbx, minutes):
    pbx.let_in("actor", "acting")
    there = read_clock()
    ours = replace(there, wall=there.wall + minutes * 60_000_000)
    with House(str(pbx.config), clock=lambda: ours) as house:
        for open_ in (house.view, house.store):
            with pytest.raises(StoreDenied, match="clock of the store till"):
                open_("till")


def test_the_page_names_every_option_of_an_address():
    told = set(re.findall(r"`([a-z_]+)`", PAGE))
    assert not {option for options in _OPTIONS.values() for option in options} - told
