"""Objects of a workspace: which there are, where they lie and whose they are, as their engine states it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import workspace_objects_pb2 as pb
from lakewarden.v1.grants_pb2 import SecurableType
from lakewarden_policy import FOLDERS, IN_WORKSPACE, KINDS, Securable, containers_below, workspace_group_id
from lakewarden_server.core.errors import AlreadyExists, InvalidArgument, NotFound, Reason
from lakewarden_server.core.ids import new_id
from lakewarden_server.entities import WORKSPACE_OBJECTS, WorkspaceObject
from lakewarden_server.services import securables, validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.denials import is_told_absent, require, unseen
from lakewarden_server.storage.repositories import grants
from lakewarden_server.storage.repositories import securables as securable_rows

OBJECT_ID_BYTES_MAX = 255
FOLDERS_ABOVE_MAX = 50
"""Folders an object may lie in; fewer than the containers a decision looks at."""
_OBJECT_ID = re.compile(rf"[A-Za-z0-9._:@+=-]{{1,{OBJECT_ID_BYTES_MAX}}}", re.ASCII)


class WorkspaceObjectService:
    """Implements `lakewarden.v1.WorkspaceObjectService`."""

    def create_workspace_object(
        self, request: pb.CreateWorkspaceObjectRequest, call: Call
    ) -> pb.WorkspaceObject:
        """Registers an object; whoever creates it owns it, or is granted the level that manages it."""
        message, home = request.workspace_object, workspace_of(call)
        kind, name = SecurableType.Name(message.type), _object_id(message.name)
        _refuse_taken(call, home, kind, name)
        parent = _folder(call, home, kind, message.parent)
        _refuse_too_deep(call, parent, 1 if kind in FOLDERS else 0)
        owned = call.decider.policy.levels.owned(kind)
        found = WORKSPACE_OBJECTS[kind](
            id=new_id(),
            kind=kind,
            parent_id=parent,
            workspace_id=home,
            name=name,
            name_key=name,
            owner_id=_person(call, home, message.owner) if owned else workspace_group_id(home, "admins"),
            comment=validation.comment(message.comment),
            properties=validation.properties(message.properties),
            display_name=validation.display_name(message.display_name),
        )
        call.uow.session.add(found)
        if owned is None:
            _grant_creator(call, found, message.owner)
        call.uow.session.flush()
        return to_message(found, call)

    def get_workspace_object(self, request: pb.GetWorkspaceObjectRequest, call: Call) -> pb.WorkspaceObject:
        """Returns one object."""
        return to_message(call.row(WorkspaceObject, call.self_id), call)

    def list_workspace_objects(
        self, request: pb.ListWorkspaceObjectsRequest, call: Call
    ) -> pb.ListWorkspaceObjectsResponse:
        """Lists the objects the caller may see, in a folder or everywhere below it."""
        home = workspace_of(call)
        kinds = sorted(IN_WORKSPACE)
        if request.type:
            kinds = [object_kind(request.type)]
        place = listed_place(call, home, request.parent)
        containers: Iterable[str] = (place,) if place else ()
        if place and request.recursive:
            containers = containers_below(call.snapshot, place)
        visible = sorted(
            (
                found
                for container in containers
                for kind in kinds
                for found in _visible(call, container, kind)
            ),
            key=lambda found: _key(call, found),
        )
        ids, token = call.pager.page(
            visible,
            lambda found: _key(call, found),
            list_name=f"objects/{request.type}/{request.parent}/{request.recursive}",
            page_size=request.page_size,
            page_token=request.page_token,
        )
        rows = call.rows(securable_rows.by_ids(call.uow.session, WorkspaceObject, ids), expected=len(ids))
        return pb.ListWorkspaceObjectsResponse(
            workspace_objects=[to_message(row, call) for row in rows], next_page_token=token
        )

    def update_workspace_object(
        self, request: pb.UpdateWorkspaceObjectRequest, call: Call
    ) -> pb.WorkspaceObject:
        """Changes what the mask names; `parent` moves it."""
        found = securables.update(
            call, WorkspaceObject, request.workspace_object, request.update_mask.paths, _SETTERS
        )
        call.uow.session.flush()
        return to_message(found, call)

    def delete_workspace_object(self, request: pb.DeleteWorkspaceObjectRequest, call: Call) -> Empty:
        """Unregisters an object, and with `force` everything in it, with the permissions on them."""
        securables.delete(call, force=request.force, sent_etag=request.etag)
        return Empty()


def to_message(found: WorkspaceObject, call: Call) -> pb.WorkspaceObject:
    """The message of an object's row."""
    message = pb.WorkspaceObject(
        type=SecurableType.Value(found.kind),
        workspace=call.snapshot.full_name(found.workspace_id or ""),
        display_name=found.display_name,
    )
    securables.fill(message, found, call)
    if call.decider.policy.levels.owned(found.kind) is None:
        message.owner = ""
    if found.parent_id != found.workspace_id:
        message.parent = call.snapshot.securables[found.parent_id or ""].name
    return message


