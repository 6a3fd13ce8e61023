"""Rows of IP access lists. Calls are admitted by the snapshot instead; these serve management."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from lakewarden_server.entities import IpAccessList, IpAccessSettings


def of_scope(session: Session, scope_id: str) -> Sequence[IpAccessList]:
    """Those of the account or of a workspace, by id."""
    statement = select(IpAccessList).where(IpAccessList.scope_id == scope_id)
    return session.scalars(statement.order_by(IpAccessList.id)).all()


def is_enforced(session: Session, scope_id: str) -> bool:
    """Whether the scope enforces its lists."""
    found = session.get(IpAccessSettings, scope_id)
    return found is not None and found.enforced
