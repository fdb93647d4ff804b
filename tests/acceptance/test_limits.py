"""Limits are on by default, stop only their category, and pass by the line that they print."""

import dataclasses
import shlex

import pytest

from retentiond.app.house import House, read_clock
from retentiond.app.planning import make_plan
from tests.acceptance.shop import LETTERS, NEW, SALES
from tests.acceptance.town import ASKED


def refused(shop, *args):
    return [(r["rule"], r["limit"], r["value"], r["allowed"]) for r in shop.json("plan", *args)["refused"]]


def entered(shop, line):
    """A line as a person types it, behind `retentiond`."""
    program, *words = shlex.split(line)
    assert program == "retentiond"
    return words


def test_ten_thousand_items_are_the_most_that_is_usual(shop):
    shop.category("trade", SALES, head="limits: {share: 100%}")
    shop.sales(10_000)
    assert refused(shop, "trade") == []
    shop.sales(1, first=20_000)
    assert refused(shop, "trade") == [("sales", "items", 10_001, 10_000)]


def test_a_quarter_of_the_population_is_the_most_that_is_usual(shop):
    shop.category("trade", SALES, head="")
    shop.sales(100)
    shop.sales(300, at=NEW, first=1000)
    assert refused(shop, "trade") == []
    shop.sql("DELETE FROM sales WHERE id = 1000")
    assert refused(shop, "trade") == [("sales", "share", 26, 25)]


def test_the_share_counts_above_fifty_due_items(shop):
    shop.category("trade", SALES, head="")
    shop.sales(50)
    assert refused(shop, "trade") == []
    shop.sales(1, first=51)
    assert refused(shop, "trade") == [("sales", "share", 100, 25)]


def test_bytes_are_bounded_too(shop):
    shop.category("post", LETTERS, head="limits: {share: 100%, bytes: 1 KiB}")
    shop.file("letters/a", text=b"x" * 1024)
    assert refused(shop, "post") == []
    shop.file("letters/b", text=b"x")
    assert refused(shop, "post") == [("letters", "bytes", 1025, 1024)]


def test_a_plan_is_written_and_the_printed_line_lets_it_pass(busy):
    busy.category("trade", SALES, head="limits: {items: 3}")
    told = busy.told("plan")
    line = next(line.strip() for line in told.out.splitlines() if "--over-limits" in line)
    plan = busy.json("plans")["plans"][0]
    assert plan["refused"] == ["trade"]
    assert busy.told("apply", plan["plan"], code=3)
    assert (len(busy.left()), len(busy.ids())) == (5, 15)
    value = busy.told("--json", *entered(busy, line)).json
    assert value["counts"]["disposed"] == 10
    assert len(busy.ids()) == 5
    assert [r["allowed_by"] for r in busy.json("runs")["runs"]] == ["over-limits", "person"]
    busy.told("audit", "verify")


def test_the_line_that_a_refused_apply_prints_passes_too(busy):
    busy.category("trade", SALES, head="limits: {items: 3}")
    plan = busy.plan("trade")
    told = busy.told("apply", plan, code=3)
    line = next(line for line in (told.out + told.err).splitlines() if "--over-limits" in line)
    line = line[line.index("retentiond apply") :]
    assert busy.told("--json", *entered(busy, line)).json["counts"]["disposed"] == 10


def test_another_digest_passes_nothing(busy):
    busy.category("trade", SALES, head="limits: {items: 3}")
    plan, other = busy.plan("trade"), busy.plan("trade")
    for digest in (other, "0" * 64, plan[:11], "", plan + "0"):
        assert busy.told("apply", plan, "--over-limits", digest, code=None).code in (2, 3), digest
        assert len(busy.ids()) == 15


def test_a_category_over_its_limits_passes_by_a_plan_that_a_person_names(busy):
    busy.category("trade", SALES, head="limits: {items: 3}\napproval: none")
    told = busy.json("apply", "--category", "trade", code=3)
    plan = busy.json("plans")["plans"][0]["plan"]
    assert f"--over-limits {plan[:12]}" in told["errors"][0]["do"]
    busy.told("apply", "--category", "post", "--over-limits", plan, code=3)
    busy.category("post", LETTERS, head="approval: none")
    busy.told("apply", "--category", "post", "--over-limits", plan, code=2)
    assert len(busy.ids()) == 15
    value = busy.json("apply", "--category", "trade", "--over-limits", plan[:12])
    assert (value["plan"], value["counts"]["disposed"]) == (plan, 10)


