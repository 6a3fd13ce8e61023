"""Tags of securables and of columns. They decide nothing, so the authorization snapshot has none."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import DEFERRED, Base, KeyText, Stamped

OF_THE_OBJECT = ""
"""`column_key` of a tag on the object itself; no column has it."""


class Tag(Stamped, Base):
    """A key and a value on a securable, or on the column of that name key in it; keys differ by case."""

    __tablename__ = "tags"

    securable_id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
    column_key: Mapped[str] = mapped_column(KeyText, primary_key=True)
    key: Mapped[str] = mapped_column(KeyText, primary_key=True)
    value: Mapped[str] = mapped_column(default="")

    def change_kind(self) -> str:
        """Always `TAG`."""
        return "TAG"
