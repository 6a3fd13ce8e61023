"""Records of denials and decisions, written in batches beside the authorization head and without a chain."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from lakewarden_server.core.ids import new_id
from lakewarden_server.entities import DecisionLog

TEXT_CHARACTERS_MAX = 1_000
"""Of each text of a record; what a caller sent beyond is cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecord:
    """One decision as it was answered, and enough of the question to ask it again at that revision.

    Of an access that is its subject, privilege and object; of a refused call the ids of the objects its operation spoke of.
    """

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
    nonce: str | None = None
    policy_digest: str | None = None
    subject_id: str | None = None
    privilege: str | None = None
    object_kind: str | None = None
    object_id: str | None = None
    objects: dict[str, str] | None = None
    capabilities: list[int] | None = None


_FIELDS = tuple(field.name for field in fields(DecisionRecord))


def append_decisions(connection: Connection, records: list[DecisionRecord]) -> None:
    """Inserts a batch in the caller's transaction, which should be `Database.transaction`: short, without the head."""
    if records:
        connection.execute(insert(DecisionLog), [_row(record) for record in records])


def _row(record: DecisionRecord) -> dict[str, Any]:
    return {"id": new_id(), **{name: _storable(getattr(record, name)) for name in _FIELDS}}


def _storable(value: Any) -> Any:
    """A text as a database keeps it: callers choose names and mask paths, and PostgreSQL has no place for a NUL."""
    return value.replace("\0", "\ufffd")[:TEXT_CHARACTERS_MAX] if isinstance(value, str) else value
