"""From where on the changes of lineage are kept, and the runs of a job in order."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """All changes are kept so far."""
    op.add_column(
        "lineage_head", sa.Column("changes_from", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.create_index(op.f("ix_lineage_runs_job_id_last_time"), "lineage_runs", ["job_id", "last_time"])


def downgrade() -> None:
    """Forgets where they begin."""
    op.drop_index(op.f("ix_lineage_runs_job_id_last_time"), "lineage_runs")
    op.drop_column("lineage_head", "changes_from")
