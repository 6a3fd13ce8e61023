"""Rows of workspace bindings, by what is bound and by the workspace."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from lakewarden_server.entities import WorkspaceBinding


def of_securable(session: Session, securable_id: str) -> Sequence[WorkspaceBinding]:
    """Bindings of a securable in the order of the workspaces' ids."""
    statement = select(WorkspaceBinding).where(WorkspaceBinding.securable_id == securable_id)
    return session.scalars(statement.order_by(WorkspaceBinding.workspace_id)).all()


def of_workspace(session: Session, workspace_id: str) -> Sequence[WorkspaceBinding]:
    """Bindings to a workspace in the order of the securables' ids."""
    statement = select(WorkspaceBinding).where(WorkspaceBinding.workspace_id == workspace_id)
    return session.scalars(statement.order_by(WorkspaceBinding.securable_id)).all()
