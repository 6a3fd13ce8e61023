"""Rows of the audit of changes and of the decision log as one list in the order of their times."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import JSON, ColumnElement, Connection, FromClause, Row, Select, Text, and_, cast, or_, select

from lakewarden_server.entities import AuditLog, DecisionLog, Securable

CHANGE, DECISION = 0, 1
"""Which log a row is of; of two rows of one time the change comes first."""

_CHANGES, _DECISIONS = AuditLog.__table__, DecisionLog.__table__
_KEYS = {CHANGE: "sequence", DECISION: "id"}


class Position(NamedTuple):
    """Where a row stands in the list: its time, its log, its key there (`sequence` or `id`)."""

    time: datetime
    log: int
    key: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to list; what is empty does not filter. Several names mean any of them."""

    start_time: datetime | None = None
    end_time: datetime | None = None
    actors: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    object_kind: str = ""
    action: str = ""
    workspace_ids: tuple[str, ...] = ()
    outcome: str = ""
    request_id: str = ""
    metastore_id: str = ""
    """Only what is about this metastore or something in it, deleted or not; its workspaces belong to the account."""
    oldest_first: bool = False
    after: Position | None = None
    """Begin behind this row."""
    logs: tuple[int, ...] = field(default=(CHANGE, DECISION))


def position(row: Row[Any]) -> Position:
    """Where a row that was listed stands."""
    log = CHANGE if hasattr(row, "sequence") else DECISION
    return Position(row.time, log, getattr(row, _KEYS[log]))


def find(connection: Connection, wanted: Wanted, *, limit: int) -> list[Row[Any]]:
    """At most `limit` rows of both logs in the order of (time, log, key), or from the newest backwards."""
    logs = [_rows(connection, wanted, log, limit) for log in wanted.logs]
    merged = heapq.merge(*logs, key=position, reverse=not wanted.oldest_first)
    return list(islice(merged, limit))


def _rows(connection: Connection, wanted: Wanted, log: int, limit: int) -> Iterator[Row[Any]]:
    table: FromClause = _DECISIONS if log == DECISION else _CHANGES
    order = [table.c.time, table.c[_KEYS[log]]]
    # JSON as its text: a record somebody edited into nonsense is to be listed too, and read by `value`.
    columns = [cast(c, Text).label(c.name) if isinstance(c.type, JSON) else c for c in table.c]
    statement = select(*columns).where(*_conditions(wanted, table, log)).limit(limit)
    if wanted.oldest_first:
        statement = statement.order_by(*order)
    else:
        statement = statement.order_by(*(column.desc() for column in order))
    return iter(connection.execute(statement).all())


def value(text: str | None) -> Any:
    """What a JSON column of a listed row holds. Raises ValueError for a record that was edited into nonsense."""
    return None if text is None else json.loads(text)


def _conditions(wanted: Wanted, table: FromClause, log: int) -> Iterator[ColumnElement[bool]]:
    c = table.c
    if wanted.start_time is not None:
        yield c.time >= wanted.start_time
    if wanted.end_time is not None:
        yield c.time < wanted.end_time
    if wanted.after is not None:
        yield _behind(wanted.after, table, log, forwards=wanted.oldest_first)
    if wanted.actors:
        yield or_(c.actor_name.in_(wanted.actors), c.actor_id.in_(wanted.actors))
    if wanted.subjects:
        yield or_(
            c.subject_name.in_(wanted.subjects),
            and_(c.subject_name.is_(None), c.actor_name.in_(wanted.subjects)),
        )
    if wanted.objects:
        yield or_(*(_is_about(table, name) for name in wanted.objects))
    if wanted.metastore_id:
        yield c.object_id.in_(_inside(wanted.metastore_id))
    if wanted.workspace_ids:
        yield c.workspace_id.in_(wanted.workspace_ids)
    if wanted.action:
        yield _does(table, wanted.action)
    for column, value in (
        (c.object_kind, wanted.object_kind), (c.outcome, wanted.outcome), (c.request_id, wanted.request_id)
    ):  # fmt: skip
        if value:
            yield column == value


def _behind(after: Position, table: FromClause, log: int, *, forwards: bool) -> ColumnElement[bool]:
    """Behind a row of either log, spelled so that the index on time is used."""
    time, key = table.c.time, table.c[_KEYS[log]]
    further = time > after.time if forwards else time < after.time
    if log == after.log:
        return or_(further, and_(time == after.time, key > after.key if forwards else key < after.key))
    same_time_counts = (log > after.log) is forwards
    return or_(further, time == after.time) if same_time_counts else further


def _is_about(table: FromClause, name: str) -> ColumnElement[bool]:
    """The object of that name or id, or anything inside it."""
    c = table.c
    return or_(
        c.object_name == name, c.object_id == name, c.object_name.startswith(f"{name}.", autoescape=True)
    )


def _inside(metastore_id: str) -> Select[Any]:
    """Ids of a metastore and of everything that is or was in it."""
    c = Securable.__table__.c
    return select(c.id).where(c.metastore_id == metastore_id, c.kind != "WORKSPACE")


def _does(table: FromClause, action: str) -> ColumnElement[bool]:
    """The RPC, the operation, or an operation that begins with it; a record may hold several, by commas."""
    c = table.c
    first = or_(c.operation == action, c.operation.startswith(f"{action}.", autoescape=True))
    others = [c.operation.contains(f", {action}{end}", autoescape=True) for end in (".", ",")]
    return or_(
        first,
        *others,
        c.operation.endswith(f", {action}", autoescape=True),
        c.operation.startswith(f"{action},", autoescape=True),
        c.method == action,
        c.method.endswith(f"/{action}", autoescape=True),
    )
