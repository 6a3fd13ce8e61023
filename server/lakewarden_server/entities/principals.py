"""Who can be granted something: users, groups and service principals, in one namespace of names."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import Base, KeyText, Stamped

_BEARS_EXTERNAL_ID = text("external_id <> '' AND deleted_time IS NULL")


class Principal(Stamped, Base):
    """A user (name = email), a group (name) or a service principal (name = application id).

    A deleted one keeps its row, because what it owned, was granted and did still names it; its key is then its id, so that the name is free.
    """

    __tablename__ = "principals"
    __table_args__ = (
        CheckConstraint("kind IN ('USER', 'GROUP', 'SERVICE_PRINCIPAL')", name="kind"),
        UniqueConstraint("name_key"),
        Index(
            "uq_principals_external_id",
            "kind",
            "external_id",
            unique=True,
            sqlite_where=_BEARS_EXTERNAL_ID,
            postgresql_where=_BEARS_EXTERNAL_ID,
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    name_key: Mapped[str] = mapped_column(KeyText)
    display_name: Mapped[str] = mapped_column(default="")
    active: Mapped[bool] = mapped_column(default=True)
    system: Mapped[bool] = mapped_column(default=False)
    activation: Mapped[int] = mapped_column(default=0)
    """How often it was activated again: access tokens from before that are void."""
    external_id: Mapped[str] = mapped_column(KeyText, default="")
    deleted_time: Mapped[datetime | None]

    def change_kind(self) -> str:
        """Its kind: USER, GROUP or SERVICE_PRINCIPAL."""
        return self.kind
