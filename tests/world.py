"""A small world with real files and a real database, run through the real command line.

`recordings/` holds WAV-like files in a folder per day, `pbx.db` a table of calls. Old ones are
due, new ones are not, and one file and one row are under a hold. `check_invariants` says whether
what is left and what was recorded agree, after whatever happened.
"""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from retentiond.cli.front import code_of

CHILD = Path(__file__).parent / "crash" / "child.py"
NOW = datetime.now(UTC)
OLD, NEW = NOW - timedelta(days=400), NOW - timedelta(days=5)

CONFIG = """\
organisation: Crash Test Ltd
timezone: UTC
state: {state}
policies: policies.d
stores:
  recordings: {recordings}
  pbx: {{type: sql, url: "sqlite:///pbx.db", zone: UTC, location: GB}}
audit: {{origin: crash.example.org/log}}
"""
FILES = "{type: files, path: recordings, location: GB}"
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
  rows:
    store: pbx
    select: {table: calls, where: "id > 0"}
    start: {column: at}
    retention_period: 3 months
    action: delete
"""


class World:
    """A folder with a configuration, stores, and what is expected of them.

    `recordings` says how the files are reached, and `root` where they are; the world's own folder, where nothing is said.
    """

    def __init__(
        self,
        folder: Path,
        files: int = 1200,
        rows: int = 2500,
        state: str = "state",
        recordings: str = FILES,
        root: Path | None = None,
    ) -> None:
        self.folder, self._elsewhere = folder, root
        self.due_files = [f"{OLD:%Y-%m-%d}/{i:05}.wav" for i in range(files)]
        self.kept_files = [f"{NEW:%Y-%m-%d}/{i:05}.wav" for i in range(20)]
        self.held_file = f"{OLD - timedelta(days=1):%Y-%m-%d}/held.wav"
        self.due_rows = list(range(1, rows + 1))
        self.kept_rows = list(range(rows + 1, rows + 21))
        self.held_row = rows + 21
        folder.mkdir(exist_ok=True, parents=True)
        (folder / "retentiond.yaml").write_text(CONFIG.format(state=state, recordings=recordings))
        (folder / "policies.d").mkdir()
        (folder / "policies.d" / "calls.yaml").write_text(CATEGORY)
        for name in [*self.due_files, *self.kept_files, self.held_file]:
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"RIFF" + name.encode())
        with closing(sqlite3.connect(folder / "pbx.db")) as db, db:
            db.execute("CREATE TABLE calls(id INTEGER PRIMARY KEY, at TEXT NOT NULL, caller TEXT)")
            old, new = OLD.strftime("%Y-%m-%d %H:%M:%S"), NEW.strftime("%Y-%m-%d %H:%M:%S")
            db.executemany("INSERT INTO calls VALUES(?,?,'x')", [(i, old) for i in [*self.due_rows, self.held_row]])
            db.executemany("INSERT INTO calls VALUES(?,?,'x')", [(i, new) for i in self.kept_rows])

    @property
    def root(self) -> Path:
        """Where the files are."""
        return self._elsewhere or self.folder / "recordings"

    def run(self, *args: str, code: int | None = 0):
        """One command in a process of its own; its JSON answer."""
        done = self.process(*args)
        out, err = done.communicate(timeout=120)
        if code is not None:
            assert done.returncode == code, (args, done.returncode, out, err)
        return json.loads(out) if out.startswith("{") else out

    def process(self, *args: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "retentiond", "--json", "--config", str(self.folder / "retentiond.yaml"), *args]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def killed_at(self, arrow: str, nth: int, *args: str, swapped: bool = False, lanes: bool = False) -> int:
        """One command, ended by SIGKILL at the nth time that the way comes to an arrow; its return code."""
        own = [sys.executable, str(CHILD), arrow, str(nth), *["--swapped"] * swapped, *["--lanes"] * lanes]
        command = [*own, "--", "--json", "--config", str(self.folder / "retentiond.yaml"), *args]
        return subprocess.run(command, capture_output=True, timeout=120, check=False).returncode

    def here(self, *args: str) -> int:
        """One command in this process; its exit code."""
        return code_of(["--json", "--config", str(self.folder / "retentiond.yaml"), *args])

    def keys(self) -> dict[str, list[str]]:
        """Every key that there ever was, by store."""
        rows = [*self.due_rows, *self.kept_rows, self.held_row]
        return {"recordings": [*self.due_files, *self.kept_files, self.held_file], "pbx": [f"calls/{i}" for i in rows]}

    def files_left(self) -> set[str]:
        """Every regular file in the store, by its path, leftovers of a claim included."""
        return {os.path.relpath(Path(d) / f, self.root) for d, _, names in os.walk(self.root) for f in names}

    def rows_left(self) -> set[int]:
        with closing(sqlite3.connect(self.folder / "pbx.db")) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            return {i for (i,) in db.execute("SELECT id FROM calls")}

    def hold(self) -> None:
        self.run("hold", "place", "H-FILE", "--reason", "r", "--mandate", "m", "--store", "recordings", "--path", self.held_file)
        self.run(
            "hold", "place", "H-ROW", "--reason", "r", "--mandate", "m", "--store", "pbx", "--where", f"id = {self.held_row}"
        )


def sighted(files: set[str]) -> set[str]:
    """The files by their old names: one that lies in a claim directory still counts under its own."""
    return {"/".join(p for p in name.split("/") if not p.startswith(".retentiond~")) for name in files}


def fates(world: World) -> dict[tuple[str, str], list[str]]:
    """What the ledger's evidence says of every item, by (store, key): each outcome, or `open` for an intent without one."""
    from retentiond.app.house import House

    names: dict[bytes, tuple[str, str]] = {}
    found: dict[tuple[str, str], list[str]] = {}
    with House(str(world.folder / "retentiond.yaml")) as house:
        for year, category in house.memory.reference_scopes():
            for store, keys in world.keys().items():
                made = house.references(year)(category, store)
                names |= {made.of(key): (store, key) for key in keys}
        bodies = [json.loads(body) for body in house.ledger.entries(0, house.ledger.size())]
        outcomes = {body["intent"]: body for body in bodies if body["type"] == "outcome"}
        entries = (i for i, body in enumerate(bodies) if body["type"] in ("intent", "spared"))
        for index, (_run, _offset, refs) in zip(entries, house.ledger.refs(0, len(bodies)), strict=True):
            body = bodies[index] if bodies[index]["type"] == "spared" else outcomes.get(index)
            for position in range(len(refs) // 16):
                item = names[refs[16 * position : 16 * position + 16]]
                found.setdefault(item, []).append(_fate(body, position))
    return found


def _fate(body: dict | None, position: int) -> str:
    if body is None:
        return "open"
    return next((name for name, at in body["otherwise"].items() if position in at), "disposed")


def verified(world: World):
    """The report of the offline verifier, from the folder and its public key alone."""
    from retentiond.audit.note import Verifier
    from retentiond.audit.verify import examine

    log = world.folder / "state" / "log"
    report = examine(log, Verifier.from_line((log / "public-key").read_text().strip()))
    assert report.findings == ()
    return report


def check_invariants(world: World, *, finished: bool) -> None:
    """What must be true after whatever happened. `finished`: the plan has been carried out since."""
    files, rows = sighted(world.files_left()), world.rows_left()
    assert set(world.kept_files) <= files, "something not eligible is gone"
    assert set(world.kept_rows) <= rows, "something not eligible is gone"
    assert world.held_file in files, "a held item is gone"
    assert world.held_row in rows, "a held item is gone"
    report = verified(world)
    told = fates(world)
    left = {("recordings", f) for f in files} | {("pbx", f"calls/{i}") for i in rows}
    for store, keys in world.keys().items():
        for key in keys:
            said = told.get((store, key), [])
            if (store, key) in left:
                assert "disposed" not in said, "disposed is recorded of something that is still there"
            else:
                assert "disposed" in said or (not finished and "open" in said), f"gone without evidence: {said}"
    if finished:
        assert files == {*world.kept_files, world.held_file}
        assert world.files_left() == files, "a claim was left behind"
        assert rows == {*world.kept_rows, world.held_row}
        assert report.totals.open_intents == 0
        assert report.totals.counts["disposed"] == len(world.due_files) + len(world.due_rows)
