"""Which legal holds of buckets are ours."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Adds the table `legal_hold`."""
    op.create_table(
        "legal_hold",
        *(sa.Column(name, sa.Text, primary_key=True, nullable=False) for name in ("place", "key", "version", "hold")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("store", "state")),
        sqlite_strict=True,
    )
