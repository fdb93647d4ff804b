"""What was seen of items that were looked into; the register of archives and copies."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_COPY = "purpose category rule store item revision destination key state"


def upgrade() -> None:
    """Adds the tables `inspected` and `copied`."""
    op.create_table(
        "inspected",
        sa.Column("digest", sa.Text, primary_key=True, nullable=False),
        *(sa.Column(name, kind, nullable=False) for name, kind in (("format", sa.Text), ("assurance", sa.Text), ("at", _NUMBER))),
        sqlite_strict=True,
    )
    op.create_table(
        "copied",
        sa.Column("id", _NUMBER, primary_key=True, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in _COPY.split()),
        *(sa.Column(name, sa.Text, nullable=True) for name in ("found", "sha256")),
        *(sa.Column(name, _NUMBER, nullable=True) for name in ("size", "entry")),
        *(sa.Column(name, _NUMBER, nullable=False) for name in ("items", "recipients", "at")),
        sqlite_strict=True,
    )
    op.create_index("copied_item", "copied", ["item"])
    op.create_index("copied_key", "copied", ["destination", "key"])
