"""Versions of edges, and indexes by which what a name meant in a span of time is found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_CONTRIBUTIONS = "lineage_contributions"
_VERSIONS = "lineage_edge_versions"
_BEFORE = {
    "ix_lineage_contributions_source_name_id": ["source_name_id"],
    "ix_lineage_contributions_target_name_id": ["target_name_id"],
    "ix_lineage_contributions_edge_id": ["edge_id"],
}
_NOW = {
    "ix_lineage_contributions_source": ["source_name_id", "source_time"],
    "ix_lineage_contributions_target": ["target_name_id", "target_time"],
    "ix_lineage_contributions_edge": ["edge_id", "live", "since"],
}


def upgrade() -> None:
    """Adds the table and the columns; every edge that is or was gets its first version, and what ended its end."""
    op.add_column(_CONTRIBUTIONS, sa.Column("since", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute("UPDATE lineage_contributions SET since = last_time")
    for name in _BEFORE:
        op.drop_index(op.f(name), _CONTRIBUTIONS)
    for name, columns in _NOW.items():
        op.create_index(op.f(name), _CONTRIBUTIONS, columns)
    for column in ("changed_time", "kept_until"):
        op.add_column("lineage_edges", sa.Column(column, sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table(
        _VERSIONS,
        sa.Column("edge_id", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("target_id", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("mapping_hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("edge_id", "valid_from", name=op.f("pk_lineage_edge_versions")),
        sa.CheckConstraint(
            "reason IN ('FIRST', 'CHANGED', 'REOPENED', 'DROPPED', 'RETIRED')",
            name=op.f("ck_lineage_edge_versions_reason"),
        ),
    )
    _first_versions()
    for end, other in (("source", "target"), ("target", "source")):
        op.create_index(
            op.f(f"ix_lineage_edge_versions_{end}"),
            _VERSIONS,
            [f"{end}_id", "valid_to", "valid_from", f"{other}_id", "edge_id", "reason"],
        )


def _first_versions() -> None:
    """Each edge begins with the first of its runs and has the columns it has now; 2^62 is for ever."""
    op.execute(
        """
        INSERT INTO lineage_edge_versions (edge_id, valid_from, valid_to, source_id, target_id, reason, mapping_hash)
        SELECT e.id, MIN(c.since), 4611686018427387904, e.source_id, e.target_id, 'FIRST', e.mapping_hash
        FROM lineage_edges e JOIN lineage_contributions c ON c.edge_id = e.id
        WHERE c.live AND e.state IN ('LIVE', 'DROPPED')
        GROUP BY e.id, e.source_id, e.target_id, e.mapping_hash
        """
    )
    op.execute(
        """
        UPDATE lineage_edge_versions SET
          valid_from = (SELECT CASE WHEN end_time <= valid_from THEN end_time - 1 ELSE valid_from END
                        FROM lineage_edges WHERE id = edge_id),
          valid_to = (SELECT end_time FROM lineage_edges WHERE id = edge_id)
        """
    )
    op.execute(
        """
        INSERT INTO lineage_edge_versions (edge_id, valid_from, valid_to, source_id, target_id, reason, mapping_hash)
        SELECT id, end_time, 4611686018427387904, source_id, target_id, 'DROPPED', '' FROM lineage_edges WHERE state = 'DROPPED'
        """
    )
    op.execute(
        """
        UPDATE lineage_edges SET changed_time = COALESCE(
          (SELECT MAX(valid_from) FROM lineage_edge_versions WHERE edge_id = lineage_edges.id), 0)
        """
    )


def downgrade() -> None:
    """Forgets the versions."""
    op.drop_table(_VERSIONS)
    for column in ("changed_time", "kept_until"):
        op.drop_column("lineage_edges", column)
    for name in _NOW:
        op.drop_index(op.f(name), _CONTRIBUTIONS)
    for name, columns in _BEFORE.items():
        op.create_index(op.f(name), _CONTRIBUTIONS, columns)
    op.drop_column(_CONTRIBUTIONS, "since")
