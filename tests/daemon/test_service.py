"""The daemon does what is due and allowed, takes or refuses a new rulebook, pauses, and ends with its outcome recorded."""

import json
import os
import signal
from contextlib import ExitStack
from dataclasses import replace

import pytest

from retentiond.app.enforcing import enforce
from retentiond.app.house import House, read_clock
from retentiond.daemon.log import EVENTS
from retentiond.errors import NotApproved, PlanUnusable
from retentiond.ledger.locks import lock
from tests.acceptance.shop import LETTERS
from tests.daemon.conftest import NOTES, SOON

MISSING = LETTERS.replace("modified", "modifed")


def looks(office):
    names = ("category", "result", "plan", "code", "outcomes", "found")
    rows = office.ledger(f"SELECT {', '.join(names)} FROM look")
    return {row[0]: dict(zip(names[1:], row[1:], strict=True)) for row in rows}


def verified(office):
    assert office.json("audit", "verify")["ok"]


def test_what_is_due_and_allowed_goes_and_the_evidence_says_so_without_a_name(office):
    office.file("letters/canary-4711.txt")
    with office.daemon("--verbose") as daemon:
        assert daemon.ended("post", result="done")["counts"] == {"disposed": 11}
        assert daemon.end() == 0
    assert len(office.left()) == 5
    types = [entry["type"] for entry in office.entries()]
    assert types.index("daemon-started") < types.index("plan-made") < types.index("certificate") < types.index("daemon-stopped")
    assert [entry["by"] for entry in office.entries("plan-allowed")] == ["approval"]
    assert looks(office)["post"]["result"] == "done"
    verified(office)
    assert set(daemon.events()) <= EVENTS.keys()
    assert daemon.words == []
    assert "canary" not in json.dumps(daemon.said)


def test_apply_category_makes_the_same_look(office):
    office.told("apply", "--category", "post")
    by_hand = looks(office)["post"]
    assert (by_hand["result"], json.loads(by_hand["outcomes"]), json.loads(by_hand["found"])["due"]) == (
        "done",
        {"disposed": 10},
        10,
    )
    office.told("apply", "--category", "post")
    assert looks(office)["post"]["result"] == "nothing"
    office.letters(1, first=500)
    office.told("apply", office.plan("post"))
    assert json.loads(looks(office)["post"]["outcomes"]) == {"disposed": 1}


def test_the_command_line_works_beside_it_and_a_look_that_finds_nothing_begins_no_run(office):
    office.post(schedule=SOON)
    with office.daemon() as daemon:
        daemon.ended("post", result="done")
        daemon.ended("post", result="nothing")
        office.told("hold", "place", "H-1", "--reason", "r", "--mandate", "m", "--category", "post")
        office.letters(3, first=200)
        assert office.rule("letters", "post")["held"] == 3
        office.told("hold", "release", "H-1", "--reason", "over")
        daemon.ended("post", result="done", counts={"disposed": 3})
        assert daemon.end() == 0
    assert len(office.entries("plan-allowed")) == 2
    verified(office)


def test_a_log_in_which_nothing_was_written_for_a_day_gets_a_heartbeat(office):
    office.told("clock")
    now, day = read_clock(), 24 * 3_600_000_000
    for gone, beats in ((day - 60_000_000, []), (day + 60_000_000, [True, False])):
        later = replace(now, wall=now.wall + gone, uptime=now.uptime + gone)
        with House(str(office.config), clock=lambda later=later: later) as house:
            assert [house.ledger.beat() for _ in beats or [False]] == (beats or [False])


def test_what_nobody_approved_stays_until_somebody_does(office):
    office.post(schedule=SOON, approval="first")
    with office.daemon() as daemon:
        plan = daemon.ended("post", result="unapproved")["plan"]
        assert daemon.ended("post", result="unapproved")["plan"] == plan
        assert len(office.left()) == 15
        office.told("approve", "post", "--yes")
        daemon.ended("post", result="done")
        assert daemon.end() == 0
    assert len(office.left()) == 5


def enforced(office, *, watch=lambda _what, _items: None, progress=lambda _done, _total: None, clock=read_clock):
    with House(str(office.config), clock=clock) as house:
        return enforce(house, ["post"], stop=lambda: None, watch=watch, progress=progress).applied


@pytest.fixture
def approved(office):
    office.post(approval="first")
    office.told("approve", "post", "--yes")
    return office


def test_an_approval_that_is_taken_back_while_a_plan_is_made_lets_nothing_go(approved):
    with pytest.raises(NotApproved, match="not approved as it stands"):
        enforced(approved, watch=lambda _what, _items: approved.told("approve", "post", "--revoke"))
    assert len(approved.left()) == 15
    assert looks(approved)["post"]["result"] == "unapproved"
    assert approved.entries("plan-allowed") == []


