"""The first schema: heads and logs, principals, tokens, securables with a detail table per kind, grants; seeded."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

DEFERRED: dict[str, Any] = {"deferrable": True, "initially": "DEFERRED"}
TIME = sa.DateTime(timezone=True)
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
LIVE = sa.text("deleted_time IS NULL")

# A migration keeps meaning what it meant when it was written, so these are not imported.
ACCOUNT_ID = "account"
ACCOUNT_USERS_ID = "account-users"
GENESIS_HASH = "0" * 64

TABLES = (
    "columns",
    "tables",
    "schemas",
    "catalogs",
    "workspaces",
    "metastores",
    "grants",
    "tokens",
    "securables",
    "group_members",
    "principals",
    "bootstrap",
    "idempotency",
    "decision_log",
    "audit_log",
    "audit_head",
    "change_log",
    "authz_head",
)


def upgrade() -> None:
    """Creates every table and seeds the heads, the account and the group of all its users."""
    _create_heads()
    _create_logs()
    _create_idempotency()
    _create_principals()
    _create_securables()
    _create_tokens()
    _create_grants()
    _create_details()
    _create_columns()
    _seed()


def downgrade() -> None:
    """Drops everything."""
    for table in TABLES:
        op.drop_table(table)


def _create_heads() -> None:
    op.create_table(
        "authz_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("previous_nonce", sa.Text(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_authz_head_single_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_authz_head")),
    )
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_audit_head_single_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    op.create_table(
        "bootstrap",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("create_time", TIME, nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_bootstrap_single_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bootstrap")),
    )


def _create_logs() -> None:
    op.create_table(
        "change_log",
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.JSON(), nullable=True),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("policy_digest", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.CheckConstraint(
            "operation IN ('CREATE', 'UPDATE', 'DELETE')", name=op.f("ck_change_log_operation")
        ),
        sa.PrimaryKeyConstraint("revision", "position", name=op.f("pk_change_log")),
    )
    op.create_index("ix_change_log_object_id_revision", "change_log", ["object_id", "revision"])
    op.create_table(
        "audit_log",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("previous_hash", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("actor_name", sa.Text(), nullable=False),
        sa.Column("subject_name", sa.Text(), nullable=True),
        sa.Column("workspace_id", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("object_kind", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("object_name", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit_log")),
    )
    op.create_table(
        "decision_log",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("actor_name", sa.Text(), nullable=False),
        sa.Column("subject_name", sa.Text(), nullable=True),
        sa.Column("workspace_id", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("object_name", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decision_log")),
    )


def _create_idempotency() -> None:
    op.create_table(
        "idempotency",
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("payload_hash", sa.Text(), nullable=False),
        sa.Column("response", sa.LargeBinary(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("create_time", TIME, nullable=False),
        sa.PrimaryKeyConstraint("principal_id", "method", "request_id", name=op.f("pk_idempotency")),
    )
    op.create_index(op.f("ix_idempotency_create_time"), "idempotency", ["create_time"])


def _create_principals() -> None:
    op.create_table(
        "principals",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", KEY, nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("system", sa.Boolean(), nullable=False),
        sa.Column("create_time", TIME, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("update_time", TIME, nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('USER', 'GROUP', 'SERVICE_PRINCIPAL')", name=op.f("ck_principals_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_principals")),
        sa.UniqueConstraint("name_key", name=op.f("uq_principals_name_key")),
    )
    op.create_table(
        "group_members",
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("member_id", sa.Text(), nullable=False),
        sa.Column("create_time", TIME, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("group_id <> member_id", name=op.f("ck_group_members_not_itself")),
        sa.ForeignKeyConstraint(
            ["group_id"], ["principals.id"], name=op.f("fk_group_members_group_id"), **DEFERRED
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["principals.id"], name=op.f("fk_group_members_member_id"), **DEFERRED
        ),
        sa.PrimaryKeyConstraint("group_id", "member_id", name=op.f("pk_group_members")),
    )
    op.create_index(op.f("ix_group_members_member_id"), "group_members", ["member_id"])


def _create_securables() -> None:
    op.create_table(
        "securables",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Text(), nullable=True),
        sa.Column("metastore_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", KEY, nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=True),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("properties", sa.JSON(), nullable=False),
        sa.Column("deleted_time", TIME, nullable=True),
        sa.Column("create_time", TIME, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("update_time", TIME, nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "owner_id IS NOT NULL OR deleted_time IS NOT NULL OR kind = 'ACCOUNT'",
            name=op.f("ck_securables_owner"),
        ),
        sa.CheckConstraint("parent_id IS NOT NULL OR kind = 'ACCOUNT'", name=op.f("ck_securables_parent")),
        sa.ForeignKeyConstraint(
            ["metastore_id"], ["securables.id"], name=op.f("fk_securables_metastore_id"), **DEFERRED
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["principals.id"], name=op.f("fk_securables_owner_id"), **DEFERRED
        ),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["securables.id"], name=op.f("fk_securables_parent_id"), **DEFERRED
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_securables")),
    )
    op.create_index(op.f("ix_securables_metastore_id"), "securables", ["metastore_id"])
    op.create_index(op.f("ix_securables_owner_id"), "securables", ["owner_id"])
    op.create_index(
        "uq_securables_live_name",
        "securables",
        ["parent_id", "namespace", "name_key"],
        unique=True,
        sqlite_where=LIVE,
        postgresql_where=LIVE,
    )


def _create_tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("pepper_id", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=True),
        sa.Column("create_time", TIME, nullable=False),
        sa.Column("expire_time", TIME, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('PAT', 'BOOTSTRAP')", name=op.f("ck_tokens_kind")),
        sa.CheckConstraint("length(id) = 22", name=op.f("ck_tokens_id")),
        sa.ForeignKeyConstraint(
            ["principal_id"], ["principals.id"], name=op.f("fk_tokens_principal_id"), **DEFERRED
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["securables.id"], name=op.f("fk_tokens_workspace_id"), **DEFERRED
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
    )
    op.create_index(op.f("ix_tokens_principal_id"), "tokens", ["principal_id"])


def _create_grants() -> None:
    op.create_table(
        "grants",
        sa.Column("securable_id", sa.Text(), nullable=False),
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("privilege", KEY, nullable=False),
        sa.Column("granted_by", sa.Text(), nullable=False),
        sa.Column("create_time", TIME, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["principal_id"], ["principals.id"], name=op.f("fk_grants_principal_id"), **DEFERRED
        ),
        sa.ForeignKeyConstraint(
            ["securable_id"], ["securables.id"], name=op.f("fk_grants_securable_id"), **DEFERRED
        ),
        sa.PrimaryKeyConstraint("securable_id", "principal_id", "privilege", name=op.f("pk_grants")),
    )
    op.create_index(op.f("ix_grants_principal_id"), "grants", ["principal_id"])


def _create_details() -> None:
    _create_detail("workspaces")
    _create_detail("catalogs")
    _create_detail("schemas")
    _create_detail("metastores", sa.Column("region", sa.Text(), nullable=False))
    _create_detail(
        "tables",
        sa.Column("table_type", sa.Text(), nullable=False),
        sa.Column("data_source_format", sa.Text(), nullable=False),
        sa.Column("storage_location", sa.Text(), nullable=False),
        sa.Column("column_count", sa.Integer(), nullable=False),
        sa.CheckConstraint("table_type IN ('MANAGED', 'EXTERNAL')", name=op.f("ck_tables_table_type")),
        sa.CheckConstraint("column_count >= 0", name=op.f("ck_tables_column_count")),
    )


def _create_detail(table: str, *parts: sa.Column[Any] | sa.CheckConstraint) -> None:
    """A kind's own columns beside the row of `securables` with the same id."""
    op.create_table(
        table,
        sa.Column("id", sa.Text(), nullable=False),
        *parts,
        sa.ForeignKeyConstraint(["id"], ["securables.id"], name=op.f(f"fk_{table}_id"), **DEFERRED),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    )


