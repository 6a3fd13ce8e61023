"""Who can be granted something: users, groups and service principals, in one namespace of names."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import Base, KeyText, Stamped


class Principal(Stamped, Base):
    """A user (name = email), a group (name) or a service principal (name = application id)."""

    __tablename__ = "principals"
    __table_args__ = (
        CheckConstraint("kind IN ('USER', 'GROUP', 'SERVICE_PRINCIPAL')", name="kind"),
        UniqueConstraint("name_key"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    name_key: Mapped[str] = mapped_column(KeyText)
    display_name: Mapped[str] = mapped_column(default="")
    active: Mapped[bool] = mapped_column(default=True)
    system: Mapped[bool] = mapped_column(default=False)

    def change_kind(self) -> str:
        """Its kind: USER, GROUP or SERVICE_PRINCIPAL."""
        return self.kind
