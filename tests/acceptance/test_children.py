"""Rows that go with others, as a person meets them: what a plan shows, what limits count, what becomes of a family."""

import json
import signal
import subprocess
import sys

import pytest

from tests.acceptance.shop import OLD
from tests.world import CHILD

SALES = """\
  sales:
    store: till
    select: {{table: sales, where: "id > 0", children: {children}}}
    start: {{column: at}}
    retention_period: 3 months
    action: delete
    subject: {{email: email}}
"""
OPEN = "limits: {items: 100000, share: 100%}"


@pytest.fixture
def till(busy):
    """Ten old sales, of which the first three have two items each, and the first item a label; a new sale has one, too."""
    busy.sql("CREATE TABLE items(id INTEGER PRIMARY KEY, sale REFERENCES sales(id), text TEXT)")
    busy.sql("CREATE TABLE labels(id INTEGER PRIMARY KEY, item REFERENCES items(id) ON DELETE CASCADE)")
    for sale in (1, 2, 3):
        busy.sql("INSERT INTO items(id, sale) VALUES(?, ?), (?, ?)", 10 * sale, sale, 10 * sale + 1, sale)
    busy.sql("INSERT INTO items(id, sale) VALUES(1000, 100)")
    busy.sql("INSERT INTO labels VALUES(1, 10)")
    busy.category("trade", SALES.format(children="reflect"), OPEN)
    return busy


def rows(shop):
    return {table: {row[0] for row in shop.sql(f"SELECT id FROM {table}")} for table in ("sales", "items", "labels")}


def lines(shop, plan):
    steps = [json.loads(line) for line in shop.lines(plan)[1:]]
    return [step for step in steps if "action" in step]


def test_a_plan_names_each_row_of_a_family_children_first(till):
    value = till.json("plan", "trade")
    counts = value["rules"][0]
    assert (17, 7, 22, []) == (counts["due"], counts["children"], counts["scanned"], value["refused"])
    steps = lines(till, value["plan"])
    parents = {step["key"]: step["parent"] for step in steps if "parent" in step}
    assert {"labels/1": "items/10", "items/10": "sales/1", "items/21": "sales/2"}.items() <= parents.items()
    order = [step["key"] for step in steps]
    assert all(order.index(child) < order.index(parent) for child, parent in parents.items())
    assert len(set(order)) == len(order) == 17
    assert "7 go with other rows" in till.told("plan", "trade").out


def test_families_are_carried_out_and_leave_evidence_of_every_row(till):
    done = till.json("apply", till.plan("trade"))
    assert 17 == done["counts"]["disposed"]
    assert {"sales": {*range(100, 105)}, "items": {1000}, "labels": set()} == rows(till)
    till.told("audit", "verify")
    for key in ("sales/1", "items/10", "labels/1"):
        till.told("audit", "lookup", "till", key)
    till.told("audit", "lookup", "till", "items/1000", code=1)
    assert 0 == till.rule("sales", "trade")["due"]


def test_limits_count_the_whole_family(till):
    till.category("trade", SALES.format(children="reflect"), "limits: {items: 16, share: 100%}")
    value = till.json("plan", "trade")
    assert [("items", 17, 16)] == [(r["limit"], r["value"], r["allowed"]) for r in value["refused"]]
    till.told("apply", value["plan"], code=3)
    assert 15 == len(rows(till)["sales"])


def test_a_family_that_may_not_go_is_refused_with_its_count(till):
    till.category("trade", SALES.format(children="[items]"), OPEN)
    value = till.json("plan", "trade")
    assert [("children", 1)] == [(r["limit"], r["value"]) for r in value["refused"]]
    assert "see `children`" in till.json("explain", "till", "sales/1")["rules"][0]["reason"]
    till.told("apply", value["plan"])
    assert {1, *range(100, 105)} == rows(till)["sales"]
    assert {10, 11, 1000} == rows(till)["items"]


def test_a_table_with_a_rule_of_its_own_is_not_taken_along(till):
    mine = SALES.format(children="reflect") + SALES.format(children="forbid").replace("sales", "labels").replace(
        "{column: at}", "{column: id, unit: s}"
    ).replace("    subject: {email: email}\n", "")
    till.category("trade", mine, OPEN)
    value = till.json("plan", "trade")
    assert [("children", 1)] == [(r["limit"], r["value"]) for r in value["refused"]]


