"""A shop whose categories are looked at by the daemon, and a socket that plays systemd."""

import os
import sqlite3
from contextlib import closing

import pytest

from tests.acceptance.shop import LETTERS, NEW, OLD, OPEN_LIMITS, Shop
from tests.daemon.resident import Daemon, PretendSystemd

SOON = "every 1 second"

NOTES = """\
  notes:
    store: drawer
    select: {path: "notes/**"}
    start: modified
    retention_period: 3 months
    action: delete
"""
DRAWER = "  drawer: {type: files, path: drawer, location: GB}"


class Office(Shop):
    """A shop with two stores of files: `post` keeps letters on the desk, `memos` notes in the drawer."""

    def __init__(self, folder) -> None:
        super().__init__(folder)
        (folder / "drawer").mkdir()
        self.settings(more=DRAWER)
        self.post()

    def post(self, schedule="every 1 hour", approval="none", limits=OPEN_LIMITS, rules=LETTERS) -> None:
        self._scheduled(self.category("post", rules, head=f"{limits}\napproval: {approval}"), schedule)

    def memos(self, schedule="every 1 hour", approval="none") -> None:
        self._scheduled(self.category("memos", NOTES, head=f"{OPEN_LIMITS}\napproval: {approval}"), schedule)

    def _scheduled(self, path, schedule) -> None:
        path.write_text(path.read_text().replace("schedule: daily at 02:00", f"schedule: {schedule}"))

    def note(self, name: str) -> None:
        """An old note in the drawer."""
        path = self.folder / "drawer" / "notes" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"text")
        os.utime(path, (OLD.timestamp(), OLD.timestamp()))

    def ledger(self, statement: str, *values: object) -> list[tuple]:
        """A statement on the state itself, as no command gives it."""
        with closing(sqlite3.connect(self.folder / "state" / "state.db", timeout=30)) as db, db:
            return db.execute(statement, values).fetchall()

    def daemon(self, *options: str, **more: object) -> Daemon:
        return Daemon(self.config, *options, **more)


@pytest.fixture
def office(tmp_path):
    """An office with ten old and five new letters."""
    office = Office(tmp_path / "office")
    office.letters(10)
    office.letters(5, first=100, at=NEW)
    return office


@pytest.fixture
def systemd(tmp_path):
    pretended = PretendSystemd(tmp_path / "notify")
    yield pretended
    pretended.close()
