"""External metadata: what stands in lineage for something in an outside system."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import DEFERRED, JsonObject
from lakewarden_server.entities.securables import Securable, mapped_as


class ExternalMetadata(Securable):
    """A dashboard, pipeline or table of an outside system; its parent is its metastore."""

    __tablename__ = "external_metadata"
    __mapper_args__ = mapped_as("EXTERNAL_METADATA")

    id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
    system_type: Mapped[str]
    entity_type: Mapped[str]
    url: Mapped[str] = mapped_column(default="")
    columns: Mapped[list[str]] = mapped_column(JsonObject)
