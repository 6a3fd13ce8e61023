"""Tags of securables and of columns."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the table; keys are ordered by code point on both databases."""
    key_text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "tags",
        sa.Column("securable_id", sa.Text(), nullable=False),
        sa.Column("column_key", key_text, nullable=False),
        sa.Column("key", key_text, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("update_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("securable_id", "column_key", "key", name=op.f("pk_tags")),
        sa.ForeignKeyConstraint(
            ["securable_id"],
            ["securables.id"],
            name=op.f("fk_tags_securable_id"),
            deferrable=True,
            initially="DEFERRED",
        ),
    )


def downgrade() -> None:
    """Drops it."""
    op.drop_table("tags")
