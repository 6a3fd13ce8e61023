"""Simulate: the answer of Check on a state that is not so. Only of changes the caller could make, or it would tell secrets."""

from __future__ import annotations

from lakewarden.v1 import authorization_pb2 as pb
from lakewarden.v1 import grants_pb2
from lakewarden_policy import (
    Changes,
    Decider,
    InvalidName,
    Membership,
    Row,
    changed_snapshot,
    explain_privilege,
)
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.denials import require, unseen
from lakewarden_server.services.explanations import asked_subject
from lakewarden_server.services.grants import parse_privilege, privileges_of, revoked_with
from lakewarden_server.services.securables import principal_id

_KINDS = {number: name for name, number in grants_pb2.SecurableType.items() if number}


def simulate(request: pb.SimulateRequest, call: Call) -> pb.SimulateResponse:
    """Answers Simulate. Raises ACCESS_DENIED or PRIVILEGE_MISSING for a change that the caller could not make."""
    kind = call.snapshot.securables[call.self_id].kind
    subject = asked_subject(request.subject, call)
    seen = (call.decider.visible(who, call.workspace_id, call.self_id) for who in (call.caller.id, subject))
    if not any(seen):
        raise unseen(kind, request.full_name)
    privilege = parse_privilege(call, kind, request.privilege)
    asked = (subject, call.workspace_id, call.self_id, privilege)
    after = Decider(call.decider.policy, changed_snapshot(call.snapshot, _changes(request, call)))
    explanation = explain_privilege(after, *asked)
    verdict = pb.Verdict(allowed=explanation.allowed)
    if not explanation.allowed:
        verdict = pb.Verdict(reason=explanation.message, fixes=explanation.statements)
    return pb.SimulateResponse(
        verdict=verdict, allowed_now=call.decider.privilege(*asked).allowed, revision=call.revision
    )


def _changes(request: pb.SimulateRequest, call: Call) -> Changes:
    validation.repeated(request.grants, "grants")
    validation.repeated(request.memberships, "memberships")
    granted: dict[Row, None] = {}
    revoked: dict[Row, None] = {}
    for grant in request.grants:
        rows = _rows(grant, call)
        # The later of two changes of one row counts, as if they were made in turn.
        new, old = (
            (granted, revoked) if grant.change.action == grants_pb2.GrantChange.GRANT else (revoked, granted)
        )
        new.update(dict.fromkeys(rows))
        for row in rows:
            old.pop(row, None)
    joined: list[Membership] = []
    left: list[Membership] = []
    for membership in request.memberships:
        (left if membership.remove else joined).append(_membership(membership, call))
    return Changes(granted=tuple(granted), revoked=tuple(revoked), joined=tuple(joined), left=tuple(left))


def _rows(grant: pb.SimulatedGrant, call: Call) -> list[Row]:
    kind = _KINDS.get(grant.securable_type)
    if kind is None:
        raise validation.invalid("securable_type", f"say one of {', '.join(_KINDS.values())}")
    object_id = _resolve(kind, grant.full_name, call)
    for selector in grant.change.privileges or ("",):
        require(call, f"{kind.lower()}.grant", object_id, kind, grant.full_name, selector=selector)
    return changed_rows(grant.change, call, object_id or "")


def changed_rows(change: grants_pb2.GrantChange, call: Call, place: str) -> list[Row]:
    """The rows a change on a securable makes or takes. Raises PRINCIPAL_UNKNOWN and what `privileges_of` raises."""
    kind = call.snapshot.securables[place].kind
    holder = principal_id(call, change.principal, field="principal")
    privileges = privileges_of(change, call, place)
    if change.action == grants_pb2.GrantChange.REVOKE:
        privileges = [each for privilege in privileges for each in revoked_with(call, place, privilege)]
    return [Row(holder, place, f"{kind}:{privilege}") for privilege in privileges]


def _membership(membership: pb.SimulatedMembership, call: Call) -> Membership:
    group = _resolve("GROUP", membership.group, call)
    require(call, "group.members", group, "GROUP", membership.group, selector=None)
    return Membership(group or "", principal_id(call, membership.member, field="member"))


def _resolve(kind: str, full_name: str, call: Call) -> str | None:
    try:
        found = call.snapshot.resolve(kind, full_name, call.metastore_id, call.workspace_id)
    except InvalidName:
        return None
    return found.id if found else None
