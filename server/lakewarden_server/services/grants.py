"""Grants: who holds what on which securable. Whether the caller may grant is decided before, from policy data."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from lakewarden.v1 import grants_pb2 as pb
from lakewarden_policy import (
    ACCOUNT_ID,
    UnknownPrivilege,
    effective_privileges,
    is_workspace_group,
    spell_privilege,
)
from lakewarden_server.core.errors import InvalidArgument, Reason
from lakewarden_server.entities import Grant
from lakewarden_server.services import principals, validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.denials import unseen
from lakewarden_server.services.securables import principal_id
from lakewarden_server.services.sources import source_message
from lakewarden_server.storage.repositories import grants

PRIVILEGES_PER_CHANGE_MAX = 100
REASON_BYTES_MAX = 1_000
ALL_PRIVILEGES = "ALL_PRIVILEGES"


class Terms(NamedTuple):
    """When a grant ends, None for never, and why it was made."""

    expire_time: datetime | None
    reason: str


class GrantService:
    """Implements `lakewarden.v1.GrantService`."""

    def list_grants(self, request: pb.ListGrantsRequest, call: Call) -> pb.ListGrantsResponse:
        """Lists direct grants: all for who may grant on the securable, else the caller's own and its groups'."""
        shown = _shown(request.principal, call)
        rows = grants.of_securable(call.uow.session, call.self_id)
        living = call.snapshot.principals
        deleted_too = request.include_deleted_principals and shown is None
        assignments = _assignments(
            call,
            (
                row
                for row in rows
                if (deleted_too or row.principal_id in living)
                and (shown is None or row.principal_id in shown)
            ),
        )
        page, token = call.pager.page(
            assignments,
            lambda assignment: assignment.principal,
            list_name=f"grants/{call.self_id}/{request.principal}/{deleted_too}",
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListGrantsResponse(assignments=page, next_page_token=token)

    def list_effective_privileges(
        self, request: pb.ListEffectivePrivilegesRequest, call: Call
    ) -> pb.ListEffectivePrivilegesResponse:
        """Lists what one principal holds and what it comes from. Raises PRINCIPAL_UNKNOWN, ACCESS_DENIED for what the caller does not see."""
        subject = call.objects.get("subject")
        kind = call.snapshot.securables[call.self_id].kind
        if not call.decider.visible(call.caller.id, call.workspace_id, call.self_id) and not sees_all(call):
            raise unseen(kind, request.full_name)
        if subject is None:
            subject = principal_id(call, request.principal, field="principal")
        held = effective_privileges(call.decider, subject, call.workspace_id, call.self_id)
        return pb.ListEffectivePrivilegesResponse(
            privileges=[
                pb.EffectivePrivilege(
                    privilege=each.privilege,
                    usable=each.usable,
                    sources=[source_message(source, call) for source in each.sources],
                )
                for each in held
            ],
            revision=call.revision,
        )

    def update_grants(self, request: pb.UpdateGrantsRequest, call: Call) -> pb.UpdateGrantsResponse:
        """Applies all changes or none. Granting what is held and revoking what is not are no-ops."""
        validation.repeated(request.changes, "changes", required=True)
        session = call.uow.session
        held = {(row.principal_id, row.privilege): row for row in grants.of_securable(session, call.self_id)}
        named: dict[str, None] = {}
        for change in request.changes:
            principal = _grantee(call, change, held)
            named[principal] = None
            terms = _terms(change, call)
            for privilege in privileges_of(change, call, call.self_id):
                _apply(call, held, change.action, principal, privilege, terms)
        session.flush()
        if call.self_id == ACCOUNT_ID:
            principals.assert_admin_remains(call)
        call.detail["changes"] = [
            f"{pb.GrantChange.Action.Name(change.action)} {', '.join(change.privileges)}: {change.principal}"
            for change in request.changes
        ]
        rows = grants.of_securable(session, call.self_id)
        return pb.UpdateGrantsResponse(
            assignments=_assignments(call, (row for row in rows if row.principal_id in named))
        )


def _grantee(call: Call, change: pb.GrantChange, held: dict[tuple[str, str], Grant]) -> str:
    """Id of the principal of a change; of one that was deleted only what it still holds here can be revoked (semantics 3.1).

    Raises PRINCIPAL_UNKNOWN, and FIELD_INVALID for an account admin whose membership others decide about.
    """
    deleted = change.principal not in call.snapshot.principals and any(
        holder == change.principal for holder, _ in held
    )
    if deleted and change.action == pb.GrantChange.REVOKE:
        return change.principal
    found = principal_id(call, change.principal, field="principal")
    if call.self_id == ACCOUNT_ID and change.action == pb.GrantChange.GRANT and is_workspace_group(found):
        # Its members come and go with grants on the workspace, which may end by themselves: the last admin could go with them.
        raise validation.invalid(
            "principal",
            f"{change.principal} follows the assignments of its workspace: appoint people or another group",
        )
    return found


def _apply(
    call: Call,
    held: dict[tuple[str, str], Grant],
    action: pb.GrantChange.Action.ValueType,
    principal: str,
    privilege: str,
    terms: Terms,
) -> None:
    if action == pb.GrantChange.GRANT:
        grant = held.get((principal, privilege))
        if grant is None:
            grant = Grant(
                securable_id=call.self_id,
                principal_id=principal,
                privilege=privilege,
                granted_by=call.caller.id,
                create_time=call.now,
            )
            held[principal, privilege] = grant
            call.uow.session.add(grant)
        grant.expire_time, grant.reason = terms
        return
    for doomed in revoked_with(call, call.self_id, privilege):
        row = held.pop((principal, doomed), None)
        if row is not None and row in call.uow.session.new:
            call.uow.session.expunge(row)
        elif row is not None:
            call.uow.session.delete(row)


def _terms(change: pb.GrantChange, call: Call) -> Terms:
    """When a grant ends and why it is made. Raises FIELD_INVALID."""
    reason = validation.bounded(change.reason, "reason", REASON_BYTES_MAX)
    if not change.HasField("expire_time"):
        return Terms(None, reason)
    expire_time = validation.time(change.expire_time, "expire_time")
    if change.action != pb.GrantChange.GRANT:
        raise validation.invalid("expire_time", "only grants end; a revoke holds at once")
    if call.self_id == ACCOUNT_ID:
        raise validation.invalid("expire_time", "an appointment of account admins does not end by itself")
    if expire_time <= call.now:
        raise validation.invalid("expire_time", "it is over already; name a time to come")
    return Terms(expire_time, reason)


def revoked_with(call: Call, object_id: str, privilege: str) -> Iterable[str]:
    """Revoking ALL PRIVILEGES takes the privileges it implies with it (semantics 2.3); any other goes alone."""
    if privilege != ALL_PRIVILEGES:
        return (privilege,)
    kind = call.snapshot.securables[object_id].kind
    implied = call.decider.policy.here[f"{kind}:{ALL_PRIVILEGES}"]
    return [name for name in call.decider.policy.grantable(kind) if f"{kind}:{name}" in implied]


def privileges_of(change: pb.GrantChange, call: Call, object_id: str) -> list[str]:
    """The stored spellings of a change's privileges.

    Raises PRIVILEGE_UNKNOWN for what is no privilege at all and PRIVILEGE_NOT_APPLICABLE naming those that suit.
    """
    if change.action not in (pb.GrantChange.GRANT, pb.GrantChange.REVOKE):
        raise validation.invalid("action", "say GRANT or REVOKE")
    if not change.privileges or len(change.privileges) > PRIVILEGES_PER_CHANGE_MAX:
        raise validation.invalid("privileges", f"name 1 to {PRIVILEGES_PER_CHANGE_MAX} privileges")
    kind = call.snapshot.securables[object_id].kind
    return [parse_privilege(call, kind, text, to_grant=True) for text in change.privileges]


def parse_privilege(call: Call, kind: str, text: str, *, to_grant: bool = False) -> str:
    """The stored spelling of a privilege on a kind; one ``to_grant`` cannot be what is only held otherwise.

    Raises PRIVILEGE_UNKNOWN or PRIVILEGE_NOT_APPLICABLE.
    """
    policy = call.decider.policy
    try:
        return policy.parse_privilege(kind, text, to_grant=to_grant)
    except UnknownPrivilege as error:
        name = spell_privilege(text) if text.isascii() else ""
        elsewhere = any(
            row.name == name and (row.is_grantable or policy.levels.is_listed(row.act))
            for row in policy.privileges.values()
        )
        reason = Reason.PRIVILEGE_NOT_APPLICABLE if elsewhere else Reason.PRIVILEGE_UNKNOWN
        raise InvalidArgument(reason, str(error), privilege=text[:100], kind=kind) from None


def sees_all(call: Call, object_id: str = "") -> bool:
    """Whether the caller is shown everybody's grants on an object, the bound one when none is named."""
    place = object_id or call.self_id
    operation = f"{call.snapshot.securables[place].kind.lower()}.grants_all"
    return call.decider.operation(call.caller.id, call.workspace_id, operation, {"self": place}).allowed


