"""Storage and service credentials: who engines are to the outside. What is secret of them stands in `secrets`."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import DEFERRED, JsonObject
from lakewarden_server.entities.securables import Securable, mapped_as


class StorageCredential(Securable):
    """What engines reach cloud storage with; its parent is its metastore."""

    __tablename__ = "storage_credentials"
    __mapper_args__ = mapped_as("STORAGE_CREDENTIAL")

    id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
    identity_type: Mapped[str]
    """Name of the identity's field in the API, e.g. `aws_iam_role`."""
    identity: Mapped[dict[str, str]] = mapped_column(JsonObject)
    """Its fields that are no secret."""
    read_only: Mapped[bool] = mapped_column(default=False)


class ServiceCredential(Securable):
    """What engines reach an outside service with; its parent is its metastore."""

    __tablename__ = "service_credentials"
    __mapper_args__ = mapped_as("SERVICE_CREDENTIAL")

    id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
    identity_type: Mapped[str]
    identity: Mapped[dict[str, str]] = mapped_column(JsonObject)
