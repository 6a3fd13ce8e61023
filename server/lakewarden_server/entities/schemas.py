"""The schema, second level of a name."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import DEFERRED
from lakewarden_server.entities.securables import Securable, mapped_as


class Schema(Securable):
    """A schema; its parent is its catalog."""

    __tablename__ = "schemas"
    __mapper_args__ = mapped_as("SCHEMA")

    id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
    storage_root: Mapped[str] = mapped_column(default="", server_default="")
