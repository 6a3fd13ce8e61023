"""Declared lineage: relationships that people state."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the table."""
    op.create_table(
        "lineage_declarations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("metastore_id", sa.Text(), nullable=False),
        sa.Column("source_key", sa.Text(), nullable=False),
        sa.Column("target_key", sa.Text(), nullable=False),
        sa.Column("source_digest", sa.Text(), nullable=False),
        sa.Column("target_digest", sa.Text(), nullable=False),
        sa.Column("columns", sa.JSON(), nullable=False),
        sa.Column("properties", sa.JSON(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("run_time", sa.BigInteger(), nullable=False),
        sa.Column("run_workspace_id", sa.Text(), nullable=False),
        sa.Column("run_principal_id", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("update_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lineage_declarations")),
        sa.UniqueConstraint(
            "metastore_id",
            "source_digest",
            "target_digest",
            name=op.f("uq_lineage_declarations_metastore_id_source_digest_target_digest"),
        ),
    )
    op.create_index(
        op.f("ix_lineage_declarations_target_digest"),
        "lineage_declarations",
        ["metastore_id", "target_digest"],
    )


def downgrade() -> None:
    """Drops it."""
    op.drop_table("lineage_declarations")
