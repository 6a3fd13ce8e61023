"""Lineage: events, runs, names, assets and edges, and the head they are written under."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

TABLES = (
    "lineage_changes",
    "lineage_mappings",
    "lineage_contributions",
    "lineage_edges",
    "lineage_aliases",
    "lineage_assets",
    "lineage_endings",
    "lineage_links",
    "lineage_mentions",
    "lineage_names",
    "lineage_runs",
    "lineage_jobs",
    "lineage_events",
    "lineage_head",
)


def upgrade() -> None:
    """Adds the tables; nothing is recorded yet."""
    op.create_table(
        "lineage_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("name_id", sa.BigInteger(), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("asset_id", sa.BigInteger(), nullable=False),
        sa.Column("edge_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lineage_head")),
        sa.CheckConstraint("id = 1", name=op.f("ck_lineage_head_single_row")),
    )
    op.create_table(
        "lineage_events",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("received_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("flags", sa.JSON(), nullable=False),
        sa.Column("dropped_facets", sa.JSON(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "principal_id", "key", name=op.f("pk_lineage_events")),
    )
    op.create_index(op.f("ix_lineage_events_received_time"), "lineage_events", ["received_time"])
    op.create_table(
        "lineage_jobs",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("metastore_id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lineage_jobs")),
        sa.UniqueConstraint("workspace_id", "digest", name=op.f("uq_lineage_jobs_workspace_id_digest")),
    )
    op.create_table(
        "lineage_runs",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("metastore_id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("first_time", sa.BigInteger(), nullable=False),
        sa.Column("last_time", sa.BigInteger(), nullable=False),
        sa.Column("flags", sa.JSON(), nullable=False),
        sa.Column("weight", sa.BigInteger(), nullable=False),
        sa.Column("fold", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lineage_runs")),
        sa.UniqueConstraint(
            "workspace_id", "principal_id", "key", name=op.f("uq_lineage_runs_workspace_id_principal_id_key")
        ),
        sa.CheckConstraint("state IN ('PROVISIONAL', 'LIVE', 'DROPPED')", name=op.f("ck_lineage_runs_state")),
    )
    op.create_table(
        "lineage_names",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("metastore_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lineage_names")),
        sa.UniqueConstraint("metastore_id", "digest", name=op.f("uq_lineage_names_metastore_id_digest")),
    )
    op.create_table(
        "lineage_mentions",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("name_id", sa.BigInteger(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "name_id", name=op.f("pk_lineage_mentions")),
    )
    op.create_index(op.f("ix_lineage_mentions_name_id_time"), "lineage_mentions", ["name_id", "time"])
    op.create_table(
        "lineage_links",
        sa.Column("one_id", sa.BigInteger(), nullable=False),
        sa.Column("other_id", sa.BigInteger(), nullable=False),
        sa.Column("binds", sa.Boolean(), nullable=False),
        sa.Column("first_time", sa.BigInteger(), nullable=False),
        sa.Column("last_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("one_id", "other_id", "binds", name=op.f("pk_lineage_links")),
    )
    op.create_index(op.f("ix_lineage_links_other_id"), "lineage_links", ["other_id"])
    op.create_table(
        "lineage_endings",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("name_id", sa.BigInteger(), nullable=False),
        sa.Column("renamed_to_id", sa.BigInteger(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "name_id", "renamed_to_id", name=op.f("pk_lineage_endings")),
    )
    op.create_index(op.f("ix_lineage_endings_name_id"), "lineage_endings", ["name_id"])
    op.create_index(op.f("ix_lineage_endings_renamed_to_id"), "lineage_endings", ["renamed_to_id"])
    op.create_table(
        "lineage_assets",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("metastore_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("securable_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("end_time", sa.BigInteger(), nullable=False),
        sa.Column("merged_into_id", sa.BigInteger(), nullable=True),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("principal_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lineage_assets")),
        sa.CheckConstraint("state IN ('LIVE', 'DROPPED', 'MERGED')", name=op.f("ck_lineage_assets_state")),
    )
    op.create_index(op.f("ix_lineage_assets_securable_id"), "lineage_assets", ["securable_id"])
    op.create_table(
        "lineage_aliases",
        sa.Column("name_id", sa.BigInteger(), nullable=False),
        sa.Column("after", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("asset_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name_id", "after", name=op.f("pk_lineage_aliases")),
    )
    op.create_index(op.f("ix_lineage_aliases_asset_id"), "lineage_aliases", ["asset_id"])
    op.create_table(
        "lineage_edges",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("metastore_id", sa.Text(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("target_id", sa.BigInteger(), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("first_time", sa.BigInteger(), nullable=False),
        sa.Column("last_time", sa.BigInteger(), nullable=False),
        sa.Column("end_time", sa.BigInteger(), nullable=False),
        sa.Column("run_count", sa.BigInteger(), nullable=False),
        sa.Column("mapping_hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lineage_edges")),
        sa.UniqueConstraint(
            "source_id", "target_id", "job_id", name=op.f("uq_lineage_edges_source_id_target_id_job_id")
        ),
        sa.CheckConstraint(
            "state IN ('LIVE', 'PROVISIONAL', 'DROPPED', 'RETRACTED')", name=op.f("ck_lineage_edges_state")
        ),
    )
    op.create_index(op.f("ix_lineage_edges_target_id"), "lineage_edges", ["target_id"])
    op.create_table(
        "lineage_contributions",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("source_name_id", sa.BigInteger(), nullable=False),
        sa.Column("target_name_id", sa.BigInteger(), nullable=False),
        sa.Column("source_time", sa.BigInteger(), nullable=False),
        sa.Column("target_time", sa.BigInteger(), nullable=False),
        sa.Column("edge_id", sa.BigInteger(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("first_time", sa.BigInteger(), nullable=False),
        sa.Column("last_time", sa.BigInteger(), nullable=False),
        sa.Column("mapping_hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "run_id", "source_name_id", "target_name_id", name=op.f("pk_lineage_contributions")
        ),
    )
    op.create_index(
        op.f("ix_lineage_contributions_source_name_id"), "lineage_contributions", ["source_name_id"]
    )
    op.create_index(
        op.f("ix_lineage_contributions_target_name_id"), "lineage_contributions", ["target_name_id"]
    )
    op.create_index(op.f("ix_lineage_contributions_edge_id"), "lineage_contributions", ["edge_id"])
    op.create_table(
        "lineage_mappings",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("columns", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_lineage_mappings")),
    )
    op.create_table(
        "lineage_changes",
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("edge_id", sa.BigInteger(), nullable=True),
        sa.Column("source_asset_id", sa.BigInteger(), nullable=False),
        sa.Column("target_asset_id", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", "position", name=op.f("pk_lineage_changes")),
    )
    op.execute(
        "INSERT INTO lineage_head (id, sequence, name_id, job_id, run_id, asset_id, edge_id) VALUES (1, 0, 0, 0, 0, 0, 0)"
    )


def downgrade() -> None:
    """Drops them."""
    for table in TABLES:
        op.drop_table(table)
