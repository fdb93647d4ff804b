"""A company that keeps its calls in a bucket: old ones, in several versions, deleted ones, new ones, and one under a hold."""

import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

from retentiond.cli.front import code_of

NOW = datetime.now(UTC)
OLD, NEW = f"{NOW - timedelta(days=400):%Y-%m-%d}", f"{NOW - timedelta(days=5):%Y-%m-%d}"
CHILD = Path(__file__).parent.parent / "crash" / "child.py"
CONFIG = """\
organisation: Calls Ltd
timezone: UTC
state: state
policies: policies.d
stores:
  recordings:
    {type: s3, bucket: %s, prefix: inbound/, endpoint: "%s", location: GB,
     access_key: {file: access}, secret_key: {file: secret}}
audit: {origin: calls.example.org/log}
"""
CATEGORY = """\
category: calls
title: Calls
purpose: [training]
lawful_basis: contract
data: [voices]
subjects: [callers]
owner: dpo@example.org
locations: [GB]
schedule: daily at 02:00
limits: {items: 100000, share: 100%, bytes: 1 GiB}
rules:
  sound:
    store: recordings
    select: {path: "{day:%Y-%m-%d}/**"}
    start: {path: day}
    retention_period: 3 months
    action: delete
"""


class Recordings:
    """A folder with a configuration, and its bucket; commands are given through the real command line, in this process."""

    def __init__(self, folder, bucket, old=20, endpoint=None):
        self.folder, self.bucket = folder, bucket
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "retentiond.yaml").write_text(CONFIG % (bucket.name, endpoint or bucket.server.endpoint))
        for name, secret in (("access", bucket.server.access), ("secret", bucket.server.secret)):
            (folder / name).write_text(secret)
        (folder / "policies.d").mkdir(exist_ok=True)
        (folder / "policies.d" / "calls.yaml").write_text(CATEGORY)
        self.due = [f"inbound/{OLD}/{i:03}.wav" for i in range(old)]
        self.held = f"inbound/{OLD}/held.wav"
        self.kept = [f"inbound/{NEW}/{i}.wav" for i in range(3)] + ["inbound/readme.txt", f"outbound/{OLD}/1.wav", self.held]
        for key in [*self.due, *self.kept]:
            bucket.put_quickly(key, b"RIFF", {})

    def command(self, *args):
        return ["--json", "--config", str(self.folder / "retentiond.yaml"), *args]

    def told(self, *args, code=0):
        """One command; its answer as JSON."""
        out, err = StringIO(), StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            got = self.here(*args)
        assert got == code, (args, got, out.getvalue(), err.getvalue())
        return json.loads(out.getvalue() or err.getvalue() or "{}")

    def here(self, *args):
        """One command in this process; its exit code."""
        return code_of(self.command(*args))

    def killed_at(self, arrow, nth, *args):
        """One command, ended by SIGKILL at the nth time that the way comes to an arrow; its return code."""
        command = [sys.executable, str(CHILD), arrow, str(nth), "--", *self.command(*args)]
        return subprocess.run(command, capture_output=True, timeout=120, check=False).returncode

    def hold(self):
        what = ("--reason", "r", "--mandate", "m", "--store", "recordings", "--path", self.held)
        self.told("hold", "place", "H-1", *what)

    def verified(self):
        """The report of the offline verifier."""
        from retentiond.audit.note import Verifier
        from retentiond.audit.verify import examine

        log = self.folder / "state" / "log"
        report = examine(log, Verifier.from_line((log / "public-key").read_text().strip()))
        assert report.findings == ()
        return report


def counts(applied):
    return {name: n for name, n in applied["counts"].items() if n}
