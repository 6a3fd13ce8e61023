"""Records of denials and decisions, written in batches beside the authorization head and without a chain."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, insert

from lakewarden_server.core.ids import new_id
from lakewarden_server.entities import DecisionLog


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecord:
    """One decision as it was answered, at the revision it was taken on."""

    time: datetime
    revision: int
    actor_id: str
    actor_name: str
    subject_name: str | None = None
    workspace_id: str | None = None
    request_id: str
    method: str
    operation: str
    object_name: str
    outcome: str
    reason: str


def append_decisions(connection: Connection, records: list[DecisionRecord]) -> None:
    """Inserts a batch in the caller's transaction, which should be `Database.transaction`: short, without the head."""
    if records:
        connection.execute(insert(DecisionLog), [{"id": new_id(), **asdict(record)} for record in records])
