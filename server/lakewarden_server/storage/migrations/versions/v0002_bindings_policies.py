"""Isolation and workspace bindings, default catalogs, references, row filters and column masks, grants that expire."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

DEFERRED: dict[str, Any] = {"deferrable": True, "initially": "DEFERRED"}
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Adds columns with defaults and new tables: code of the release before goes on working."""
    if op.get_bind().dialect.name == "postgresql":
        # The seed of the step before may be in this very transaction, and PostgreSQL alters no table with checks waiting.
        op.execute("SET CONSTRAINTS ALL IMMEDIATE")
        op.execute("SET CONSTRAINTS ALL DEFERRED")
    # As text: Alembic does not write a column's own check, and SQLite cannot add one later.
    op.execute(
        "ALTER TABLE securables ADD COLUMN isolation_mode TEXT DEFAULT 'OPEN' NOT NULL "
        "CONSTRAINT ck_securables_isolation_mode CHECK (isolation_mode IN ('OPEN', 'ISOLATED'))"
    )
    op.add_column("workspaces", sa.Column("default_catalog", sa.Text(), nullable=False, server_default=""))
    op.add_column("grants", sa.Column("expire_time", TIME, nullable=True))
    op.add_column("grants", sa.Column("reason", sa.Text(), nullable=False, server_default=""))
    _create_bindings()
    _create_references()
    _create_policies()


def downgrade() -> None:
    """Takes all of it away again."""
    for table in ("column_masks", "row_filters", "securable_references", "workspace_bindings"):
        op.drop_table(table)
    op.drop_column("workspaces", "default_catalog")
    op.drop_column("grants", "reason")
    op.drop_column("grants", "expire_time")
    op.drop_column("securables", "isolation_mode")


def _create_bindings() -> None:
    op.create_table(
        "workspace_bindings",
        _securable("securable_id"),
        _securable("workspace_id"),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("securable_id", "workspace_id", name="pk_workspace_bindings"),
        _key("workspace_bindings", "securable_id"),
        _key("workspace_bindings", "workspace_id"),
        sa.CheckConstraint("type IN ('READ_WRITE', 'READ_ONLY')", name=op.f("ck_workspace_bindings_type")),
    )
    op.create_index("ix_workspace_bindings_workspace_id", "workspace_bindings", ["workspace_id"])


def _create_references() -> None:
    op.create_table(
        "securable_references",
        _securable("object_id"),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("privilege", sa.Text(), nullable=False),
        sa.Column("full_name", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("object_id", "position", name="pk_securable_references"),
        _key("securable_references", "object_id"),
        sa.CheckConstraint(
            "privilege IN ('SELECT', 'EXECUTE')", name=op.f("ck_securable_references_privilege")
        ),
    )


def _create_policies() -> None:
    op.create_table(
        "row_filters",
        _securable("table_id"),
        _securable("function_id"),
        sa.Column("columns", sa.JSON(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("table_id", name="pk_row_filters"),
        _key("row_filters", "table_id"),
        _key("row_filters", "function_id"),
    )
    op.create_index("ix_row_filters_function_id", "row_filters", ["function_id"])
    op.create_table(
        "column_masks",
        _securable("table_id"),
        sa.Column("column_key", KEY, nullable=False),
        sa.Column("column_name", sa.Text(), nullable=False),
        _securable("function_id"),
        sa.Column("using", sa.JSON(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("table_id", "column_key", name="pk_column_masks"),
        _key("column_masks", "table_id"),
        _key("column_masks", "function_id"),
    )
    op.create_index("ix_column_masks_function_id", "column_masks", ["function_id"])


def _securable(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _key(table: str, column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], ["securables.id"], name=f"fk_{table}_{column}", **DEFERRED)
