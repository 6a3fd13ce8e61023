"""What is provisioned, as SCIM describes it: the attributes that are kept, and what the service can do (RFC 7643)."""

from __future__ import annotations

from typing import Annotated, Any, Union

from pydantic import Field
from scim2_models import (
    URN,
    AuthenticationScheme,
    Bulk,
    CaseExact,
    ChangePassword,
    ComplexAttribute,
    Email,
    ETag,
    Filter,
    GroupMembership,
    Mutability,
    Patch,
    Reference,
    Required,
    Resource,
    Returned,
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
    Uniqueness,
)

RESULTS_MAX = 1_000
"""Resources in one answer to a search; a client goes on with `startIndex`."""
_CORE = "urn:ietf:params:scim:schemas:core:2.0"


class User(Resource[Any]):
    """A person. `userName` is the email address; `emails` repeats it."""

    __schema__ = URN(f"{_CORE}:User")

    user_name: Annotated[str | None, Required.true, Uniqueness.server, Mutability.immutable] = None
    display_name: str | None = None
    active: Annotated[bool | None, Required.true] = None
    emails: Annotated[list[Email] | None, Mutability.read_only] = None
    groups: Annotated[list[GroupMembership] | None, Mutability.read_only] = None


class ServicePrincipal(Resource[Any]):
    """A program or an engine. The server makes its `applicationId`; `userName` repeats it for programs that ask `/Me` who they are."""

    __schema__ = URN(f"{_CORE}:ServicePrincipal")

    application_id: Annotated[str | None, Mutability.read_only, Uniqueness.server] = None
    user_name: Annotated[str | None, Mutability.read_only] = None
    display_name: str | None = None
    active: Annotated[bool | None, Required.true] = None
    groups: Annotated[list[GroupMembership] | None, Mutability.read_only] = None


class Member(ComplexAttribute):
    """A direct member of a group; its name is told where `members.display` is asked for, what it is by itself."""

    value: Annotated[str | None, Mutability.immutable, CaseExact.true] = None
    ref: Annotated[
        Reference[Union["User", "ServicePrincipal", "Group"]] | None,  # noqa: UP007, UP037 - read by the library
        Mutability.immutable,
    ] = Field(None, serialization_alias="$ref", validation_alias="$ref")
    type: Annotated[str | None, Mutability.immutable] = Field(
        None, examples=["User", "ServicePrincipal", "Group"]
    )
    display: Annotated[str | None, Mutability.read_only, Returned.request] = None


class Group(Resource[Any]):
    """A set of principals of any kind."""

    __schema__ = URN(f"{_CORE}:Group")

    display_name: Annotated[str | None, Required.true, Uniqueness.server] = None
    members: list[Member] | None = None
    groups: Annotated[list[GroupMembership] | None, Mutability.read_only] = None


def provider() -> ScimProvider:
    """The service as it describes itself."""
    return ScimProvider(
        models=[User, Group, ServicePrincipal],
        config=ServiceProviderConfig(
            patch=Patch(supported=True),
            bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
            filter=Filter(supported=True, max_results=RESULTS_MAX),
            change_password=ChangePassword(supported=False),
            sort=Sort(supported=True),
            etag=ETag(supported=True),
            authentication_schemes=[
                AuthenticationScheme(
                    type=AuthenticationScheme.Type.oauthbearertoken,
                    name="Bearer token",
                    description="A token of an account admin, made with `lakewarden token create`",
                    primary=True,
                )
            ],
        ),
        # Identity providers send all of RFC 7643's attributes; `service` refuses those no RFC knows.
        policy=ScimPolicy(
            unknown=ScimPolicy.Unknown.ignore, remove_value_as_filter=ScimPolicy.RemoveValue.apply
        ),
    )
