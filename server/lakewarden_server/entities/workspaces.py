"""The workspace, attached to at most one metastore."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import DEFERRED
from lakewarden_server.entities.securables import Securable, mapped_as


class Workspace(Securable):
    """A workspace; its `metastore_id` is the metastore it is attached to, or null."""

    __tablename__ = "workspaces"
    __mapper_args__ = mapped_as("WORKSPACE")

    id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
    default_catalog: Mapped[str] = mapped_column(default="")
