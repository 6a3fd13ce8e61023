"""What stands under a metastore beside catalogs: credentials, locations, connections, shares; secrets and paths in use."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

DEFERRED: dict[str, Any] = {"deferrable": True, "initially": "DEFERRED"}
TIME = sa.DateTime(timezone=True)
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
IS_LOCATION = sa.text("use = 'LOCATION'")
BY_TOKEN_OR_METASTORE = "authentication_type IN ('TOKEN', 'METASTORE')"

TABLES = (
    "share_recipients",
    "share_objects",
    "storage_paths",
    "secrets",
    "external_metadata",
    "providers",
    "recipients",
    "connections",
    "external_locations",
    "service_credentials",
    "storage_credentials",
)


def upgrade() -> None:
    """Creates the detail tables of seven kinds and the tables beside them; catalogs and schemas get a storage root."""
    _create_credentials()
    _create_places()
    _create_sharing()
    _extend_containers()


def downgrade() -> None:
    """Drops them."""
    op.drop_index(op.f("ix_catalogs_connection_id"), "catalogs")
    op.drop_column("catalogs", "connection_id")
    op.drop_column("catalogs", "storage_root")
    op.drop_column("schemas", "storage_root")
    for table in TABLES:
        op.drop_table(table)


def _create_credentials() -> None:
    _create_detail(
        "storage_credentials",
        sa.Column("identity_type", sa.Text(), nullable=False),
        sa.Column("identity", sa.JSON(), nullable=False),
        sa.Column("read_only", sa.Boolean(), nullable=False),
    )
    _create_detail(
        "service_credentials",
        sa.Column("identity_type", sa.Text(), nullable=False),
        sa.Column("identity", sa.JSON(), nullable=False),
    )
    op.create_table(
        "secrets",
        sa.Column("securable_id", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        _reference("secrets", "securable_id"),
        sa.PrimaryKeyConstraint("securable_id", name=op.f("pk_secrets")),
    )


def _create_places() -> None:
    _create_detail(
        "external_locations",
        sa.Column("url", KEY, nullable=False),
        sa.Column("credential_id", sa.Text(), nullable=False),
        sa.Column("read_only", sa.Boolean(), nullable=False),
        _reference("external_locations", "credential_id"),
    )
    op.create_index(op.f("ix_external_locations_credential_id"), "external_locations", ["credential_id"])
    _create_detail(
        "connections",
        sa.Column("connection_type", sa.Text(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("secret_option_names", sa.JSON(), nullable=False),
        sa.Column("credential_id", sa.Text(), nullable=True),
        sa.Column("read_only", sa.Boolean(), nullable=False),
        _reference("connections", "credential_id"),
    )
    op.create_index(op.f("ix_connections_credential_id"), "connections", ["credential_id"])
    op.create_table(
        "storage_paths",
        sa.Column("securable_id", sa.Text(), nullable=False),
        sa.Column("use", sa.Text(), nullable=False),
        sa.Column("url", KEY, nullable=False),
        sa.CheckConstraint("use IN ('LOCATION', 'DATA', 'MANAGED')", name=op.f("ck_storage_paths_use")),
        _reference("storage_paths", "securable_id"),
        sa.PrimaryKeyConstraint("securable_id", name=op.f("pk_storage_paths")),
    )
    op.create_index("ix_storage_paths_url", "storage_paths", ["url"])
    op.create_index(
        "uq_storage_paths_location_url",
        "storage_paths",
        ["url"],
        unique=True,
        sqlite_where=IS_LOCATION,
        postgresql_where=IS_LOCATION,
    )


def _create_sharing() -> None:
    for table in ("recipients", "providers"):
        _create_detail(
            table,
            sa.Column("authentication_type", sa.Text(), nullable=False),
            sa.Column("global_metastore_id", sa.Text(), nullable=False),
            sa.CheckConstraint(BY_TOKEN_OR_METASTORE, name=op.f(f"ck_{table}_authentication_type")),
        )
    for table, member in (("share_objects", "object_id"), ("share_recipients", "recipient_id")):
        op.create_table(
            table,
            sa.Column("share_id", sa.Text(), nullable=False),
            sa.Column(member, sa.Text(), nullable=False),
            sa.Column("create_time", TIME, nullable=False),
            sa.Column("created_by", sa.Text(), nullable=False),
            sa.Column("revision", sa.BigInteger(), nullable=False),
            _reference(table, "share_id"),
            _reference(table, member),
            sa.PrimaryKeyConstraint("share_id", member, name=op.f(f"pk_{table}")),
        )
        op.create_index(op.f(f"ix_{table}_{member}"), table, [member])
    _create_detail(
        "external_metadata",
        sa.Column("system_type", sa.Text(), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("columns", sa.JSON(), nullable=False),
    )


def _extend_containers() -> None:
    for table in ("catalogs", "schemas"):
        op.add_column(table, sa.Column("storage_root", sa.Text(), nullable=False, server_default=""))
    # Without a reference: SQLite adds none to a table that exists, and no row of a connection is ever deleted.
    op.add_column("catalogs", sa.Column("connection_id", sa.Text(), nullable=True))
    op.create_index(op.f("ix_catalogs_connection_id"), "catalogs", ["connection_id"])


def _create_detail(table: str, *parts: Any) -> None:
    """A kind's own columns beside the row of `securables` with the same id."""
    op.create_table(
        table,
        sa.Column("id", sa.Text(), nullable=False),
        *parts,
        _reference(table, "id"),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    )


def _reference(table: str, column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], ["securables.id"], name=op.f(f"fk_{table}_{column}"), **DEFERRED)
