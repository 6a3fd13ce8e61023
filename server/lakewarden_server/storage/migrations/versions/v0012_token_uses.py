"""When each token was last used, and the permission to use them, which users of a workspace hold until it is revoked.

The tokens there are count as used now: nobody knows, and idle ones are revoked.
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the table, with a row for every live token, and grants the permission in every workspace."""
    uses = op.create_table(
        "token_uses",
        sa.Column("token_id", sa.Text(), nullable=False),
        sa.Column("last_used_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("token_id", name=op.f("pk_token_uses")),
    )
    now = datetime.now(UTC)
    known = op.get_bind().execute(sa.text("SELECT id FROM tokens")).scalars().all()
    op.bulk_insert(uses, [{"token_id": token_id, "last_used_time": now} for token_id in known])
    grants = sa.table(
        "grants",
        *(sa.column(name) for name in ("securable_id", "principal_id", "privilege", "granted_by", "reason")),
        sa.column("create_time", sa.DateTime(timezone=True)),
        sa.column("revision", sa.BigInteger()),
    )
    workspaces = op.get_bind().execute(
        sa.text(
            "SELECT securables.id FROM securables JOIN principals ON principals.id = securables.id || '\\:users' "
            "WHERE securables.kind = 'WORKSPACE' AND securables.deleted_time IS NULL"
        )
    )
    op.bulk_insert(
        grants,
        [
            {
                "securable_id": workspace_id, "principal_id": f"{workspace_id}:users", "privilege": "USE_TOKENS",
                "granted_by": "", "reason": "", "create_time": now, "revision": 0,
            }
            for workspace_id in workspaces.scalars().all()
        ],
    )  # fmt: skip


def downgrade() -> None:
    """Drops both."""
    op.execute("DELETE FROM grants WHERE privilege = 'USE_TOKENS'")
    op.drop_table("token_uses")
