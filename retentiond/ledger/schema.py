"""The tables of the state, the same in SQLite and PostgreSQL.

Instants are integer microseconds since 1970 (UTC), in 64 bits. Whoever changes a table here writes the
migration that leads there, in `migrations/versions`, and adds its name to `REVISIONS`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from retentiond.errors import StateUnavailable

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
"""Every schema that there was, in their order, by the name of its migration. The last is that of this file."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""In SQLite an INTEGER has 64 bits, and as a primary key it is the row's own number."""

metadata = sa.MetaData()


def _table(name: str, *columns: sa.Column[Any], **options: Any) -> sa.Table:
    return sa.Table(name, metadata, *columns, sqlite_strict=True, **options)


def _int(name: str, **options: Any) -> sa.Column[int]:
    return sa.Column(name, _INTEGER, **({"nullable": False} | options))


def _text(name: str, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text, **({"nullable": False} | options))


meta = _table("meta", _text("key", primary_key=True), _text("value"))
"""Single facts: the signed head, the clock, the newest register entries."""

revision = sa.Table(
    "alembic_version",
    metadata,
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Which of the `REVISIONS` the tables have; Alembic's own table, as Alembic makes it."""

lease = _table(
    "lease",
    _text("name", primary_key=True),
    _int("token"),
    _text("holder"),
    _text("purpose"),
    _int("since"),
    _int("until"),
)
"""Who is at work, where several machines share the state. A token is never used twice; instants are the server's."""

entry = _table(
    "entry",
    _int("seq", primary_key=True, autoincrement=False),
    _text("type"),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
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
    _int("request", nullable=True, index=True),
    sa.Column("starts", sa.LargeBinary, nullable=True),
)
"""What one intent or one sparing is about. `steps` are the numbers of the steps, as ranges; `again`
those that a later run may take up again; `refs` their references; `offset` counts references of the
run before these; `request` is the erasure request on whose ground they go, by its entry; `starts` has the
start of each, veiled (`References.veiled`); NULL where none has one, or in batches of earlier versions."""
batch_open = sa.Index("batch_open", batch.c.outcome, sqlite_where=batch.c.outcome.is_(None))

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
request = _table(
    "request",
    _int("entry", primary_key=True, autoincrement=False),
    _text("name", unique=True),
    _text("reason"),
    _text("by"),
    _int("year"),
    _text("subjects"),
    _int("received"),
    _int("allowed", nullable=True),
    _int("done", nullable=True),
    _int("until"),
    _text("rules"),
    _text("told"),
    _int("withdrawn", nullable=True),
    _text("withdraw_reason", nullable=True),
    _text("copies", nullable=True),
)
"""Erasure requests, by the index of their entry. `subjects` are keyed references of the key of `year`, and go
when the request has stood until `until`; `rules` has what stayed at the last look, by category and rule, and on
which ground; `told` the recipients that were told, by category."""
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
counted = _table(
    "counted", _text("category", primary_key=True), _text("rule", primary_key=True), _int("at"), _text("counts"), _int("disposed")
)
"""What the newest plan that could be believed counted of each rule, and what we disposed of since."""
look = _table(
    "look",
    _text("category", primary_key=True),
    _int("began"),
    _int("ended"),
    _text("result"),
    _text("plan", nullable=True),
    _text("run", nullable=True),
    _text("code", nullable=True),
    _int("oldest_overdue", nullable=True),
    _text("found"),
    _text("outcomes"),
    _int("effective", nullable=True),
    _text("totals"),
)
"""The last look at each category, the end of its last effective one, and the sum of all its outcomes."""
alarm = _table("alarm", _int("id", primary_key=True), _text("kind"), _text("about"), _text("state"))
"""What is wrong, as it was told, until it is over."""
sa.Index("alarm_name", alarm.c.kind, alarm.c.about, unique=True)
alarm_address = _table(
    "alarm_address",
    _text("address", primary_key=True),
    _int("free_at"),
    _int("failures"),
    _int("failing_since", nullable=True),
    _text("trouble"),
)
"""Where alarms are told, by an id without secrets: from when on it may be tried, and how it fails."""
alarm_owed = _table(
    "alarm_owed", _int("id", primary_key=True), _text("address", index=True), _text("news"), sqlite_autoincrement=True
)
"""What each address has not taken yet."""
alarm_watched = _table("alarm_watched", _text("category", primary_key=True), _int("since"))
"""From when on each category is missed when nothing runs."""
inspected = _table("inspected", _text("digest", primary_key=True), _text("format"), _text("assurance"), _int("at"))
"""What items were recognised as, by a keyed digest of place, key and revision; `at` is when one was last met, roughly."""
copied = _table(
    "copied",
    _int("id", primary_key=True),
    _text("purpose"),
    _text("category"),
    _text("rule"),
    _text("store"),
    _text("item"),
    _text("revision"),
    _text("destination"),
    _text("key"),
    _text("state"),
    _text("found", nullable=True),
    _text("sha256", nullable=True),
    _int("size", nullable=True),
    _int("entry", nullable=True),
    _int("items"),
    _int("recipients"),
    _int("at"),
    _text("subjects", nullable=True),
)
"""Archives, copies and manifests that were written elsewhere: `item` and `revision` are keyed digests of the original, `key`
names the copy in the store `destination`, `found` is the revision in which it was read back, `sha256` and `size` are those
of its bytes. `state`: begun, kept, gone by a rule of its own. `subjects` are keyed digests of whom the originals are about; NULL
where nothing says so."""
sa.Index("copied_item", copied.c.item)
sa.Index("copied_key", copied.c.destination, copied.c.key)
legal_hold = _table(
    "legal_hold",
    *(_text(name, primary_key=True) for name in ("place", "key", "version", "hold")),
    _text("store"),
    _text("state"),
)
"""Which versions of objects bear a legal hold in their bucket for a hold of ours. `state`: begun, ours, or theirs."""
reference_scope = _table("reference_scope", _int("year", primary_key=True), _text("category", primary_key=True))
"""Every year and category under whose key a reference was made: where `audit lookup` searches."""


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
