"""What runs of lineage said that were purged: how many they were, since when, and when each run was heard of last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the columns. Runs of before were heard of when they last happened, as far as is known."""
    op.add_column(
        "lineage_runs", sa.Column("heard_time", sa.BigInteger(), nullable=False, server_default=sa.text("0"))
    )
    op.add_column(
        "lineage_runs", sa.Column("rollup", sa.Text(), nullable=False, server_default=sa.text("'RUN'"))
    )
    op.add_column(
        "lineage_runs", sa.Column("run_count", sa.Integer(), nullable=False, server_default=sa.text("1"))
    )
    op.add_column("lineage_contributions", sa.Column("first_since", sa.BigInteger(), nullable=True))
    op.add_column(
        "lineage_jobs",
        sa.Column("purged_until", sa.BigInteger(), nullable=False, server_default=sa.text("-1")),
    )
    op.execute("UPDATE lineage_runs SET heard_time = last_time")
    op.create_index(
        op.f("ix_lineage_runs_rollup_heard_time"), "lineage_runs", ["rollup", "heard_time"], unique=False
    )


def downgrade() -> None:
    """Forgets them; a purged run is one run again."""
    op.drop_index(op.f("ix_lineage_runs_rollup_heard_time"), "lineage_runs")
    op.drop_column("lineage_jobs", "purged_until")
    op.drop_column("lineage_contributions", "first_since")
    op.drop_column("lineage_runs", "run_count")
    op.drop_column("lineage_runs", "rollup")
    op.drop_column("lineage_runs", "heard_time")
