"""Federation policies, and how often a principal was activated again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds table and column; nobody was activated again since access tokens know of it."""
    op.add_column("principals", sa.Column("activation", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "federation_policies",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("principal_id", sa.Text(), nullable=True),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("audiences", sa.JSON(), nullable=False),
        sa.Column("subject_claim", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("jwks", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["principal_id"],
            ["principals.id"],
            name=op.f("fk_federation_policies_principal_id"),
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_federation_policies")),
    )
    op.create_index(op.f("ix_federation_policies_principal_id"), "federation_policies", ["principal_id"])


def downgrade() -> None:
    """Drops them."""
    op.drop_table("federation_policies")
    op.drop_column("principals", "activation")
