"""Groups and their members: a graph without cycles, at most `GROUP_DEPTH_MAX` deep, kept so under the head row."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import groups_pb2 as pb
from lakewarden_policy import name_key, validate_group_name
from lakewarden_server.core.errors import AlreadyExists, FailedPrecondition, Reason
from lakewarden_server.entities import GroupMember, Principal
from lakewarden_server.entities.base import touch
from lakewarden_server.services import principals, validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.securables import Setter, principal_id, unknown_principal
from lakewarden_server.storage.repositories import principals as principal_rows

GROUP_DEPTH_MAX = 10
"""Groups on the longest chain of memberships (semantics 5.1)."""
MEMBERS_MAX = 10_000
"""Members that come or go with a group's creation or update."""
SOURCES = ("ADMIN", "SCIM", "IDP")
"""Where a membership can come from, in the order in which they are stored and shown."""


class GroupService:
    """Implements `lakewarden.v1.GroupService`."""

    def create_group(self, request: pb.CreateGroupRequest, call: Call) -> pb.Group:
        """Creates a group, with members where some are named."""
        validation.repeated(request.members, "members", count_max=MEMBERS_MAX)
        name = validation.named(validate_group_name, request.group.name)
        group = principals.create(call, kind="GROUP", name=name, external_id=request.group.external_id)
        principals.appoint_creator(call, group)
        if request.members:
            _change_members(call, group, _Change("members", request.members, "", (), _source(request)))
        return to_message(group, call)

    def get_group(self, request: pb.GetGroupRequest, call: Call) -> pb.Group:
        """Returns one group."""
        return to_message(call.row(Principal, call.self_id), call)

    def list_groups(self, request: pb.ListGroupsRequest, call: Call) -> pb.ListGroupsResponse:
        """Lists the groups the caller may see."""
        page = principals.page(call, "GROUP", request)
        return pb.ListGroupsResponse(
            groups=[to_message(group, call) for group in page.rows],
            next_page_token=page.next_page_token,
            total_size=page.total_size,
        )

    def update_group(self, request: pb.UpdateGroupRequest, call: Call) -> pb.Group:
        """Changes what the mask names; grants stay, and so do memberships unless it names `members`."""
        for field in ("add_members", "remove_members"):
            validation.repeated(getattr(request, field), field, count_max=MEMBERS_MAX)
        change = _Change(
            "add_members", request.add_members, "remove_members", request.remove_members, _source(request)
        )

        def set_members(group: Any, _message: Any, call: Call) -> None:
            _change_members(call, group, change)

        setters: Mapping[str, Setter] = {**_SETTERS, "members": set_members}
        return to_message(principals.update(call, request.group, request.update_mask.paths, setters), call)

    def delete_group(self, request: pb.DeleteGroupRequest, call: Call) -> Empty:
        """Deletes a group; what it owned and was granted stays under its id."""
        return principals.delete(call, request.etag)

    def update_group_members(
        self, request: pb.UpdateGroupMembersRequest, call: Call
    ) -> pb.UpdateGroupMembersResponse:
        """Adds and removes direct members, all or nothing."""
        validation.repeated(request.add, "add")
        validation.repeated(request.remove, "remove")
        group = call.row(Principal, call.self_id)
        principals.refuse_system(group)
        change = _Change("add", request.add, "remove", request.remove, _source(request))
        added, removed = _change_members(call, group, change)
        return pb.UpdateGroupMembersResponse(added=added, removed=removed)

    def list_group_members(
        self, request: pb.ListGroupMembersRequest, call: Call
    ) -> pb.ListGroupMembersResponse:
        """Lists the direct members of a group, which the snapshot knows, with what the rows tell of them."""
        members = [call.snapshot.principals[member] for member in call.snapshot.members_of(call.self_id)]
        page, token = call.pager.page(
            sorted(members, key=lambda member: member.name_key),
            lambda member: member.name_key,
            list_name=f"members/{call.self_id}",
            page_size=request.page_size,
            page_token=request.page_token,
        )
        ids = [member.id for member in page]
        rows = call.rows(principal_rows.by_ids(call.uow.session, ids), expected=len(ids))
        edges = principal_rows.members_among(call.uow.session, call.self_id, ids)
        return pb.ListGroupMembersResponse(
            members=[_reference(row, edges[row.id].sources if row.id in edges else ()) for row in rows],
            next_page_token=token,
        )


def to_message(group: Principal, call: Call) -> pb.Group:
    """The message of a group's row."""
    message = pb.Group(system=group.system)
    principals.fill(message, group, call)
    return message


class _Change(NamedTuple):
    """Which members come and go on whose behalf, and the fields of the request that say so."""

    add_field: str
    add: Collection[str]
    remove_field: str
    remove: Collection[str]
    source: str


