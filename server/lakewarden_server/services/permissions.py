"""Permissions on the objects of a workspace: read with where they come from, replaced as a whole; their levels told."""

from __future__ import annotations

from collections.abc import Iterable

from lakewarden.v1 import permissions_pb2 as pb
from lakewarden.v1.grants_pb2 import SecurableType
from lakewarden_policy.permissions import Permission, permissions_on
from lakewarden_server.entities import Grant
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.grants import PRIVILEGES_PER_CHANGE_MAX, parse_privilege, sees_all
from lakewarden_server.services.securables import principal_id
from lakewarden_server.services.workspace_objects import object_kind
from lakewarden_server.storage.repositories import grants


class PermissionService:
    """Implements `lakewarden.v1.PermissionService`."""

    def get_permissions(self, request: pb.GetPermissionsRequest, call: Call) -> pb.Permissions:
        """Tells everybody's levels to who may change them, to others their own and their groups'."""
        found: Iterable[Permission] = permissions_on(call.decider, call.self_id)
        if not sees_all(call):
            own = call.snapshot.closure(call.caller.id)
            found = [permission for permission in found if permission.principal_id in own]
        return _message(request.type, request.full_name, found, call, revision=call.revision)

    def set_permissions(self, request: pb.SetPermissionsRequest, call: Call) -> pb.Permissions:
        """Replaces what is granted on the object itself; what comes from elsewhere stays."""
        wanted = _wanted(request, call)
        session = call.uow.session
        held = {(row.principal_id, row.privilege): row for row in grants.of_securable(session, call.self_id)}
        for key in held.keys() - wanted.keys():
            session.delete(held[key])
        for principal, level in wanted.keys() - held.keys():
            grants.give(session, call.self_id, principal, [level], by=call.caller.id, time=call.now)
        for key in held.keys() & wanted.keys():
            # What was to end is wanted without an end now.
            held[key].expire_time = None
        session.flush()
        call.detail["permissions"] = [
            f"{', '.join(each.levels)}: {each.principal}" for each in request.permissions
        ]
        direct = [Permission(*key, call.self_id, None) for key in wanted]
        stays = [
            each
            for each in permissions_on(call.decider, call.self_id)
            if not _is_granted_here(each, held, call)
        ]
        return _message(request.type, request.full_name, [*direct, *stays], call, revision="")

    def list_permission_levels(
        self, request: pb.ListPermissionLevelsRequest, call: Call
    ) -> pb.ListPermissionLevelsResponse:
        """Tells the levels of a kind of object, from the policy."""
        policy, kind = call.decider.policy, object_kind(request.type)
        listed = policy.levels.listed(kind)
        return pb.ListPermissionLevelsResponse(
            levels=[
                pb.PermissionLevel(
                    level=level.name,
                    description=level.description,
                    includes=[
                        other.name
                        for other in listed
                        if other != level and other.act in policy.here[level.act]
                    ],
                    grantable=level.name in policy.grantable(kind),
                )
                for level in listed
            ]
        )


def _wanted(request: pb.SetPermissionsRequest, call: Call) -> dict[tuple[str, str], None]:
    """The (principal, level) pairs a request asks for; ownership, which is none of them, may be named as it is."""
    validation.repeated(request.permissions, "permissions")
    kind = call.snapshot.securables[call.self_id].kind
    owned = call.decider.policy.levels.owned(kind)
    owner = call.snapshot.securables[call.self_id].owner_id
    wanted: dict[tuple[str, str], None] = {}
    named: set[str] = set()
    for assignment in request.permissions:
        principal = principal_id(call, assignment.principal, field="principal")
        if principal in named:
            raise validation.invalid("permissions", f"{assignment.principal} is named twice")
        named.add(principal)
        if not 1 <= len(assignment.levels) <= PRIVILEGES_PER_CHANGE_MAX:
            raise validation.invalid("levels", f"name 1 to {PRIVILEGES_PER_CHANGE_MAX} levels")
        for text in assignment.levels:
            if owned and parse_privilege(call, kind, text) == owned.name:
                _refuse_other_owner(principal, owner, assignment.principal)
                continue
            wanted[principal, parse_privilege(call, kind, text, to_grant=True)] = None
    return wanted


def _refuse_other_owner(principal: str, owner: str | None, name: str) -> None:
    if principal != owner:
        raise validation.invalid(
            "levels", f"{name} is not the owner; a workspace admin names another with UpdateWorkspaceObject"
        )


def _is_granted_here(permission: Permission, held: dict[tuple[str, str], Grant], call: Call) -> bool:
    return permission.source_id == call.self_id and (permission.principal_id, permission.level) in held


def _message(
    type_: SecurableType.ValueType, full_name: str, found: Iterable[Permission], call: Call, *, revision: str
) -> pb.Permissions:
    named = sorted(
        found,
        key=lambda each: (each.source_id != call.self_id, call.principal_name(each.principal_id), each.level),
    )
    return pb.Permissions(
        type=type_,
        full_name=full_name,
        permissions=[_permission(each, call) for each in named],
        revision=revision,
    )


def _permission(permission: Permission, call: Call) -> pb.Permission:
    message = pb.Permission(principal=call.principal_name(permission.principal_id), level=permission.level)
    if permission.source_id != call.self_id:
        message.inherited = True
        message.inherited_from_type = SecurableType.Value(call.snapshot.securables[permission.source_id].kind)
        message.inherited_from = call.snapshot.full_name(permission.source_id)
    if permission.expire_time is not None:
        message.expire_time.FromNanoseconds(int(permission.expire_time * 1e9))
    return message
