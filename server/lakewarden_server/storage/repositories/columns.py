"""Rows of columns, by table."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from lakewarden_server.entities import Column


def of_table(session: Session, table_id: str) -> Sequence[Column]:
    """The columns of a table in their order."""
    return session.scalars(select(Column).where(Column.table_id == table_id).order_by(Column.position)).all()


def of_tables(session: Session, table_ids: Sequence[str]) -> dict[str, list[Column]]:
    """The columns of several tables by table id, each in their order; a table without columns is left out."""
    statement = (
        select(Column).where(Column.table_id.in_(table_ids)).order_by(Column.table_id, Column.position)
    )
    columns: dict[str, list[Column]] = {}
    for column in session.scalars(statement):
        columns.setdefault(column.table_id, []).append(column)
    return columns


def names_of(session: Session, table_ids: Sequence[str]) -> Sequence[Row[str, str, str, int]]:
    """Table, name key, name and revision of each column of several tables: a fraction of the time that whole columns take."""
    statement = select(Column.table_id, Column.name_key, Column.name, Column.revision)
    return session.execute(statement.where(Column.table_id.in_(table_ids))).all()


def names(session: Session, table_id: str, keys: Collection[str]) -> dict[str, str]:
    """How a table spells its columns of these name keys, by key; those it does not have are left out."""
    statement = select(Column.name_key, Column.name).where(Column.table_id == table_id)
    rows = session.execute(statement.where(Column.name_key.in_(keys)))
    return {row.name_key: row.name for row in rows}


def spelled(session: Session, table_id: str, key: str) -> str | None:
    """The name of a column as its table spells it; None where there is none of this name key."""
    return session.scalar(select(Column.name).where(Column.table_id == table_id, Column.name_key == key))


def replace(session: Session, table_id: str, columns: Sequence[Column]) -> None:
    """Puts these columns in place of those the table has.

    The old ones are flushed out first: within one flush inserts come before deletes, and a column that only moved
    would meet itself in the unique index.
    """
    for column in of_table(session, table_id):
        session.delete(column)
    session.flush()
    session.add_all(columns)
