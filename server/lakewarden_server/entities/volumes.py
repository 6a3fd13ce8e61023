"""The volume, third level of a name: a place for files."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import DEFERRED
from lakewarden_server.entities.securables import Securable, mapped_as


class Volume(Securable):
    """A volume; its parent is its schema."""

    __tablename__ = "volumes"
    __table_args__: Any = (CheckConstraint("volume_type IN ('MANAGED', 'EXTERNAL')", name="volume_type"),)
    __mapper_args__ = mapped_as("VOLUME")

    id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
    volume_type: Mapped[str] = mapped_column(default="MANAGED")
    storage_location: Mapped[str] = mapped_column(default="")
