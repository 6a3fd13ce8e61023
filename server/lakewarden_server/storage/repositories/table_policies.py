"""Rows of row filters and column masks, by table."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from lakewarden_server.entities import ColumnMask, RowFilter


def filters_of(session: Session, table_ids: Sequence[str]) -> dict[str, RowFilter]:
    """The row filters of these tables, by table id."""
    rows = session.scalars(select(RowFilter).where(RowFilter.table_id.in_(table_ids)))
    return {row.table_id: row for row in rows}


def masks_of(session: Session, table_ids: Sequence[str]) -> dict[tuple[str, str], ColumnMask]:
    """The column masks of these tables, by table id and key of the column."""
    rows = session.scalars(select(ColumnMask).where(ColumnMask.table_id.in_(table_ids)))
    return {(row.table_id, row.column_key): row for row in rows}
