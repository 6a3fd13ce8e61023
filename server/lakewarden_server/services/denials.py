"""The refusals that the pipeline and services tell alike, so that nobody can tell one from the other by who says it."""

from __future__ import annotations

from lakewarden_policy import KINDS, Decider, Explanation, explain_operation
from lakewarden_server.core.errors import PermissionDenied, Reason
from lakewarden_server.services.call import Call


def unseen(kind: str, named: str) -> PermissionDenied:
    """The words for what is missing and for what is hidden: the same, so that neither can be told from the other."""
    name = f" {named}" if named else ""
    return PermissionDenied(
        Reason.ACCESS_DENIED,
        f"{KINDS[kind].label}{name} does not exist, or you may not use it from this workspace",
    )


def privilege_missing(explanation: Explanation) -> PermissionDenied:
    """The reason and the fix, for a caller who sees the object."""
    return PermissionDenied(
        Reason.PRIVILEGE_MISSING, explanation.message, fixes="; ".join(explanation.statements)
    )


def is_told_absent(
    decider: Decider, caller_id: str, workspace_id: str | None, kind: str, container_id: str | None
) -> bool:
    """Whether a caller is told that nothing of this kind has a name: to whom the container's list would show every child."""
    container = decider.snapshot.securables.get(container_id or "")
    operation = f"{kind.lower()}.miss"
    if (
        container is None
        or container.kind not in KINDS[kind].parents
        or operation not in decider.policy.operations
    ):
        return False
    return decider.operation(caller_id, workspace_id, operation, {"parent": container.id}).allowed


def require(
    call: Call, operation: str, object_id: str | None, kind: str, named: str, *, selector: str | None
) -> None:
    """Returns when the caller may do an operation on something the request names beside its object.

    Raises ACCESS_DENIED for what is missing or hidden, PRIVILEGE_MISSING for what the caller sees.
    """
    if object_id is None:
        raise unseen(kind, named)
    objects = {"self": object_id} | ({"workspace": call.workspace_id} if call.workspace_id else {})
    arguments = (call.caller.id, call.workspace_id, operation, objects)
    if call.decider.operation(*arguments, selector=selector).allowed:
        return
    if not call.decider.visible(call.caller.id, call.workspace_id, object_id):
        raise unseen(kind, named)
    raise privilege_missing(explain_operation(call.decider, *arguments, selector=selector))
