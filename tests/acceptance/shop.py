"""A small shop with files and a database, met only through the command line.

What a command says is what a stranger sees: its exit code, standard output and standard error.
`told` runs it in this process, `process` in one of its own.
"""

import contextlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from retentiond.cli.front import code_of

NOW = datetime.now(UTC)
OLD, NEW = NOW - timedelta(days=400), NOW - timedelta(days=5)

SETTINGS = """\
organisation: Corner Shop Ltd
timezone: {zone}
state: state
policies: policies.d
stores:
  desk: {{type: files, path: desk, location: GB}}
  till: {{type: sql, url: "sqlite:///till.db", zone: UTC, location: GB}}
{more}
audit: {{origin: audit.example.org/shop}}
"""

CATEGORY = """\
category: {name}
title: {title}
purpose: [serving the customer]
lawful_basis: contract
data: [what the customer gave us]
subjects: [customers]
owner: dpo@example.org
locations: [GB]
schedule: daily at 02:00
{head}
rules:
{rules}
"""

LETTERS = """\
  letters:
    store: desk
    select: {path: "letters/**"}
    start: modified
    retention_period: 3 months
    action: delete
"""

SALES = """\
  sales:
    store: till
    select: {table: sales, where: "id > 0"}
    start: {column: at}
    retention_period: 3 months
    action: delete
    subject: {customer: customer, email: email}
"""

OPEN_LIMITS = "limits: {items: 100000, share: 100%, bytes: 10 GiB}"


@dataclass
class Told:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


def ordinary() -> list[str]:
    """What makes a command obey the permissions of files, as it does for every user but root."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not there, and root may read and write everything (Debian: util-linux)")
    powers = "-dac_override,-dac_read_search,-fowner"
    return ["setpriv", "--bounding-set", powers, "--inh-caps", powers]


class Shop:
    """A folder with a configuration and stores. `category` and `settings` may be called again to change them."""

    def __init__(self, folder: Path, state: str = "state") -> None:
        self.folder, self.state = folder, state
        (folder / "policies.d").mkdir(parents=True)
        (folder / "desk").mkdir()
        self.settings()
        self.sql("CREATE TABLE sales(id INTEGER PRIMARY KEY, at TEXT, customer TEXT, email TEXT, note TEXT)")

    # What is told

    @property
    def config(self) -> Path:
        return self.folder / "retentiond.yaml"

    def settings(self, more: str = "", zone: str = "UTC", text: str | None = None) -> None:
        self.config.write_text(text or SETTINGS.format(more=more, zone=zone).replace("state: state", f"state: {self.state}"))

    def category(self, name: str, rules: str, head: str = OPEN_LIMITS, title: str = "A category") -> Path:
        path = self.folder / "policies.d" / f"{name}.yaml"
        path.write_text(CATEGORY.format(name=name, rules=rules, head=head, title=title))
        return path

    # What is there

    def file(self, name: str | bytes, at: datetime = OLD, text: bytes = b"text") -> Path:
        path = os.path.join(os.fsencode(self.folder / "desk"), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(text)
        os.utime(path, (at.timestamp(), at.timestamp()))
        return Path(os.fsdecode(path))

    def letters(self, count: int, at: datetime = OLD, first: int = 0) -> list[str]:
        names = [f"letters/{i:05}.txt" for i in range(first, first + count)]
        for name in names:
            self.file(name, at)
        return names

    def sale(self, *rows: tuple) -> None:
        """Rows (id, at, customer, email)."""
        with closing(sqlite3.connect(self.folder / "till.db")) as db, db:
            db.executemany("INSERT INTO sales(id, at, customer, email) VALUES(?,?,?,?)", rows)

    def sales(self, count: int, at: datetime = OLD, first: int = 1) -> None:
        self.sale(*[(i, f"{at:%Y-%m-%d %H:%M:%S}", str(i), f"c{i}@example.org") for i in range(first, first + count)])

    def sql(self, statement: str, *values: object) -> list[tuple]:
        with closing(sqlite3.connect(self.folder / "till.db")) as db, db:
            return db.execute(statement, values).fetchall()

    def ids(self) -> set[int]:
        return {row[0] for row in self.sql("SELECT id FROM sales")}

    def left(self, store: str = "desk") -> set[str]:
        """Every file below a store, leftovers included."""
        root = self.folder / store
        return {os.path.relpath(os.path.join(d, f), root) for d, _, names in os.walk(root) for f in names}

    def traces(self) -> dict[str, tuple]:
        """Everything that looking could change in the stores: bytes, modes, times of change, directories' too."""
        found = {}
        roots = [self.folder / "desk", *self.folder.glob("*.db*")]
        for root in roots:
            inside = [root, *sorted(root.rglob("*"))] if root.is_dir() else [root]
            for path in inside:
                known = path.lstat()
                body = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
                found[str(path)] = (known.st_mode, known.st_mtime_ns, known.st_ctime_ns, known.st_size, body)
        return found

    # What is asked

    def told(self, *args: str, code: int | None = 0) -> Told:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            found = code_of(["--config", str(self.config), *args])
        told = Told(found, out.getvalue(), err.getvalue())
        assert code is None or found == code, (args, told)
        return told

    def json(self, *args: str, code: int | None = 0):
        return self.told("--json", *args, code=code).json

    def plan(self, *args: str) -> str:
        return self.json("plan", *args)["plan"]

    def rule(self, name: str, *args: str) -> dict:
        """The counts of one rule of a new plan."""
        return next(r for r in self.json("plan", *args)["rules"] if r["rule"] == name)

    def steps(self, plan: str) -> list[str]:
        return [line["key"] for line in self.json("plan", "show", plan, "--limit", "0")["lines"]]

    def stays(self, *args: str) -> dict[str, dict]:
        """The items that stay, by key, as a plan with `--all` writes them."""
        plan = self.plan("--all", *args)
        return {line["key"]: line for line in map(json.loads, self.lines(plan)) if "verdict" in line}

    def plan_file(self, plan: str) -> Path:
        return self.folder / "state" / "plans" / f"{plan}.jsonl"

    def lines(self, plan: str) -> list[str]:
        return self.plan_file(plan).read_text().splitlines()

    def entries(self, type_: str | None = None) -> list[dict]:
        found = self.json("audit", "show", "--limit", "0")["entries"]
        return [e for e in found if type_ in (None, e["type"])]

    def process(self, *args: str, before: Sequence[str] = ()) -> subprocess.Popen:
        command = [*before, sys.executable, "-m", "retentiond", "--config", str(self.config), *args]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def begun(self, *args: str) -> subprocess.Popen:
        """A command in a process of its own, once something has gone by it."""
        before = self.present()
        process = self.process(*args)
        while process.poll() is None and self.present() == before:
            pass
        return process

    def present(self) -> tuple[int, int]:
        """How many letters and sales there are."""
        letters = self.folder / "desk" / "letters"
        return len(os.listdir(letters)) if letters.is_dir() else 0, self.sql("SELECT count(*) FROM sales")[0][0]

    def apart(self, *args: str, before: Sequence[str] = (), code: int | None = 0) -> Told:
        """A command in a process of its own, behind the words of `before`."""
        done = self.process(*args, before=before)
        out, err = done.communicate(timeout=120)
        assert code is None or done.returncode == code, (args, done.returncode, out, err)
        return Told(done.returncode, out, err)
