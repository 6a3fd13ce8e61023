"""Declared lineage: what people say was made of what. Written under lineage's own head, as the edges it makes are."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import Base, JsonObject


class LineageDeclaration(Base):
    """One relationship, and the run of lineage that states its edge now. An end is a kind and an id, or a path's canonical URL."""

    __tablename__ = "lineage_declarations"
    __table_args__ = (
        UniqueConstraint("metastore_id", "source_digest", "target_digest"),
        Index("ix_lineage_declarations_target_digest", "metastore_id", "target_digest"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    metastore_id: Mapped[str]
    source_key: Mapped[str]
    target_key: Mapped[str]
    source_digest: Mapped[str]
    target_digest: Mapped[str]
    """SHA-256 of the keys: paths can be longer than an index takes."""
    columns: Mapped[list[list[str]]] = mapped_column(JsonObject)
    properties: Mapped[dict[str, Any]] = mapped_column(JsonObject)
    run_id: Mapped[str]
    run_time: Mapped[int] = mapped_column(BigInteger)
    """When the run ended, in microseconds since 1970."""
    run_workspace_id: Mapped[str]
    run_principal_id: Mapped[str]
    """Whose the run is: who changed it last."""
    created_by: Mapped[str]
    create_time: Mapped[datetime]
    update_time: Mapped[datetime]
