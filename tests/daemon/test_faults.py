"""Killed, hanging, without room, with a clock that jumped, or away for a month: the others go on and the evidence is true."""

import io
import json
import os
import resource
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, redirect_stderr
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from retentiond.app.house import House, read_clock
from retentiond.daemon.lane import keeps_others
from retentiond.daemon.service import TURN, Service
from retentiond.ledger.locks import lock
from tests.daemon.conftest import SOON
from tests.daemon.resident import DEADLINE, Daemon
from tests.world import World, check_invariants, verified

DAY = 86_400_000_000


def verifies(office):
    assert office.json("audit", "verify")["ok"]


# Killed


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path / "world", files=4000, rows=30)
    category = world.folder / "policies.d" / "calls.yaml"
    category.write_text(category.read_text().replace("daily at 02:00", "every 1 hour\napproval: none"))
    for hold, of in (("H-FILE", ["--path", world.held_file]), ("H-ROW", ["--where", f"id = {world.held_row}"])):
        store = "recordings" if hold == "H-FILE" else "pbx"
        assert world.here("hold", "place", hold, "--reason", "r", "--mandate", "m", "--store", store, *of) == 0
    return world


def at_work(world, daemon, gone=1):
    """Waits until so many files have gone."""
    folder = next(path for path in (world.folder / "recordings").iterdir() if path.name in world.due_files[0])
    while len(os.listdir(folder)) > len(world.due_files) - gone:
        assert daemon.process.poll() is None, daemon.words


@pytest.mark.parametrize("whole", [True, False], ids=["with-its-runs", "alone"])
def test_a_daemon_killed_at_work_leaves_true_evidence_and_the_next_one_goes_on(world, whole):
    config = world.folder / "retentiond.yaml"
    with Daemon(config) as daemon:
        daemon.says("run-started", category="calls")
        at_work(world, daemon, gone=2001)
        runs = daemon.runs()
        os.kill(daemon.pid, signal.SIGKILL)
        for run in runs if whole else ():
            os.kill(run, signal.SIGKILL)
    with Daemon(config) as daemon:
        daemon.says("daemon-recovered")
        if whole:
            daemon.says("recovered", result="done")
        end = daemon.ended("calls")
        assert end["result"] == "done"
        assert daemon.end() == 0
    check_invariants(world, finished=True)
    assert verified(world).totals.runs == 2


def test_a_run_that_is_killed_is_said_recovered_and_done_again(world):
    with Daemon(world.folder / "retentiond.yaml") as daemon:
        daemon.says("run-started", category="calls")
        at_work(world, daemon)
        (run,) = daemon.runs()
        os.kill(run, signal.SIGKILL)
        daemon.says("run-died", category="calls")
        daemon.ended("calls", result="failed", code="run-died")
        daemon.says("recovered", result="done")
        assert world.here("apply", "--category", "calls") == 0
        assert daemon.end() == 0
    check_invariants(world, finished=True)
    with House(str(world.folder / "retentiond.yaml")) as house:
        totals = house.looks.all()["calls"].totals
    assert totals["disposed"] == len(world.due_files) + len(world.due_rows), "what the killed run had done counts too"


# Hanging


def test_a_run_that_hangs_is_left_aside_and_then_killed(office):
    """Stopped by a signal, it hangs as one does whose file system does not answer."""
    office.post(schedule=SOON)
    office.memos(schedule=SOON)
    office.note("1.txt")
    with office.daemon("--patience", "10") as daemon:
        category = daemon.says("run-started")["category"]
        other = {"post": "memos", "memos": "post"}[category]
        (run,) = daemon.runs()
        os.kill(run, signal.SIGSTOP)
        daemon.says("run-silent", category=category)
        daemon.ended(other, result="done")
        daemon.says("run-killed", category=category)
        daemon.ended(category, result="failed", code="run-killed")
        daemon.ended(category, result="done")
        assert daemon.end() == 0
    verifies(office)


