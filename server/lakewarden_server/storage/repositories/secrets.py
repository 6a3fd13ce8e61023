"""Sealed secrets of securables."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from lakewarden_server.entities import Secret


def sealed_otherwise(session: Session, key_id: str) -> Sequence[Secret]:
    """The rows that another key sealed."""
    return session.scalars(select(Secret).where(Secret.key_id != key_id).order_by(Secret.securable_id)).all()
