"""Personal access tokens, bootstrap tokens and client secrets: only a keyed digest of the secret is stored."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import DEFERRED, Base, ChangeLogged


class Token(ChangeLogged, Base):
    """A live token: revoking one deletes its row. `digest` = HMAC of the secret under the pepper `pepper_id`."""

    __tablename__ = "tokens"
    __table_args__ = (
        CheckConstraint("kind IN ('PAT', 'BOOTSTRAP', 'CLIENT_SECRET')", name="kind"),
        CheckConstraint("length(id) = 22", name="id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    principal_id: Mapped[str] = mapped_column(ForeignKey("principals.id", **DEFERRED), index=True)
    kind: Mapped[str]
    digest: Mapped[bytes]
    pepper_id: Mapped[str]
    comment: Mapped[str] = mapped_column(default="")
    workspace_id: Mapped[str | None] = mapped_column(ForeignKey("securables.id", **DEFERRED))
    create_time: Mapped[datetime]
    expire_time: Mapped[datetime]

    def change_kind(self) -> str:
        """Always `TOKEN`."""
        return "TOKEN"


class TokenUse(Base):
    """When a token was last used, beside the change log: a use changes no decision, so nobody follows it."""

    __tablename__ = "token_uses"

    token_id: Mapped[str] = mapped_column(primary_key=True)
    last_used_time: Mapped[datetime]