@pytest.mark.parametrize(
    ("doing", "silent_for", "age", "waited_for"),
    [
        ("looking", 1, 10, True),
        ("looking", 31, 40, False),
        ("looking", 1, 601, False),
        ("waiting", 1, 601, False),
        ("disposing", 1, 86_400, True),
        ("disposing", 31, 86_400, False),
    ],
)
def test_a_store_without_an_end_does_not_keep_the_others_for_ever(doing, silent_for, age, waited_for):
    assert keeps_others(doing, silent_for, age, patience=600, aside=30) is waited_for


# Told to end


def test_a_key_at_the_terminal_reaches_the_daemon_alone(world):
    """Ctrl-C is for all processes of the group; a run that it hits in its first moments would end without a result."""
    with Daemon(world.folder / "retentiond.yaml") as daemon:
        daemon.says("run-started")
        (run,) = daemon.runs()
        assert os.getpgid(run) not in (os.getpgid(daemon.pid), os.getpgrp())
        assert daemon.end() == 0


def test_told_to_end_twice_it_waits_for_its_run_as_patiently(office, systemd):
    office.post(schedule=SOON)
    with office.daemon(systemd=systemd, watchdog=60) as daemon:
        daemon.says("run-started")
        (run,) = daemon.runs()
        os.kill(run, signal.SIGSTOP)
        daemon.process.send_signal(signal.SIGTERM)
        daemon.says("daemon-stopping")
        daemon.process.send_signal(signal.SIGTERM)
        systemd.drain()
        began = time.monotonic()
        for _ in range(4):
            systemd.hear("WATCHDOG=1")
        assert time.monotonic() - began > TURN
        os.kill(run, signal.SIGCONT)
        assert daemon.wait() == 0


# Away


def looked_at(office, **changed):
    for name, value in changed.items():
        office.ledger(f"UPDATE look SET {name} = ?", value)


def test_a_schedule_missed_for_a_month_runs_once_and_under_the_limits(office):
    office.post(schedule="daily at 02:00", limits="limits: {items: 20}")
    office.told("apply", "--category", "post")
    office.letters(15, first=200)
    (began,) = office.ledger("SELECT began FROM look")[0]
    looked_at(office, began=began - 30 * DAY, ended=began - 30 * DAY)
    with office.daemon() as daemon:
        daemon.says("schedule-missed", category="post")
        daemon.ended("post", result="done", counts={"disposed": 15})
        assert daemon.end() == 0
    assert daemon.events().count("run-started") == 1
    office.letters(21, first=300)
    looked_at(office, began=began - 30 * DAY)
    with office.daemon() as daemon:
        daemon.ended("post", result="refused", code="items")
        assert daemon.end() == 0
    assert len(office.left()) == 26


def test_what_was_looked_at_in_time_waits_for_its_schedule_and_so_does_what_is_new(office):
    later = datetime.now(UTC) + timedelta(hours=2)
    office.post(schedule=f"daily at {later:%H:%M}")
    office.memos(schedule="every 1 hour")
    office.told("apply", "--category", "memos")
    with office.daemon("--listen", "127.0.0.1:0") as daemon:
        daemon.says("daemon-started")
        daemon.reload()
        daemon.says("reloaded")
        assert daemon.end() == 0
    assert "run-started" not in daemon.events()


def test_what_was_stopped_goes_on_at_the_next_start(office):
    office.told("apply", "--category", "post")
    office.letters(1, first=200)
    looked_at(office, result="stopped")
    with office.daemon() as daemon:
        daemon.ended("post", result="done")
        assert daemon.end() == 0


# The clock