def workspace_of(call: Call) -> str:
    """Id of the calling workspace. Raises WORKSPACE_REQUIRED."""
    if call.workspace_id is None:
        raise InvalidArgument(
            Reason.WORKSPACE_REQUIRED,
            "objects belong to a workspace: send the metadata `lakewarden-workspace: <name>`",
        )
    return call.workspace_id


def object_kind(number: int) -> str:
    """The kind of object of a workspace with this number. Raises FIELD_INVALID."""
    kinds: dict[int, str] = {value: name for name, value in SecurableType.items() if name in IN_WORKSPACE}
    if number not in kinds:
        raise validation.invalid("type", f"say one of {', '.join(kinds.values())}")
    return kinds[number]


def _object_id(name: str) -> str:
    if not _OBJECT_ID.fullmatch(name):
        raise InvalidArgument(
            Reason.NAME_INVALID,
            f"{name[:40]!r} is not the id of an object: 1 to {OBJECT_ID_BYTES_MAX} ASCII letters, digits and -_.:@+=",
            field="name",
        )
    return name


def _refuse_taken(call: Call, home: str, kind: str, name: str) -> None:
    """Raises NAME_TAKEN when the workspace has an object of that id, wherever it lies."""
    alike = [other for other in IN_WORKSPACE if KINDS[other].namespace == KINDS[kind].namespace]
    if any(call.snapshot.object_named(home, other, name) for other in alike):
        raise AlreadyExists(
            Reason.NAME_TAKEN,
            f"the workspace has a {KINDS[kind].label} {name!r} already: unregister that first",
            name=name,
            kind=kind,
        )


def _folder(call: Call, home: str, kind: str, name: str) -> str:
    """Id of the folder of that name, of the workspace itself for none. Raises NOT_FOUND, FIELD_INVALID."""
    if not name:
        return home
    found = _folder_named(call, home, name)
    if found is None and is_told_absent(call.decider, call.caller.id, call.workspace_id, "DIRECTORY", home):
        raise NotFound(Reason.OBJECT_NOT_FOUND, f"there is no directory {name}", kind="DIRECTORY", name=name)
    if found is None or not call.decider.visible(call.caller.id, call.workspace_id, found.id):
        raise unseen("DIRECTORY", name)
    if found.kind not in KINDS[kind].parents:
        raise validation.invalid("parent", f"a {KINDS[kind].label} lies in no {KINDS[found.kind].label}")
    return found.id


def _folder_named(call: Call, home: str, name: str) -> Securable | None:
    return next(
        filter(None, (call.snapshot.object_named(home, kind, name) for kind in sorted(FOLDERS))), None
    )


def _refuse_too_deep(call: Call, parent_id: str, below: int) -> None:
    """Raises FIELD_INVALID when something would lie in more folders than `FOLDERS_ABOVE_MAX`."""
    above = [place for place in (parent_id, *call.snapshot.ancestors(parent_id)) if _is_folder(call, place)]
    if len(above) + below > FOLDERS_ABOVE_MAX:
        raise validation.invalid("parent", f"it would lie in more than {FOLDERS_ABOVE_MAX} folders")


def _is_folder(call: Call, object_id: str) -> bool:
    return call.snapshot.securables[object_id].kind in FOLDERS


