"""Views, materialized views, streaming tables and functions."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

DEFERRED: dict[str, Any] = {"deferrable": True, "initially": "DEFERRED"}
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Adds a table for each kind."""
    _create_detail("views", *_definition())
    _create_detail("materialized_views", *_definition(), sa.Column("refresh_time", TIME, nullable=True))
    _create_detail("streaming_tables", *_definition())
    _create_detail(
        "functions",
        sa.Column("parameters", sa.JSON(), nullable=False),
        _text("return_type_text"),
        _text("definition"),
    )


def downgrade() -> None:
    """Takes them away again."""
    for table in ("functions", "streaming_tables", "materialized_views", "views"):
        op.drop_table(table)


def _create_detail(table: str, *columns: sa.Column[Any]) -> None:
    op.create_table(
        table,
        _text("id"),
        *columns,
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.ForeignKeyConstraint(["id"], ["securables.id"], name=f"fk_{table}_id", **DEFERRED),
    )


def _definition() -> list[sa.Column[Any]]:
    columns = sa.Column("columns", sa.JSON(), nullable=False)
    return [_text("definition"), _text("full_text"), _text("dialect"), columns]


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)
