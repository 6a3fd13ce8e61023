"""What names of lineage are found by when something is registered by them, and up to which revision of the catalog that was looked for."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

ROWS = 1_000


def upgrade() -> None:
    """Adds the columns; names in Unity Catalogs get theirs."""
    op.add_column(
        "lineage_head", sa.Column("bound_revision", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.add_column("lineage_names", sa.Column("catalog_digest", sa.Text(), nullable=True))
    connection = op.get_bind()
    names = connection.execute(
        sa.text(
            "SELECT id, name FROM lineage_names WHERE kind = 'DATASET' AND namespace LIKE 'unitycatalog:%'"
        )
    ).all()
    for start in range(0, len(names), ROWS):
        connection.execute(
            sa.text("UPDATE lineage_names SET catalog_digest = :digest WHERE id = :id"),
            [
                {"id": row.id, "digest": hashlib.sha256(row.name.encode()).hexdigest()}
                for row in names[start : start + ROWS]
            ],
        )
    op.create_index(
        op.f("ix_lineage_names_catalog_digest"),
        "lineage_names",
        ["catalog_digest"],
        sqlite_where=sa.text("catalog_digest IS NOT NULL"),
        postgresql_where=sa.text("catalog_digest IS NOT NULL"),
    )


def downgrade() -> None:
    """Forgets them."""
    op.drop_index(op.f("ix_lineage_names_catalog_digest"), "lineage_names")
    op.drop_column("lineage_names", "catalog_digest")
    op.drop_column("lineage_head", "bound_revision")
