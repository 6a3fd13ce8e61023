"""Reads the audit of changes and the decision log, and verifies the chain. Nothing here writes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from lakewarden.v1 import audit_pb2 as pb
from lakewarden_policy import ACCOUNT_ID, name_key
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.paging import page_size_of
from lakewarden_server.storage import audit
from lakewarden_server.storage.audit import ChainHead
from lakewarden_server.storage.repositories import audit_records
from lakewarden_server.storage.repositories.audit_records import CHANGE, Position, Wanted

FILTER_BYTES_MAX = 1_024
VERIFY_PAGE_SIZE_MAX = 10_000
HASH_CHARACTERS = 64


class AuditService:
    """Implements `lakewarden.v1.AuditService`."""

    def list_audit_records(
        self, request: pb.ListAuditRecordsRequest, call: Call
    ) -> pb.ListAuditRecordsResponse:
        """Lists both logs as one."""
        list_name = f"audit/{_filters(request)}"
        size = page_size_of(request.page_size)
        wanted = _wanted(request, call, list_name)
        rows = audit_records.find(call.uow.connection, wanted, limit=size + 1)
        page, more = rows[:size], len(rows) > size
        token = call.pager.write(list_name, _written(audit_records.position(page[-1]))) if more else ""
        return pb.ListAuditRecordsResponse(
            audit_records=[_message(row, call) for row in page], next_page_token=token
        )

    def get_audit_head(self, request: pb.GetAuditHeadRequest, call: Call) -> pb.AuditHead:
        """Returns the stored head."""
        return pb.AuditHead(**audit.chain_head(call.uow.connection)._asdict())

    def verify_audit_log(self, request: pb.VerifyAuditLogRequest, call: Call) -> pb.VerifyAuditLogResponse:
        """Verifies one part; the token of the next one holds the link it begins behind."""
        size = page_size_of(request.page_size or VERIFY_PAGE_SIZE_MAX, size_max=VERIFY_PAGE_SIZE_MAX)
        exported = _exported(request)
        list_name = f"verify/{exported}"
        after = None
        if request.page_token:
            after = ChainHead(*json.loads(call.pager.read(list_name, request.page_token)))
        part = audit.verify_part(call.uow.connection, exported, after=after, limit=size)
        return pb.VerifyAuditLogResponse(
            findings=[pb.AuditFinding(**finding._asdict()) for finding in part.findings],
            head=pb.AuditHead(**part.last._asdict()),
            next_page_token="" if part.ended else call.pager.write(list_name, json.dumps(part.last)),
        )


def _wanted(request: pb.ListAuditRecordsRequest, call: Call, list_name: str) -> Wanted:
    workspace = call.snapshot.child(ACCOUNT_ID, "WORKSPACE", name_key(request.workspace))
    return Wanted(
        start_time=_time(request, "start_time"),
        end_time=_time(request, "end_time"),
        actors=_names(request.actor, call),
        subjects=_names(request.subject, call),
        objects=(request.object,) if request.object else (),
        object_kind=request.object_kind.upper(),
        action=request.action,
        workspace_ids=(workspace.id if workspace else request.workspace,) if request.workspace else (),
        outcome=pb.AuditRecord.Outcome.Name(request.outcome) if request.outcome else "",
        request_id=request.request_id.lower(),
        oldest_first=request.oldest_first,
        after=_read(call.pager.read(list_name, request.page_token)) if request.page_token else None,
    )


def _names(text: str, call: Call) -> tuple[str, ...]:
    """The name as given, and as its principal spells it today."""
    found = call.snapshot.principal_named(text) if text else None
    return tuple(dict.fromkeys((text, found.name) if found else filter(None, [text])))


def _filters(request: pb.ListAuditRecordsRequest) -> str:
    """A hash of the filters: a page token goes on with the list it was made for only. Raises FIELD_INVALID."""
    if request.outcome not in pb.AuditRecord.Outcome.values():
        raise validation.invalid("outcome", f"say one of {', '.join(pb.AuditRecord.Outcome.keys()[1:])}")
    filters = pb.ListAuditRecordsRequest()
    filters.CopyFrom(request)
    for name in ("page_size", "page_token"):
        filters.ClearField(name)
    for field, value in filters.ListFields():
        if isinstance(value, str) and len(value.encode()) > FILTER_BYTES_MAX:
            raise validation.invalid(field.name, f"longer than {FILTER_BYTES_MAX} bytes")
        if isinstance(value, str) and "\0" in value:
            raise validation.invalid(field.name, "holds a NUL character")
    return hashlib.sha256(filters.SerializeToString(deterministic=True)).hexdigest()


def _time(request: pb.ListAuditRecordsRequest, field: str) -> datetime | None:
    if not request.HasField(field):  # type: ignore[arg-type]
        return None
    return validation.time(getattr(request, field), field)


def _exported(request: pb.VerifyAuditLogRequest) -> ChainHead | None:
    if not request.HasField("exported_head"):
        return None
    head = request.exported_head
    if head.sequence < 0 or len(head.hash) != HASH_CHARACTERS:
        raise validation.invalid("exported_head", "send sequence and hash as GetAuditHead returned them")
    return ChainHead(head.sequence, head.hash.lower())


def _written(position: Position) -> str:
    return json.dumps([position.time.isoformat(), position.log, position.key])


def _read(text: str) -> Position:
    time, log, key = json.loads(text)
    return Position(datetime.fromisoformat(time), log, key)


def _message(row: Any, call: Call) -> pb.AuditRecord:
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


def _texts(detail: Any) -> Iterator[tuple[str, str]]:
    """The facts as texts; what is none, because somebody spoiled the record, is shown as it is."""
    for key, value in detail.items() if isinstance(detail, dict) else [("detail", detail)]:
        yield key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _timestamp(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time.astimezone(UTC))
    return message
