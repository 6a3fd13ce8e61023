"""The audit can be read: indexes of both logs, and decisions that say enough to be decided again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INDEXES = {
    "ix_audit_log_time_sequence": ("audit_log", ["time", "sequence"]),
    "ix_audit_log_request_id": ("audit_log", ["request_id"]),
    "ix_decision_log_time_id": ("decision_log", ["time", "id"]),
    "ix_decision_log_request_id": ("decision_log", ["request_id"]),
}
TEXTS = ("nonce", "subject_id", "privilege", "object_kind", "object_id")


def upgrade() -> None:
    """Adds columns that older rows leave empty, and the indexes."""
    for name in TEXTS:
        op.add_column("decision_log", sa.Column(name, sa.Text(), nullable=True))
    op.add_column("decision_log", sa.Column("objects", sa.JSON(), nullable=True))
    for name, (table, columns) in INDEXES.items():
        op.create_index(name, table, columns)


def downgrade() -> None:
    """Drops them."""
    for name, (table, _) in INDEXES.items():
        op.drop_index(name, table_name=table)
    for name in ("objects", *TEXTS):
        op.drop_column("decision_log", name)
