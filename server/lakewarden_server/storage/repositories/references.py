"""Rows of what definitions reference, by the view or function they belong to."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from lakewarden_policy import Reference
from lakewarden_server.entities import SecurableReference


def of_object(session: Session, object_id: str) -> Sequence[SecurableReference]:
    """What one definition references, in the order of its text."""
    statement = select(SecurableReference).where(SecurableReference.object_id == object_id)
    return session.scalars(statement.order_by(SecurableReference.position)).all()


def delete(session: Session, object_id: str) -> None:
    """Forgets what a definition references."""
    for reference in of_object(session, object_id):
        session.delete(reference)


def replace(session: Session, object_id: str, references: Sequence[Reference]) -> None:
    """Puts these references in place of those there are; the old ones are flushed out first, as they share positions."""
    delete(session, object_id)
    session.flush()
    session.add_all(
        SecurableReference(
            object_id=object_id, position=position, privilege=found.privilege, full_name=found.full_name
        )
        for position, found in enumerate(references)
    )
