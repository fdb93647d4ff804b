"""Puts the company together: its files, its databases, its notice and its rules."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import datetime
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType

from retentiond.demo import backups, helpdesk, letters, pbx
from retentiond.demo.timeline import Timeline
from retentiond.errors import UsageError

Progress = Callable[[str, int, int], None]

DUE: Mapping[tuple[str, str], int] = MappingProxyType(
    {
        ("call-recordings", "sound"): pbx.CALLS_DUE,
        ("call-index", "rows"): pbx.CALLS_DUE,
        ("support-files", "uploads"): helpdesk.FILES_DUE,
        ("support-files", "rows"): helpdesk.FILES_DUE,
        ("letters", "mailbox"): letters.LETTERS_DUE,
        ("letters", "archive"): 0,
        ("backups", "nights"): 0,
        ("backups", "copies"): 0,
        ("newsletter", "left"): helpdesk.LEFT_DUE,
        ("web-log", "lines"): helpdesk.LINES_DUE,
        ("customer-accounts", "customers"): 0,
        ("customer-accounts", "invoices"): 0,
    }
)
"""How many items are due on the day of building, by category and rule."""

POPULATION: Mapping[tuple[str, str], int] = MappingProxyType(
    {
        ("call-recordings", "sound"): pbx.CALLS,
        ("call-index", "rows"): pbx.CALLS,
        ("support-files", "uploads"): helpdesk.FILES,
        ("support-files", "rows"): helpdesk.FILES,
        ("letters", "mailbox"): letters.LETTERS,
        ("letters", "archive"): 0,
        ("backups", "nights"): backups.BACKUPS,
        ("backups", "copies"): backups.CARRIED_AWAY,
        ("newsletter", "left"): helpdesk.LEFT,
        ("web-log", "lines"): helpdesk.LINES,
        ("customer-accounts", "customers"): helpdesk.CUSTOMERS,
        ("customer-accounts", "invoices"): helpdesk.INVOICES,
    }
)
"""How many items each selection matches, by category and rule."""

TRIPS = "web-log"
"""The category whose share of due items is over its limit, so that a person has to look."""

_SEED = 1998
_COPIED = ("retentiond.yaml", "policies.d", "notices", "vault-identity.txt")


def build(folder: Path, now: datetime, progress: Progress | None = None) -> None:
    """Makes the company in `folder`, which must be new or empty; about 21,000 small files and 40 MB.

    `now` is aware. `progress` hears what is being made, how many there are and how many there
    will be. Nothing that exists is overwritten: `UsageError` for a folder with something in it.
    """
    tell = progress or _silent
    _fresh(folder)
    line, rng = Timeline(now.replace(microsecond=0)), random.Random(_SEED)  # noqa: S311 the same company each time, no secret
    company = files("retentiond.demo") / "company"
    calls = pbx.calls(rng, line)
    pbx.write_recordings(folder / "recordings", calls, lambda done: tell("recordings", done, len(calls)))
    pbx.write_database(folder / "pbx.db", _schema(company, "pbx.sql"), rng, calls)
    tell("telephone system", 1, 1)
    cases = helpdesk.tickets(rng, line)
    sent = helpdesk.uploads(rng, cases)
    helpdesk.write_uploads(folder / "uploads", sent)
    helpdesk.write_database(folder / "helpdesk.db", _schema(company, "helpdesk.sql"), rng, line, cases, sent)
    tell("helpdesk", 1, 1)
    letters.write_mailbox(folder / "mail", letters.letters(rng, line, cases))
    (folder / "vault").mkdir()
    backups.write_backups(folder / "backups", folder / "offsite", rng, line)
    tell("mailbox and backups", 1, 1)
    for name in _COPIED:
        _copy(company / name, folder / name)
    tell("notice and rules", 1, 1)


def _silent(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def _fresh(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = next(folder.iterdir(), None) is not None
    except OSError as error:
        raise UsageError("the demo's folder cannot be made", why=error.strerror or "") from error
    if taken:
        why = "it already holds something, and nothing is overwritten"
        raise UsageError("the demo needs a new or an empty folder", why=why, do="name another one: retentiond demo DIR")


def _schema(company: Traversable, name: str) -> str:
    return (company / name).read_text(encoding="utf-8")


def _copy(source: Traversable, target: Path) -> None:
    if source.is_file():
        target.write_bytes(source.read_bytes())
        return
    target.mkdir()
    for child in sorted(source.iterdir(), key=lambda entry: entry.name):
        _copy(child, target / child.name)
