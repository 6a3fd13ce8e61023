"""What the SCIM library reads and writes, as calls of RPCs. One storage serves one request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from scim2_models import (
    InvalidValueException,
    NotImplementedException,
    Resource,
    ResourceType,
    ResponseParameters,
    SearchRequest,
)
from scim2_models.path import CompareOperator, Comparison, LogicalExpr, LogicalOperator
from scim2_server.storage import ScimStorage, SearchPage

from lakewarden.v1 import groups_pb2, sessions_pb2
from lakewarden_server.http.calls import Calls
from lakewarden_server.http.scim.limits import Matches, comparisons, values
from lakewarden_server.http.scim.nouns import NOUNS, Noun, by_id, etag, members, told_by
from lakewarden_server.http.scim.resources import RESULTS_MAX, Group

START_MAX = 2**31 - 1
"""What a number in a request can say; no list is so long."""
SOURCE = groups_pb2.MembershipSource.SCIM


class RpcStorage(ScimStorage):
    """Users, groups and service principals of the account, as the caller of one request may see and change them."""

    def __init__(self, calls: Calls, session: sessions_pb2.Session) -> None:
        self._calls = calls
        self._session = session
        self._read: dict[str, Any] = {}
        self._members: dict[str, list[groups_pb2.PrincipalReference]] = {}
        self.named_members: set[str] = set()
        """Ids a request says are members, whether or not they were before: SCIM vouches for them from now on."""

    @property
    def was_active(self) -> bool:
        """Whether the user or service principal that was read is active; true before one was."""
        return all(getattr(message, "active", True) for message in self._read.values())

    def get(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        response_parameters: ResponseParameters[Any] | None = None,
    ) -> Resource[Any]:
        """One resource. Raises `CallFailed`."""
        noun = noun_of(resource_type)
        if self._is_caller(resource_id) and self._session.token_workspace:
            # A token that is limited to a workspace reads nothing of the account, but it may say whose it is.
            message = told_by(self._session)
        else:
            message = self._calls(noun.method("Get"), noun.request("Get", name=f"id/{resource_id}"))
        self._read[message.id] = message
        return self._built(noun, message, with_members=_wants_members(response_parameters))

    def search(
        self,
        resource_types: list[ResourceType],
        search_request: SearchRequest[Any],
        *,
        position: Any = None,
    ) -> SearchPage:
        """One page: of a plain list from the service itself, of a filtered or sorted one from all that could match."""
        if search_request.filter is not None or search_request.sort_by is not None:
            return self.search_matching(resource_types, search_request)
        noun, start, count = _asked(resource_types, search_request)
        reply = self._list(noun, page_size=max(count, 1), skip=start)
        wanted = _wants_members(search_request)
        found = getattr(reply, f"{noun.field}s")[:count]
        return SearchPage(
            reply.total_size, [self._built(noun, message, with_members=wanted) for message in found]
        )

    def search_matching(
        self, resource_types: list[ResourceType], search_request: SearchRequest[Any]
    ) -> SearchPage:
        """One page of all that could match."""
        noun, start, count = _asked(resource_types, search_request)
        matching = self._matching(noun, search_request)
        page = matching[start : start + count]
        for resource in page:
            if isinstance(resource, Group) and _wants_members(search_request):
                resource.members = members(self._members_of(str(resource.id)))
        return SearchPage(len(matching), page)

    def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        """A new resource. Raises `CallFailed`."""
        noun = noun_of(resource_type)
        values = noun.values(resource)
        fields: dict[str, Any] = {}
        if isinstance(resource, Group):
            fields = {"members": by_id(_ids(resource)), "source": SOURCE}
        elif values.pop("active", True) is False:
            fields = {"inactive": True}
        if noun.name == "User":
            values["name"] = getattr(resource, "user_name", "")
        request = noun.request("Create", **{noun.field: values}, **fields)
        return self._built(noun, self._calls(noun.method("Create"), request), with_members=True)

    def update(
        self, resource_type: ResourceType, resource: Resource[Any], *, expected_version: str | None = None
    ) -> Resource[Any]:
        """The resource after the changes, which are one call, or none where nothing changes. Raises `CallFailed`."""
        noun, before = noun_of(resource_type), self._read[str(resource.id)]
        values = {
            field: value for field, value in noun.values(resource).items() if getattr(before, field) != value
        }
        fields: dict[str, Any] = {}
        mask = list(values)
        name = f"id/{before.id}"
        if isinstance(resource, Group):
            fields = self._member_changes(resource)
            mask += ["members"] if fields else []
            fields["name"] = name
        else:
            values["name"] = name
        if not mask:
            return self._built(noun, before, with_members=True)
        request = noun.request(
            "Update",
            **{noun.field: {**values, "etag": etag(expected_version)}},
            update_mask={"paths": mask},
            **fields,
        )
        self._members.pop(before.id, None)
        return self._built(noun, self._calls(noun.method("Update"), request), with_members=True)

    def admit_members(self, group_id: str) -> None:
        """Nothing, where the caller may change the members of a group. Raises `CallFailed`."""
        request = groups_pb2.UpdateGroupRequest(
            name=f"id/{group_id}", update_mask=FieldMask(paths=["members"])
        )
        self._calls.admit("GroupService/UpdateGroup", request)

    def delete(
        self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None
    ) -> None:
        """Ends a resource. Raises `CallFailed`."""
        noun = noun_of(resource_type)
        request = noun.request("Delete", name=f"id/{resource_id}", etag=etag(expected_version))
        self._calls(noun.method("Delete"), request)

    def _is_caller(self, resource_id: str) -> bool:
        return resource_id == self._session.principal_id

    def _built(self, noun: Noun, message: Any, *, with_members: bool) -> Resource[Any]:
        resource = noun.build(message)
        if isinstance(resource, Group) and with_members:
            resource.members = members(self._members_of(message.id))
        return resource

    def _list(self, noun: Noun, **fields: Any) -> Any:
        return self._calls(noun.method("List"), noun.request("List", **fields))

    def _matching(self, noun: Noun, search: SearchRequest[Any]) -> list[Resource[Any]]:
        needs_members = "members" in str(search.filter or "").lower()
        matches = Matches(comparisons(str(search.filter or "")))
        found = []
        for message in self._candidates(noun, search.filter):
            resource = self._built(noun, message, with_members=needs_members)
            matches.spend(values(resource))
            if search.filter is None or search.filter.match(resource):
                found.append(resource)
        return search.sort(found) if search.sort_by is not None else found

    def _candidates(self, noun: Noun, scim_filter: Any) -> Iterator[Any]:
        """Everything a filter could match: the one with a key it compares by `eq`, else all."""
        fields, token = _key(noun, scim_filter), ""
        while True:
            reply = self._list(noun, page_size=RESULTS_MAX, page_token=token, **fields)
            yield from getattr(reply, f"{noun.field}s")
            token = reply.next_page_token
            if not token:
                return

    def _members_of(self, group_id: str) -> list[groups_pb2.PrincipalReference]:
        found = self._members.get(group_id)
        if found is None:
            found, token = [], ""
            while True:
                request = groups_pb2.ListGroupMembersRequest(
                    name=f"id/{group_id}", page_size=RESULTS_MAX, page_token=token
                )
                reply = self._calls("GroupService/ListGroupMembers", request)
                found.extend(reply.members)
                token = reply.next_page_token
                if not token:
                    break
            self._members[group_id] = found
        return found

    def _member_changes(self, group: Group) -> dict[str, Any]:
        """The fields of UpdateGroup that bring the members to those of `group`; empty where nothing changes."""
        before = {member.id: SOURCE in member.sources for member in self._members_of(str(group.id))}
        after = _ids(group)
        vouched = {member for member in self.named_members & before.keys() if not before[member]}
        joining, leaving = (after - before.keys()) | (vouched & after), before.keys() - after
        if not joining and not leaving:
            return {}
        return {"add_members": by_id(joining), "remove_members": by_id(leaving), "source": SOURCE}


def _asked(resource_types: list[ResourceType], search_request: SearchRequest[Any]) -> tuple[Noun, int, int]:
    """What is searched, from where on, and how many are wanted."""
    if len(resource_types) != 1:
        raise NotImplementedException(detail="Search one resource type at a time")
    assert search_request.count is not None
    return (
        noun_of(resource_types[0]),
        min(search_request.start_index_0 or 0, START_MAX),
        search_request.count,
    )


def noun_of(resource_type: ResourceType) -> Noun:
    """The noun of a resource type."""
    return NOUNS[str(resource_type.name)]


def _ids(group: Group) -> set[str]:
    found = set()
    for member in group.members or []:
        if not member.value:
            raise InvalidValueException(detail="members: each has the id of a principal as its value")
        found.add(member.value)
    return found


def _wants_members(parameters: Any) -> bool:
    """Whether an answer shows the members of groups, which cost a call each (RFC 7644, section 3.9)."""
    if parameters is None:
        return True
    if parameters.attributes:
        return any(_attribute(path).startswith("members") for path in parameters.attributes)
    return all(_attribute(path) != "members" for path in parameters.excluded_attributes or [])


def _attribute(path: Any) -> str:
    """The attribute a path begins with, without its schema, in lower case."""
    return str(path).rpartition(":")[2].lower()


def _key(noun: Noun, scim_filter: Any) -> dict[str, str]:
    """The fields of a List request that find what `attribute eq "text"` compares with, alone or joined by `and` to more;
    empty for any other filter.
    """
    node = scim_filter.ast if scim_filter is not None else None
    joined = isinstance(node, LogicalExpr) and node.op == LogicalOperator.and_
    terms = node.terms if joined and node is not None else (node,)
    return next(filter(None, (_key_of(noun, scim_filter, term) for term in terms)), {})


def _key_of(noun: Noun, scim_filter: Any, node: Any) -> dict[str, str]:
    if not isinstance(node, Comparison) or node.op != CompareOperator.eq or not isinstance(node.value, str):
        return {}
    binding = scim_filter.resolve_comparison(node.attr_path, strict=False)
    attribute = binding.target_field_name if binding is not None else ""
    if not node.value:
        return {}
    if attribute == "id":
        return {"name": f"id/{node.value}"}
    if attribute == "external_id":
        return {"external_id": node.value}
    return {noun.keyed[attribute]: node.value} if attribute in noun.keyed else {}
