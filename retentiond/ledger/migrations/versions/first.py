"""The tables as they were when migrations began.

A state of SQLite from before then has most of them, and no record of which: whatever is missing is made.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TYPES: dict[str, Any] = {
    "text": sa.Text(),
    "integer": sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
    "bytes": sa.LargeBinary(),
}
_COUNTED_ON = ("history", "alarm_owed")
"""Tables of which SQLite uses no number of a row twice."""

_TABLES = {
    "meta": "key text key, value text",
    "entry": "seq integer index, type text, body bytes",
    "version": "id integer key, category text, digest text, meaning text, seen_at integer",
    "approval": "category text key, rulebook text, meaning text, by text, at integer, revoked integer",
    "plan": "name text key, made_at integer, at integer, expires integer, header text, forecast integer, done integer",
    "run": "id text key, plan text, allowed_by text, started integer, ended integer null, counts text null",
    "batch": "id integer key, run text, plan text, category text, rule text, store text, entry integer, outcome integer null,"
    " offset integer, steps text, again text null, refs bytes",
    "hold": "id text key, scope text, reason text, mandate text, review_on text null, placed integer, placed_at integer,"
    " released integer null, released_at integer null, release_reason text null",
    "happened": "id integer key, name text, subject text, at integer, recorded integer, recorded_at integer,"
    " withdrawn integer null",
    "review": "id integer key, category text, rule text, store text, year integer, reference text, revision text, decision text,"
    " until integer null, reason text, by text, at integer",
    "place": "store text key, definition text, place text",
    "population": "category text key, rule text key, total integer, disposed integer",
    "history": "id integer key, category text, rule text, plan text, disposed integer",
    "counted": "category text key, rule text key, at integer, counts text, disposed integer",
    "look": "category text key, began integer, ended integer, result text, plan text null, run text null, code text null,"
    " oldest_overdue integer null, found text, outcomes text, effective integer null, totals text",
    "alarm": "id integer key, kind text, about text, state text",
    "alarm_address": "address text key, free_at integer, failures integer, failing_since integer null, trouble text",
    "alarm_owed": "id integer key, address text, news text",
    "alarm_watched": "category text key, since integer",
    "reference_scope": "year integer key, category text key",
}
_INDEXES = {
    "ix_run_plan": ("run", "plan"),
    "ix_batch_run": ("batch", "run"),
    "ix_batch_plan": ("batch", "plan"),
    "happened_subject": ("happened", "name subject"),
    "review_item": ("review", "category store year reference"),
    "history_rule": ("history", "category rule plan"),
    "alarm_name": ("alarm", "kind about"),
    "ix_alarm_owed_address": ("alarm_owed", "address"),
}
_UNIQUE = ("history_rule", "alarm_name")


def upgrade() -> None:
    """Makes what is not there."""
    for name, columns in _TABLES.items():
        made = [_column(*column.split()) for column in columns.split(", ")]
        op.create_table(name, *made, sqlite_strict=True, sqlite_autoincrement=name in _COUNTED_ON, if_not_exists=True)
    for name, (table, columns) in _INDEXES.items():
        op.create_index(name, table, columns.split(), unique=name in _UNIQUE, if_not_exists=True)
    still_open = sa.text("outcome IS NULL")
    op.create_index("batch_open", "batch", ["outcome"], sqlite_where=still_open, postgresql_where=still_open, if_not_exists=True)


def _column(name: str, type_: str, kind: str = "") -> sa.Column[Any]:
    """A key counts up by itself where it is the table's only one and a number; `index` is a key that does not."""
    key = kind in ("key", "index")
    given: dict[str, Any] = {"autoincrement": False} if kind == "index" else {}
    return sa.Column(name, _TYPES[type_], primary_key=key, nullable=kind == "null", **given)
