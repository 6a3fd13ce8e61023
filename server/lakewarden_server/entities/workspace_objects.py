"""Objects of a workspace that an engine keeps and this server governs: jobs, clusters, notebooks, folders and the like."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_policy.kinds import IN_WORKSPACE
from lakewarden_server.entities.base import DEFERRED
from lakewarden_server.entities.securables import Securable, mapped_as


class WorkspaceObject(Securable):
    """What every kind has; its name is the id its engine gave it, its parent the workspace or a folder in it."""

    __tablename__ = "workspace_objects"
    __mapper_args__ = {"polymorphic_abstract": True}  # noqa: RUF012 - read by SQLAlchemy, as everywhere

    id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
    display_name: Mapped[str] = mapped_column(default="")


WORKSPACE_OBJECTS: Mapping[str, type[WorkspaceObject]] = {
    kind: type(kind, (WorkspaceObject,), {"__mapper_args__": mapped_as(kind)})
    for kind in sorted(IN_WORKSPACE)
}
"""The mapped class of each kind; they differ in nothing but that."""
