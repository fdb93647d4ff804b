"""The daemon on the demo's company, on schedules of seconds, while everything happens to it that happens to daemons.

    benchmarks/soak.py [MINUTES]

Data grow due all the while; the configuration is reloaded, once broken; holds come and go; the daemon
and its runs are killed; a store goes away and comes back; the stop file stands for a while. In the end
it says what `status`, the metrics and `audit verify` say, and whether every item that had to go has
gone, and every item that had to stay is there.
"""

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from side_by_side import ENVIRONMENT, PROGRAM

SECONDS = {
    "support-files": 3, "call-recordings": 5, "call-index": 5, "newsletter": 7, "web-log": 10, "customer-accounts": 20,
    "letters": 11, "backups": 15,
}  # fmt: skip
"""How often each category of the demo is looked at here."""

TOLD = (
    "daemon-started", "daemon-recovered", "run-started", "run-died", "reloaded", "reload-refused", "paused", "resumed",
)  # fmt: skip

HELD = "990001"
"""The call that a hold keeps all the while."""


class Company:
    """The demo's company, with somebody who goes on working there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.random = random.Random(7)
        self.number = 800_000
        self.added: dict[str, int] = {"recordings": 0, "calls": 0, "letters": 0}
        old = datetime.now(UTC) - timedelta(days=220)  # noqa: TID251 the age of what is added
        self.day = f"{old:%Y/%m/%d}"
        self.at = f"{old:%Y-%m-%d %H:%M:%S}"

    def tell(self, *words: str, fine: tuple[int, ...] = (0,)) -> str:
        """Types a command."""
        done = subprocess.run([*PROGRAM, *words], cwd=self.folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        if done.returncode not in fine:
            raise SystemExit(f"retentiond {' '.join(words)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def hurry(self) -> None:
        """Gives every category a schedule of seconds, and the log an anchor; and lets the daemon enforce them."""
        (self.folder / "anchored").mkdir()
        settings = self.folder / "retentiond.yaml"
        text = settings.read_text().replace("stores:\n", "stores:\n  kept: {type: files, path: anchored, location: GB}\n", 1)
        settings.write_text(re.sub(r"audit: \{(.*)\}", r"audit: {\1, anchors: [{store: kept}]}", text))
        for name, seconds in SECONDS.items():
            file = self.folder / "policies.d" / f"{name}.yaml"
            text = re.sub(r"(?m)^schedule: .*$", f"schedule: every {seconds} seconds", file.read_text())
            file.write_text(text)
        for name in SECONDS:
            self.tell("approve", name, "--by", "somebody", "--yes")

    def call(self, number: str) -> Path:
        """A call of 220 days ago, with its recording."""
        path = f"{self.day}/091500-{number}.wav"
        file = self.folder / "recordings" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"RIFF" + self.random.randbytes(200))
        with sqlite3.connect(self.folder / "pbx.db", timeout=30) as pbx:
            extension = pbx.execute("SELECT min(number) FROM extensions").fetchone()[0]
            row = (int(number), self.at, "in", "+441632960000", "100", extension, 30, path)
            pbx.execute("INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        self.added["recordings"] += 1
        self.added["calls"] += 1
        return file

    def work(self) -> None:
        """A second of the company's life: some items that are due at once."""
        if (self.folder / "recordings").exists():
            for _ in range(3):
                self.number += 1
                self.call(str(self.number))
        with sqlite3.connect(self.folder / "helpdesk.db", timeout=30) as desk:
            sql = "INSERT INTO newsletter (email, subscribed_at, unsubscribed_at) VALUES ('a@example.org', ?, ?)"
            desk.execute(sql, (self.at, self.at))
        self.added["letters"] += 1

    def pass_limits(self) -> None:
        """A person lets pass, by its name, what a limit has stopped; the web log stays for the status to tell."""
        for one in json.loads(self.tell("status", "--json"))["categories"]:
            look = one["last_look"] or {}
            if look.get("result") == "refused" and look.get("plan") and one["category"] != "web-log":
                print(f"{one['category']}: the limit {look['code']} stood in the way, and a person passed it", flush=True)
                self.tell("apply", look["plan"], "--over-limits", look["plan"])

    def left(self) -> dict[str, int]:
        """How much of what was added, and had to go, is still there."""
        with sqlite3.connect(self.folder / "pbx.db", timeout=30) as pbx:
            calls = pbx.execute("SELECT count(*) FROM calls WHERE started_at = ?", (self.at,)).fetchone()[0]
        with sqlite3.connect(self.folder / "helpdesk.db", timeout=30) as desk:
            letters = desk.execute("SELECT count(*) FROM newsletter WHERE unsubscribed_at = ?", (self.at,)).fetchone()[0]
        files = len(list((self.folder / "recordings" / self.day).glob("*.wav")))
        return {"recordings": files, "calls": calls, "letters": letters}


