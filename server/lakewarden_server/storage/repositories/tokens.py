"""Rows of live tokens and client secrets. Authentication reads the snapshot instead; these serve management."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from lakewarden_server.entities import Token


def find(session: Session, token_id: str) -> Token | None:
    """The token of that id, if it was not revoked."""
    return session.get(Token, token_id)


def every(session: Session) -> Sequence[Token]:
    """All live tokens, oldest first."""
    return session.scalars(select(Token).order_by(Token.create_time, Token.id)).all()


def of_principal(session: Session, principal_id: str, kinds: Collection[str] = ()) -> Sequence[Token]:
    """Tokens of a principal, of all kinds or of those named, oldest first."""
    statement = select(Token).where(Token.principal_id == principal_id)
    if kinds:
        statement = statement.where(Token.kind.in_(kinds))
    return session.scalars(statement.order_by(Token.create_time, Token.id)).all()


def of_workspace(session: Session, workspace_id: str) -> Sequence[Token]:
    """Tokens that are good in this workspace only, oldest first."""
    statement = select(Token).where(Token.workspace_id == workspace_id)
    return session.scalars(statement.order_by(Token.create_time, Token.id)).all()


def count_by_pepper(session: Session, *, time: datetime) -> Mapping[str, int]:
    """How many tokens and client secrets that have not ended rest on each pepper, by its id."""
    statement = select(Token.pepper_id, func.count()).where(Token.expire_time > time)
    return {row[0]: row[1] for row in session.execute(statement.group_by(Token.pepper_id))}
