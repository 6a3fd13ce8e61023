"""The engine's questions, answered from the snapshot alone: no SQL but the read of the head."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lakewarden.v1 import authorization_pb2 as pb
from lakewarden.v1 import grants_pb2
from lakewarden_policy import InvalidName, Securable, explain_privilege, show_privilege
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.grants import parse_privilege

COLUMNS_PER_ACCESS_MAX = 4_096


class AuthorizationService:
    """Implements `lakewarden.v1.AuthorizationService`."""

    def check(self, request: pb.CheckRequest, call: Call) -> pb.CheckResponse:
        """One decision."""
        return pb.CheckResponse(
            verdict=_verdict(request.access, call, explain=request.explain), revision=_revision(call)
        )

    def batch_check(self, request: pb.BatchCheckRequest, call: Call) -> pb.BatchCheckResponse:
        """Many decisions at one revision."""
        return pb.BatchCheckResponse(
            verdicts=_verdicts(request.accesses, call, explain=request.explain), revision=_revision(call)
        )

    def authorize_plan(self, request: pb.AuthorizePlanRequest, call: Call) -> pb.AuthorizePlanResponse:
        """A plan is allowed when each of its accesses is. An empty plan asks nothing and is allowed nothing."""
        verdicts = _verdicts(request.accesses, call, explain=True)
        return pb.AuthorizePlanResponse(
            allowed=all(verdict.allowed for verdict in verdicts), verdicts=verdicts, revision=_revision(call)
        )


def _verdicts(accesses: Sequence[pb.Access], call: Call, *, explain: bool) -> list[pb.Verdict]:
    validation.repeated(accesses, "accesses", required=True)
    return [_verdict(access, call, explain=explain) for access in accesses]


def _verdict(access: pb.Access, call: Call, *, explain: bool) -> pb.Verdict:
    """The subject's own rights decide, from the calling workspace."""
    kind = _kind(access)
    privilege = parse_privilege(call, kind, access.privilege)
    subject = _subject(call)
    found = _resolve(access, kind, call)
    if subject is not None and found is not None:
        if call.decider.privilege(subject, call.workspace_id, found.id, privilege).allowed:
            return pb.Verdict(allowed=True)
        if explain and call.decider.visible(subject, call.workspace_id, found.id):
            explanation = explain_privilege(call.decider, subject, call.workspace_id, found.id, privilege)
            return pb.Verdict(reason=explanation.message, fixes=explanation.statements)
    return pb.Verdict(reason=_unseen(access, kind, privilege) if explain else "")


def _subject(call: Call) -> str | None:
    """Whose rights decide; an engine is told nothing of a principal who is not assigned to its workspace."""
    subject = call.objects.get("subject")
    if subject in (None, call.caller.id):
        return subject
    assigned = call.workspace_id and call.decider.reach.is_assigned(subject or "", call.workspace_id)
    return subject if assigned else None


def _unseen(access: pb.Access, kind: str, privilege: str) -> str:
    """The same words for what is absent and for what the subject may not see."""
    return (
        f"{show_privilege(privilege)} denied on {kind.lower()} {access.full_name}: "
        "it does not exist, or may not be seen from this workspace."
    )


def _kind(access: pb.Access) -> str:
    if access.securable_type not in _KINDS:
        raise validation.invalid("securable_type", f"say one of {', '.join(_KINDS.values())}")
    if len(access.columns) > COLUMNS_PER_ACCESS_MAX:
        raise validation.invalid("columns", f"more than {COLUMNS_PER_ACCESS_MAX}")
    return _KINDS[access.securable_type]


def _resolve(access: pb.Access, kind: str, call: Call) -> Securable | None:
    if not access.full_name:
        raise validation.invalid("full_name", "it is empty")
    try:
        return call.snapshot.resolve(kind, access.full_name, call.metastore_id)
    except InvalidName:
        return None


def _revision(call: Call) -> str:
    return f"{call.snapshot.head.epoch}:{call.snapshot.head.revision}"


def securable_kinds(values: Iterable[tuple[str, int]]) -> dict[int, str]:
    """Enum number -> kind, without the unspecified one."""
    return {number: name for name, number in values if number}


_KINDS = securable_kinds(grants_pb2.SecurableType.items())