def test_an_approval_that_is_taken_back_in_the_middle_of_a_run_ends_it_after_the_batch_in_hand(approved):
    approved.letters(3500, first=1000)
    applied = enforced(approved, progress=lambda done, _total: done and approved.told("approve", "post", "--revoke"))
    assert applied.stopped == "an approval was revoked"
    assert 3515 - len(approved.left()) == applied.counts["disposed"] == 2000
    assert looks(approved)["post"]["result"] == "stopped"
    verified(approved)


def test_an_approval_that_is_taken_back_while_a_run_waits_for_somebody_lets_nothing_go(approved):
    approved.post(schedule=SOON, approval="first")
    with ExitStack() as work:
        work.enter_context(lock(approved.folder / "state" / "execute.lock", "a person"))
        with approved.daemon() as daemon:
            daemon.says("run-waiting", category="post")
            approved.told("approve", "post", "--revoke")
            work.close()
            daemon.ended("post", result="unapproved")
            assert daemon.end() == 0
    assert len(approved.left()) == 15


def test_a_plan_that_waited_for_longer_than_its_day_is_not_carried_out(approved):
    """Since it was made, `hours` have passed by every clock."""
    hours = 0

    def clock():
        passed, now = hours * 3_600_000_000, read_clock()
        return replace(now, wall=now.wall + passed, uptime=now.uptime + passed)

    def wait(_what, _items):
        nonlocal hours
        hours = 25

    with pytest.raises(PlanUnusable, match="expired"):
        enforced(approved, watch=wait, clock=clock)
    assert len(approved.left()) == 15


def test_a_run_says_that_it_disposes_before_its_first_batch_ends(approved):
    """A daemon that ends lets a batch in hand go on for longer than a look."""
    told = []
    enforced(approved, progress=lambda done, _total: told.append((done, len(approved.left()))))
    assert told == [(0, 15), (10, 5)]


def test_always_writes_one_plan_for_each_rulebook_and_waits_for_a_person(office):
    office.post(schedule=SOON, approval="always")
    with office.daemon() as daemon:
        first = daemon.ended("post", result="unapproved")["plan"]
        assert daemon.ended("post", result="unapproved")["plan"] == first
        assert len(office.entries("plan-made")) == 1
        office.post(schedule=SOON, approval="always", rules=LETTERS.replace("3 months", "4 months"))
        daemon.reload()
        daemon.says("reloaded")
        daemon.says("run-started", category="post")
        second = daemon.ended("post", result="unapproved")["plan"]
        assert second != first
        assert office.json("apply", second)["counts"]["disposed"] == 10
        daemon.ended("post", result="nothing")
        assert daemon.end() == 0
    assert {entry["by"] for entry in office.entries("plan-allowed")} == {"person"}


def test_a_limit_stops_its_category_and_no_other(office):
    office.post(limits="limits: {items: 9}")
    office.memos()
    office.note("1.txt")
    with office.daemon() as daemon:
        ends = [daemon.says("run-ended") for _ in range(2)]
        assert {(end["category"], end["result"], end.get("code")) for end in ends} == {
            ("post", "refused", "items"),
            ("memos", "done", None),
        }
        assert daemon.end() == 0
    assert (len(office.left()), office.left("drawer")) == (15, set())


def test_a_store_that_is_down_for_days_stops_nobody_else_and_its_backlog_goes_when_it_is_back(office):
    office.post(schedule=SOON)
    office.memos(schedule=SOON)
    (office.folder / "desk").rename(office.folder / "away")
    office.note("1.txt")
    with office.daemon() as daemon:
        daemon.ended("post", result="unseen", code="store-unavailable")
        office.note("2.txt")
        daemon.ended("memos", result="done")
        (office.folder / "away").rename(office.folder / "desk")
        daemon.ended("post", result="done", counts={"disposed": 10})
        assert daemon.end() == 0
    verified(office)


def test_the_stop_file_pauses_everything_and_is_said_once(office):
    stop = office.folder / "state" / "stop"
    office.told("clock")
    stop.touch()
    with office.daemon() as daemon:
        daemon.says("paused")
        office.told("hold", "place", "H-1", "--reason", "r", "--mandate", "m", "--store", "desk", "--path", "letters/00000.txt")
        daemon.reload()
        daemon.says("reloaded")
        assert "run-started" not in daemon.events()
        stop.unlink()
        daemon.says("resumed")
        daemon.ended("post", result="done", counts={"disposed": 9})
        assert daemon.end() == 0
    assert daemon.events().count("paused") == 1


