"""What the definition of a view or function uses, by name, as the server read it from the text."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import DEFERRED, Base, ChangeLogged


class SecurableReference(ChangeLogged, Base):
    """One name used: a relation with SELECT, a function with EXECUTE."""

    __tablename__ = "securable_references"
    __table_args__: Any = (CheckConstraint("privilege IN ('SELECT', 'EXECUTE')", name="privilege"),)

    object_id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    privilege: Mapped[str]
    full_name: Mapped[str]

    def change_kind(self) -> str:
        """Always `REFERENCE`."""
        return "REFERENCE"
