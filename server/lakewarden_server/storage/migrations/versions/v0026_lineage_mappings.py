"""Mappings of columns that nothing of lineage says any more: since when one is known to be, and when they were looked for last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """None is known to be so far."""
    op.add_column("lineage_mappings", sa.Column("unused_time", sa.BigInteger(), nullable=True))
    op.add_column(
        "lineage_head", sa.Column("mappings_time", sa.BigInteger(), nullable=False, server_default="0")
    )


def downgrade() -> None:
    """Forgets it."""
    op.drop_column("lineage_head", "mappings_time")
    op.drop_column("lineage_mappings", "unused_time")
