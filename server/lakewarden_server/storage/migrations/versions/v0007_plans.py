"""A logged plan says what its engine can apply, so that it can be decided again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a column that older rows leave empty."""
    op.add_column("decision_log", sa.Column("capabilities", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Drops it."""
    op.drop_column("decision_log", "capabilities")
