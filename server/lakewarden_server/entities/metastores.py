"""The metastore: one per region, the root of catalogs."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import DEFERRED
from lakewarden_server.entities.securables import Securable, mapped_as


class Metastore(Securable):
    """A metastore; its `metastore_id` is its own id, so that one column scopes every query."""

    __tablename__ = "metastores"
    __mapper_args__ = mapped_as("METASTORE")

    id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
    region: Mapped[str] = mapped_column(default="")