def test_a_plan_that_is_done_but_for_what_is_refused_says_so_without_another_run(busy):
    busy.category("post", LETTERS, head="limits: {items: 5}")
    plan = busy.plan()
    assert busy.json("apply", plan, code=3)["counts"]["disposed"] == 10
    runs = busy.json("runs")["runs"]
    (error,) = busy.json("apply", plan, code=3)["errors"]
    assert (error["code"], error["what"]) == ("limit", "nothing is left to do but what is refused")
    assert plan[:12] in error["do"]
    assert busy.json("runs")["runs"] == runs
    assert [e["ground"] for e in busy.entries("plan-refused")] == ["limit", "limit"]
    assert busy.json("apply", plan, "--over-limits", plan)["counts"]["disposed"] == 10
    busy.told("audit", "verify")


def test_resuming_is_never_judged_again(shop):
    """A run that was cut short goes on, though what is left would trip the limits now."""
    shop.category("trade", SALES, head="limits: {items: 5000, share: 50%}")
    shop.sales(3000)
    shop.sales(3000, first=10_000, at=NEW)
    plan = shop.plan("trade")
    run = shop.begun("apply", plan)
    run.kill()
    run.communicate()
    shop.sql("DELETE FROM sales WHERE id > 10000")
    shop.told("apply", plan)
    assert shop.ids() == {10_000}


def test_a_shrunken_population_trips(shop):
    shop.sales(300)
    shop.sales(700, first=1000, at=NEW)
    assert refused(shop, "trade") == []
    shop.sql("DELETE FROM sales WHERE id BETWEEN 1000 AND 1600")
    assert refused(shop, "trade") == [("sales", "shrunken", 399, 500)]
    assert refused(shop, "trade") == [("sales", "shrunken", 399, 500)], "it does not get used to it"


def test_what_we_disposed_of_is_not_missed(shop):
    shop.sales(600)
    shop.sales(400, first=1000, at=NEW)
    shop.told("apply", shop.plan("trade"))
    shop.sql("UPDATE sales SET at = '2020-01-01' WHERE id < 1010")
    assert refused(shop, "trade") == []


def test_an_empty_population_trips_and_warns_when_nothing_is_due(shop):
    shop.sales(10)
    shop.plan("trade")
    shop.sql("DELETE FROM sales")
    value = shop.json("plan", "trade")
    assert value["refused"] == []
    assert any("trade/sales" in warning for warning in value["warnings"])
    assert "trade/sales" in shop.told("plan", "trade").out


def test_a_forecast_feeds_no_limit(shop):
    shop.sales(1000)
    shop.json("plan", "trade", "--at", "2040-01-01")
    shop.sql("DELETE FROM sales WHERE id > 10")
    assert refused(shop, "trade") == []


def test_ten_times_the_usual_run_trips(shop):
    for day in range(5):
        shop.sales(20, first=1 + 100 * day)
        shop.told("apply", shop.plan("trade"))
    shop.sales(200, first=10_000)
    assert refused(shop, "trade") == []
    shop.sales(1, first=20_000)
    assert refused(shop, "trade") == [("sales", "history", 201, 200)]


def test_history_never_trips_below_a_hundred_and_before_five_runs(shop):
    shop.sales(500, first=100_000, at=NEW)
    for day in range(4):
        shop.sales(1, first=1 + 100 * day)
        shop.told("apply", shop.plan("trade"))
    shop.sales(101, first=10_000)
    assert refused(shop, "trade") == []
    shop.sql("DELETE FROM sales WHERE id BETWEEN 10001 AND 99999")
    shop.told("apply", shop.plan("trade"))
    shop.sales(100, first=20_000)
    assert refused(shop, "trade") == []
    shop.sales(1, first=30_000)
    assert refused(shop, "trade") == [("sales", "history", 101, 100)]


def shifted(days):
    """A clock that somebody has set: the uptime goes on."""
    now = read_clock()
    return lambda: dataclasses.replace(now, wall=now.wall + days * 86_400_000_000)


@pytest.mark.parametrize("days", [400, -400])
def test_a_clock_that_jumped_refuses_and_cannot_be_passed(busy, days):
    before = busy.plan()
    with House(str(busy.config), clock=shifted(days)) as house:
        planned = make_plan(house)
    limits = {r.limit for r in planned.header.refused}
    assert limits == ({"clock"} if planned.header.total else set())
    for over in ([], ["--over-limits", before]):
        assert busy.json("apply", before, *over, code=3)["errors"][0]["code"] == "clock"
    value = busy.json("plan")
    assert {r["limit"] for r in value["refused"]} == {"clock"}
    busy.told("apply", value["plan"], "--over-limits", value["plan"], code=3)
    assert (len(busy.left()), len(busy.ids())) == (15, 15)
    assert busy.json("clock", code=3)["trusted"] is False
    busy.told("clock", "--accept", code=2)
    busy.told("clock", "--accept", "--yes")
    assert busy.json("clock")["trusted"] is True
    busy.told("apply", busy.plan())
    assert len(busy.left()) == 5
    busy.told("audit", "verify")


