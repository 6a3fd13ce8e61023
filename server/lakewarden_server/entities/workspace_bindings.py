"""Which workspaces an isolated securable is bound to, and whether for reading only."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import DEFERRED, Base, ChangeLogged


class WorkspaceBinding(ChangeLogged, Base):
    """One securable bound to one workspace; it counts while the securable is ISOLATED."""

    __tablename__ = "workspace_bindings"
    __table_args__: Any = (CheckConstraint("type IN ('READ_WRITE', 'READ_ONLY')", name="type"),)

    securable_id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(
        ForeignKey("securables.id", **DEFERRED), primary_key=True, index=True
    )
    type: Mapped[str]

    def change_kind(self) -> str:
        """Always `WORKSPACE_BINDING`."""
        return "WORKSPACE_BINDING"
