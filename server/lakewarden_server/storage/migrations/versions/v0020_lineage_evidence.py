"""What edges of lineage stand on. Of what was recorded before only what is declared is told apart from what was observed."""

from __future__ import annotations

import hashlib
import json

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_DECLARED = """
SELECT DISTINCT j.id, j.namespace, j.name
FROM lineage_declarations d
JOIN lineage_runs r ON r.workspace_id = d.run_workspace_id AND r.principal_id = d.run_principal_id AND r.key = 'run:' || d.run_id
JOIN lineage_jobs j ON j.id = r.job_id
"""


def upgrade() -> None:
    """Adds the columns; the jobs of what is declared get the digest of such jobs."""
    for table in ("lineage_jobs", "lineage_edges"):
        op.add_column(table, sa.Column("evidence", sa.Text(), nullable=False, server_default="OBSERVED"))
    _mark_declared()
    op.create_index(
        op.f("ix_lineage_edges_evidence"),
        "lineage_edges",
        ["id", "evidence"],
        sqlite_where=sa.text("evidence <> 'OBSERVED'"),
        postgresql_where=sa.text("evidence <> 'OBSERVED'"),
    )


def _mark_declared() -> None:
    connection = op.get_bind()
    jobs = connection.execute(sa.text(_DECLARED)).all()
    marked = [
        {
            "id": job.id,
            "digest": hashlib.sha256(json.dumps([job.namespace, job.name, "DECLARED"]).encode()).hexdigest(),
        }
        for job in jobs
    ]
    if marked:
        connection.execute(
            sa.text("UPDATE lineage_jobs SET evidence = 'DECLARED', digest = :digest WHERE id = :id"), marked
        )
        connection.execute(
            sa.text(
                "UPDATE lineage_edges SET evidence = 'DECLARED'"
                " WHERE job_id IN (SELECT id FROM lineage_jobs WHERE evidence = 'DECLARED')"
            )
        )


def downgrade() -> None:
    """Forgets them."""
    op.drop_index(op.f("ix_lineage_edges_evidence"), "lineage_edges")
    for table in ("lineage_edges", "lineage_jobs"):
        op.drop_column(table, "evidence")
