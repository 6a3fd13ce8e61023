"""Rows of what is in a share and who is given it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from lakewarden_server.entities import ShareObject, ShareRecipient


def objects_of(session: Session, share_id: str) -> Sequence[ShareObject]:
    """What is in a share, in the order of ids."""
    statement = select(ShareObject).where(ShareObject.share_id == share_id)
    return session.scalars(statement.order_by(ShareObject.object_id)).all()


def recipients_of(session: Session, share_id: str) -> Sequence[ShareRecipient]:
    """Who is given a share, in the order of ids."""
    statement = select(ShareRecipient).where(ShareRecipient.share_id == share_id)
    return session.scalars(statement.order_by(ShareRecipient.recipient_id)).all()
