"""What the audit chain and the decision log say of a call. Never a secret, never the text of a credential."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from google.protobuf.message import Message

from lakewarden.v1.grants_pb2 import SecurableType
from lakewarden_policy import InvalidName, spell_privilege
from lakewarden_server.authz.follower import Fresh
from lakewarden_server.core.errors import LakewardenError
from lakewarden_server.pipeline.binding import Admitted
from lakewarden_server.pipeline.headers import Headers
from lakewarden_server.pipeline.redaction import redacted_record
from lakewarden_server.pipeline.rules import Method
from lakewarden_server.services.call import Call
from lakewarden_server.storage.audit import AuditRecord
from lakewarden_server.storage.decisions import TEXT_CHARACTERS_MAX, DecisionRecord


def audit_record(call: Call, admitted: Admitted, reply: Message) -> AuditRecord:
    """The record of a change that is about to commit."""
    bound = admitted.bound
    object_id = bound.objects.get("self") or getattr(reply, "id", "") or bound.objects.get("parent", "")
    record = AuditRecord(
        actor_id=call.caller.id,
        actor_name=call.caller.name,
        subject_name=_subject(admitted),
        workspace_id=call.workspace_id,
        request_id=call.request_id,
        method=call.method,
        operation=", ".join(_spelled(operation, selector) for operation, selector in bound.operations),
        object_kind=bound.noun.upper(),
        object_id=object_id,
        object_name=(getattr(reply, "full_name", "") or bound.named or getattr(reply, "name", ""))[
            :TEXT_CHARACTERS_MAX
        ],
        outcome="DONE",
        detail=call.detail,
    )
    return redacted_record(record)


def decision_records(
    admitted: Admitted,
    method: Method,
    request: Message,
    result: Message | LakewardenError,
    arrived: Headers,
    fresh: Fresh,
    *,
    limit: int,
) -> list[DecisionRecord]:
    """One record of a refusal, or one for each access an engine was answered about, at most `limit`; refused accesses come first."""
    common = _common(admitted, method, request, arrived, fresh)
    if isinstance(result, LakewardenError):
        bound = admitted.bound
        name = _accessed(request) or bound.named
        return [
            replace(
                common,
                object_name=name[:TEXT_CHARACTERS_MAX],
                reason=result.reason,
                object_kind=bound.noun.upper() or None,
                object_id=bound.objects.get("self") or bound.objects.get("parent"),
                objects=dict(bound.objects),
            )
        ]
    answers = sorted(
        zip(verdicts(result), _accesses(request), strict=True), key=lambda answer: answer[0].allowed
    )
    return [_answered(common, admitted, verdict, access) for verdict, access in answers[:limit]]


def _common(
    admitted: Admitted, method: Method, request: Message, arrived: Headers, fresh: Fresh
) -> DecisionRecord:
    """What all records of one call say alike; a refusal until it is said otherwise."""
    return DecisionRecord(
        time=fresh.now,
        revision=fresh.head.revision,
        nonce=fresh.head.nonce,
        policy_digest=admitted.decider.policy.digest,
        actor_id=admitted.caller.id,
        actor_name=admitted.caller.name,
        subject_id=admitted.bound.objects.get("subject"),
        subject_name=_subject(admitted),
        workspace_id=admitted.place.workspace_id,
        request_id=arrived.request_id,
        method=method.full_name,
        operation=", ".join(
            _spelled(operation, selector) for operation, selector in admitted.bound.operations
        ),
        capabilities=_capabilities(request),
        object_name="",
        outcome="DENIED",
        reason="",
    )


def _answered(common: DecisionRecord, admitted: Admitted, verdict: Any, access: Any) -> DecisionRecord:
    """The record of one access. The object is told by its id too, which a rename does not change."""
    snapshot = admitted.decider.snapshot
    kind = SecurableType.Name(access.securable_type)
    try:
        place = admitted.place
        found = snapshot.resolve(kind, access.full_name, place.metastore_id, place.workspace_id)
    except InvalidName:
        found = None
    return replace(
        common,
        privilege=spell_privilege(access.privilege),
        object_kind=kind,
        object_id=found.id if found else None,
        object_name=snapshot.full_name(found.id) if found else access.full_name[:TEXT_CHARACTERS_MAX],
        outcome="ALLOWED" if verdict.allowed else "DENIED",
        reason=verdict.reason[:TEXT_CHARACTERS_MAX],
    )


def verdicts(reply: Any) -> list[Any]:
    """The answers of a method that logs decisions, one for each access."""
    return [reply.verdict] if hasattr(reply, "verdict") else list(reply.verdicts)


def _accesses(request: Any) -> list[Any]:
    return [request.access] if hasattr(request, "access") else list(getattr(request, "accesses", []))


def _capabilities(request: Any) -> list[int] | None:
    return list(request.capabilities) if hasattr(request, "capabilities") else None


def _accessed(request: Any) -> str:
    return ", ".join(_spelled_access(access) for access in _accesses(request))


def _spelled_access(access: Any) -> str:
    return f"{access.privilege} {access.full_name}"


def _subject(admitted: Admitted) -> str | None:
    subject = admitted.bound.objects.get("subject")
    if subject is None or subject == admitted.caller.id:
        return None
    principal = admitted.decider.snapshot.principals.get(subject)
    return principal.name if principal else subject


def _spelled(operation: str, selector: str | None) -> str:
    return f"{operation}.{selector}" if selector else operation