@pytest.mark.parametrize(
    "how",
    [
        ("--path", "items/10"),
        ("--store", "till", "--where", "text = 'legal'"),
        ("--path", "labels"),
        ("--subject", "email=c1@example.org"),
    ],
)
def test_a_hold_on_a_row_of_a_family_keeps_it_whole(till, how):
    till.sql("UPDATE items SET text = CASE id WHEN 10 THEN 'legal' ELSE '' END")
    till.sql("ALTER TABLE sales ADD COLUMN text TEXT DEFAULT ''")
    plan = till.plan("trade")
    till.told("hold", "place", "H-1", "--reason", "a dispute", "--mandate", "court", *how)
    assert 13 == till.rule("sales", "trade")["due"]
    counts = till.json("apply", plan)["counts"]
    assert (4, 13) == (counts["held"], counts["disposed"])
    assert {1, *range(100, 105)} == rows(till)["sales"]


def test_a_withdrawn_event_keeps_the_whole_family(till):
    till.sql("CREATE TABLE closed(sale TEXT, at TEXT)")
    till.sql("INSERT INTO closed SELECT id, '2020-01-01' FROM sales")
    till.sql("DELETE FROM sales WHERE id >= 100 AND id <> 100")
    events = "events: {closed: {store: till, query: 'SELECT sale AS subject, at FROM closed', settle: 1 hour}}"
    rule = SALES.format(children="reflect").replace("{column: at}", "{event: closed, by: id}")
    till.category("trade", rule, f"{OPEN}\n{events}")
    plan = till.plan("trade")
    till.sql("DELETE FROM closed WHERE sale = '1'")
    counts = till.json("apply", plan)["counts"]
    assert (4, 15) == (counts["changed"], counts["disposed"])
    assert {"sales": {1}, "items": {10, 11}, "labels": {1}} == rows(till)


@pytest.mark.parametrize(
    ("arrow", "first"), [("intent-committed", 0), ("destroyed", 0), ("settled", 17), ("outcome-committed", 17)]
)
def test_a_run_that_is_killed_has_let_go_of_whole_families_and_goes_on(till, arrow, first):
    plan = till.plan("trade")
    command = [sys.executable, str(CHILD), arrow, "1", "--", "--config", str(till.config), "apply", plan]
    assert -signal.SIGKILL == subprocess.run(command, capture_output=True, check=False).returncode
    assert 23 - first == sum(map(len, rows(till).values()))
    till.told("apply", plan, code=None)
    till.told("apply", till.plan("trade"), code=None)
    assert {"sales": {*range(100, 105)}, "items": {1000}, "labels": set()} == rows(till)
    till.told("audit", "verify")
    till.told("audit", "lookup", "till", "labels/1")


def test_check_says_which_rows_go_along_and_which_keep_others(till):
    said = till.told("check").out
    assert "rows of items go with the rows of sales" in said
    assert "rows of labels go with the rows of items" in said
    till.category("trade", SALES.format(children="[items]"), OPEN)
    assert "rows of labels keep the rows of items" in till.told("check").out


def test_what_joined_a_family_since_the_plan_keeps_it(till):
    plan = till.plan("trade")
    till.sql("INSERT INTO labels VALUES(2, 21)")
    counts = till.json("apply", plan)["counts"]
    assert (3, 14) == (counts["changed"], counts["disposed"])
    assert {2, *range(100, 105)} == rows(till)["sales"]


def test_more_families_than_a_batch_takes_are_never_cut(till):
    till.sql("DELETE FROM labels")
    till.sales(600, first=200, at=OLD)
    till.sql("INSERT INTO items(sale) SELECT id FROM sales WHERE id >= 200 UNION ALL SELECT id FROM sales WHERE id >= 200")
    counts = till.json("apply", till.plan("trade"))["counts"]
    assert 600 * 3 + 16 == counts["disposed"]
    assert {"sales": {*range(100, 105)}, "items": {1000}, "labels": set()} == rows(till)
    till.told("audit", "verify")


@pytest.mark.parametrize("other", ["action: review", "generations: {last: 1}"])
def test_children_go_only_with_rows_that_are_deleted(till, other):
    rule = SALES.format(children="reflect")
    rule = rule.replace("action: delete", other) if "review" in other else rule.replace("retention_period: 3 months", other)
    till.category("trade", rule, OPEN)
    told = till.told("check", code=2)
    assert "'children' does not go with" in told.out + told.err
