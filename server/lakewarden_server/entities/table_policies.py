"""Row filters and column masks: which function decides what of a table is shown."""

from __future__ import annotations

from sqlalchemy import JSON, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import DEFERRED, Base, ChangeLogged, KeyText

_NAMES = JSON(none_as_null=True)


class RowFilter(ChangeLogged, Base):
    """The one filter of a table; `columns` are what its function is called with, in order."""

    __tablename__ = "row_filters"

    table_id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
    function_id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), index=True)
    columns: Mapped[list[str]] = mapped_column(_NAMES)

    def change_kind(self) -> str:
        """Always `ROW_FILTER`."""
        return "ROW_FILTER"


class ColumnMask(ChangeLogged, Base):
    """The mask of one column; its function is called with the column itself, then with `using`."""

    __tablename__ = "column_masks"

    table_id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
    column_key: Mapped[str] = mapped_column(KeyText, primary_key=True)
    column_name: Mapped[str]
    function_id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), index=True)
    using: Mapped[list[str]] = mapped_column(_NAMES)

    def change_kind(self) -> str:
        """Always `COLUMN_MASK`."""
        return "COLUMN_MASK"
