"""Reads the audit of changes and the decision log, and verifies the chain. Nothing here writes."""

from __future__ import annotations

import hashlib
import json

from lakewarden.v1 import audit_pb2 as pb
from lakewarden_policy import ACCOUNT_ID, name_key
from lakewarden_server.core.errors import PermissionDenied, Reason
from lakewarden_server.services import replay, validation
from lakewarden_server.services.audit_messages import read, record_message, written
from lakewarden_server.services.call import Call
from lakewarden_server.services.paging import page_size_of
from lakewarden_server.storage import audit
from lakewarden_server.storage.audit import ChainHead
from lakewarden_server.storage.repositories import audit_records
from lakewarden_server.storage.repositories.audit_records import Wanted

FILTER_BYTES_MAX = 1_024
VERIFY_PAGE_SIZE_MAX = 10_000
HASH_CHARACTERS = 64


class AuditService:
    """Implements `lakewarden.v1.AuditService`."""

    def list_audit_records(
        self, request: pb.ListAuditRecordsRequest, call: Call
    ) -> pb.ListAuditRecordsResponse:
        """Lists both logs as one."""
        metastore_id = limited_to(call)
        # A token of the whole list goes on with nothing else: whoever stops being account admin begins anew.
        list_name = f"audit/{metastore_id}/{_filters(request)}"
        size = page_size_of(request.page_size)
        wanted = _wanted(request, call, list_name, metastore_id=metastore_id)
        rows = audit_records.find(call.uow.connection, wanted, limit=size + 1)
        page, more = rows[:size], len(rows) > size
        token = call.pager.write(list_name, written(audit_records.position(page[-1]))) if more else ""
        return pb.ListAuditRecordsResponse(
            audit_records=[record_message(row, call) for row in page], next_page_token=token
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

    def replay_decisions(self, request: pb.ReplayDecisionsRequest, call: Call) -> pb.ReplayDecisionsResponse:
        """Decides logged decisions again."""
        return replay.replay(request, call)


def limited_to(call: Call) -> str:
    """The metastore whose records alone the caller may see; empty for who sees all."""
    if call.decider.operation(call.caller.id, call.workspace_id, "audit.list_all", call.objects).allowed:
        return ""
    # The rule let the call in as the admin of this metastore; without one there would be no limit.
    if not call.metastore_id:
        raise PermissionDenied(
            Reason.ACCESS_DENIED, "the audit of no metastore: call from a workspace that has one"
        )
    return call.metastore_id


def _wanted(request: pb.ListAuditRecordsRequest, call: Call, list_name: str, *, metastore_id: str) -> Wanted:
    workspace = call.snapshot.child(ACCOUNT_ID, "WORKSPACE", name_key(request.workspace))
    return Wanted(
        start_time=validation.optional_time(request, "start_time"),
        end_time=validation.optional_time(request, "end_time"),
        actors=_names(request.actor, call),
        subjects=_names(request.subject, call),
        objects=(request.object,) if request.object else (),
        object_kind=request.object_kind.upper(),
        action=request.action,
        workspace_ids=(workspace.id if workspace else request.workspace,) if request.workspace else (),
        outcome=pb.AuditRecord.Outcome.Name(request.outcome) if request.outcome else "",
        request_id=request.request_id.lower(),
        metastore_id=metastore_id,
        oldest_first=request.oldest_first,
        after=read(call.pager.read(list_name, request.page_token)) if request.page_token else None,
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


def _exported(request: pb.VerifyAuditLogRequest) -> ChainHead | None:
    if not request.HasField("exported_head"):
        return None
    head = request.exported_head
    if head.sequence < 0 or len(head.hash) != HASH_CHARACTERS:
        raise validation.invalid("exported_head", "send sequence and hash as GetAuditHead returned them")
    return ChainHead(head.sequence, head.hash.lower())
