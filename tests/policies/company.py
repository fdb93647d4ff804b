"""The company of docs/example/: its settings and categories as they are shipped, its stores in a folder of the test."""

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.acceptance.shop import NOW, Shop

ROOT = Path(__file__).parents[2]
POLICIES = ROOT / "policies.d"
EXAMPLE = ROOT / "docs" / "example"
SETTINGS = "retentiond.example.yaml"
LONDON = ZoneInfo("Europe/London")
FOLDERS = ("recordings", "uploads", "papers", "backups", "logs", "mail")
ELSEWHERE = ("offsite", "vault")
"""Folders in which copies appear."""
DATABASES = ("desk", "site")


def ages(count: int, youngest: float, oldest: float) -> list[float]:
    """So many ages in days, spread evenly, both ends included."""
    step = (oldest - youngest) / max(count - 1, 1)
    return [youngest + n * step for n in range(count)]


def time(age: float) -> str:
    """The time so many days ago, in UTC, as the databases write it."""
    return f"{NOW - timedelta(days=age):%Y-%m-%d %H:%M:%S}"


def day(age: float) -> date:
    """The day so long ago, in London."""
    return (NOW - timedelta(days=age)).astimezone(LONDON).date()


@dataclass
class Story:
    """What must become of a category: the keys that go in each night, by rule; and all that stays in the first plan,
    by rule and key, with the verdict and words of the reason.
    """

    nights: list[dict[str, set[str]]] = field(default_factory=lambda: [{}])
    stays: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)

    def goes(self, rule: str, key: str, night: int = 1) -> None:
        while len(self.nights) < night:
            self.nights.append({})
        self.nights[night - 1].setdefault(rule, set()).add(key)

    def stay(self, rule: str, key: str, verdict: str, why: str) -> None:
        self.stays[rule, key] = (verdict, why)


class Company(Shop):
    """Every table and folder that the categories look at, empty."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.srv = folder / "srv"
        for name in (*FOLDERS, *ELSEWHERE):
            (self.srv / name).mkdir(parents=True)
        for name in DATABASES:
            with closing(sqlite3.connect(self.srv / f"{name}.db")) as db:
                db.executescript((Path(__file__).parent / f"{name}.sql").read_text())
        shutil.copytree(POLICIES, folder / "policies.d")
        self.config.parent.mkdir(parents=True)
        shutil.copy(EXAMPLE / "notice.txt", self.config.parent)
        text = (EXAMPLE / SETTINGS).read_text().replace("smtp: localhost", "smtp: localhost, port: 1")  # nobody is there
        self.config.write_text(text.replace("/srv/", f"{self.srv}/").replace("/var/lib/retentiond", f"{folder}/state"))

    @property
    def config(self) -> Path:
        return self.folder / "docs" / "example" / SETTINGS

    # What is put there

    def put(self, store: str, name: str, content: bytes = b"what is in it") -> str:
        """A file, and its key."""
        path = self.srv / store / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return name

    def letter(self, folder: str, name: str, subject: str, sender: str = "jo@example.net") -> str:
        """A letter in a Maildir, read already, and its key."""
        head = f"From: {sender}\nTo: desk@hollinbridge.example\nSubject: {subject}\n\n"
        for sub in ("cur", "new", "tmp"):
            (self.srv / "mail" / folder / sub).mkdir(parents=True, exist_ok=True)
        (self.srv / "mail" / folder / "cur" / f"{name}:2,S").write_text(head + "Do you sell cables?\n")
        return f"{folder}/{name}"

    def age(self, store: str, name: str, days: float) -> None:
        """Gives a file the age of so many days."""
        at = (NOW - timedelta(days=days)).timestamp()
        os.utime(self.srv / store / name, (at, at))

    def rows(self, database: str, table: str, rows: list[dict]) -> None:
        """Rows that all have the same columns; foreign keys are held to."""
        columns = ", ".join(rows[0])
        values = ", ".join(f":{name}" for name in rows[0])
        with closing(sqlite3.connect(self.srv / f"{database}.db")) as db, db:
            db.execute("PRAGMA foreign_keys = ON")
            db.executemany(f"INSERT INTO {table}({columns}) VALUES({values})", rows)

    def customers(self, numbers: range) -> None:
        """Customers with open accounts."""
        self.rows(
            "desk", "customers", [{"id": n, "kind": "firm", "name": f"Firm {n}", "email": f"c{n}@example.net"} for n in numbers]
        )

    # What is there

    def asked(self, database: str, query: str) -> list[tuple]:
        with closing(sqlite3.connect(self.srv / f"{database}.db")) as db:
            return db.execute(query).fetchall()

    def change(self, database: str, statement: str) -> None:
        with closing(sqlite3.connect(self.srv / f"{database}.db")) as db, db:
            db.execute("PRAGMA foreign_keys = ON")
            db.execute(statement)

    def keys(self, store: str, table: str = "", key: str = "id") -> set[str]:
        """Every key of a folder, or of a table."""
        if store in DATABASES:
            return {f"{table}/{value}" for (value,) in self.asked(store, f"SELECT {key} FROM {table}")}
        root = self.srv / store
        if store == "mail":
            return {f"{path.parts[-3]}/{path.name.partition(':')[0]}" for path in root.rglob("cur/*")}
        return {os.path.relpath(os.path.join(d, f), root) for d, _, names in os.walk(root) for f in names}
