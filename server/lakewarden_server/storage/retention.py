"""How long a deleted table can be restored, and the removal of what deleted objects leave behind afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute, Session

from lakewarden_policy import ACCOUNT_ID
from lakewarden_server.core.clock import monotonic
from lakewarden_server.entities import (
    Column,
    ColumnMask,
    Grant,
    ModelAlias,
    ModelVersion,
    RowFilter,
    Securable,
    SecurableReference,
    Tag,
)
from lakewarden_server.storage.audit import AuditRecord
from lakewarden_server.storage.engine import Database

RETENTION = timedelta(days=7)
"""A deleted table can be restored for so long by the database's clock (semantics 10.3)."""
PURGED_ROWS_MAX = 10_000
"""Rows one run removes: it holds the head, so the rest waits for the next run."""
PURGE_SECONDS_MAX = 10.0

# What belongs to a securable and stays when it becomes a tombstone; aliases go before the versions they point to.
_REMAINS: Final[tuple[tuple[type[Any], InstrumentedAttribute[str]], ...]] = (
    (Grant, Grant.securable_id),
    (Column, Column.table_id),
    (RowFilter, RowFilter.table_id),
    (ColumnMask, ColumnMask.table_id),
    (Tag, Tag.securable_id),
    (SecurableReference, SecurableReference.object_id),
    (ModelAlias, ModelAlias.model_id),
    (ModelVersion, ModelVersion.model_id),
)


def kept_since(now: datetime) -> datetime:
    """What was deleted after this can still be restored."""
    return now - RETENTION


def purge(database: Database, *, policy_digest: str) -> int:
    """Removes columns, grants, tags and other rows of what was deleted longer ago than the retention; returns how many.

    Through the unit of work, so that the change log keeps them: what was true on a past day can still be told.
    """
    with database.read(deadline=monotonic() + PURGE_SECONDS_MAX) as view:
        # A write is a revision that every process follows, so there is none without something to remove.
        if next(_remains(view.session, kept_since(view.time)), None) is None:
            return 0
    with database.write(
        deadline=monotonic() + PURGE_SECONDS_MAX, request_id="", actor_id="", policy_digest=policy_digest
    ) as uow:
        doomed = list(islice(_remains(uow.session, kept_since(uow.time)), PURGED_ROWS_MAX))
        for row in doomed:
            uow.session.delete(row)
        uow.audit(_record(len(doomed)))
        uow.commit()
    return len(doomed)


def _remains(session: Session, since: datetime) -> Iterator[Any]:
    """The rows to remove, at most `PURGED_ROWS_MAX` of each kind."""
    for entity, securable_id in _REMAINS:
        statement = select(entity).join(Securable, Securable.id == securable_id)
        statement = statement.where(Securable.deleted_time <= since).order_by(securable_id)
        yield from session.scalars(statement.limit(PURGED_ROWS_MAX))


def _record(removed: int) -> AuditRecord:
    return AuditRecord(
        actor_id="",
        actor_name="lakewarden",
        request_id="",
        method="lakewarden-server purge",
        operation="purge",
        object_kind="ACCOUNT",
        object_id=ACCOUNT_ID,
        object_name=ACCOUNT_ID,
        outcome="DONE",
        detail={"removed": removed},
    )
