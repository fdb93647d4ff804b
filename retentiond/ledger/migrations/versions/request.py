"""Erasure requests, and which batches are on their ground."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds the table `request`, and a column of that name to `batch`."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "request",
        sa.Column("entry", number, primary_key=True, autoincrement=False, nullable=False),
        *(sa.Column(name, sa.Text, unique=name == "name" or None, nullable=False) for name in ("name", "reason", "by")),
        sa.Column("year", number, nullable=False),
        sa.Column("subjects", sa.Text, nullable=False),
        sa.Column("received", number, nullable=False),
        *(sa.Column(name, number, nullable=True) for name in ("allowed", "done")),
        sa.Column("until", number, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("rules", "told")),
        sqlite_strict=True,
    )
    op.add_column("batch", sa.Column("request", number, nullable=True))
    op.create_index("ix_batch_request", "batch", ["request"])