def _change_members(call: Call, group: Principal, change: _Change) -> tuple[int, int]:
    """Adds and removes direct members, all or nothing; returns how many really joined and left.

    Raises PRINCIPAL_UNKNOWN, GROUP_CYCLE, GROUP_TOO_DEEP, SYSTEM_OBJECT, LAST_ADMIN.
    """
    adding = {_newcomer(call, group.id, name, field=change.add_field) for name in change.add}
    removing = {principal_id(call, name, field=change.remove_field) for name in change.remove}
    present = principal_rows.members_among(call.uow.session, group.id, sorted(adding | removing))
    joining = adding - present.keys()
    _check_nesting(call, group.id, joining)
    for member in sorted(adding):
        _add_source(call, group.id, member, present.get(member), change.source)
    leaving = [
        member for member in sorted(removing) if _take_source(call, present.get(member), change.source)
    ]
    if joining or leaving:
        touch(group)
    call.uow.session.flush()
    if leaving:
        principals.assert_admin_remains(call)
    call.detail.update(add=list(change.add), remove=list(change.remove), source=change.source)
    return len(joining), len(leaving)


def _newcomer(call: Call, group_id: str, name: str, *, field: str) -> str:
    """Id of who shall be a member. Raises PRINCIPAL_UNKNOWN, also for a group the caller does not see.

    A nested group counts for the depth of whatever its owners do with it: only who may see it puts it into another.
    """
    member = principal_id(call, name, field=field)
    if (
        call.snapshot.principals[member].kind == "GROUP"
        and group_id not in call.snapshot.groups_of(member)
        and not call.decider.visible(call.caller.id, call.workspace_id, member)
    ):
        raise unknown_principal(name, field=field)
    return member


def _set_name(group: Any, message: Any, call: Call) -> None:
    name = validation.named(validate_group_name, message.name)
    taken = call.snapshot.principal_named(name)
    if taken is not None and taken.id != group.id:
        raise AlreadyExists(
            Reason.NAME_TAKEN, f"there is a principal {name!r} already", name=name, kind="GROUP"
        )
    call.detail["renamed_from"] = group.name
    group.name = name
    group.name_key = name_key(name)


_SETTERS: Mapping[str, Setter] = {"name": _set_name, "external_id": principals.set_external_id}


def _source(
    request: pb.CreateGroupRequest | pb.UpdateGroupRequest | pb.UpdateGroupMembersRequest,
) -> str:
    """The name of the source. Raises FIELD_INVALID for a number that has none."""
    if request.source not in pb.MembershipSource.values():
        raise validation.invalid("source", f"say one of {', '.join(SOURCES)}")
    return pb.MembershipSource.Name(request.source or pb.MembershipSource.ADMIN)


def _add_source(call: Call, group_id: str, member: str, edge: GroupMember | None, source: str) -> None:
    """Makes the edge, or notes that it comes from this source too."""
    if edge is None:
        edge = GroupMember(
            group_id=group_id, member_id=member, create_time=call.now, created_by=call.caller.id, sources=[source]
        )  # fmt: skip
        call.uow.session.add(edge)
    elif source not in edge.sources:
        edge.sources = sorted({*edge.sources, source}, key=SOURCES.index)


def _take_source(call: Call, edge: GroupMember | None, source: str) -> bool:
    """Takes this source from an edge, an admin all of them; says whether the edge is gone, as it is without a source."""
    if edge is None:
        return False
    left = [] if source == "ADMIN" else [other for other in edge.sources if other != source]
    if left:
        edge.sources = left
        return False
    call.uow.session.delete(edge)
    return True


def _reference(member: Principal, sources: Iterable[str]) -> pb.PrincipalReference:
    return pb.PrincipalReference(
        id=member.id,
        name=member.name,
        kind=pb.PrincipalReference.Kind.Value(member.kind),
        display_name=member.display_name,
        sources=[pb.MembershipSource.Value(source) for source in sources],
    )


def _check_nesting(call: Call, group_id: str, joining: set[str]) -> None:
    """Raises GROUP_CYCLE, GROUP_TOO_DEEP or SYSTEM_OBJECT before an edge is added.

    The snapshot is the state just before this write and the head row is held, so two opposite edges cannot pass at once.
    """
    snapshot = call.snapshot
    above = snapshot.closure(group_id)
    for member in joining:
        principal = call.snapshot.principals[member]
        if principal.kind != "GROUP":
            continue
        if _is_system(call, member):
            raise FailedPrecondition(
                Reason.SYSTEM_OBJECT, f"{principal.name} cannot be a member of another group"
            )
        if member == group_id or member in above:
            raise FailedPrecondition(
                Reason.GROUP_CYCLE,
                f"{principal.name} contains {call.principal_name(group_id)} already: it cannot be its member too",
                group=call.principal_name(group_id),
                member=principal.name,
            )
        depth = _longest(snapshot.groups_of, group_id, call) + _longest(snapshot.members_of, member, call)
        if depth > GROUP_DEPTH_MAX:
            raise FailedPrecondition(
                Reason.GROUP_TOO_DEEP,
                f"groups would nest {depth} deep; at most {GROUP_DEPTH_MAX} are allowed",
                group=call.principal_name(group_id),
                member=principal.name,
            )


def _is_system(call: Call, principal_id: str) -> bool:
    return call.row(Principal, principal_id).system


def _longest(neighbours: Callable[[str], Iterable[str]], start: str, call: Call) -> int:
    """Groups on the longest chain from `start`, itself included; each group is walked once, however many paths lead to it."""
    principals = call.snapshot.principals

    @cache
    def height(group: str) -> int:
        return 1 + max(
            (height(node) for node in neighbours(group) if principals[node].kind == "GROUP"), default=0
        )

    return height(start)
