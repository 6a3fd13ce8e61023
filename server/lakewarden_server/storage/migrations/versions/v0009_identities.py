"""Principals have an identifier at their identity provider and keep their row when deleted; memberships say where they come from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
BEARS_EXTERNAL_ID = sa.text("external_id <> '' AND deleted_time IS NULL")


def upgrade() -> None:
    """Adds the columns; every membership there is was made by an admin."""
    op.add_column("principals", sa.Column("external_id", KEY, nullable=False, server_default=""))
    op.add_column("principals", sa.Column("deleted_time", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "uq_principals_external_id",
        "principals",
        ["kind", "external_id"],
        unique=True,
        sqlite_where=BEARS_EXTERNAL_ID,
        postgresql_where=BEARS_EXTERNAL_ID,
    )
    op.add_column(
        "group_members", sa.Column("sources", sa.JSON(), nullable=False, server_default='["ADMIN"]')
    )


def downgrade() -> None:
    """Drops them."""
    op.drop_column("group_members", "sources")
    op.drop_index("uq_principals_external_id", "principals")
    op.drop_column("principals", "deleted_time")
    op.drop_column("principals", "external_id")
