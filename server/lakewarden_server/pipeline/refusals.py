"""From what a request names to a decision, or to the refusal the caller may be told."""

from __future__ import annotations

from lakewarden_policy import ACCOUNT_ID, KINDS, Decider, explain_operation
from lakewarden_server.authn.authenticator import Caller
from lakewarden_server.core.errors import InvalidArgument, LakewardenError, NotFound, PermissionDenied, Reason
from lakewarden_server.pipeline.binding import Bound, Place, require_workspace
from lakewarden_server.services.denials import is_told_absent, privilege_missing, unseen


def authorize(bound: Bound, decider: Decider, caller: Caller, place: Place) -> None:
    """Returns when every selected operation is allowed; raises the refusal the caller may be told otherwise.

    A list in a container that is absent is not refused: it is empty, as in one the caller may not see.
    """
    if bound.absent_kind:
        refusal = _absent(bound, bound.absent_kind, decider, caller, place)
        if isinstance(refusal, PermissionDenied) and bound.operations[0][0].endswith(".list"):
            return
        raise refusal
    for operation, selector in bound.operations:
        decision = decider.operation(
            caller.id, place.workspace_id, operation, bound.objects, selector=selector,
            references=[found.object_id or "" for found in bound.references],
        )  # fmt: skip
        if not decision.allowed:
            raise _denied(bound, operation, selector, decider, caller, place)


def _absent(bound: Bound, kind: str, decider: Decider, caller: Caller, place: Place) -> LakewardenError:
    """NOT_FOUND for a caller to whom the container's list would show every child, else the one denial for all cases."""
    if not is_told_absent(decider, caller.id, place.workspace_id, kind, bound.container_id):
        return unseen(kind, bound.named)
    return NotFound(
        Reason.OBJECT_NOT_FOUND, f"there is no {KINDS[kind].label} {bound.named}", kind=kind, name=bound.named
    )


def _denied(
    bound: Bound, operation: str, selector: str | None, decider: Decider, caller: Caller, place: Place
) -> LakewardenError:
    """The reason and the fix for a caller who sees the object; the words for a missing one to everybody else."""
    target = bound.objects.get("self") or bound.objects.get("parent")
    if target is None and not bound.named:
        target = ACCOUNT_ID
    if target is None:
        # About a principal: whether that one exists is told to nobody who may not act for it.
        return PermissionDenied(
            Reason.ACCESS_DENIED,
            f"{operation} denied for {bound.named}: there is no such principal, or you may not act for it",
        )
    if target == ACCOUNT_ID and _asks_workspace(operation, selector, decider):
        workspace_id = bound.objects.get("workspace")
        if workspace_id is None and _asks_nothing_else(operation, selector, decider):
            require_workspace(place)
        if not _is_seen(workspace_id, decider, caller, place):
            return PermissionDenied(
                Reason.ACCESS_DENIED,
                f"{operation} denied: the workspace does not exist, or you may not see it",
            )
    if target != ACCOUNT_ID and not decider.visible(caller.id, place.workspace_id, target):
        return unseen(decider.snapshot.securables[target].kind, bound.named)
    hidden = _hidden(bound, operation, decider, caller, place)
    if hidden is not None:
        return hidden
    explanation = explain_operation(
        decider, caller.id, place.workspace_id, operation, bound.objects, selector=selector,
        references=[found.object_id or "" for found in bound.references],
    )  # fmt: skip
    return privilege_missing(explanation)


def _asks_workspace(operation: str, selector: str | None, decider: Decider) -> bool:
    """Whether a right on the calling workspace would allow the operation."""
    alternatives = decider.policy.operation(operation, selector).alternatives
    return any(atom.name == "workspace" for alternative in alternatives for atom in alternative)


def _asks_nothing_else(operation: str, selector: str | None, decider: Decider) -> bool:
    """Whether nobody at all may do the operation without a calling workspace, so that naming one is what is missing."""
    alternatives = decider.policy.operation(operation, selector).alternatives
    return all(any(atom.name == "workspace" for atom in alternative) for alternative in alternatives)


def _hidden(
    bound: Bound, operation: str, decider: Decider, caller: Caller, place: Place
) -> LakewardenError | None:
    """The refusal about something else the request names that is missing or hidden; None when the caller sees all of it."""
    for found in bound.beside:
        if found.kind == "PRINCIPAL":
            if found.object_id is None and _is_allowed(bound, operation, decider, caller, place):
                return InvalidArgument(
                    Reason.PRINCIPAL_UNKNOWN, f"there is no principal {found.text!r}", field=found.name
                )
        elif not _is_seen(found.object_id, decider, caller, place):
            return unseen(found.kind, found.text)
    for reference, object_id in bound.references:
        if not _is_seen(object_id, decider, caller, place):
            kind = "TABLE" if reference.privilege == "SELECT" else "FUNCTION"
            return unseen(kind, reference.full_name)
    return None


def _is_seen(object_id: str | None, decider: Decider, caller: Caller, place: Place) -> bool:
    return object_id is not None and decider.visible(caller.id, place.workspace_id, object_id)


def _is_allowed(bound: Bound, operation: str, decider: Decider, caller: Caller, place: Place) -> bool:
    """Whether the operation would be allowed but for what the mask selects: only then is a typing error told."""
    return decider.operation(caller.id, place.workspace_id, operation, bound.objects).allowed
