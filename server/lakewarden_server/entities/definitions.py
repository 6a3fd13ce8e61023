"""What is defined by the text of a query: views, materialized views and streaming tables, each kind in a table of its own."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import DEFERRED
from lakewarden_server.entities.securables import Securable, mapped_as


class Defined:
    """The columns of a definition; `full_text` is the definition with every name in full, `columns` a list of objects."""

    definition: Mapped[str]
    full_text: Mapped[str]
    dialect: Mapped[str]
    columns: Mapped[list[dict[str, Any]]] = mapped_column(JSON(none_as_null=True))


class View(Defined, Securable):
    """A view; read with its owner's rights on what it references."""

    __tablename__ = "views"
    __mapper_args__ = mapped_as("VIEW")

    id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)


class MaterializedView(Defined, Securable):
    """A materialized view; `refresh_time` is when its stored rows were last said to be computed anew."""

    __tablename__ = "materialized_views"
    __mapper_args__ = mapped_as("MATERIALIZED_VIEW")

    id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
    refresh_time: Mapped[datetime | None]


class StreamingTable(Defined, Securable):
    """A streaming table; the lakehouse appends to it what its query yields."""

    __tablename__ = "streaming_tables"
    __mapper_args__ = mapped_as("STREAMING_TABLE")

    id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