class Resident:
    """The daemon as a process, with its log."""

    def __init__(self, company: Company) -> None:
        self.company, self.starts, self.port = company, 0, 0
        self.log = company.folder / "daemon.log"
        self.begin()

    def begin(self) -> None:
        with self.log.open("ab") as log:
            words = [*PROGRAM, "run", "--listen", "127.0.0.1:0", "--patience", "120"]
            self.process = subprocess.Popen(words, cwd=self.company.folder, env=ENVIRONMENT, stderr=log)
        self.starts += 1
        until(lambda: self.said("daemon-started") == self.starts, "the daemon's start")
        listen = [json.loads(line)["listen"] for line in self.log.read_text().splitlines() if '"daemon-started"' in line][-1]
        self.port = int(listen.rpartition(":")[2])

    def said(self, event: str) -> int:
        """How often the daemon has said this."""
        return self.log.read_text().count(f'"event": "{event}"') + self.log.read_text().count(f'"event":"{event}"')

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """As a power cut would."""
        self.process.kill()
        self.process.wait()
        self.begin()

    def kill_run(self) -> None:
        """Kills the run in hand, if there is one."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for child in listed:
            os.kill(int(child), signal.SIGKILL)

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=20) as answer:
            return str(answer.read().decode())


def until(true: Callable[[], bool], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise SystemExit(f"waited in vain for {what}")
        time.sleep(0.1)


def happenings(company: Company, daemon: Resident) -> list[tuple[float, str, Callable[[], object]]]:
    """What happens, and when (as a share of the whole time)."""
    rules = company.folder / "policies.d" / "newsletter.yaml"
    good = rules.read_text()
    store, away = company.folder / "recordings", company.folder / "recordings-away"
    stop = company.folder / "retentiond-state" / "stop"
    held = ("hold", "place", "SOAK-2", "--reason", "claim", "--mandate", "court", "--category", "newsletter")
    return [
        (0.05, "reload", lambda: daemon.tell(signal.SIGHUP)),
        (0.10, "kill -9 of the daemon", daemon.kill),
        (0.15, "a broken rulebook, reload", lambda: (rules.write_text(good + "nonsense: 1\n"), daemon.tell(signal.SIGHUP))),
        (0.20, "kill -9 of a run", daemon.kill_run),
        (0.25, "the rulebook is mended, reload", lambda: (rules.write_text(good), daemon.tell(signal.SIGHUP))),
        (0.30, "the recordings go away", lambda: store.rename(away)),
        (0.45, "a hold on the newsletter", lambda: company.tell(*held)),
        (0.50, "the hold is released", lambda: company.tell("hold", "release", "SOAK-2", "--reason", "settled")),
        (0.52, "the recordings come back", lambda: away.rename(store)),
        (0.55, "kill -9 of the daemon", daemon.kill),
        (0.60, "kill -9 of a run", daemon.kill_run),
        (0.70, "the stop file", stop.touch),
        (0.75, "the stop file is removed", stop.unlink),
        (0.80, "kill -9 of the daemon", daemon.kill),
        (0.85, "reload", lambda: daemon.tell(signal.SIGHUP)),
    ]


def live(company: Company, daemon: Resident, seconds: float) -> None:
    """The company works, and things happen, until the time is over."""
    start = time.monotonic()
    coming = happenings(company, daemon)
    while (now := time.monotonic() - start) < seconds:
        while coming and now >= coming[0][0] * seconds:
            _, what, act = coming.pop(0)
            print(f"{now:6.0f} s  {what}", flush=True)
            act()
        if daemon.process.poll() is not None:
            raise SystemExit(f"the daemon has ended by itself with {daemon.process.returncode}")
        company.work()
        time.sleep(1)


def settle(company: Company, daemon: Resident, kept: Path) -> None:
    """Waits until what had to go has gone, and ends the daemon."""
    gone = {"recordings": 1, "calls": 1, "letters": 0}

    def is_gone() -> bool:
        if company.left()["letters"]:
            company.pass_limits()
        return company.left() == gone

    try:
        until(is_gone, "everything to be gone", 180)
    except SystemExit:
        print(company.left(), "are left of", company.added, company.tell("status", fine=(0, 7)), daemon.log.read_text()[-4000:])
        raise
    assert kept.exists(), "what a hold keeps has gone"
    print(f"added while it ran and gone: {company.added}; left, for they are held: {gone}\n")
    print(company.tell("status", fine=(0, 7)))
    samples = [line for line in daemon.metrics().splitlines() if not line.startswith("#")]
    print("\n".join(line for line in samples if not line.endswith(" 0.0")), "\nand", end=" ")
    print(sum(line.endswith(" 0.0") for line in samples), "samples that are 0")
    daemon.tell(signal.SIGTERM)
    print(f"\nSIGTERM: exit code {daemon.process.wait(60)}\n")
    print(company.tell("audit", "verify"))
    notes = sorted((company.folder / "anchored" / "checkpoints").iterdir())
    for note in (notes[0], notes[len(notes) // 2], notes[-1]):
        said = company.tell("audit", "verify", "--since", str(note)).splitlines()[0]
        print(f"since the anchored checkpoint {note.name}: {said}")
    print(f"{len(notes)} checkpoints are kept by the anchor\n")
    counted = {event: daemon.said(event) for event in TOLD}
    print("the daemon's log:", ", ".join(f"{event} {n}" for event, n in counted.items()))


def main(minutes: float) -> None:
    folder = Path(tempfile.mkdtemp())
    daemon = None
    try:
        company = Company(folder / "company")
        subprocess.run([*PROGRAM, "demo", str(company.folder)], env=ENVIRONMENT, stdout=subprocess.DEVNULL, check=True)
        company.hurry()
        kept = company.call(HELD)
        company.tell("hold", "place", "SOAK-1", "--reason", "claim", "--mandate", "court", "--subject", f"call={HELD}")
        daemon = Resident(company)
        live(company, daemon, minutes * 60)
        settle(company, daemon, kept)
    finally:
        if daemon is not None and daemon.process.poll() is None:
            daemon.process.kill()
        shutil.rmtree(folder, ignore_errors=True)  # a run that was cut short may still be at its end


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10)
