"""Client secrets lie beside the tokens."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Lets the rows of tokens be client secrets."""
    _kinds("'PAT', 'BOOTSTRAP', 'CLIENT_SECRET'")


def downgrade() -> None:
    """Deletes the client secrets: who does not know them must not take them for tokens."""
    op.execute("DELETE FROM tokens WHERE kind = 'CLIENT_SECRET'")
    _kinds("'PAT', 'BOOTSTRAP'")


def _kinds(kinds: str) -> None:
    with op.batch_alter_table("tokens") as batch:
        batch.drop_constraint(op.f("ck_tokens_kind"), type_="check")
        batch.create_check_constraint(op.f("ck_tokens_kind"), f"kind IN ({kinds})")
