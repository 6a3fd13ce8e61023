"""The column of a table. Columns are not grantable and not in the authorization snapshot."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import DEFERRED, Base, ChangeLogged, KeyText


class Column(ChangeLogged, Base):
    """A column at its place in the table; `revision` says when it last changed."""

    __tablename__ = "columns"
    __table_args__ = (
        UniqueConstraint("table_id", "name_key"),
        CheckConstraint("position >= 0", name="position"),
    )

    table_id: Mapped[str] = mapped_column(ForeignKey("tables.id", **DEFERRED), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]
    name_key: Mapped[str] = mapped_column(KeyText)
    type_text: Mapped[str]
    type_name: Mapped[str]
    nullable: Mapped[bool] = mapped_column(default=True)
    comment: Mapped[str] = mapped_column(default="")

    def change_kind(self) -> str:
        """Always `COLUMN`."""
        return "COLUMN"
