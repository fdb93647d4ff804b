"""`status`: what is overdue, violated or late is said, and kept in mind until it is over; looking disturbs nobody."""

import shutil
import sqlite3
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest

from retentiond.app.house import House, read_clock
from retentiond.app.standing import standing
from retentiond.ledger.clock import Reading
from retentiond.ledger.locks import lock
from tests.acceptance.shop import LETTERS, NEW, NOW, OPEN_LIMITS

FORBIDDEN = """\
  sales:
    store: till
    select: {table: sales, where: "id > 0"}
    forbid: {unless: {event: consent, by: customer}}
    action: delete
"""
NONE = f"{OPEN_LIMITS}\napproval: none"


def of(shop, name, *args, code=0):
    """What `status` says of one category."""
    return next(c for c in shop.json("status", *args, code=code)["categories"] if c["category"] == name)


def after(shop, **passed):
    """How things stand when so much time has passed."""

    def clock():
        now, more = read_clock(), timedelta(**passed) // timedelta(microseconds=1)
        return Reading(now.wall + more, now.uptime + more, now.boot)

    with House(str(shop.config), clock=clock) as house:
        return {c.category: c for c in standing(house).categories}


@contextmanager
def ledger_held(shop):
    """Somebody is in the middle of a transaction of the ledger."""
    with closing(sqlite3.connect(shop.folder / "state" / "state.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
        yield
        other.execute("ROLLBACK")


@pytest.fixture
def free(busy):
    """The busy shop, whose letters and sales need no approval."""
    busy.category("post", LETTERS, head=NONE)
    return busy


# --- without a state


def test_without_a_state_it_says_so_and_makes_none(busy):
    told = busy.told("status")
    assert "There is no state yet" in told.out
    assert "never" in told.out
    assert not (busy.folder / "state").exists()


def test_nobody_ever_looked_is_not_well(busy):
    value = busy.json("status", "--check", code=7)
    assert [c["troubles"] for c in value["categories"]] == [["late"], ["late"]]
    assert not value["ok"]
    assert busy.told("status").code == 0, "only --check judges"


# --- what is overdue


def test_what_is_overdue_stays_so_until_it_is_gone(free):
    free.plan()
    found = of(free, "post", "--check", code=7)
    assert (10, ["overdue"]) == (found["overdue"], found["troubles"])
    assert found["oldest_overdue"].startswith(f"{NOW - timedelta(days=400):%Y-%m-%d}")
    assert "overdue: post: 10, the oldest from" in free.told("status").out
    free.told("apply", "--category", "post")
    found = of(free, "post")
    assert (0, None, []) == (found["overdue"], found["oldest_overdue"], found["troubles"])


def test_a_store_that_is_down_hides_nothing_that_is_overdue(free):
    free.plan()
    (free.folder / "desk").rename(free.folder / "away")
    free.told("apply", "--category", "post", code=5)
    found = of(free, "post", "--check", code=7)
    assert (10, "unseen") == (found["overdue"], found["last_look"]["result"])
    (free.folder / "away").rename(free.folder / "desk")
    free.told("apply", "--category", "post")
    assert of(free, "post")["overdue"] == 0


def test_an_empty_listing_hides_nothing_that_is_overdue(free):
    """A disk that is not mounted looks like a folder without files."""
    free.plan()
    shutil.move(free.folder / "desk" / "letters", free.folder / "away")
    free.told("apply", "--category", "post")
    assert of(free, "post", "--check", code=7)["overdue"] == 10


def test_what_a_limit_stops_stays_overdue_and_waits_for_a_person(free):
    free.category("post", LETTERS, head="limits: {items: 3, share: 100%, bytes: 1 GiB}\napproval: none")
    free.told("apply", "--category", "post", code=3)
    found = of(free, "post", "--check", code=7)
    assert (10, "refused", "items") == (found["overdue"], found["last_look"]["result"], found["last_look"]["code"])
    plan = found["waits_with"]
    assert f"retentiond plan show {plan[:12]}" in free.told("status").out
    free.told("apply", plan, "--over-limits", plan)
    found = of(free, "post")
    assert (0, None, "done") == (found["overdue"], found["waits_with"], found["last_look"]["result"])


def test_what_waits_for_a_review_stays_overdue_whatever_else_went(free):
    review = LETTERS.replace("letters", "reports").replace("delete", "review")
    free.category("post", LETTERS + review, head=NONE)
    free.file("reports/a.txt")
    free.told("apply", "--category", "post")
    assert of(free, "post", "--check", code=7)["overdue"] == 1


def test_a_forecast_changes_nothing(free):
    free.plan("--at", "2040-01-01")
    assert of(free, "post")["seen"] is None


# --- violations, and what is late


COPIED = """\
  letters:
    store: desk
    select: {path: "letters/**"}
    start: modified
    retention_period: 3 months
    require: {copies: {store: vault}}
    action: delete
"""
SETS = """\
  nights:
    store: desk
    select: {path: "nights/{day:%Y-%m-%d}/**"}
    start: {path: day}
    generations: {daily: 7}
    action: delete
"""


def test_what_is_broken_and_what_is_in_doubt_is_said_as_the_plan_says_it(bare):
    (bare.folder / "vault").mkdir()
    bare.settings(more="  vault: {type: files, path: vault, location: GB}")
    bare.category("post", COPIED)
    bare.category("backups", SETS)
    bare.letters(4)
    bare.file("nights/2999-01-01/a")
    bare.plan()
    said = " ".join(bare.told("status").out.split())
    assert "violation: post: 4 not as required (not copied: 4)" in said
    assert "undetermined: backups: 1 in doubt (its date is in the future)" in said
    bare.category("trade", FORBIDDEN, head=f"{OPEN_LIMITS}\nevents: {{consent: {{recorded: yes}}}}")
    bare.sales(2)
    bare.plan()
    assert "violation: trade: 2 that must not exist" in " ".join(bare.told("status").out.split())


def test_a_violation_is_one_until_a_plan_finds_none(bare):
    bare.category("trade", FORBIDDEN, NONE + "\nevents:\n  consent: {recorded: yes}")
    bare.sales(3)
    bare.told("apply", "--category", "trade")
    found = of(bare, "trade", "--check", code=7)
    assert (3, ["violation"]) == (found["violations"], found["troubles"])
    assert "violation: trade: 3 that must not exist" in bare.told("status").out
    bare.told("apply", "--category", "trade")
    assert of(bare, "trade", "--check")["violations"] == 0


def test_a_category_is_late_when_nothing_effective_came_for_three_of_its_periods(free):
    free.category("trade", LETTERS.replace("letters/**", "none/**"), head=NONE)
    free.told("apply", "--category", "post")
    assert not any(c.late for c in after(free, hours=71).values())
    late = after(free, hours=73)
    assert (True, True) == (late["post"].late, late["trade"].late), "one that was never looked at is late from when it was seen"


def test_the_configuration_says_how_many_periods_may_pass(free):
    free.settings(text=free.config.read_text() + "silence: 5\n")
    free.told("apply", "--category", "post")
    assert not after(free, hours=73)["post"].late
    assert after(free, hours=121)["post"].late


def test_the_next_look_is_that_of_the_schedule(free):
    free.told("apply", "--category", "post")
    found = of(free, "post")
    assert found["last_look"]["began"] < found["next_look"]
    assert found["next_look"].endswith("T02:00:00Z")


# --- what waits for people


def test_approval_is_said_as_it_stands(busy):
    busy.plan()
    assert of(busy, "post")["approval"] == "never"
    busy.told("approve", "post", "--yes")
    assert of(busy, "post")["approval"] == "approved"
    busy.category("post", LETTERS.replace("3 months", "2 days"))
    assert of(busy, "post")["approval"] == "changed"
    busy.category("post", LETTERS.replace("3 months", "2 years"))
    assert of(busy, "post")["approval"] == "approved", "what makes fewer items due needs no other"
    busy.told("approve", "post", "--revoke")
    assert of(busy, "post")["approval"] == "revoked"
    assert "not approved any more: post" in busy.told("status").out


def test_holds_whose_day_has_come_are_counted_and_not_named(free):
    place = ("--reason", "a claim", "--mandate", "Art. 17", "--path", "letters/00001.txt", "--review-on")
    free.told("hold", "place", "SMITH-1", *place, f"{NOW - timedelta(days=1):%Y-%m-%d}")
    free.told("hold", "place", "SMITH-2", *place, f"{NOW + timedelta(days=9):%Y-%m-%d}")
    assert free.json("status")["holds"] == {"active": 2, "to_review": 1}
    told = free.told("status").out
    assert "Holds in force: 2, 1 of them to be looked at again" in told
    assert "SMITH" not in told
    free.told("apply", "--category", "post")
    assert of(free, "post")["held"] == 1


# --- the house itself


def test_it_says_who_is_at_work_and_what_stands_in_the_way(free):
    free.plan()
    state = free.folder / "state"
    (state / "stop").touch()
    value = free.json("status")
    assert (False, False, True) == (value["daemon"], value["running"], value["stop_file"])
    with lock(state / "daemon.lock", "a trial"), lock(state / "execute.lock", "a trial"):
        value = free.json("status")
        told = free.told("status").out
    assert (True, True) == (value["daemon"], value["running"])
    assert "The daemon is running" in told
    assert "The stop file is there" in told


def test_a_clock_that_jumped_is_said(free):
    free.plan()
    day = 86_400_000_000

    def ahead():
        now = read_clock()
        return Reading(now.wall + day, now.uptime, now.boot)

    with House(str(free.config), clock=ahead) as house:
        assert standing(house).clock_step == pytest.approx(day, rel=0.01)
    assert free.json("status")["clock"] == {"trusted": True, "step_seconds": 0}, "looking remembers nothing"


def test_the_audit_log_is_measured(free):
    free.told("apply", "--category", "post")
    audit = free.json("status")["audit"]
    assert audit["entries"] == audit["published"] == len(free.entries())
    assert audit["bytes"] == (free.folder / "state" / "log" / "audit.jsonl").stat().st_size
    assert audit["published_at"] > f"{NOW:%Y-%m-%d}"


def test_looking_waits_for_no_transaction_and_changes_nothing(free):
    free.plan()
    before = {p: p.read_bytes() for p in (free.folder / "state").rglob("*") if p.is_file()}
    with ledger_held(free):
        assert of(free, "post")["overdue"] == 10
    free.told("status", "--check", code=7)
    assert {p: p.read_bytes() for p in (free.folder / "state").rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("damage", [b"no database at all" * 100, b""])
def test_a_state_that_cannot_be_read_is_an_error(free, damage):
    free.plan()
    (free.folder / "state" / "state.db").write_bytes(damage)
    (error,) = free.json("status", "--check", code=5)["errors"]
    assert error["code"] == "state"


def test_a_state_of_an_earlier_version_wants_one_command_that_writes(free):
    free.plan()
    with closing(sqlite3.connect(free.folder / "state" / "state.db")) as db, db:
        db.executescript("DROP TABLE counted; DROP TABLE lease; DROP TABLE request; DROP TABLE alembic_version")
        db.executescript(
            "DROP INDEX ix_batch_request; ALTER TABLE batch DROP COLUMN request; ALTER TABLE batch DROP COLUMN starts;"
            "DROP TABLE inspected; DROP TABLE copied; DROP TABLE legal_hold"
        )
        db.execute("UPDATE meta SET value = '1' WHERE key = 'schema'")
    (error,) = free.json("status", code=5)["errors"]
    assert (error["code"], error["do"]) == ("state", "retentiond plan")
    free.plan()
    assert of(free, "post")["overdue"] == 10


def test_it_stays_within_80_columns_and_names_nobody(free):
    free.category("a-rather-long-name-of-a-category-that-somebody-chose", LETTERS.replace("letters/**", "none/**"), head=NONE)
    free.file("letters/mrs-smith.txt", NEW)
    free.plan()
    told = free.told("status").out
    assert max(map(len, told.splitlines())) <= 80
    assert "smith" not in told
    assert "letters/" not in told


# --- metrics of one-shot runs


@pytest.mark.parametrize(
    ("command", "code"),
    [(["apply", "--category", "post"], 0), (["apply", "--category", "trade"], 3), (["status", "--check"], 7)],
)
def test_metrics_are_written_however_the_command_ended(free, command, code):
    file = free.folder / "retentiond.prom"
    free.told(*command, "--metrics", str(file), code=code)
    assert 'retentiond_late{category="post"}' in file.read_text()


def test_metrics_tell_of_the_run_that_wrote_them(free):
    file = free.folder / "retentiond.prom"
    plan = free.plan("post")
    free.told("apply", plan, "--metrics", str(file))
    assert 'retentiond_outcomes_total{category="post",outcome="disposed"} 10.0' in file.read_text()
    assert "retentiond_run_active 0.0" in file.read_text()


def test_metrics_that_cannot_be_written_are_refused_before_anything_goes(free):
    for file in ("nowhere/retentiond.prom", "desk"):
        (error,) = free.json("apply", "--category", "post", "--metrics", str(free.folder / file), code=2)["errors"]
        assert "--metrics" in error["what"]
    assert len(free.left()) == 15
    free.told("status", "--metrics", str(free.folder / "nowhere" / "retentiond.prom"), code=2)


def test_what_a_plan_could_not_see_is_not_called_nothing_due_when_a_person_carries_it_out(busy):
    (busy.folder / "desk").rename(busy.folder / "away")
    value = busy.json("plan", code=5)
    busy.told("apply", value["plan"])
    found = {one["category"]: one["last_look"]["result"] for one in busy.json("status")["categories"]}
    assert found == {"post": "unseen", "trade": "done"}
