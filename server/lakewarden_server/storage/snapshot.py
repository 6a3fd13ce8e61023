"""Reads the whole authorization state of one revision into an immutable snapshot."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, bindparam, literal, select

from lakewarden_policy import (
    Binding,
    ColumnMask,
    Grant,
    Head,
    Membership,
    Principal,
    Reference,
    RowFilter,
    Securable,
    Snapshot,
    Token,
)
from lakewarden_server import entities
from lakewarden_server.storage.head import read_head
from lakewarden_server.storage.retention import kept_since

_principal = entities.Principal.__table__.c
_member = entities.GroupMember.__table__.c
_securable = entities.Securable.__table__.c
_grant = entities.Grant.__table__.c
_token = entities.Token.__table__.c
_binding = entities.WorkspaceBinding.__table__.c
_reference = entities.SecurableReference.__table__.c
_filter = entities.RowFilter.__table__.c
_mask = entities.ColumnMask.__table__.c

_PRINCIPALS = select(_principal.id, _principal.kind, _principal.name, _principal.name_key, _principal.active)
_MEMBERSHIPS = select(_member.group_id, _member.member_id)
_SECURABLES = select(
    _securable.id,
    _securable.kind,
    _securable.parent_id,
    _securable.metastore_id,
    _securable.name,
    _securable.name_key,
    _securable.owner_id,
    _securable.revision,
).where(_securable.deleted_time.is_(None))
_schema = entities.Securable.__table__.alias("schema").c
# A deleted table stays what its owner may restore while its schema lives; its key is its id, since several may have had one name.
_DELETED_TABLES = (
    select(
        _securable.id,
        literal("DELETED_TABLE"),
        _securable.parent_id,
        _securable.metastore_id,
        _securable.name,
        _securable.id,
        _securable.owner_id,
        _securable.revision,
    )
    .join_from(entities.Securable.__table__, _schema.id.table, _schema.id == _securable.parent_id)
    .where(
        _securable.kind == "TABLE",
        _securable.deleted_time > bindparam("since"),
        _schema.deleted_time.is_(None),
    )
)
_ISOLATED = select(_securable.id).where(
    _securable.isolation_mode == "ISOLATED", _securable.deleted_time.is_(None)
)
_GRANTS = select(_grant.securable_id, _grant.principal_id, _grant.privilege, _grant.expire_time)
_TOKENS = select(
    _token.id, _token.principal_id, _token.digest, _token.kind, _token.expire_time, _token.workspace_id
)
_BINDINGS = select(_binding.securable_id, _binding.workspace_id, _binding.type)
_REFERENCES = select(_reference.object_id, _reference.privilege, _reference.full_name).order_by(
    _reference.object_id, _reference.position
)
_FILTERS = select(_filter.table_id, _filter.function_id, _filter.columns)
_MASKS = select(_mask.table_id, _mask.column_name, _mask.function_id, _mask.using).order_by(
    _mask.table_id, _mask.column_key
)


def load_snapshot(
    connection: Connection, *, head: Head | None = None, now: datetime | None = None
) -> Snapshot:
    """The state `connection`'s transaction sees, which must be one consistent view (`Database.read` or `.write`).

    `head` names it, and `now` is the database's time, when the caller knows them: a writer sees, before it changes
    anything, the state of its `previous`.
    """
    if head is None or now is None:
        read, time = read_head(connection)
        head, now = head or read, now or time
    return Snapshot.build(
        head,
        principals=[Principal._make(row) for row in connection.execute(_PRINCIPALS)],
        memberships=[Membership._make(row) for row in connection.execute(_MEMBERSHIPS)],
        securables=[
            *map(Securable._make, connection.execute(_SECURABLES)),
            *map(Securable._make, connection.execute(_DELETED_TABLES, {"since": kept_since(now)})),
        ],
        grants=[
            Grant(securable_id, principal_id, privilege, _seconds(expire_time))
            for securable_id, principal_id, privilege, expire_time in connection.execute(_GRANTS)
        ],
        tokens=[
            Token(
                row.id, row.principal_id, row.digest, row.kind, row.expire_time.timestamp(), row.workspace_id
            )
            for row in connection.execute(_TOKENS)
        ],
        isolated=connection.scalars(_ISOLATED).all(),
        bindings=[Binding._make(row) for row in connection.execute(_BINDINGS)],
        references=[Reference._make(row) for row in connection.execute(_REFERENCES)],
        row_filters=[
            RowFilter(table_id, function_id, tuple(columns))
            for table_id, function_id, columns in connection.execute(_FILTERS)
        ],
        column_masks=[
            ColumnMask(table_id, column, function_id, tuple(using))
            for table_id, column, function_id, using in connection.execute(_MASKS)
        ],
        now=now.timestamp(),
    )


def _seconds(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()
