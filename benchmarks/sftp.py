"""20,000 files on a private sshd, half of them due, against rclone, lftp and a loop that removes one by one.

    benchmarks/sftp.py [direct] [far]

`far` goes through a line with a round trip of 40 ms. The server's disk is in memory, for everybody. lftp has no ages, so
it is given the list of what to remove, and lists nothing; so is the loop that removes one by one. What is slow there is
timed over fewer files, and rates are compared.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from side_by_side import ENVIRONMENT, PROGRAM, ROOT, ROUNDS, Contestant, by_category, configure, newest_plan, race, report

sys.path.insert(0, str(ROOT))
if os.path.isdir("/dev/shm"):
    tempfile.tempdir = "/dev/shm"

from retentiond.testing.wire import apart
from tests.servers.private import serving

FILES, IN_A_FOLDER = int(os.environ.get("FILES", "20000")), 100
GIVEN = {"direct": FILES // 2, "far": 300}
"""So many files are removed by those who are given a list."""
DAY = 86_400
ROUND_TRIP = 0.04
LOOP = """
import sys
import paramiko
host, port, user, key, listed, most = sys.argv[1:]
transport = paramiko.Transport((host, int(port)))
transport.connect(username=user, pkey=paramiko.Ed25519Key.from_private_key_file(key))
sftp = transport.open_sftp_client()
for line in [line for line in open(listed) if line.startswith("rm ")][: int(most)]:
    sftp.remove(line[3:].strip())
transport.close()
"""


class Far:
    """A server, near or far, and the files on it."""

    def __init__(self, address: str, port: int, folder: Path, given: int) -> None:
        at, self.given = urlsplit(address), given
        self.user, self.port, self.home, self.folder = at.username, port, Path(at.path), folder
        self.data = self.home / "data" / "bench"
        known = folder / "known_hosts"
        known.write_text("".join(f"[127.0.0.1]:{port} {key.read_text()}" for key in self.home.glob("host_*.pub")))
        ENVIRONMENT.update({f"RCLONE_CONFIG_F_{name}": str(value) for name, value in {
            "TYPE": "sftp", "HOST": "127.0.0.1", "PORT": port, "USER": self.user, "KEY_FILE": self.home / "client",
            "KNOWN_HOSTS_FILE": known, "SHELL_TYPE": "none", "MD5SUM_COMMAND": "none", "SHA1SUM_COMMAND": "none",
        }.items()})  # fmt: skip
        configure(
            folder,
            f"far: {{type: sftp, host: 127.0.0.1, port: {port}, user: {self.user}, path: {self.data}, location: GB,\n"
            f"        key: {{file: {self.home}/client}}, known_hosts: {known}}}",
            'store: far\n    select: {path: "**", everything: "yes, every item in far"}\n'
            "    start: modified\n    retention_period: 90 days",
        )

    def prepare(self) -> None:
        """The tree: each second file is 400 days old."""
        for path in (self.data, self.folder / "state"):
            shutil.rmtree(path, ignore_errors=True)
        now, due = time.time(), []  # noqa: TID251 the ages of the files
        for i in range(FILES):
            folder = self.data / f"{i // IN_A_FOLDER:05}"
            if i % IN_A_FOLDER == 0:
                folder.mkdir(parents=True)
            path = folder / f"call_{i:08}.wav"
            path.write_bytes(b"x" * 200)
            moment = now - (400 if i % 2 else 1) * DAY
            os.utime(path, (moment, moment))
            due += [f"rm {path}"] if i % 2 else []
        subprocess.run(["chown", "-R", "--reference", self.data.parent, self.data], check=True)
        connect = f'set sftp:connect-program "ssh -a -x -i {self.home}/client -o UserKnownHostsFile={self.folder}/known_hosts"'
        first = [connect, "set cmd:fail-exit yes", f"open -u {self.user}, sftp://127.0.0.1:{self.port}"]
        (self.folder / "lftp").write_text("\n".join([*first, *due[: self.given]]) + "\n")

    def contestants(self, distance: str) -> list[Contestant]:
        """Everybody, the peers first."""
        rclone = ["rclone", "--config", "/dev/null", "delete", f"F:{self.data}", "--min-age", "90d"]
        at = ("127.0.0.1", self.port, self.user, self.home / "client", self.folder / "lftp")
        loop = [sys.executable, "-c", LOOP, *at, GIVEN[distance]]
        return [
            Contestant("rclone delete --min-age 90d", [rclone]),
            Contestant("the same, 16 at a time", [[*rclone, "--checkers", "16", "--transfers", "16"]]),
            Contestant("lftp, list given", [["lftp", "-f", str(self.folder / "lftp")]]),
            Contestant("paramiko, one by one, list given", [list(map(str, loop))]),
            Contestant("retentiond plan + apply", [[*PROGRAM, "plan"], newest_plan(self.folder)]),
            Contestant("retentiond apply --category", [by_category()]),
        ]


def table(title: str, contestants: Sequence[Contestant], given: int) -> str:
    """Rates: files a second, and against the fastest peer and one by one."""
    counts = {c.name: given if "list given" in c.name else FILES // 2 for c in contestants}
    rate = {c.name: counts[c.name] / c.median for c in contestants}
    peers = max(rate[c.name] for c in contestants if not c.name.startswith("retentiond"))
    rows = [f"### {title}", "", "| | files | seconds | files a second | × the fastest peer | × one by one | peak MiB |"]
    rows.append("|---|---:|---:|---:|---:|---:|---:|")
    for c in contestants:
        by_one = rate[c.name] / rate["paramiko, one by one, list given"]
        rows.append(
            f"| {c.name} | {counts[c.name]:,} | {c.median:.2f} | {rate[c.name]:,.0f} | {rate[c.name] / peers:.2f} "
            f"| {by_one:.1f} | {c.peak / 1024:.0f} |"
        )
    spread = ", ".join(f"{c.name}: {min(c.seconds):.2f}–{max(c.seconds):.2f}" for c in contestants)
    return "\n".join([*rows, "", f"{ROUNDS} rounds, medians; spread {spread}"]) + "\n"


def measured(address: str, distance: str, folder: Path) -> str:
    """The table of one distance."""
    port = urlsplit(address).port
    with ExitStack() as stack:
        if distance == "far":
            port = stack.enter_context(apart("127.0.0.1", port, delay=ROUND_TRIP / 2))
        far = Far(address, port, folder, GIVEN[distance])
        contestants = far.contestants(distance)
        race(contestants, folder, far.prepare)
    how = "directly" if distance == "direct" else f"through a round trip of {ROUND_TRIP * 1000:.0f} ms"
    return table(f"{FILES:,} files over SFTP, half of them due, {how}", contestants, GIVEN[distance])


def main(wanted: Sequence[str]) -> None:
    absent = [name for name in ("rclone", "lftp", "sshd") if shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin") is None]
    if absent:
        raise SystemExit(f"{', '.join(absent)} is not on this machine")
    texts = []
    folder = Path(tempfile.mkdtemp())
    try:
        with serving("sftp") as address:
            for distance in wanted or ("direct", "far"):
                texts.append(measured(address, distance, folder))  # noqa: PERF401 each takes minutes
    finally:
        shutil.rmtree(folder)
    report("sftp", "\n".join(texts))


if __name__ == "__main__":
    main(sys.argv[1:])
