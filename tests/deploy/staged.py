"""The units in a root of their own, with the programs where they expect them, for systemd's own judges to look at."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.machine import ROOT

SHIPPED = ROOT / "deploy" / "systemd"
UNITS = tuple(sorted(path.name for path in SHIPPED.glob("*.service")) + sorted(path.name for path in SHIPPED.glob("*.timer")))
TARGETS = Path("/lib/systemd/system")


def named(unit):
    """A unit as it is started: a template for the category `calls`, or for the failure of the daemon."""
    return unit.replace("@.", "@retentiond.service." if "failure" in unit else "@calls.")


class Staged:
    """A root with the shipped units in it. Drop-ins are added to it, and asked about."""

    def __init__(self, root):
        if shutil.which("systemd-analyze") is None:
            pytest.skip("SYSTEMD-ANALYZE IS NOT HERE: the units of deploy/systemd were not judged")
        self.root, self.units = root, root / "etc" / "systemd" / "system"
        self.units.mkdir(parents=True)
        for path in [*TARGETS.glob("*.target"), *(SHIPPED / unit for unit in UNITS)]:
            shutil.copy(path, self.units)
        text = "\n".join((SHIPPED / unit).read_text() for unit in UNITS)
        for program in {*re.findall(r"^Exec\w+=(/\S+)", text, re.MULTILINE), "/bin/sh"}:
            path = root / program.removeprefix("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("#!/bin/true\n")
            path.chmod(0o755)

    def add(self, unit, text):
        """A drop-in for a unit."""
        folder = self.units / f"{unit}.d"
        folder.mkdir(exist_ok=True)
        (folder / "added.conf").write_text(text)

    def complaints(self, unit):
        """What `systemd-analyze verify` has to say; nothing at all where it is content."""
        done = self._analyze("verify", "--man=no", named(unit))
        said = done.stdout + done.stderr
        return said or ("" if done.returncode == 0 else f"exit code {done.returncode}")

    def understood(self, unit, setting):
        """What systemd makes of a setting, each of its lines."""
        done = self._analyze("verify", "--man=no", named(unit), debug=True)
        return re.findall(rf"^\s*{setting}: (.*)$", done.stdout + done.stderr, re.MULTILINE)

    def exposure(self, unit):
        """What `systemd-analyze security` counts, from 0 to 10."""
        done = self._analyze("security", "--offline=yes", "--no-pager", named(unit))
        return float(re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)[1])

    def version(self):
        return int(re.match(r"systemd (\d+)", self._analyze("--version").stdout)[1])

    def _analyze(self, command, *words, debug=False):
        root = [] if command == "--version" else [f"--root={self.root}"]
        environ = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"} | ({"SYSTEMD_LOG_LEVEL": "debug"} if debug else {})
        line = ["systemd-analyze", command, *root, *words]
        return subprocess.run(line, capture_output=True, text=True, check=False, env=environ, timeout=60)
