"""Secrets of securables, encrypted. Apart from their securables, so that no copy of those, as in the change log, has one."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import DEFERRED, Base


class Secret(Base):
    """All secrets of one securable under one seal; gone for good with the securable, and with each new value."""

    __tablename__ = "secrets"

    securable_id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
    sealed: Mapped[bytes]
    key_id: Mapped[str]
    """Which key file it was encrypted under."""
