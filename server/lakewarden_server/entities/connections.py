"""The connection: how engines reach a database or service outside the lakehouse."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import DEFERRED, JsonObject
from lakewarden_server.entities.securables import Securable, mapped_as


class Connection(Securable):
    """Options of a connection; the values of the secret ones stand in `secrets`. Its parent is its metastore."""

    __tablename__ = "connections"

    id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
    connection_type: Mapped[str]
    options: Mapped[dict[str, str]] = mapped_column(JsonObject)
    secret_option_names: Mapped[list[str]] = mapped_column(JsonObject)
    credential_id: Mapped[str | None] = mapped_column(ForeignKey("securables.id", **DEFERRED), index=True)
    read_only: Mapped[bool] = mapped_column(default=False)

    __mapper_args__ = mapped_as("CONNECTION", inherit_condition=id == Securable.id)
