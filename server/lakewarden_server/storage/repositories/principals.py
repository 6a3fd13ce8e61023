"""Rows of principals and their direct memberships."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from lakewarden_server.entities import GroupMember, Principal

PAGE_SIZE_MAX = 1_000


def by_key(session: Session, name_key: str) -> Principal | None:
    """The principal of that name, by its key."""
    return session.scalars(select(Principal).where(Principal.name_key == name_key)).one_or_none()


def by_external_id(session: Session, kind: str, external_id: str) -> Principal | None:
    """The live principal of a kind that bears this identifier at an identity provider."""
    statement = select(Principal).where(
        Principal.kind == kind, Principal.external_id == external_id, Principal.deleted_time.is_(None)
    )
    return session.scalars(statement).one_or_none()


def by_ids(session: Session, ids: Sequence[str]) -> list[Principal]:
    """The principals of these ids in the order given; an id without one is left out."""
    found = {row.id: row for row in session.scalars(select(Principal).where(Principal.id.in_(ids)))}
    return [found[wanted] for wanted in ids if wanted in found]


def of_kind(
    session: Session, kind: str, *, after_key: str = "", limit: int = PAGE_SIZE_MAX
) -> Sequence[Principal]:
    """Live principals of one kind in the order of their keys, from behind `after_key` on, at most `limit`."""
    statement = select(Principal).where(
        Principal.kind == kind, Principal.name_key > after_key, Principal.deleted_time.is_(None)
    )
    return session.scalars(statement.order_by(Principal.name_key).limit(limit)).all()


def members(
    session: Session, group_id: str, *, after_id: str = "", limit: int = PAGE_SIZE_MAX
) -> Sequence[GroupMember]:
    """Direct members of a group in the order of their ids, from behind `after_id` on, at most `limit`."""
    statement = select(GroupMember).where(GroupMember.group_id == group_id, GroupMember.member_id > after_id)
    return session.scalars(statement.order_by(GroupMember.member_id).limit(limit)).all()


def members_among(session: Session, group_id: str, ids: Sequence[str]) -> dict[str, GroupMember]:
    """Direct memberships of a group by member, those of these members."""
    statement = select(GroupMember).where(GroupMember.group_id == group_id, GroupMember.member_id.in_(ids))
    return {row.member_id: row for row in session.scalars(statement)}


def membership(session: Session, group_id: str, member_id: str) -> GroupMember | None:
    """The direct membership, if there is one."""
    return session.get(GroupMember, (group_id, member_id))


def memberships(session: Session, principal_id: str) -> Sequence[GroupMember]:
    """All direct memberships a principal takes part in, as member or as group: they go when it goes."""
    statement = select(GroupMember).where(
        or_(GroupMember.member_id == principal_id, GroupMember.group_id == principal_id)
    )
    return session.scalars(statement.order_by(GroupMember.group_id, GroupMember.member_id)).all()
