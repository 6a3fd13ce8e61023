"""The catalog, first level of a name."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import DEFERRED
from lakewarden_server.entities.securables import Securable, mapped_as


class Catalog(Securable):
    """A catalog; its parent is its metastore."""

    __tablename__ = "catalogs"
    __mapper_args__ = mapped_as("CATALOG")

    id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
    storage_root: Mapped[str] = mapped_column(default="", server_default="")
    connection_id: Mapped[str | None] = mapped_column(index=True)
    """What a foreign catalog stands on, by id: nothing removes the row of a connection."""
