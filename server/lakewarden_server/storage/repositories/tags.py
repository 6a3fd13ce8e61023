"""Rows of tags, by what they are on."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from lakewarden_server.entities import OF_THE_OBJECT, Tag


def on(session: Session, securable_id: str, column_key: str) -> Sequence[Tag]:
    """The tags of an object itself, or of one of its columns, in the order of their keys."""
    statement = select(Tag).where(Tag.securable_id == securable_id, Tag.column_key == column_key)
    return session.scalars(statement.order_by(Tag.key)).all()


def page(
    session: Session, securable_id: str, *, column_key: str | None, after: tuple[str, str] | None, limit: int
) -> Sequence[Tag]:
    """Tags of an object and its columns in the order of (column, key), behind `after`; of one column if it is given."""
    statement = select(Tag).where(Tag.securable_id == securable_id)
    if column_key is not None:
        statement = statement.where(Tag.column_key == column_key)
    if after is not None:
        statement = statement.where(tuple_(Tag.column_key, Tag.key) > after)
    return session.scalars(statement.order_by(Tag.column_key, Tag.key).limit(limit)).all()


def of_objects(session: Session, securable_ids: Sequence[str]) -> dict[str, list[Tag]]:
    """The tags of these objects themselves, by the object's id, each in the order of the keys."""
    statement = select(Tag).where(Tag.securable_id.in_(securable_ids), Tag.column_key == OF_THE_OBJECT)
    found: dict[str, list[Tag]] = {}
    for tag in session.scalars(statement.order_by(Tag.key)):
        found.setdefault(tag.securable_id, []).append(tag)
    return found


def with_tagged_columns(session: Session, securable_ids: Sequence[str]) -> frozenset[str]:
    """Those of these relations that have a column with a tag."""
    statement = select(Tag.securable_id).where(
        Tag.securable_id.in_(securable_ids), Tag.column_key != OF_THE_OBJECT
    )  # fmt: skip
    return frozenset(session.scalars(statement.distinct()))


def of_columns(session: Session, securable_id: str) -> Sequence[Tag]:
    """The tags of the columns of a relation, in the order of (column, key)."""
    statement = select(Tag).where(Tag.securable_id == securable_id, Tag.column_key != OF_THE_OBJECT)
    return session.scalars(statement.order_by(Tag.column_key, Tag.key)).all()


def of_keys(
    session: Session, securable_ids: Sequence[str], keys: Collection[str]
) -> dict[str, dict[str, dict[str, str]]]:
    """Values of tags with these keys on these objects and their columns, by object, by column and by key."""
    # As entities: how new a tag is has to be noted, as its object is not read.
    tags = session.scalars(select(Tag).where(Tag.securable_id.in_(securable_ids), Tag.key.in_(keys)))
    found: dict[str, dict[str, dict[str, str]]] = {}
    for tag in tags:
        found.setdefault(tag.securable_id, {}).setdefault(tag.column_key, {})[tag.key] = tag.value
    return found


def count_of_columns(session: Session, securable_id: str) -> int:
    """How many tags the columns of a relation have together."""
    statement = select(func.count()).select_from(Tag)
    return session.scalar(
        statement.where(Tag.securable_id == securable_id, Tag.column_key != OF_THE_OBJECT)
    ) or 0  # fmt: skip


def drop_columns(session: Session, securable_id: str, *, besides: Collection[str]) -> None:
    """Deletes the tags of all columns of a relation but those of these keys: a later column of the name is another one."""
    keys = select(Tag.column_key).where(
        Tag.securable_id == securable_id, Tag.column_key != OF_THE_OBJECT
    )  # fmt: skip
    for column_key in session.scalars(keys.distinct()).all():
        if column_key not in besides:
            for tag in on(session, securable_id, column_key):
                session.delete(tag)
