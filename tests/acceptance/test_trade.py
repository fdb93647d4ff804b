"""A database of a realistic shape, on both servers: checked, planned, carried out, verified, and nothing left to do."""

import pytest

from tests.acceptance.trade import CUSTOMERS, ORDERS, Trade


@pytest.fixture
def trade(served, tmp_path):
    return Trade(tmp_path / "trade", served)


def test_a_whole_company_is_planned_applied_and_verified(trade):
    told = trade.told("check")
    assert "GRANT" not in told.out
    assert "rows of calls" not in told.out, "nothing of calls is refused: customers stay, anonymised"
    print(trade.told("plan").out)
    plan = trade.json("plan")
    due = {rule["rule"]: rule["due"] for rule in plan["rules"]}
    assert {"calls": 1000, "orders": 4 * ORDERS // 5, "former-customers": CUSTOMERS // 8} == {
        name: count for name, count in due.items() if name != "logins"
    }
    before = trade.count("logins")
    print(trade.told("apply", plan["plan"]).out)
    (run,) = trade.json("runs")["runs"]
    assert {"disposed": sum(due.values())} == {name: count for name, count in run["counts"].items() if count}
    print(trade.told("plan").out, trade.told("audit", "verify").out)
    assert before - due["logins"] == trade.count("logins")
    assert ["rest"] == trade.parts(), "every older partition went as a whole"
    assert [0, 0, 0] == [trade.count(*asked) for asked in ORPHANS]
    assert ORDERS * 4 // 5 == trade.count("orders") == trade.count("payments")
    assert CUSTOMERS // 8 == trade.count("customers", "name = 'removed'")
    assert CUSTOMERS == trade.count("customers"), "who has orders stays"
    assert [0, 0, 0, 0] == [rule["due"] for rule in trade.json("plan")["rules"]]
    trade.told("audit", "verify")


ORPHANS = [
    ("payments", "order_id IS NULL"),
    ("calls", "customer_id IS NULL"),
    ("order_lines", "order_id NOT IN (SELECT id FROM orders)"),
]


def test_a_child_that_would_lose_its_parent_is_a_finding(trade):
    rules = (trade.folder / "policies.d" / "trade.yaml").read_text()
    (trade.folder / "policies.d" / "trade.yaml").write_text(
        rules.replace("children: [order_lines, payments]", "children: reflect")
    )
    assert "rows of payments would stay and lose their reference to orders" in trade.told("check").out
    plan = trade.json("plan")
    assert 0 == next(rule for rule in plan["rules"] if rule["rule"] == "orders")["due"]
    assert [("orders", "children", ORDERS // 5)] == [(r["rule"], r["limit"], r["value"]) for r in plan["refused"]]
