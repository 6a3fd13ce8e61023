"""Audit records as messages, and where they stand in a list as text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from lakewarden.v1 import audit_pb2 as pb
from lakewarden_server.services.call import Call
from lakewarden_server.storage.repositories import audit_records
from lakewarden_server.storage.repositories.audit_records import CHANGE, Position

UNREADABLE = "unreadable"
"""The fact that stands in a record whose facts cannot be read."""


def written(position: Position) -> str:
    """A position as the key of a page token."""
    return json.dumps([position.time.isoformat(), position.log, position.key])


def read(text: str) -> Position:
    """The position such a key says."""
    time, log, key = json.loads(text)
    return Position(datetime.fromisoformat(time), log, key)


def record_message(row: Any, call: Call) -> pb.AuditRecord:
    """The message of a row of either log."""
    workspace = call.snapshot.securables.get(row.workspace_id or "")
    message = pb.AuditRecord(
        actor=row.actor_name,
        actor_id=row.actor_id,
        subject=row.subject_name or "",
        workspace=workspace.name if workspace else row.workspace_id or "",
        workspace_id=row.workspace_id or "",
        request_id=row.request_id,
        method=row.method,
        operation=row.operation,
        object_kind=row.object_kind or "",
        object_id=row.object_id or "",
        object_name=row.object_name,
        outcome=_outcome(row.outcome),
        revision=row.revision,
        event_time=_timestamp(row.time),
    )
    if audit_records.position(row).log == CHANGE:
        message.event_id, message.sequence, message.hash = f"change/{row.sequence}", row.sequence, row.hash
        message.detail.update(_texts(row.detail))
    else:
        message.event_id, message.reason = f"decision/{row.id}", row.reason
        message.privilege = row.privilege or ""
    return message


def _outcome(stored: str) -> pb.AuditRecord.Outcome.ValueType:
    """UNSPECIFIED for what this server does not write: a record that was tampered with is shown, not hidden."""
    return dict(pb.AuditRecord.Outcome.items()).get(stored, pb.AuditRecord.OUTCOME_UNSPECIFIED)


def _texts(stored: str | None) -> Iterator[tuple[str, str]]:
    """The facts as texts; what is none, because somebody spoiled the record, is shown as it is, with what to do about it."""
    try:
        detail = audit_records.value(stored)
    except ValueError:
        yield UNREADABLE, "this record was edited: run `lakewarden audit verify`"
        detail = stored
    for key, value in detail.items() if isinstance(detail, dict) else [("detail", detail)]:
        yield key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _timestamp(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time.astimezone(UTC))
    return message
