"""Reads the whole authorization state of one revision into an immutable snapshot.

`SOURCES` says once where each list of a snapshot is stored; `storage.history` reads the same lists out of the change log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    LargeBinary,
    Select,
    Table,
    bindparam,
    inspect,
    select,
)

from lakewarden_policy import (
    Binding,
    ColumnMask,
    Deleted,
    FederationPolicy,
    Grant,
    Head,
    IpAccessList,
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
from lakewarden_server.entities import UtcDateTime
from lakewarden_server.storage.head import read_head
from lakewarden_server.storage.retention import RETENTION, kept_since

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
    outlives: bool = False
    """Whether its rows still say something when their object was deleted."""
    rare: str = ""
    """The one column the driver does not return as it is, where it is null in nearly every row."""

    @property
    def table(self) -> Table:
        """The table of its rows."""
        table: Table = self.entity.__table__  # type: ignore[assignment]
        return table

    def statement(self) -> Select[Any]:
        """Reads the values of `columns`."""
        c = self.table.c
        return select(*(c[name] for name in self.columns)).where(
            *(c[name] == value for name, value in self.where.items())
        )

    def read(self, connection: Connection) -> Iterator[Any]:
        """Its records, in no order; nothing is asked before the first is wanted.

        Of a million rows those that need no conversion are the driver's own tuples, made into nothing: SQLAlchemy's rows and the
        records' class would take twice as long as the database.
        """
        statement = self.statement()
        if self.rare:
            column = self.table.c[self.rare]
            lasting = statement.where(column.is_(None)).compile(dialect=connection.dialect)
            cursor: Any = connection.connection.cursor()
            with closing(cursor):
                cursor.execute(str(lasting))
                yield from cursor
            statement = statement.where(column.is_not(None))
        yield from map(self.make, connection.execute(statement))

    def values(self, state: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The same from a row's state in the change log; None for a tombstone and whatever else is not of this list."""
        columns = self.table.c
        gone = state.get("deleted_time") is not None and not self.outlives
        if gone or any(value_of(state, columns[name]) != value for name, value in self.where.items()):
            return None
        return tuple(value_of(state, columns[name]) for name in self.columns)


def value_of(state: Mapping[str, Any], column: Column[Any]) -> Any:
    """A value as the table would return it; what a row had no column for yet is what the migration gave it."""
    if column.key not in state:
        return getattr(column.default, "arg", None)
    value = state[column.key]
    if value is None:
        return None
    if isinstance(column.type, UtcDateTime | DateTime):
        return datetime.fromisoformat(value)
    return bytes.fromhex(value) if isinstance(column.type, LargeBinary) else value


def _grant(row: Sequence[Any]) -> Grant:
    securable_id, principal_id, privilege, expire_time = row
    return Grant(securable_id, principal_id, privilege, expire_time and expire_time.timestamp())


def _token(row: Sequence[Any]) -> Token:
    token = Token._make(row)
    return token._replace(expire_time=row[4].timestamp())


def _federation_policy(row: Sequence[Any]) -> FederationPolicy:
    policy = FederationPolicy._make(row)
    return policy._replace(audiences=tuple(policy.audiences))


def _ip_access_list(row: Sequence[Any]) -> IpAccessList:
    found = IpAccessList._make(row)
    return found._replace(ip_addresses=tuple(found.ip_addresses))


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
    "principals": Source(entities.Principal, _PRINCIPAL_KINDS, Principal._make, Principal._fields, LIVE),
    "memberships": Source(entities.GroupMember, frozenset({"GROUP_MEMBER"}), Membership._make, Membership._fields),
    "securables": Source(entities.Securable, _SECURABLE_KINDS, Securable._make, Securable._fields, LIVE),
    "isolated": Source(entities.Securable, _SECURABLE_KINDS, _id, ("id",), {**LIVE, "isolation_mode": "ISOLATED"}),
    "grants": Source(entities.Grant, frozenset({"GRANT"}), _grant, Grant._fields, rare="expire_time"),
    "tokens": Source(entities.Token, frozenset({"TOKEN"}), _token, Token._fields),
    "federation_policies": Source(entities.FederationPolicy, frozenset({"FEDERATION_POLICY"}), _federation_policy, FederationPolicy._fields),
    "ip_access_lists": Source(entities.IpAccessList, frozenset({"IP_ACCESS_LIST"}), _ip_access_list, IpAccessList._fields, {"enabled": True}),
    "ip_access_enforced": Source(entities.IpAccessSettings, frozenset({"IP_ACCESS_SETTINGS"}), _id, ("scope_id",), {"enforced": True}),
    "bindings": Source(entities.WorkspaceBinding, frozenset({"WORKSPACE_BINDING"}), Binding._make, Binding._fields),
    "references": Source(entities.SecurableReference, frozenset({"REFERENCE"}), Reference._make, Reference._fields),
    "row_filters": Source(entities.RowFilter, frozenset({"ROW_FILTER"}), _row_filter, RowFilter._fields),
    "column_masks": Source(entities.ColumnMask, frozenset({"COLUMN_MASK"}), _column_mask, ("table_id", "column_name", "function_id", "using")),
    # Those of deleted functions, views and locations are in these lists too; the snapshot leaves them out.
    "functions": Source(entities.Function, frozenset({"FUNCTION"}), _function, ("id", "parameters", "definition")),
    "views": Source(entities.View, frozenset({"VIEW"}), _view, ("id", "full_text", "dialect", "columns")),
    "locations": Source(entities.ExternalLocation, frozenset({"EXTERNAL_LOCATION"}), Location._make, ("id", "url", "credential_id", "read_only")),
    # A deleted credential was deleted, not made writable.
    "read_only_credentials": Source(entities.StorageCredential, frozenset({"STORAGE_CREDENTIAL"}), _id, ("id",), {"read_only": True}, outlives=True),
}
"""Every list of `Snapshot.build`: for now, for the past and for what changed in between. How it lies in a snapshot is said in `draft.py`."""
# fmt: on


_securable = SOURCES["securables"].table.c
_DELETED_TABLES = select(*(_securable[name] for name in Securable._fields), _securable.deleted_time).where(
    _securable.kind == "TABLE", _securable.deleted_time > bindparam("since")
)


def deleted_table(securable: Sequence[Any], deleted_time: datetime) -> Deleted:
    """A deleted table as the snapshot has it, from the values of `Securable` and the time it was deleted at.

    It stays what its owner may restore while its schema lives; its key is its id, since several may have had one name.
    """
    table = Securable._make(securable)
    return Deleted(
        table._replace(kind="DELETED_TABLE", name_key=table.id), (deleted_time + RETENTION).timestamp()
    )


def deleted_table_of(state: Mapping[str, Any]) -> Deleted | None:
    """The same from a table's state in the change log; None for one that is not deleted."""
    deleted_time = value_of(state, _securable.deleted_time)
    if deleted_time is None:
        return None
    values = [value_of(state, _securable[name]) for name in Securable._fields]
    return deleted_table(values, deleted_time)


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
        lambda source: source.read(connection),
        deleted=[deleted_table(values, deleted_time) for *values, deleted_time in deleted],
        now=now.timestamp(),
    )


def build(
    head: Head,
    records_of: Callable[[Source], Iterable[Any]],
    *,
    deleted: Iterable[Deleted],
    now: float,
) -> Snapshot:
    """A snapshot of the records each source has at `head`, and of the `deleted` tables that could be restored."""
    lists = {name: records_of(source) for name, source in SOURCES.items()}
    return Snapshot.build(head, **lists, deleted=deleted, now=now)