def test_a_clock_that_jumped_refuses_until_somebody_accepts_it(office):
    office.post(schedule=SOON)
    office.told("clock")
    before = json.loads(office.ledger("SELECT value FROM meta WHERE key = 'clock'")[0][0])
    before["wall"] -= 400 * DAY
    office.ledger("UPDATE meta SET value = ? WHERE key = 'clock'", json.dumps(before))
    with office.daemon() as daemon:
        assert "retentiond clock --accept" in daemon.says("clock-stepped")["do"]
        daemon.ended("post", result="refused", code="clock")
        assert len(office.left()) == 15
        office.told("clock", "--accept", "--yes")
        daemon.ended("post", result="done")
        daemon.reload()
        daemon.says("clock-accepted")
        assert daemon.end() == 0
    verifies(office)


class Jumping:
    """The clock, which runs `ahead` by so many microseconds; no program may set the real one."""

    ahead = 0

    def __call__(self):
        now = read_clock()
        return replace(now, wall=now.wall + self.ahead)


@contextmanager
def in_here(office, clock):
    """A daemon in this process, with a clock of its own. What the block does goes on in a thread beside it; yields its runner."""
    said = io.StringIO()
    with redirect_stderr(said):
        service = Service(str(office.config), clock=clock)

    def lines():
        return [json.loads(line) for line in said.getvalue().splitlines(keepends=True) if line.endswith("\n")]

    def says(event, count=1, **facts):
        until = time.monotonic() + DEADLINE
        while True:
            found = [line for line in lines() if line["event"] == event and all(line.get(k) == v for k, v in facts.items())]
            if len(found) >= count:
                return len(found)
            assert time.monotonic() < until, f"never said: {event} {facts}; but: {lines()}"

    def beside(act):
        with ThreadPoolExecutor(1) as pool:
            result = pool.submit(act, says)
            result.add_done_callback(lambda _: os.kill(os.getpid(), signal.SIGTERM))
            service.run()
            result.result()

    yield beside


@pytest.mark.parametrize("days", [400, -400])
def test_a_clock_that_jumps_while_the_daemon_runs_is_noticed_and_nothing_goes(office, days):
    office.post(schedule=SOON)
    clock = Jumping()

    def act(says):
        says("run-ended", result="done")
        clock.ahead = days * DAY
        says("clock-stepped")
        office.letters(5, first=200)
        before = says("run-ended", category="post", code="clock")
        says("run-ended", count=before + 2, category="post", code="clock")
        assert len(office.left()) == 10
        clock.ahead = 0
        office.told("clock", "--accept", "--yes")
        says("run-ended", count=2, result="done")

    with in_here(office, clock) as beside:
        beside(act)
    assert len(office.left()) == 5
    verifies(office)


def test_what_comes_within_a_jump_of_the_clock_comes_once(office):
    soon = datetime.now(UTC) + timedelta(hours=2)
    office.post(schedule=f"daily at {soon:%H:%M}")
    office.told("apply", "--category", "post")
    clock = Jumping()

    def act(says):
        says("daemon-started")
        clock.ahead = DAY // 8
        says("schedule-missed", category="post")
        says("run-ended", category="post")
        assert says("run-started") == 1

    with in_here(office, clock) as beside:
        beside(act)


# No room


def test_without_room_for_evidence_nothing_goes_and_with_room_it_goes_on(office):
    """A limit on the size of files stands for the disk that is full."""
    office.post(schedule=SOON)
    with office.daemon() as daemon:
        daemon.ended("post", result="done")
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        office.letters(5, first=200)
        daemon.says("state-unavailable")
        daemon.ended("post", result="failed", code="state")
        assert len(office.left()) == 10
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        daemon.ended("post", result="done", counts={"disposed": 5})
        assert daemon.end() == 0
    verifies(office)


# Somebody else at work


def test_a_run_waits_for_whoever_is_at_work(office):
    office.told("clock")
    with ExitStack() as work:
        work.enter_context(lock(office.folder / "state" / "execute.lock", "a person"))
        with office.daemon() as daemon:
            daemon.says("run-waiting", category="post")
            assert len(office.left()) == 15
            work.close()
            daemon.ended("post", result="done")
            assert daemon.end() == 0
