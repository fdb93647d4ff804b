"""By which starts disposals are known again, and which archives and copies hold a person."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Adds `starts` to `batch`, `subjects` to `copied`, and `copies` to `request`."""
    op.add_column("batch", sa.Column("starts", sa.LargeBinary, nullable=True))
    op.add_column("copied", sa.Column("subjects", sa.Text, nullable=True))
    op.add_column("request", sa.Column("copies", sa.Text, nullable=True))
