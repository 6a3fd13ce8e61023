"""What of lineage is the definition of its target. Of what was recorded before nothing is: it ends by age, as it did."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column."""
    op.add_column(
        "lineage_contributions", sa.Column("defines", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    """Forgets it."""
    op.drop_column("lineage_contributions", "defines")
