"""Objects of a workspace and the file of their permission levels; a securable tells which workspace it belongs to, if any."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

DEFERRED: dict[str, Any] = {"deferrable": True, "initially": "DEFERRED"}
INDEX = "uq_securables_live_workspace_object"
LIVE = sa.text("deleted_time IS NULL AND workspace_id IS NOT NULL")


def upgrade() -> None:
    """Creates the table; `securables` gets a column, and an index over those that have it; policies a fourth file."""
    op.create_table(
        "workspace_objects",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["id"], ["securables.id"], name=op.f("fk_workspace_objects_id"), **DEFERRED),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workspace_objects")),
    )
    # Without a reference: SQLite adds none to a table that exists, and no row of a workspace is ever deleted.
    op.add_column("securables", sa.Column("workspace_id", sa.Text(), nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        # The seed of the first step may be in this very transaction, and PostgreSQL indexes no table with checks waiting.
        op.execute("SET CONSTRAINTS ALL IMMEDIATE")
        op.execute("SET CONSTRAINTS ALL DEFERRED")
    op.add_column("policies", sa.Column("levels", sa.Text(), nullable=False, server_default=""))
    op.create_index(
        INDEX,
        "securables",
        ["workspace_id", "namespace", "name_key"],
        unique=True,
        sqlite_where=LIVE,
        postgresql_where=LIVE,
    )


def downgrade() -> None:
    """Drops what `upgrade` created."""
    op.drop_index(INDEX, table_name="securables")
    op.drop_column("policies", "levels")
    op.drop_column("securables", "workspace_id")
    op.drop_table("workspace_objects")
