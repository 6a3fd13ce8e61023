"""Reads the whole authorization state of one revision into an immutable snapshot.

`SOURCES` says once where each list of a snapshot is stored; `storage.history` reads the same lists out of the change log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, Table, bindparam, inspect, literal, select

from lakewarden_policy import (
    Binding,
    ColumnMask,
    Grant,
    Head,
    Location,
    Membership,
    Principal,
    Reference,
    RowFilter,
    Securable,
    Snapshot,
    SqlFunction,
    Token,
    ViewDefinition,
)
from lakewarden_server import entities
from lakewarden_server.storage.head import read_head
from lakewarden_server.storage.retention import kept_since

LIVE: Mapping[str, Any] = {"deleted_time": None}
_PRINCIPAL_KINDS = frozenset({"USER", "GROUP", "SERVICE_PRINCIPAL"})
_SECURABLE_KINDS = frozenset(
    str(mapper.polymorphic_identity) for mapper in inspect(entities.Securable).self_and_descendants
)


class Source(NamedTuple):
    """Where one list of `Snapshot.build` is stored."""

    entity: type[entities.Base]
    kinds: frozenset[str]
    """The kinds its rows carry in the change log."""
    make: Callable[[Sequence[Any]], Any]
    """A record from the values of `columns`."""
    columns: tuple[str, ...]
    where: Mapping[str, Any] = {}
    """Only rows with these values."""
    order: tuple[str, ...] = ()
    """Where the list's order matters."""

    @property
    def table(self) -> Table:
        """The table of its rows."""
        table: Table = self.entity.__table__  # type: ignore[assignment]
        return table

    def statement(self) -> Select[Any]:
        """Reads the values of `columns`."""
        c = self.table.c
        rows = select(*(c[name] for name in self.columns)).where(
            *(c[name] == value for name, value in self.where.items())
        )
        return rows.order_by(*(c[name] for name in self.order))


def _grant(row: Sequence[Any]) -> Grant:
    securable_id, principal_id, privilege, expire_time = row
    return Grant(securable_id, principal_id, privilege, expire_time and expire_time.timestamp())


def _token(row: Sequence[Any]) -> Token:
    token = Token._make(row)
    return token._replace(expire_time=row[4].timestamp())


def _row_filter(row: Sequence[Any]) -> RowFilter:
    table_id, function_id, columns = row
    return RowFilter(table_id, function_id, tuple(columns))


def _column_mask(row: Sequence[Any]) -> ColumnMask:
    table_id, column, function_id, using = row
    return ColumnMask(table_id, column, function_id, tuple(using))


def _function(row: Sequence[Any]) -> SqlFunction:
    function_id, parameters, body = row
    return SqlFunction(function_id, tuple(parameter["name"] for parameter in parameters), body)


def _view(row: Sequence[Any]) -> ViewDefinition:
    view_id, text, dialect, columns = row
    return ViewDefinition(view_id, text, dialect, tuple(column["name"] for column in columns))


def _id(row: Sequence[Any]) -> Any:
    return row[0]


# fmt: off
SOURCES: Mapping[str, Source] = {
    "principals": Source(entities.Principal, _PRINCIPAL_KINDS, Principal._make, Principal._fields),
    "memberships": Source(entities.GroupMember, frozenset({"GROUP_MEMBER"}), Membership._make, Membership._fields),
    "securables": Source(entities.Securable, _SECURABLE_KINDS, Securable._make, Securable._fields, LIVE),
    "isolated": Source(entities.Securable, _SECURABLE_KINDS, _id, ("id",), {**LIVE, "isolation_mode": "ISOLATED"}),
    "grants": Source(entities.Grant, frozenset({"GRANT"}), _grant, Grant._fields),
    "tokens": Source(entities.Token, frozenset({"TOKEN"}), _token, Token._fields),
    "bindings": Source(entities.WorkspaceBinding, frozenset({"WORKSPACE_BINDING"}), Binding._make, Binding._fields),
    "references": Source(entities.SecurableReference, frozenset({"REFERENCE"}), Reference._make, Reference._fields, order=("object_id", "position")),
    "row_filters": Source(entities.RowFilter, frozenset({"ROW_FILTER"}), _row_filter, RowFilter._fields),
    "column_masks": Source(entities.ColumnMask, frozenset({"COLUMN_MASK"}), _column_mask, ("table_id", "column_name", "function_id", "using"), order=("table_id", "column_key")),
    # Those of deleted functions and views stay in these lists, under ids nothing refers to any more.
    "functions": Source(entities.Function, frozenset({"FUNCTION"}), _function, ("id", "parameters", "definition")),
    "views": Source(entities.View, frozenset({"VIEW"}), _view, ("id", "full_text", "dialect", "columns")),
    "locations": Source(entities.ExternalLocation, frozenset({"EXTERNAL_LOCATION"}), Location._make, ("id", "url", "credential_id", "read_only")),
    "read_only_credentials": Source(entities.StorageCredential, frozenset({"STORAGE_CREDENTIAL"}), _id, ("id",), {"read_only": True}),
}
"""Every list of `Snapshot.build`. A new table that decisions rest on is one line here, for now and for the past."""
# fmt: on


_securable = entities.Securable.__table__.c
_schema = entities.Securable.__table__.alias("schema").c
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
"""A deleted table stays what its owner may restore while its schema lives; its key is its id, since several may have had one name."""


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
    deleted = connection.execute(_DELETED_TABLES, {"since": kept_since(now)})
    return build(
        head,
        lambda source: connection.execute(source.statement()),
        deleted=map(Securable._make, deleted),
        now=now.timestamp(),
    )


def build(
    head: Head,
    rows_of: Callable[[Source], Iterable[Sequence[Any]]],
    *,
    deleted: Iterable[Securable],
    now: float,
) -> Snapshot:
    """A snapshot of the rows each source has at `head`, and of the `deleted` tables that could be restored."""
    lists = {name: list(map(source.make, rows_of(source))) for name, source in SOURCES.items()}
    lists["securables"].extend(deleted)
    return Snapshot.build(head, **lists, now=now)