def test_a_place_that_changed_refuses_its_category_alone_and_cannot_be_passed(busy, tmp_path):
    """The same definition finds another place: the folder above became a link."""
    real = busy.folder / "desk"
    busy.settings(text=busy.config.read_text().replace("path: desk", f"path: {tmp_path}/way/desk"))
    (tmp_path / "one").mkdir()
    real.rename(tmp_path / "one/desk")
    (tmp_path / "way").symlink_to("one")
    busy.plan()
    (tmp_path / "one").rename(tmp_path / "two")
    (tmp_path / "way").unlink()
    (tmp_path / "way").symlink_to("two")
    value = busy.json("plan")
    assert [(r["category"], r["limit"]) for r in value["refused"]] == [("post", "place")]
    told = busy.json("apply", value["plan"], "--over-limits", value["plan"], code=3)
    assert told["counts"]["disposed"] == 10, "the other category goes on"
    assert len(list((tmp_path / "two/desk/letters").iterdir())) == 15
    busy.told("approve", "post", "--yes")
    busy.told("apply", busy.plan("post"))
    assert len(list((tmp_path / "two/desk/letters").iterdir())) == 5


def test_where_the_stores_were_is_read_once_for_a_plan(busy):
    busy.plan()
    asked = []
    with House(str(busy.config)) as house:
        with house.ledger.transaction() as change:
            change.connection.connection.driver_connection.set_trace_callback(asked.append)
        assert len(make_plan(house).counts) == 2
    assert sum(" ".join(statement.split()).endswith("FROM place") for statement in asked) == 1


def test_a_rule_with_nothing_due_never_trips(shop):
    shop.category("trade", SALES, head="limits: {items: 1, share: 1%, bytes: 1 KiB}")
    shop.sales(100, at=NEW)
    assert refused(shop, "trade") == []


def test_a_look_that_a_limit_refuses_again_leaves_one_plan_for_a_person(busy):
    """A look every quarter of an hour would else leave a plan of everything that is due each time."""
    busy.category("trade", SALES, head="limits: {items: 3}\napproval: none")
    (first,) = busy.json("apply", "--category", "trade", code=3)["errors"]
    for _ in range(2):
        (again,) = busy.json("apply", "--category", "trade", code=3)["errors"]
        assert again == first
    assert len(busy.entries("plan-made")) == 3, "each look is in the trail"
    (waiting,) = busy.json("plans")["plans"]
    assert [file.stem for file in (busy.folder / "state/plans").iterdir()] == [waiting["plan"]]
    busy.told(*entered(busy, first["do"].partition("retentiond")[1] + first["do"].partition("retentiond")[2]))
    assert len(busy.ids()) == 5


def test_a_backlog_that_has_shrunk_is_not_held_up_by_the_plan_that_waits(busy):
    busy.category("trade", SALES, head="limits: {items: 3}\napproval: none")
    busy.told("apply", "--category", "trade", code=3)
    busy.sql("DELETE FROM sales WHERE id > 3 AND id < 100")
    assert busy.json("apply", "--category", "trade")["counts"]["disposed"] == 3


def test_a_limit_stops_an_erasure_as_a_whole_until_a_person_has_looked(town):
    town.category("trade", SALES, head="")
    at = f"{NEW:%Y-%m-%d %H:%M:%S}"
    town.sale(*[(i, at, "7" if i % 2 else "8", "x") for i in range(100, 400)])
    before = town.ids(), town.left()
    said = town.told("erase", "customer=7", *ASKED, code=3)
    assert (town.ids(), town.left()) == before
    plan = town.entries("plan-made")[-1]["plan"]
    line = f"retentiond apply {plan[:12]} --over-limits {plan[:12]}"
    for words in ("Nothing of this erasure will be carried out", f"retentiond plan show {plan[:12]}", line):
        assert words in " ".join(said.out.split())
    assert f"retentiond plan show {plan[:12]}" in said.err
    assert line in said.err
    town.told("apply", plan, code=3)
    assert (town.ids(), town.left()) == before
    assert not town.entries("request-allowed")
    town.told("apply", plan, "--over-limits", plan)
    assert town.left() == {"tickets/8/a.txt", "tickets/8/deep/b.txt"}
    assert len(town.ids()) == 151