def _person(call: Call, home: str, name: str) -> str:
    """Id of the active user or service principal who shall own an object of the workspace, and run it.

    Raises PRINCIPAL_UNKNOWN, FIELD_INVALID, and ACCESS_DENIED or PRIVILEGE_MISSING for a service principal the caller may not run as.
    """
    found = securables.owner_id(call, name) if name else call.caller.id
    # Called what the caller called it: an id must not be answered with a hidden name.
    kind, named = call.snapshot.principals[found].kind, name or call.caller.name
    if kind == "GROUP":
        raise validation.invalid(
            "owner", f"{named} is a group; what runs as its owner is owned by one principal"
        )
    if kind == "SERVICE_PRINCIPAL":
        require(call, "service_principal.run_as", found, kind, named, selector=None)
    if not call.decider.reach.is_assigned(found, home):
        raise validation.invalid("owner", f"{named} is not assigned to the workspace")
    return found


def _grant_creator(call: Call, found: WorkspaceObject, owner: str) -> None:
    """Grants the creator the level that manages an object whose kind knows no owner. Raises PRINCIPAL_UNKNOWN, FIELD_INVALID."""
    level = call.decider.policy.levels.created(found.kind)
    if level is None:
        if owner:
            raise validation.invalid(
                "owner", f"a {KINDS[found.kind].label} belongs to the admins of the workspace"
            )
        return
    creator = securables.owner_id(call, owner) if owner else call.caller.id
    grants.give(call.uow.session, found.id, creator, [level.name], by=call.caller.id, time=call.now)


def _set_parent(found: Any, message: Any, call: Call) -> None:
    """Moves an object into another folder, with everything in it. Raises NOT_FOUND, FIELD_INVALID."""
    parent = _folder(call, found.workspace_id, found.kind, message.parent)
    if found.id in (parent, *call.snapshot.ancestors(parent)):
        raise validation.invalid("parent", "a folder does not lie in itself")
    _refuse_too_deep(call, parent, _height(call, found.id))
    call.detail["parent_before"] = call.snapshot.full_name(found.parent_id)
    call.detail["parent_after"] = call.snapshot.full_name(parent)
    found.parent_id = parent


def _height(call: Call, object_id: str) -> int:
    """How many folders, itself included, lie on the longest way down from an object."""
    if not _is_folder(call, object_id):
        return 0
    inside = [child for kind in FOLDERS for child in call.snapshot.children(object_id, kind)]
    return 1 + max((_height(call, child) for child in inside), default=0)


def _set_owner(found: Any, message: Any, call: Call) -> None:
    """Names the next owner of what has one. Raises as `_person` does, and FIELD_INVALID where there is none."""
    if call.decider.policy.levels.owned(found.kind) is None:
        raise validation.invalid(
            "owner", f"a {KINDS[found.kind].label} has no owner; grant CAN_MANAGE instead"
        )
    call.detail["owner_before"] = call.principal_name(found.owner_id)
    found.owner_id = _person(call, found.workspace_id, message.owner)
    call.detail["owner_after"] = call.principal_name(found.owner_id)


def _set_display_name(found: Any, message: Any, call: Call) -> None:
    """Replaces what people call it."""
    found.display_name = validation.display_name(message.display_name)


_SETTERS: dict[str, securables.Setter] = {
    "comment": securables.set_comment,
    "display_name": _set_display_name,
    "owner": _set_owner,
    "parent": _set_parent,
    "properties": securables.set_properties,
}


def listed_place(call: Call, home: str, parent: str) -> str | None:
    """Id of the container to list; None for one that is absent or hidden, which lists alike."""
    if not parent:
        return home
    found = _folder_named(call, home, parent)
    seen = found is not None and call.decider.visible(call.caller.id, call.workspace_id, found.id)
    return found.id if found and seen else None


def _visible(call: Call, container: str, kind: str) -> tuple[str, ...]:
    return call.decider.visible_children(call.caller.id, call.workspace_id, container, kind)


def _key(call: Call, object_id: str) -> str:
    found = call.snapshot.securables[object_id]
    return f"{found.kind}/{found.name_key}"
