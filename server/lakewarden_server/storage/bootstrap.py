"""The claim of the first administrator: a row that can exist once."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert

from lakewarden_server.entities import Bootstrap
from lakewarden_server.storage.errors import DatabaseErrors, translate


def claim(connection: Connection, *, principal_id: str, time: datetime) -> None:
    """Makes `principal_id` the first administrator. Raises FailedPrecondition(ALREADY_INITIALIZED) the second time."""
    try:
        connection.execute(insert(Bootstrap), {"id": 1, "principal_id": principal_id, "create_time": time})
    except DatabaseErrors as error:
        raise translate(error) from error
