"""Reads declared lineage; what writes it is `lineage/declaring.py`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

from sqlalchemy import Connection, or_, select

from lakewarden_server.entities import LineageDeclaration

ROWS_CHUNK: Final = 10

_row: Final = LineageDeclaration.__table__.c


def declarations(
    connection: Connection,
    metastore_id: str,
    digest: str,
    *,
    as_source: bool,
    as_target: bool,
    after: str,
    limit: int,
) -> list[Any]:
    """Id, ends and declarer of the rows that the end of a digest takes part in, in the order of their ids, from after one on."""
    columns = ((_row.source_digest, as_source), (_row.target_digest, as_target))
    sides = [column == digest for column, wanted in columns if wanted]
    statement = select(_row.id, _row.source_key, _row.target_key, _row.created_by).where(
        _row.metastore_id == metastore_id, or_(*sides), _row.id > after
    )
    return list(connection.execute(statement.order_by(_row.id).limit(limit)))


def declaration(connection: Connection, metastore_id: str, row_id: str) -> Any:
    """Id, ends and declarer of the row of an id; None where there is none."""
    statement = select(_row.id, _row.source_key, _row.target_key, _row.created_by)
    return connection.execute(
        statement.where(_row.id == row_id, _row.metastore_id == metastore_id)
    ).one_or_none()


def said_of(connection: Connection, row_ids: Collection[str]) -> Iterator[Any]:
    """Whole rows in the order of their ids, few at a time: what one says of columns may be half a megabyte."""
    statement = select(LineageDeclaration.__table__).where(_row.id.in_(row_ids)).order_by(_row.id)
    with connection.execute(statement, execution_options={"yield_per": ROWS_CHUNK}) as rows:
        yield from rows