def test_a_second_daemon_says_who_runs_and_a_port_in_use_is_said_before_anything_runs(office):
    with office.daemon("--listen", "127.0.0.1:0") as daemon:
        port = daemon.says("daemon-started")["listen"].rpartition(":")[2]
        with office.daemon() as second:
            assert second.wait() == 5
        assert f"process {daemon.pid}" in second.words[0]
        other = type(office)(office.folder.parent / "other")
        other.letters(3)
        with other.daemon("--listen", f"127.0.0.1:{port}") as third:
            assert third.wait() == 5
        assert port in third.words[0]
        assert len(other.left()) == 3
        assert daemon.end() == 0


def test_a_broken_configuration_at_the_start_ends_it_with_every_problem(office):
    office.post(rules=MISSING)
    with office.daemon() as daemon:
        assert daemon.wait() == 2
    assert "policies.d/post.yaml:" in daemon.words[0]


def test_a_reload_takes_the_whole_new_rulebook_or_says_where_it_is_broken_and_keeps_the_old_one(office):
    office.post(schedule=SOON)
    with office.daemon() as daemon:
        daemon.ended("post", result="done")
        office.post(schedule=SOON, rules=MISSING)
        office.category("memos", NOTES.replace("3 months", "0 months"))
        daemon.reload()
        problem = daemon.says("problem", file="policies.d/post.yaml")
        assert problem["line"] > 1
        assert problem["column"] > 1
        assert daemon.says("reload-refused")["problems"] == 2
        office.letters(2, first=200)
        daemon.ended("post", result="done", counts={"disposed": 2})
        office.post()
        office.memos()
        office.note("1.txt")
        good = office.config.read_text()
        office.settings(text=good.replace("state: state", "state: other"))
        daemon.reload()
        daemon.says("problem", what="another state, or another audit log")
        daemon.says("reload-refused")
        office.settings(text=good)
        daemon.reload()
        daemon.says("reloaded", categories=2)
        daemon.ended("memos", result="done")
        assert daemon.end() == 0
    assert not (office.folder / "other").exists()


@pytest.mark.parametrize("change", ["another period", "gone"])
def test_a_run_that_began_by_rules_that_change_ends_and_begins_anew(office, change):
    office.told("clock")
    office.memos(schedule="daily at 02:00")
    with ExitStack() as work:
        work.enter_context(lock(office.folder / "state" / "execute.lock", "a person"))
        with office.daemon() as daemon:
            daemon.says("run-waiting", category="post")
            if change == "gone":
                (office.folder / "policies.d" / "post.yaml").unlink()
            else:
                office.post(rules=LETTERS.replace("3 months", "9 years"))
            daemon.reload()
            daemon.ended("post", result="stopped")
            if change != "gone":
                daemon.ended("post", result="nothing")
            work.close()
            assert daemon.end() == 0
    assert len(office.left()) == 15


def test_a_reload_that_does_not_concern_a_run_lets_it_go_on(office):
    office.told("clock")
    with ExitStack() as work:
        work.enter_context(lock(office.folder / "state" / "execute.lock", "a person"))
        with office.daemon() as daemon:
            daemon.says("run-waiting", category="post")
            office.memos(schedule="daily at 02:00")
            daemon.reload()
            daemon.says("reloaded", categories=2)
            work.close()
            daemon.ended("post", result="done")
            assert daemon.end() == 0
    assert "stopped" not in {line.get("result") for line in daemon.said}


def test_a_category_that_goes_while_its_plan_waits_is_said_and_forgotten(office):
    office.memos()
    office.post(approval="always")
    with office.daemon() as daemon:
        plan = daemon.ended("post", result="unapproved")["plan"]
        (office.folder / "policies.d" / "post.yaml").unlink()
        daemon.reload()
        assert daemon.says("category-removed", category="post")["plan"] == plan
        daemon.says("reloaded", categories=1)
        assert office.json("apply", plan, code=4)["errors"][0]["code"] == "plan"
        assert daemon.end() == 0
    assert len(office.left()) == 15


def test_told_to_stop_it_ends_the_batch_in_hand_and_records_it(office):
    office.letters(2500, first=1000)
    with office.daemon() as daemon:
        before = office.present()
        daemon.says("run-started")
        while office.present() == before:
            assert daemon.process.poll() is None, daemon.words
        assert daemon.end() == 0
        end = daemon.ended("post")
    assert end["result"] == "stopped"
    gone = 2515 - len(office.left())
    assert end["counts"]["disposed"] == gone > 0
    report = office.json("audit", "verify")
    assert report["ok"]
    assert office.ledger("SELECT count(*) FROM batch WHERE outcome IS NULL") == [(0,)]
    with office.daemon() as daemon:
        daemon.ended("post", result="done")
        os.kill(daemon.pid, signal.SIGINT)
        assert daemon.wait() == 0
    assert len(office.left()) == 5
