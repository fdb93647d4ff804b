"""What systemd hears: ready, reloading, stopping, counts, and signs of life from real turns of the loop."""

import os
import signal
import sqlite3
import time
from contextlib import closing

import pytest

from retentiond.daemon.systemd import Systemd
from tests.daemon.resident import PretendSystemd


def lines(datagram):
    return dict(line.partition("=")[::2] for line in datagram.splitlines())


def test_systemd_hears_ready_reloading_stopping_and_counts_without_names(office, systemd):
    with office.daemon(systemd=systemd) as daemon:
        assert systemd.hear("READY=1") == "READY=1"
        systemd.hear("STATUS=1 categories, 1 running, 0 waiting")
        systemd.hear("STATUS=1 categories, 0 running, 0 waiting")
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        daemon.reload()
        reloading = lines(systemd.hear("RELOADING=1"))
        assert before <= int(reloading["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        assert systemd.hear("READY=1") == "READY=1"
        assert daemon.end() == 0
        systemd.hear("STOPPING=1")
    systemd.drain()
    assert "READY=1" not in systemd.said[systemd.said.index("STOPPING=1") :]
    assert not [datagram for datagram in systemd.said if "post" in datagram or "letters" in datagram]
    assert not [datagram for datagram in systemd.said if "WATCHDOG" in datagram], "nobody asked for signs of life"


def test_the_watchdog_hears_from_each_turn_and_from_no_loop_that_stands_still(office, systemd):
    with office.daemon(systemd=systemd, watchdog=20) as daemon:
        systemd.hear("STATUS=1 categories, 1 running, 0 waiting")
        systemd.hear("STATUS=1 categories, 0 running, 0 waiting")
        for _ in range(3):
            systemd.hear("WATCHDOG=1")
        with closing(sqlite3.connect(office.folder / "state" / "state.db", isolation_level=None)) as somebody:
            somebody.execute("BEGIN EXCLUSIVE")
            daemon.reload()
            systemd.hear("RELOADING=1")
            assert systemd.silent(2.5), "the loop waits for the state, and says that it lives"
            somebody.execute("ROLLBACK")
        systemd.hear("WATCHDOG=1")
        daemon.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, daemon.pid, os.WSTOPPED | os.WNOWAIT)
        systemd.drain()
        assert systemd.silent(1.5)
        daemon.process.send_signal(signal.SIGCONT)
        systemd.hear("WATCHDOG=1")


def test_an_abstract_socket_is_spoken_to_as_well():
    name = f"retentiond-test-{os.getpid()}"
    pretended = PretendSystemd("\0" + name)
    Systemd({"NOTIFY_SOCKET": "@" + name}).ready()
    assert pretended.hear("READY=1") == "READY=1"
    pretended.close()


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [("2000000", None, 2.0), ("2000000", "self", 2.0), ("2000000", "1", None), ("0", None, None), ("x", None, None)],
)
def test_the_watchdog_is_that_of_this_very_process(usec, pid, seconds):
    environ = {"WATCHDOG_USEC": usec} | ({"WATCHDOG_PID": str(os.getpid()) if pid == "self" else pid} if pid else {})
    assert Systemd(environ).watchdog == seconds
    assert environ == {}, "no child speaks in the daemon's place"


def test_nobody_listening_hinders_nothing(tmp_path):
    line = Systemd({"NOTIFY_SOCKET": str(tmp_path / "nobody"), "WATCHDOG_USEC": "1000000"})
    line.ready()
    line.alive()
    Systemd({}).stopping()
