"""Rows of deleted tables that can still be restored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from lakewarden_server.entities import Table


class Deletion(NamedTuple):
    """Which table was deleted when."""

    table_id: str
    time: datetime


def of_schema(session: Session, schema_id: str, *, since: datetime, key: str = "") -> Sequence[Deletion]:
    """The tables deleted in a schema after `since`, the last deleted first; of one name if given."""
    statement = select(Table.id, Table.deleted_time).where(
        Table.parent_id == schema_id, Table.deleted_time > since
    )
    if key:
        statement = statement.where(Table.name_key == key)
    found = session.execute(statement.order_by(Table.deleted_time.desc(), Table.id))
    return [Deletion(table_id, time) for table_id, time in found if time is not None]


def by_ids(session: Session, ids: Sequence[str]) -> list[Table]:
    """The deleted tables of these ids in the order given; one restored meanwhile is left out. At most a page of them."""
    found = session.scalars(select(Table).where(Table.id.in_(ids), Table.deleted_time.is_not(None)))
    by_id = {table.id: table for table in found}
    return [by_id[wanted] for wanted in ids if wanted in by_id]
