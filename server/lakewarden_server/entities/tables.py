"""The table, third level of a name. Its columns have a file and a table of their own."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import DEFERRED
from lakewarden_server.entities.securables import Securable, mapped_as


class Table(Securable):
    """A table; its parent is its schema."""

    __tablename__ = "tables"
    __table_args__: Any = (
        CheckConstraint("table_type IN ('MANAGED', 'EXTERNAL')", name="table_type"),
        CheckConstraint("column_count >= 0", name="column_count"),
    )
    __mapper_args__ = mapped_as("TABLE")

    id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
    table_type: Mapped[str] = mapped_column(default="MANAGED")
    data_source_format: Mapped[str] = mapped_column(default="")
    storage_location: Mapped[str] = mapped_column(default="")
    column_count: Mapped[int] = mapped_column(default=0)
