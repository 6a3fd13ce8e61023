"""Writes the change log from session events, so that no service can change an entity and forget to say so.

before_flush stamps what is about to be written and notes its state in the database; after_flush adds the state it
was written with (column defaults are known only then) and inserts the rows.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, event, insert, inspect, select
from sqlalchemy.orm import ORMExecuteState, Session
from sqlalchemy.orm.base import NO_VALUE

from lakewarden_policy.records import Head
from lakewarden_server.core.errors import Internal, Reason
from lakewarden_server.entities import Base, ChangeLog, ChangeLogged, Stamped
from lakewarden_server.entities.base import json_value, state

LOGGED_TABLES = frozenset(
    table.name
    for mapper in Base.registry.mappers
    if issubclass(mapper.class_, ChangeLogged)
    for table in mapper.tables
)


class Stamp(NamedTuple):
    """What every change of one transaction has in common."""

    head: Head
    time: datetime
    actor_id: str
    request_id: str
    policy_digest: str


class Change(NamedTuple):
    """One entity about to be flushed; `before` is its state in the database, None when it is new.

    `removed` tells a row that goes from one that only becomes a tombstone.
    """

    operation: str
    entity: Any
    before: dict[str, Any] | None
    removed: bool = False


class WriteSession(Session):
    """The session of a write unit of work: logs every change and refuses statements it could not log."""

    def __init__(self, connection: Connection, stamp: Stamp) -> None:
        # "rollback_only": a service that calls commit() flushes; only the unit of work can end the transaction.
        super().__init__(bind=connection, join_transaction_mode="rollback_only", expire_on_commit=False)
        self.stamp = stamp
        self.pending: list[Change] = []
        self.position = 0

    def record_commit(self) -> None:
        """Gives a revision that changed no entity one row of its own, so that the log has no gap for a follower."""
        if self.position == 0:
            self._insert([self._row("HEAD", str(self.stamp.head.revision), "UPDATE", None, None)])

    def record(self) -> None:
        """Inserts the rows of the flush that has just been written."""
        rows = [
            self._row(
                change.entity.change_kind(),
                change.entity.change_id(),
                change.operation,
                change.before,
                None if change.removed else state(change.entity),
            )
            for change in self.pending
        ]
        self.pending = []
        if rows:
            self._insert(rows)

    def _insert(self, rows: list[dict[str, Any]]) -> None:
        self.connection().execute(insert(ChangeLog), rows)

    def _row(
        self,
        kind: str,
        object_id: str,
        operation: str,
        before: dict[str, Any] | None,
        after: dict[str, Any] | None,
    ) -> dict[str, Any]:
        stamp = self.stamp
        row = {
            "revision": stamp.head.revision,
            "position": self.position,
            "kind": kind,
            "object_id": object_id,
            "operation": operation,
            "before": before,
            "after": after,
            "nonce": stamp.head.nonce,
            "policy_digest": stamp.policy_digest,
            "request_id": stamp.request_id,
            "actor_id": stamp.actor_id,
            "time": stamp.time,
        }
        self.position += 1
        return row


@event.listens_for(WriteSession, "before_flush")
def _stamp_changes(session: WriteSession, _context: object, _instances: object) -> None:
    for entity in session.new:
        if isinstance(entity, ChangeLogged):
            session.pending.append(Change("CREATE", entity, None))
            _stamp_new(entity, session.stamp)
    for entity in session.dirty:
        if isinstance(entity, ChangeLogged) and session.is_modified(entity):
            before = _before(session, entity)
            _stamp_changed(entity, session.stamp)
            session.pending.append(Change(_operation(entity, before), entity, before))
    for entity in session.deleted:
        if isinstance(entity, ChangeLogged):
            session.pending.append(Change("DELETE", entity, _before(session, entity), removed=True))


@event.listens_for(WriteSession, "after_flush")
def _record_changes(session: WriteSession, _context: object) -> None:
    session.record()


@event.listens_for(WriteSession, "do_orm_execute")
def _refuse_bulk(execution: ORMExecuteState) -> None:
    """A bulk statement passes by the unit of work and would change rows that no log row tells of."""
    if not (execution.is_insert or execution.is_update or execution.is_delete):
        return
    table: Any = getattr(execution.statement, "table", None)
    if table is not None and table.name in LOGGED_TABLES:
        raise Internal(Reason.INTERNAL_ERROR, f"bulk statement on change-logged table {table.name}")


def _operation(entity: Any, before: dict[str, Any]) -> str:
    """A tombstone is a deletion to everybody who follows the log, though its row stays, and a restored one a creation."""
    was_live, is_live = (
        before.get("deleted_time") is None,
        getattr(entity, "deleted_time", None) is None,
    )
    if was_live and not is_live:
        return "DELETE"
    return "CREATE" if is_live and not was_live else "UPDATE"


def _stamp_new(entity: Any, stamp: Stamp) -> None:
    mapped = inspect(entity).mapper.column_attrs
    entity.revision = stamp.head.revision
    for attribute, value in (("create_time", stamp.time), ("created_by", stamp.actor_id)):
        if attribute in mapped and getattr(entity, attribute) is None:
            setattr(entity, attribute, value)
    if isinstance(entity, Stamped):
        entity.update_time, entity.updated_by = entity.create_time, entity.created_by


def _stamp_changed(entity: Any, stamp: Stamp) -> None:
    entity.revision = stamp.head.revision
    if isinstance(entity, Stamped):
        entity.update_time, entity.updated_by = stamp.time, stamp.actor_id


def _before(session: Session, entity: Any) -> dict[str, Any]:
    """The entity as the database has it: from the session's memory, or read when a value was set before it was loaded."""
    inspected = inspect(entity)
    loaded = inspected.committed_state
    mapper = inspected.mapper
    keys = [attribute.key for attribute in mapper.column_attrs]
    if all(loaded.get(key, getattr(entity, key)) is not NO_VALUE for key in keys):
        return {key: json_value(loaded.get(key, getattr(entity, key))) for key in keys}
    columns = [getattr(mapper.class_, key) for key in keys]
    identity = zip(mapper.primary_key, inspected.identity or (), strict=True)
    with session.no_autoflush:
        row = session.execute(select(*columns).where(*(column == value for column, value in identity))).one()
    return {key: json_value(value) for key, value in zip(keys, row, strict=True)}
