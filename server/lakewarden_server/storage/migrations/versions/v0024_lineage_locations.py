"""Where the paths that lineage names lie, by which they are found when something is registered over them; and which file of a volume an asset is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from lakewarden_policy.names import name_key
from lakewarden_server.core.urls import InvalidUrl, canonical_url

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

ROWS = 1_000
VOLUMES = "/Volumes/"
FILES = ("file", "dbfs")
VOLUME_NAMES = 3
KeyText = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Adds the columns; names of paths get theirs, and those below what was registered before are bound by the server that starts next."""
    op.add_column("lineage_assets", sa.Column("file_path", sa.Text(), nullable=False, server_default=""))
    op.add_column("lineage_names", sa.Column("location", KeyText, nullable=True))
    connection = op.get_bind()
    last = 0
    names = sa.text(
        "SELECT id, namespace, name FROM lineage_names WHERE id > :last AND kind = 'DATASET' ORDER BY id LIMIT :rows"
    )
    while rows := connection.execute(names, {"last": last, "rows": ROWS}).all():
        last = rows[-1].id
        found = [{"id": row.id, "location": _location(row.namespace, row.name)} for row in rows]
        found = [row for row in found if row["location"]]
        if found:
            connection.execute(sa.text("UPDATE lineage_names SET location = :location WHERE id = :id"), found)
    # What was registered before is looked for once more, among the paths now.
    connection.execute(sa.text("UPDATE lineage_head SET bound_revision = 0"))
    op.create_index(
        op.f("ix_lineage_names_metastore_id_location"),
        "lineage_names",
        ["metastore_id", "location"],
        sqlite_where=sa.text("location IS NOT NULL"),
        postgresql_where=sa.text("location IS NOT NULL"),
    )


def downgrade() -> None:
    """Forgets them."""
    op.drop_index(op.f("ix_lineage_names_metastore_id_location"), "lineage_names")
    op.drop_column("lineage_names", "location")
    op.drop_column("lineage_assets", "file_path")


def _location(namespace: str, name: str) -> str | None:
    """As `lineage.names.location` said it when this was written."""
    is_file = namespace.partition("://")[0] in FILES
    try:
        url = canonical_url(f"file://{name}" if is_file else f"{namespace}/{name.lstrip('/')}")
    except InvalidUrl:
        return None
    if not is_file:
        return url if "://" in namespace else None
    parts = name.removeprefix(VOLUMES).split("/")
    if (
        name.startswith(VOLUMES)
        and len(parts) >= VOLUME_NAMES
        and not any("." in part for part in parts[:VOLUME_NAMES])
    ):
        return "/".join(("volumes:/", *map(name_key, parts[:VOLUME_NAMES]), *parts[VOLUME_NAMES:]))
    return url if namespace == "file" else None
