"""The direct membership of a principal in a group; nesting is computed by the policy engine."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import DEFERRED, Base, ChangeLogged, JsonObject


class GroupMember(ChangeLogged, Base):
    """One edge group -> member; `sources` are the names of `MembershipSource` it comes from, at least one, in their order."""

    __tablename__ = "group_members"
    __table_args__ = (CheckConstraint("group_id <> member_id", name="not_itself"),)

    group_id: Mapped[str] = mapped_column(ForeignKey("principals.id", **DEFERRED), primary_key=True)
    member_id: Mapped[str] = mapped_column(
        ForeignKey("principals.id", **DEFERRED), primary_key=True, index=True
    )
    create_time: Mapped[datetime]
    created_by: Mapped[str]
    sources: Mapped[list[str]] = mapped_column(JsonObject, default=lambda: ["ADMIN"])

    def change_kind(self) -> str:
        """Always `GROUP_MEMBER`."""
        return "GROUP_MEMBER"
