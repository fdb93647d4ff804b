"""Locks as leases, for states that several machines share.

A program from before there were migrations looks at the number in `meta`, and refuses another than 1.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds the table `lease`."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "lease",
        sa.Column("name", sa.Text, primary_key=True, nullable=False),
        *(sa.Column(name, kind, nullable=False) for name, kind in (("token", number), ("holder", sa.Text), ("purpose", sa.Text))),
        sa.Column("since", number, nullable=False),
        sa.Column("until", number, nullable=False),
        sqlite_strict=True,
    )
    op.execute("UPDATE meta SET value = '2' WHERE key = 'schema'")
