"""The policy of each time is kept, and each decision names the one it was made by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a table, a column that older rows leave empty, and the index that finds the revision of a time."""
    op.create_table(
        "policies",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("privileges", sa.Text(), nullable=False),
        sa.Column("operations", sa.Text(), nullable=False),
        sa.Column("first_revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_policies")),
    )
    op.add_column("decision_log", sa.Column("policy_digest", sa.Text(), nullable=True))
    op.create_index("ix_change_log_time_revision", "change_log", ["time", "revision"])


def downgrade() -> None:
    """Takes them away again."""
    op.drop_index("ix_change_log_time_revision", table_name="change_log")
    op.drop_column("decision_log", "policy_digest")
    op.drop_table("policies")
