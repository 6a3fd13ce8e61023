"""Users, service principals and groups: their messages as SCIM resources, and changed resources as requests."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC
from types import ModuleType
from typing import Any

from scim2_models import Email, GroupMembership, Meta, Reference, Resource

from lakewarden.v1 import groups_pb2, service_principals_pb2, sessions_pb2, users_pb2
from lakewarden_server.http.scim.resources import Group, Member, ServicePrincipal, User

ENDPOINTS = {"USER": "Users", "GROUP": "Groups", "SERVICE_PRINCIPAL": "ServicePrincipals"}
TYPES = {"USER": "User", "GROUP": "Group", "SERVICE_PRINCIPAL": "ServicePrincipal"}


@dataclass(frozen=True)
class Noun:
    """One resource type and the service behind it."""

    name: str
    """Of the resource type and in the names of the RPCs, e.g. `User`."""
    messages: ModuleType
    field: str
    """Of requests, which holds the object; with an `s` that of List responses."""
    model: type[Resource[Any]]
    build: Callable[[Any], Resource[Any]]
    """The resource of a message."""
    writable: dict[str, str]
    """Attributes that change, and the fields they are in the message."""
    keyed: dict[str, str]
    """Attributes that tell one from all others, and the field of a List request that finds it."""

    def method(self, verb: str) -> str:
        """`GetUser` -> `UserService/GetUser`."""
        return f"{self.name}Service/{verb}{self.name}{'s' if verb == 'List' else ''}"

    def request(self, verb: str, **fields: Any) -> Any:
        """The request of a verb."""
        return getattr(self.messages, f"{verb}{self.name}{'s' if verb == 'List' else ''}Request")(**fields)

    def values(self, resource: Resource[Any]) -> dict[str, Any]:
        """What the message of a resource would have in the fields that change; what is unassigned is empty, `active` stays out."""
        found: dict[str, Any] = {}
        for attribute, field in self.writable.items():
            value = getattr(resource, attribute)
            if attribute != "active":
                found[field] = value or ""
            elif value is not None:
                found[field] = value
        return found


def version(message: Any) -> str:
    """The weak entity tag of a message."""
    return f'W/"{message.etag}"'


def etag(version: str | None) -> str:
    """The etag in an entity tag; empty for none."""
    return (version or "").removeprefix("W/").strip('"')


def members(references: Iterable[groups_pb2.PrincipalReference]) -> list[Member] | None:
    """Members of a group; None where there are none, as SCIM has no empty lists."""
    found = []
    for reference in references:
        kind = kind_of(reference)
        found.append(
            Member(
                value=reference.id,
                ref=Reference(f"{ENDPOINTS[kind]}/{reference.id}"),
                type=TYPES[kind],
                display=reference.display_name or reference.name,
            )
        )
    return found or None


def kind_of(reference: Any) -> str:
    """The name of a reference's kind."""
    kinds = type(reference).DESCRIPTOR.fields_by_name["kind"].enum_type.values_by_number
    return str(kinds[reference.kind].name)


def _common(message: Any, resource_type: str) -> dict[str, Any]:
    return {
        "id": message.id,
        "external_id": message.external_id or None,
        "groups": [
            GroupMembership(
                value=group.id, ref=Reference(f"Groups/{group.id}"), display=group.name, type="direct"
            )
            for group in message.groups
        ]
        or None,
        "meta": Meta(resource_type=resource_type, **_versioned(message)),
    }


def _versioned(message: Any) -> dict[str, Any]:
    """When it was made and changed, and its version; nothing of what a session tells of its caller."""
    if not message.etag:
        return {}
    return {
        "created": message.create_time.ToDatetime(UTC),
        "last_modified": message.update_time.ToDatetime(UTC),
        "version": version(message),
    }


def _user(message: users_pb2.User) -> User:
    return User(
        user_name=message.name,
        display_name=message.display_name or None,
        active=message.active,
        emails=[Email(value=message.name, type=Email.Type.work, primary=True)],
        **_common(message, "User"),
    )


def _service_principal(message: service_principals_pb2.ServicePrincipal) -> ServicePrincipal:
    return ServicePrincipal(
        application_id=message.name,
        user_name=message.name,
        display_name=message.display_name or None,
        active=message.active,
        **_common(message, "ServicePrincipal"),
    )


def _group(message: groups_pb2.Group) -> Group:
    return Group(display_name=message.name, **_common(message, "Group"))


_PERSON = {"display_name": "display_name", "active": "active", "external_id": "external_id"}
NOUNS = {
    noun.name: noun
    for noun in (
        Noun("User", users_pb2, "user", User, _user, _PERSON, {"user_name": "name"}),
        Noun(
            "ServicePrincipal", service_principals_pb2, "service_principal", ServicePrincipal, _service_principal,
            _PERSON, {"application_id": "name"},
        ),
        Noun(
            "Group", groups_pb2, "group", Group, _group,
            {"display_name": "name", "external_id": "external_id"}, {"display_name": "name"},
        ),
    )
}  # fmt: skip


def told_by(session: sessions_pb2.Session) -> Any:
    """The message of a session's caller, with as much as the session tells."""
    noun = NOUNS[TYPES[kind_of(session)]]
    return getattr(noun.messages, noun.name)(
        id=session.principal_id,
        name=session.principal,
        display_name=session.display_name,
        active=True,
        groups=session.direct_groups,
    )


def by_id(ids: Collection[str]) -> list[str]:
    """Ids in the place of names."""
    return [f"id/{one}" for one in sorted(ids)]
