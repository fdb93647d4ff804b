"""The tables of the state, and how its database is opened.

SQLite in WAL mode with `synchronous=FULL`: a committed transaction survives a power cut. Every
transaction begins with `BEGIN IMMEDIATE`, so that what it read is still so when it writes.
Instants are integer microseconds since 1970 (UTC).
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from retentiond.errors import StateUnavailable

VERSION = 1
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
_WAIT_MS = 30_000

metadata = sa.MetaData()


def _table(name: str, *columns: sa.Column[Any], **options: Any) -> sa.Table:
    return sa.Table(name, metadata, *columns, sqlite_strict=True, **options)


def _int(name: str, **options: Any) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, **({"nullable": False} | options))


def _text(name: str, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text, **({"nullable": False} | options))


meta = _table("meta", _text("key", primary_key=True), _text("value"))
"""Single facts: the schema's version, the signed head, the clock, the newest register entries."""

entry = _table("entry", _int("seq", primary_key=True), _text("type"), sa.Column("body", sa.LargeBinary, nullable=False))
"""The evidence: the bytes of every entry, by its index."""

version = _table("version", _int("id", primary_key=True), _text("category"), _text("digest"), _text("meaning"), _int("seen_at"))
"""Every version of a category that was ever planned with, in the order in which it was first seen."""

approval = _table(
    "approval", _text("category", primary_key=True), _text("rulebook"), _text("meaning"), _text("by"), _int("at"), _int("revoked")
)
plan = _table(
    "plan",
    _text("name", primary_key=True),
    _int("made_at"),
    _int("at"),
    _int("expires"),
    _text("header"),
    _int("forecast"),
    _int("done"),
)
run = _table(
    "run",
    _text("id", primary_key=True),
    _text("plan", index=True),
    _text("allowed_by"),
    _int("started"),
    _int("ended", nullable=True),
    _text("counts", nullable=True),
)
batch = _table(
    "batch",
    _int("id", primary_key=True),
    _text("run", index=True),
    _text("plan", index=True),
    _text("category"),
    _text("rule"),
    _text("store"),
    _int("entry"),
    _int("outcome", nullable=True),
    _int("offset"),
    _text("steps"),
    _text("again", nullable=True),
    sa.Column("refs", sa.LargeBinary, nullable=False),
)
"""What one intent or one sparing is about. `steps` are the numbers of the steps, as ranges; `again`
those that a later run may take up again; `refs` their references; `offset` counts references of the
run before these."""
sa.Index("batch_open", batch.c.outcome, sqlite_where=batch.c.outcome.is_(None))

hold = _table(
    "hold",
    _text("id", primary_key=True),
    _text("scope"),
    _text("reason"),
    _text("mandate"),
    _text("review_on", nullable=True),
    _int("placed"),
    _int("placed_at"),
    _int("released", nullable=True),
    _int("released_at", nullable=True),
    _text("release_reason", nullable=True),
)
happened = _table(
    "happened",
    _int("id", primary_key=True),
    _text("name"),
    _text("subject"),
    _int("at"),
    _int("recorded"),
    _int("recorded_at"),
    _int("withdrawn", nullable=True),
)
sa.Index("happened_subject", happened.c.name, happened.c.subject)
review = _table(
    "review",
    _int("id", primary_key=True),
    _text("category"),
    _text("rule"),
    _text("store"),
    _int("year"),
    _text("reference"),
    _text("revision"),
    _text("decision"),
    _int("until", nullable=True),
    _text("reason"),
    _text("by"),
    _int("at"),
)
"""What people decided about items that wait for review; the newest row about an item counts. Keys and
revisions are keyed references, of the key of `year`, so that nothing of an item that went stays behind."""
sa.Index("review_item", review.c.category, review.c.store, review.c.year, review.c.reference)
place = _table("place", _text("store", primary_key=True), _text("definition"), _text("place"))
population = _table(
    "population", _text("category", primary_key=True), _text("rule", primary_key=True), _int("total"), _int("disposed")
)
"""The population that the last plan saw, and what we disposed of since."""
history = _table(
    "history",
    _int("id", primary_key=True),
    _text("category"),
    _text("rule"),
    _text("plan"),
    _int("disposed"),
    sqlite_autoincrement=True,
)
sa.Index("history_rule", history.c.category, history.c.rule, history.c.plan, unique=True)
reference_scope = _table("reference_scope", _int("year", primary_key=True), _text("category", primary_key=True))
"""Every year and category under whose key a reference was made: where `audit lookup` searches."""


def open_database(path: Path) -> sa.Engine:
    """The state's database, made if it is not there; `StateUnavailable` if it cannot be used."""
    engine = sa.create_engine(
        f"sqlite:///{path}", connect_args={"timeout": _WAIT_MS / 1000, "isolation_level": None}, poolclass=sa.NullPool
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    try:
        with engine.begin() as connection:
            _make_or_check(connection)
    except (sa.exc.DatabaseError, sqlite3.DatabaseError) as error:
        raise unavailable(error) from error
    return engine


def _prepare(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA wal_autocheckpoint=16000")


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _make_or_check(connection: sa.Connection) -> None:
    if not sa.inspect(connection).has_table("meta"):
        metadata.create_all(connection)
        connection.execute(meta.insert().values(key="schema", value=str(VERSION)))
        return
    found = int(connection.execute(sa.select(meta.c.value).where(meta.c.key == "schema")).scalar_one())
    if found != VERSION:
        raise StateUnavailable(
            "the state was written by another version of the program",
            why=f"its schema is {found}, this program knows {VERSION}",
            do="use the version of retentiond that wrote it, or a newer one",
        )
    review.create(connection, checkfirst=True)  # a state from before there were reviews


@contextmanager
def keeping() -> Iterator[None]:
    """Around whatever writes files of the state: an error of the system becomes `StateUnavailable`."""
    try:
        yield
    except OSError as error:
        raise unavailable(error) from error


def unavailable(error: Exception) -> StateUnavailable:
    """A driver's error about the state as one of ours: what it means, without the driver's text."""
    text = str(error).lower()
    if "full" in text or "disk i/o" in text or getattr(error, "errno", None) in _NO_ROOM:
        why, do = "its disk is full, or fails", "make room; nothing is destroyed without evidence"
    elif "locked" in text or "busy" in text:
        why, do = "another process has kept it locked", "wait, or look for a process that hangs"
    elif "readonly" in text or "read-only" in text or "unable to open" in text or isinstance(error, PermissionError):
        why, do = "it cannot be written", "run as the user who owns the state directory"
    elif "malformed" in text or "not a database" in text:
        why, do = "it is damaged", "restore state.db from a backup, then run `retentiond audit verify`"
    else:
        why, do = type(error).__name__, "see the state directory and its disk"
    return StateUnavailable("the state cannot be used, so nothing was destroyed", why=why, do=do)
