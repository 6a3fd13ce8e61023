"""Roles are grants on groups and service principals, which are no securables: grants are on ids of either."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

DEFERRED: dict[str, Any] = {"deferrable": True, "initially": "DEFERRED"}
TIME = sa.DateTime(timezone=True)
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
REFERENCE = "fk_grants_securable_id"


def upgrade() -> None:
    """Drops the reference of grants to securables; SQLite drops none, so the table is made anew."""
    if op.get_bind().dialect.name == "sqlite":
        _remake(references_securables=False)
    else:
        op.drop_constraint(REFERENCE, "grants", type_="foreignkey")


def downgrade() -> None:
    """Puts it back; roles have no place then."""
    op.execute("DELETE FROM grants WHERE securable_id NOT IN (SELECT id FROM securables)")
    if op.get_bind().dialect.name == "sqlite":
        _remake(references_securables=True)
    else:
        op.create_foreign_key(REFERENCE, "grants", "securables", ["securable_id"], ["id"], **DEFERRED)


def _remake(*, references_securables: bool) -> None:
    op.create_table(
        "grants_remade",
        sa.Column("securable_id", sa.Text(), nullable=False),
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("privilege", KEY, nullable=False),
        sa.Column("granted_by", sa.Text(), nullable=False),
        sa.Column("create_time", TIME, nullable=False),
        sa.Column("expire_time", TIME, nullable=True),
        sa.Column("reason", sa.Text(), nullable=False, server_default=""),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        *([_reference("securable_id", "securables")] if references_securables else []),
        _reference("principal_id", "principals"),
        sa.PrimaryKeyConstraint("securable_id", "principal_id", "privilege", name=op.f("pk_grants")),
    )
    op.execute(
        "INSERT INTO grants_remade"
        " (securable_id, principal_id, privilege, granted_by, create_time, expire_time, reason, revision)"
        " SELECT securable_id, principal_id, privilege, granted_by, create_time, expire_time, reason, revision"
        " FROM grants"
    )
    op.drop_table("grants")
    op.rename_table("grants_remade", "grants")
    op.create_index(op.f("ix_grants_principal_id"), "grants", ["principal_id"])


def _reference(column: str, table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{table}.id"], name=op.f(f"fk_grants_{column}"), **DEFERRED)
