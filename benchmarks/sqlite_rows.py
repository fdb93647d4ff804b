"""1,000,000 SQLite rows of which 300,000 are due, against one hand-written keyset loop without evidence."""

import os
import random
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from side_by_side import PROGRAM, Contestant, configure, newest_plan, race, report, table

ROWS = int(os.environ.get("ROWS", "1000000"))


def make(path: Path) -> int:
    """The table: 30 in 100 rows are older than 24 months; about 200 bytes each. Returns how many are due."""
    dice = random.Random(1)
    now = datetime.now(UTC)  # noqa: TID251 the ages of the rows
    due = 0

    def rows():
        nonlocal due
        for i in range(1, ROWS + 1):
            old = dice.random() < 0.3
            due += old
            at = now - timedelta(days=dice.randint(800, 1500) if old else dice.randint(1, 600), seconds=dice.randint(0, 86_399))
            yield i, at.strftime("%Y-%m-%d %H:%M:%S"), f"+44{dice.randint(10**9, 10**10 - 1)}", "n" * 140

    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE call_recordings(id INTEGER PRIMARY KEY, created_at TEXT NOT NULL, caller TEXT, note TEXT)")
        with db:
            db.executemany("INSERT INTO call_recordings VALUES(?,?,?,?)", rows())
            db.execute("CREATE INDEX call_recordings_created ON call_recordings(created_at)")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return due


def main(place: str | None) -> None:
    folder = Path(tempfile.mkdtemp(dir=place))
    try:
        configure(
            folder,
            'pbx: {type: sql, url: "sqlite:///w.db", zone: UTC, location: GB}',
            'store: pbx\n    select: {table: call_recordings, everything: "yes, every item in call_recordings"}\n'
            "    start: {column: created_at}\n    retention_period: 24 months",
        )
        due = make(folder / "original.db")

        def prepare() -> None:
            shutil.rmtree(folder / "state", ignore_errors=True)
            for left in folder.glob("w.db*"):
                left.unlink()
            shutil.copyfile(folder / "original.db", folder / "w.db")

        loop = [sys.executable, str(Path(__file__).with_name("sqlite_loop.py")), "w.db"]
        peers = [
            Contestant("hand-written loop, no evidence", [loop]),
            Contestant("retentiond plan + apply", [[*PROGRAM, "plan"], newest_plan(folder)]),
        ]
        race(peers, folder, prepare)
        text = table(f"{ROWS:,} SQLite rows, {due:,} of them due", peers, due)
        plan, apply = zip(*peers[1].parts, strict=True)
        report("sqlite", text + f"\nplan {min(plan):.2f} s, apply {min(apply):.2f} s at best\n")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
