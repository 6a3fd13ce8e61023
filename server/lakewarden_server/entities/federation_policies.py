"""Federation policies: which tokens of which identity provider are trusted, and whom they stand for."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import DEFERRED, Base, ChangeLogged, JsonObject


class FederationPolicy(ChangeLogged, Base):
    """Never changed once made, so that what was traded by it ends with its row. Without `principal_id` it is one for all users."""

    __tablename__ = "federation_policies"

    id: Mapped[str] = mapped_column(primary_key=True)
    principal_id: Mapped[str | None] = mapped_column(ForeignKey("principals.id", **DEFERRED), index=True)
    issuer: Mapped[str]
    audiences: Mapped[list[str]] = mapped_column(JsonObject)
    subject_claim: Mapped[str]
    subject: Mapped[str]
    jwks: Mapped[str]
    comment: Mapped[str] = mapped_column(default="")
    create_time: Mapped[datetime]
    created_by: Mapped[str]

    def change_kind(self) -> str:
        """Always `FEDERATION_POLICY`."""
        return "FEDERATION_POLICY"
