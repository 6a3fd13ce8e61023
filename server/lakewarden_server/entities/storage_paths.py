"""Every storage URL that something is registered at, in one table, so that one query finds an overlap of any kinds."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import DEFERRED, Base, KeyText

IS_LOCATION = text("use = 'LOCATION'")


class StoragePath(Base):
    """One canonical URL in use: an index over what the securables say themselves, kept by the service that makes them."""

    __tablename__ = "storage_paths"
    __table_args__: Any = (
        CheckConstraint("use IN ('LOCATION', 'DATA', 'MANAGED')", name="use"),
        Index("ix_storage_paths_url", "url"),
        # The head row's order already rules out two at once; this holds against whoever writes past the pipeline.
        Index(
            "uq_storage_paths_location_url",
            "url",
            unique=True,
            sqlite_where=IS_LOCATION,
            postgresql_where=IS_LOCATION,
        ),
    )

    securable_id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
    use: Mapped[str]
    """LOCATION governs what lies under it, DATA belongs to a table or volume, MANAGED to a catalog or schema."""
    url: Mapped[str] = mapped_column(KeyText)
