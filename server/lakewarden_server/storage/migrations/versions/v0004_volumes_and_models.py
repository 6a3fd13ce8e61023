"""Volumes, and registered models with their versions and aliases; deleted rows are found by when they were deleted."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

DEFERRED: dict[str, Any] = {"deferrable": True, "initially": "DEFERRED"}
TIME = sa.DateTime(timezone=True)
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
DELETED = sa.text("deleted_time IS NOT NULL")


def upgrade() -> None:
    """Creates the tables and the index; nothing that exists is changed."""
    _create_detail(
        "volumes",
        sa.Column("volume_type", sa.Text(), nullable=False),
        sa.Column("storage_location", sa.Text(), nullable=False),
        sa.CheckConstraint("volume_type IN ('MANAGED', 'EXTERNAL')", name=op.f("ck_volumes_volume_type")),
    )
    _create_detail(
        "registered_models",
        sa.Column("last_version", sa.Integer(), nullable=False),
        sa.CheckConstraint("last_version >= 0", name=op.f("ck_registered_models_last_version")),
    )
    _create_versions()
    _create_aliases()
    if op.get_bind().dialect.name == "postgresql":
        # The seed of the first step may be in this very transaction, and PostgreSQL indexes no table with checks waiting.
        op.execute("SET CONSTRAINTS ALL IMMEDIATE")
        op.execute("SET CONSTRAINTS ALL DEFERRED")
    op.create_index(
        "ix_securables_deleted_time",
        "securables",
        ["deleted_time"],
        sqlite_where=DELETED,
        postgresql_where=DELETED,
    )


def downgrade() -> None:
    """Drops what `upgrade` created."""
    op.drop_index("ix_securables_deleted_time", table_name="securables")
    for table in ("model_aliases", "model_versions", "registered_models", "volumes"):
        op.drop_table(table)


def _create_versions() -> None:
    op.create_table(
        "model_versions",
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("run_link", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("create_time", TIME, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("update_time", TIME, nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("version > 0", name=op.f("ck_model_versions_version")),
        sa.CheckConstraint(
            "status IN ('PENDING_REGISTRATION', 'READY', 'FAILED_REGISTRATION')",
            name=op.f("ck_model_versions_status"),
        ),
        sa.ForeignKeyConstraint(
            ["model_id"], ["registered_models.id"], name=op.f("fk_model_versions_model_id"), **DEFERRED
        ),
        sa.PrimaryKeyConstraint("model_id", "version", name=op.f("pk_model_versions")),
    )


def _create_aliases() -> None:
    op.create_table(
        "model_aliases",
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("alias_key", KEY, nullable=False),
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id", "version"],
            ["model_versions.model_id", "model_versions.version"],
            name=op.f("fk_model_aliases_model_id_version"),
            **DEFERRED,
        ),
        sa.PrimaryKeyConstraint("model_id", "alias_key", name=op.f("pk_model_aliases")),
    )
    op.create_index(op.f("ix_model_aliases_model_id_version"), "model_aliases", ["model_id", "version"])


def _create_detail(table: str, *parts: sa.Column[Any] | sa.CheckConstraint) -> None:
    """A kind's own columns beside the row of `securables` with the same id."""
    op.create_table(
        table,
        sa.Column("id", sa.Text(), nullable=False),
        *parts,
        sa.ForeignKeyConstraint(["id"], ["securables.id"], name=op.f(f"fk_{table}_id"), **DEFERRED),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    )
