"""Requests that were withdrawn."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Adds `withdrawn` and `withdraw_reason` to `request`."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column("request", sa.Column("withdrawn", number, nullable=True))
    op.add_column("request", sa.Column("withdraw_reason", sa.Text, nullable=True))
