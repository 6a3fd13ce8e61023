"""Which storage URLs are in use and what uses which credential or connection: what a change must not pull away."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import Select, and_, delete, or_, select
from sqlalchemy.orm import Session

from lakewarden_server.core.urls import ancestors
from lakewarden_server.entities import (
    Catalog,
    Connection,
    ExternalLocation,
    Secret,
    ShareObject,
    ShareRecipient,
    StoragePath,
)

BATCH = 500
"""Ids in one statement; the databases bound the parameters of a statement."""


def overlapping(session: Session, url: str, *, uses: Collection[str]) -> Sequence[StoragePath]:
    """The paths in use that contain the canonical URL or lie in it, in the order of their URLs."""
    # Everything below `a/b` sorts between `a/b/` and `a/b0`, because `0` follows `/` and the column is compared by code point.
    below = and_(StoragePath.url > f"{url}/", StoragePath.url < f"{url}0")
    statement = select(StoragePath).where(
        or_(StoragePath.url.in_(ancestors(url)), below), StoragePath.use.in_(uses)
    )
    return session.scalars(statement.order_by(StoragePath.url, StoragePath.securable_id)).all()


def locations_use(session: Session, credential_id: str) -> bool:
    """Whether a live external location stands on the storage credential."""
    live = ExternalLocation.deleted_time.is_(None)
    return _any(
        session, select(ExternalLocation.id).where(ExternalLocation.credential_id == credential_id, live)
    )


def urls_reached(session: Session, credential_id: str) -> Sequence[str]:
    """URLs of the live external locations that stand on the storage credential."""
    statement = select(ExternalLocation.url).where(
        ExternalLocation.credential_id == credential_id, ExternalLocation.deleted_time.is_(None)
    )
    return session.scalars(statement.order_by(ExternalLocation.url)).all()


def connections_use(session: Session, credential_id: str) -> bool:
    """Whether a live connection uses the service credential."""
    live = Connection.deleted_time.is_(None)
    return _any(session, select(Connection.id).where(Connection.credential_id == credential_id, live))


def catalogs_use(session: Session, connection_id: str) -> bool:
    """Whether a live foreign catalog stands on the connection."""
    live = Catalog.deleted_time.is_(None)
    return _any(session, select(Catalog.id).where(Catalog.connection_id == connection_id, live))


def forget_belongings(session: Session, securable_ids: Iterable[str]) -> None:
    """Deletes what goes for good with deleted securables: secrets, paths in use, places in shares."""
    every = list(securable_ids)
    for ids in (every[start : start + BATCH] for start in range(0, len(every), BATCH)):
        for table in (Secret, StoragePath):
            session.execute(delete(table).where(table.securable_id.in_(ids)))
        for member in (
            *session.scalars(select(ShareObject).where(or_(ShareObject.share_id.in_(ids), ShareObject.object_id.in_(ids)))),
            *session.scalars(
                select(ShareRecipient).where(or_(ShareRecipient.share_id.in_(ids), ShareRecipient.recipient_id.in_(ids)))
            ),
        ):  # fmt: skip
            session.delete(member)


def _any(session: Session, statement: Select[Any]) -> bool:
    return session.scalars(statement.limit(1)).first() is not None
