"""The external location: a place in cloud storage, governed as one object."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import DEFERRED, KeyText
from lakewarden_server.entities.securables import Securable, mapped_as


class ExternalLocation(Securable):
    """A canonical URL and the credential that reaches it; its parent is its metastore."""

    __tablename__ = "external_locations"

    id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
    url: Mapped[str] = mapped_column(KeyText)
    credential_id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), index=True)
    read_only: Mapped[bool] = mapped_column(default=False)

    __mapper_args__ = mapped_as("EXTERNAL_LOCATION", inherit_condition=id == Securable.id)
