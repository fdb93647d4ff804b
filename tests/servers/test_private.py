"""The private servers end when nobody needs them any more, whatever became of whoever did."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from tests.servers.private import NEEDS

USER = """
import sys
from tests.servers.private import serving
with serving(sys.argv[1]) as address:
    print(address, flush=True)
    sys.stdin.read()
"""


def servers(run):
    """Every process that has the name of a run in its command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if run.encode() in line:
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("kind", NEEDS)
@pytest.mark.parametrize("end", ["closed", "killed", "keeper killed"])
def test_a_server_ends_with_its_last_user(kind, end):
    run = f"trial{os.getpid()}{kind}{end.replace(' ', '')}"
    environ = {k: v for k, v in os.environ.items() if not k.startswith("RETENTIOND_TEST_")} | {"PYTEST_XDIST_TESTRUNUID": run}
    with subprocess.Popen(
        [sys.executable, "-c", USER, kind], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as user:
        address = user.stdout.readline()
        if not address:
            pytest.skip(f"no {kind} here")
        running = servers(run)
        assert len(running) > 1, "a keeper and its server"
        if end == "keeper killed":
            os.kill(min(running), signal.SIGKILL)
        elif end == "killed":
            user.kill()
        user.stdin.close()
    try:
        for _ in range(300):
            if not servers(run):
                return
            threading.Event().wait(0.1)
        raise AssertionError("a server is still there")
    finally:
        for left in Path(tempfile.gettempdir()).glob(f"retentiond-{kind}-{run}*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
