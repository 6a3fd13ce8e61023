"""Rows of securables of any kind. Deleted ones are never returned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session, with_polymorphic

from lakewarden_server.entities import Securable

PAGE_SIZE_MAX = 1_000

Kind = TypeVar("Kind", bound=Securable)

_LIVE = Securable.deleted_time.is_(None)


def child(session: Session, parent_id: str, namespace: str, name_key: str) -> Securable | None:
    """The live child of that name in that namespace, by its key."""
    statement = select(Securable).where(
        Securable.parent_id == parent_id,
        Securable.namespace == namespace,
        Securable.name_key == name_key,
        _LIVE,
    )
    return session.scalars(statement).one_or_none()


def children(
    session: Session, parent_id: str, *, after: Securable | None = None, limit: int = PAGE_SIZE_MAX
) -> Sequence[Securable]:
    """Live children in the order of (namespace, key), from behind `after` on, at most `limit`."""
    statement = select(Securable).where(Securable.parent_id == parent_id, _LIVE)
    if after is not None:
        last = (after.namespace, after.name_key)
        statement = statement.where(tuple_(Securable.namespace, Securable.name_key) > last)
    return session.scalars(statement.order_by(Securable.namespace, Securable.name_key).limit(limit)).all()


def has_children(session: Session, parent_id: str) -> bool:
    """Whether any live object stands in this container."""
    return (
        session.scalars(select(Securable.id).where(Securable.parent_id == parent_id, _LIVE).limit(1)).first()
        is not None
    )


def by_ids(session: Session, entity_class: type[Kind], ids: Sequence[str]) -> list[Kind]:
    """The live rows of these ids in the order given; an id without one is left out. At most a page of them."""
    rows = session.scalars(select(entity_class).where(entity_class.id.in_(ids), _LIVE))
    found = {row.id: row for row in rows}
    return [found[wanted] for wanted in ids if wanted in found]


def subtree(session: Session, root_id: str) -> Sequence[Securable]:
    """The live object and everything live below it, containers first: what a forced delete takes along."""
    # Details are loaded with the rows: the change log needs them, and one query a row would make large trees slow.
    every_kind = with_polymorphic(Securable, "*")
    level = select(Securable.id).where(Securable.id == root_id, _LIVE).cte("inside", recursive=True)
    below = select(Securable.id).join(level, Securable.parent_id == level.c.id).where(_LIVE)
    inside = level.union_all(below)
    statement = select(every_kind).where(every_kind.id.in_(select(inside.c.id)))
    rows = session.scalars(statement).all()
    return _containers_first(rows)


def _containers_first(rows: Sequence[Securable]) -> list[Securable]:
    below: dict[str | None, list[Securable]] = {}
    present = {row.id for row in rows}
    for row in sorted(rows, key=lambda row: (row.namespace, row.name_key)):
        below.setdefault(row.parent_id if row.parent_id in present else None, []).append(row)
    ordered: list[Securable] = list(below.get(None, []))
    for row in ordered:
        ordered.extend(below.get(row.id, ()))
    return ordered
