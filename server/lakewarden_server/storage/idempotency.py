"""Remembers the response of a request that named itself, in the transaction that made it true."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select

from lakewarden_server.core.errors import InvalidArgument, Reason
from lakewarden_server.entities import Idempotency

RETENTION = timedelta(hours=24)

_TABLE = Idempotency.__table__


class RequestKey(NamedTuple):
    """Who asked what under which name: the same request id of another principal or method is another request."""

    principal_id: str
    method: str
    request_id: str


def remember(
    connection: Connection,
    key: RequestKey,
    *,
    payload_hash: str,
    response: bytes,
    revision: int,
    time: datetime,
) -> None:
    """Stores the response under its key; an expired record of the same key gives way."""
    connection.execute(delete(Idempotency).where(_matches(key), _TABLE.c.create_time < time - RETENTION))
    values = {"payload_hash": payload_hash, "response": response, "revision": revision, "create_time": time}
    connection.execute(insert(Idempotency), {**key._asdict(), **values})


def recall(connection: Connection, key: RequestKey, *, payload_hash: str, time: datetime) -> bytes | None:
    """The stored response of the last 24 hours, or None for a request not seen before.

    Raises InvalidArgument(REQUEST_ID_REUSED) when the same request id came with another payload.
    """
    statement = select(_TABLE.c.payload_hash, _TABLE.c.response)
    row = connection.execute(
        statement.where(_matches(key), _TABLE.c.create_time >= time - RETENTION)
    ).one_or_none()
    if row is None:
        return None
    if row.payload_hash != payload_hash:
        raise InvalidArgument(
            Reason.REQUEST_ID_REUSED,
            f"request_id {key.request_id} was used before for another request. Use a fresh UUID.",
        )
    response: bytes = row.response
    return response


def purge(connection: Connection, *, time: datetime) -> int:
    """Deletes records older than 24 hours and returns how many; needs no head, they change no decision."""
    return connection.execute(delete(Idempotency).where(_TABLE.c.create_time < time - RETENTION)).rowcount


def _matches(key: RequestKey) -> ColumnElement[bool]:
    return and_(
        _TABLE.c.principal_id == key.principal_id,
        _TABLE.c.method == key.method,
        _TABLE.c.request_id == key.request_id,
    )
