"""Rows of grants, by what they are on and by who holds them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from lakewarden_server.entities import Grant


def find(session: Session, securable_id: str, principal_id: str, privilege: str) -> Grant | None:
    """The direct grant, if there is one."""
    return session.get(Grant, (securable_id, principal_id, privilege))


def give(
    session: Session,
    securable_id: str,
    principal_id: str,
    privileges: Iterable[str],
    *,
    by: str,
    time: datetime,
) -> None:
    """Adds what something comes with when it is made: grants without an end, which nobody can hold yet."""
    for privilege in privileges:
        session.add(
            Grant(
                securable_id=securable_id,
                principal_id=principal_id,
                privilege=privilege,
                granted_by=by,
                create_time=time,
            )
        )


def of_securable(session: Session, securable_id: str, *, principal_id: str | None = None) -> Sequence[Grant]:
    """Direct grants on a securable in the order of (principal, privilege), of one principal if named."""
    statement = select(Grant).where(Grant.securable_id == securable_id)
    if principal_id is not None:
        statement = statement.where(Grant.principal_id == principal_id)
    return session.scalars(statement.order_by(Grant.principal_id, Grant.privilege)).all()


def of_securables(session: Session, securable_ids: Sequence[str]) -> dict[str, list[Grant]]:
    """Direct grants on several securables by the securable's id, each in the order of (principal, privilege)."""
    statement = select(Grant).where(Grant.securable_id.in_(securable_ids))
    found: dict[str, list[Grant]] = {}
    for grant in session.scalars(statement.order_by(Grant.principal_id, Grant.privilege)):
        found.setdefault(grant.securable_id, []).append(grant)
    return found


def of_principal(session: Session, principal_id: str) -> Sequence[Grant]:
    """Direct grants a principal holds, in the order of (securable, privilege)."""
    statement = select(Grant).where(Grant.principal_id == principal_id)
    return session.scalars(statement.order_by(Grant.securable_id, Grant.privilege)).all()
