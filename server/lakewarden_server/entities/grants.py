"""A privilege held by a principal on a securable, by immutable ids."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import DEFERRED, Base, ChangeLogged, KeyText


class Grant(ChangeLogged, Base):
    """One privilege, one principal, one object; `granted_by` may outlive the grantor, so it is no foreign key.

    The object is a securable or, for a role, a group or service principal, so `securable_id` is none either.
    """

    __tablename__ = "grants"

    securable_id: Mapped[str] = mapped_column(primary_key=True)
    principal_id: Mapped[str] = mapped_column(
        ForeignKey("principals.id", **DEFERRED), primary_key=True, index=True
    )
    privilege: Mapped[str] = mapped_column(KeyText, primary_key=True)
    granted_by: Mapped[str]
    create_time: Mapped[datetime]
    expire_time: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(default="")

    def change_kind(self) -> str:
        """Always `GRANT`."""
        return "GRANT"
