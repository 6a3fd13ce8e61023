"""The one table of all securables; each kind's own file adds a detail table by joined inheritance."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, text
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_policy.kinds import KINDS
from lakewarden_server.entities.base import DEFERRED, Base, KeyText, Stamped

LIVE = text("deleted_time IS NULL")
LIVE_OBJECT = text("deleted_time IS NULL AND workspace_id IS NOT NULL")
DELETED = text("deleted_time IS NOT NULL")


def mapped_as(kind: str, **options: Any) -> dict[str, Any]:
    """Mapper arguments of the class of one kind."""
    return {"polymorphic_identity": kind, **options}


class Securable(Stamped, Base):
    """Anything a privilege can be granted on; a deleted one stays as a tombstone and frees its name."""

    __tablename__ = "securables"
    __table_args__: Any = (
        # NULL parents are distinct to a unique index, so only the account may have none.
        CheckConstraint("parent_id IS NOT NULL OR kind = 'ACCOUNT'", name="parent"),
        CheckConstraint("isolation_mode IN ('OPEN', 'ISOLATED')", name="isolation_mode"),
        CheckConstraint("owner_id IS NOT NULL OR deleted_time IS NOT NULL OR kind = 'ACCOUNT'", name="owner"),
        Index(
            "uq_securables_live_name",
            "parent_id",
            "namespace",
            "name_key",
            unique=True,
            sqlite_where=LIVE,
            postgresql_where=LIVE,
        ),
        Index(
            "uq_securables_live_workspace_object",
            "workspace_id",
            "namespace",
            "name_key",
            unique=True,
            sqlite_where=LIVE_OBJECT,
            postgresql_where=LIVE_OBJECT,
        ),
        Index("ix_securables_deleted_time", "deleted_time", sqlite_where=DELETED, postgresql_where=DELETED),
    )
    __mapper_args__ = mapped_as("SECURABLE", polymorphic_on="kind")

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    namespace: Mapped[str]
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("securables.id", **DEFERRED))
    metastore_id: Mapped[str | None] = mapped_column(ForeignKey("securables.id", **DEFERRED), index=True)
    workspace_id: Mapped[str | None]
    name: Mapped[str]
    name_key: Mapped[str] = mapped_column(KeyText)
    owner_id: Mapped[str | None] = mapped_column(ForeignKey("principals.id", **DEFERRED), index=True)
    isolation_mode: Mapped[str] = mapped_column(default="OPEN")
    comment: Mapped[str] = mapped_column(default="")
    properties: Mapped[dict[str, str]] = mapped_column(
        MutableDict.as_mutable(JSON(none_as_null=True)), default=dict
    )
    deleted_time: Mapped[datetime | None]

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        if self.kind is not None and self.namespace is None:
            self.namespace = KINDS[self.kind].namespace

    def change_kind(self) -> str:
        """Its kind: a follower filters the change log by it."""
        return self.kind


class Account(Securable):
    """The root of everything; seeded by the first migration, one per database."""

    __mapper_args__ = mapped_as("ACCOUNT")
