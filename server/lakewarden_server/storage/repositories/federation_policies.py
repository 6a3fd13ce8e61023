"""Rows of federation policies. Authentication reads the snapshot instead; these serve management."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from lakewarden_server.entities import FederationPolicy


def every(session: Session) -> Sequence[FederationPolicy]:
    """All of them, by id."""
    return session.scalars(select(FederationPolicy).order_by(FederationPolicy.id)).all()


def of_principal(session: Session, principal_id: str | None) -> Sequence[FederationPolicy]:
    """Those of a service principal, or for all users, by id."""
    statement = select(FederationPolicy).where(FederationPolicy.principal_id == principal_id)
    return session.scalars(statement.order_by(FederationPolicy.id)).all()