def _create_columns() -> None:
    op.create_table(
        "columns",
        sa.Column("table_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", KEY, nullable=False),
        sa.Column("type_text", sa.Text(), nullable=False),
        sa.Column("type_name", sa.Text(), nullable=False),
        sa.Column("nullable", sa.Boolean(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("position >= 0", name=op.f("ck_columns_position")),
        sa.ForeignKeyConstraint(["table_id"], ["tables.id"], name=op.f("fk_columns_table_id"), **DEFERRED),
        sa.PrimaryKeyConstraint("table_id", "position", name=op.f("pk_columns")),
        sa.UniqueConstraint("table_id", "name_key", name=op.f("uq_columns_table_id_name_key")),
    )


def _seed() -> None:
    now = datetime.now(UTC)
    nonce = uuid.uuid4().hex
    stamps = {"create_time": now, "created_by": "", "update_time": now, "updated_by": "", "revision": 0}
    _insert("authz_head", id=1, epoch=str(uuid.uuid4()), revision=0, nonce=nonce, previous_nonce=nonce)
    _insert("audit_head", id=1, sequence=0, hash=GENESIS_HASH)
    _insert(
        "securables",
        id=ACCOUNT_ID,
        kind="ACCOUNT",
        namespace="account",
        name="account",
        name_key="account",
        comment="",
        properties={},
        **stamps,
    )
    _insert(
        "principals",
        id=ACCOUNT_USERS_ID,
        kind="GROUP",
        name="account users",
        name_key="account users",
        display_name="account users",
        active=True,
        system=True,
        **stamps,
    )


def _insert(table: str, **values: Any) -> None:
    types: dict[str, Any] = {"create_time": TIME, "update_time": TIME, "properties": sa.JSON()}
    columns = [sa.column(name, types.get(name)) for name in values]
    op.execute(sa.table(table, *columns).insert().values(**values))