def _shown(name: str, call: Call) -> frozenset[str] | None:
    """Whose grants a list may show; None is everybody's. Raises PRINCIPAL_UNKNOWN to who sees all."""
    if sees_all(call):
        return frozenset({principal_id(call, name, field="principal")}) if name else None
    own = call.snapshot.closure(call.caller.id)
    if not name:
        return own
    # An unknown name is not told from somebody else's: neither has grants that the caller may see.
    wanted = call.snapshot.principal_named(name)
    return own & {wanted.id} if wanted else frozenset()


def _assignments(call: Call, rows: Iterable[Grant]) -> list[pb.PrivilegeAssignment]:
    held: dict[str, list[Grant]] = {}
    for row in rows:
        held.setdefault(call.principal_name(row.principal_id), []).append(row)
    return [
        pb.PrivilegeAssignment(
            principal=name,
            privileges=sorted(row.privilege for row in held[name] if not is_expired(row, call)),
            grants=[_held(row, call) for row in sorted(held[name], key=lambda row: row.privilege)],
            deleted=held[name][0].principal_id not in call.snapshot.principals,
            principal_id=held[name][0].principal_id,
        )
        for name in sorted(held)
    ]


def _held(row: Grant, call: Call) -> pb.HeldGrant:
    message = pb.HeldGrant(
        privilege=row.privilege,
        expired=is_expired(row, call),
        reason=row.reason,
        granted_by=call.principal_name(row.granted_by),
    )
    message.create_time.FromDatetime(row.create_time)
    if row.expire_time is not None:
        message.expire_time.FromDatetime(row.expire_time)
    return message


def is_expired(row: Grant, call: Call) -> bool:
    """Whether a grant has ended and confers nothing any more."""
    return row.expire_time is not None and row.expire_time <= call.now
