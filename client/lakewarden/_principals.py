"""Who may call, as a client sees it: users, groups, service principals, tokens and the caller's own session."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import ModuleType
from typing import ClassVar

from google.protobuf.field_mask_pb2 import FieldMask

from lakewarden._connection import Connection
from lakewarden._errors import InvalidArgument, Unavailable
from lakewarden._resources import PrincipalResource, Resource
from lakewarden.v1 import (
    groups_pb2,
    groups_pb2_grpc,
    service_principals_pb2,
    service_principals_pb2_grpc,
    sessions_pb2,
    sessions_pb2_grpc,
    tokens_pb2,
    tokens_pb2_grpc,
    users_pb2,
    users_pb2_grpc,
)


class Users(PrincipalResource[users_pb2.User]):
    """Users: people, named by email address."""

    messages: ClassVar[ModuleType] = users_pb2
    stub_class = users_pb2_grpc.UserServiceStub
    noun = "User"
    plural = "Users"
    field = "user"

    def create(self, name: str, *, display_name: str = "", external_id: str = "") -> users_pb2.User:
        """Create an active user. Account admins only."""
        fields = {"name": name, "display_name": display_name, "external_id": external_id, "active": True}
        return self._create(fields)


class ServicePrincipals(PrincipalResource[service_principals_pb2.ServicePrincipal]):
    """Service principals: programs and engines, named by the application id the server gives them."""

    messages: ClassVar[ModuleType] = service_principals_pb2
    stub_class = service_principals_pb2_grpc.ServicePrincipalServiceStub
    noun = "ServicePrincipal"
    plural = "ServicePrincipals"
    field = "service_principal"

    def create(self, display_name: str, *, external_id: str = "") -> service_principals_pb2.ServicePrincipal:
        """Create an active service principal; its `name` is the application id. Account admins only."""
        return self._create({"display_name": display_name, "external_id": external_id, "active": True})

    def create_secret(
        self, name: str, *, comment: str = "", lifetime_seconds: int = 0
    ) -> service_principals_pb2.CreateServicePrincipalSecretResponse:
        """Create a client secret; the reply's `secret_value` is shown only here.

        Raises Unavailable (TOKEN_VALUE_LOST) when it was created but the reply with the secret got lost on the way.
        """
        reply: service_principals_pb2.CreateServicePrincipalSecretResponse = self._call(
            "CreateServicePrincipalSecret", name=name, comment=comment, lifetime_seconds=lifetime_seconds
        )
        if not reply.secret_value:
            raise Unavailable(
                f"secret {reply.secret.id} was created, but the reply that shows it was lost. Delete it and create another",
                reason="TOKEN_VALUE_LOST",
                metadata={"secret_id": reply.secret.id},
            )
        return reply

    def secrets(
        self, name: str, *, page_size: int = 0, limit: int | None = None
    ) -> Iterator[service_principals_pb2.ServicePrincipalSecret]:
        """Yield the live client secrets, without what is secret in them."""
        return self._pages(
            "ListServicePrincipalSecrets", "secrets", page_size=page_size, limit=limit, name=name
        )

    def delete_secret(self, name: str, secret_id: str) -> None:
        """Delete a client secret: the next call with it, or with an access token it was traded for, is refused."""
        self._call("DeleteServicePrincipalSecret", name=name, id=secret_id)


class Groups(Resource[groups_pb2.Group]):
    """Groups of principals, nested at most ten deep."""

    messages: ClassVar[ModuleType] = groups_pb2
    stub_class = groups_pb2_grpc.GroupServiceStub
    noun = "Group"
    plural = "Groups"
    field = "group"
    key = "name"

    def create(self, name: str, *, external_id: str = "") -> groups_pb2.Group:
        """Create an empty group. Account admins only."""
        return self._create({"name": name, "external_id": external_id})

    def list(
        self, *, external_id: str = "", page_size: int = 0, limit: int | None = None
    ) -> Iterator[groups_pb2.Group]:
        """Yield the groups the caller may see, in the order of their names; only the one with that external id, if given."""
        return self._list(page_size=page_size, limit=limit, external_id=external_id)

    def rename(self, name: str, new_name: str, *, etag: str = "") -> groups_pb2.Group:
        """Give it a new name; members and grants stay."""
        return self._change(name, {"name": new_name}, etag)

    def update(self, name: str, *, external_id: str, etag: str = "") -> groups_pb2.Group:
        """Change the identifier it bears at an identity provider; empty takes it away."""
        return self._change(name, {"external_id": external_id}, etag)

    def _change(self, name: str, values: Mapping[str, str], etag: str) -> groups_pb2.Group:
        # A group is addressed by its old name beside the new values, one of which may be a name.
        reply: groups_pb2.Group = self._call(
            "UpdateGroup",
            name=name,
            group={**values, "etag": etag},
            update_mask=FieldMask(paths=list(values)),
        )
        return reply

    def update_members(
        self, name: str, *, add: Iterable[str] = (), remove: Iterable[str] = (), source: str = "ADMIN"
    ) -> groups_pb2.UpdateGroupMembersResponse:
        """Add and remove members by name, in one transaction; tells how many really changed.

        `source` is ADMIN, SCIM or IDP: what the last two remove stays while another source has it.
        """
        reply: groups_pb2.UpdateGroupMembersResponse = self._call(
            "UpdateGroupMembers", name=name, add=list(add), remove=list(remove), source=_source(source)
        )
        return reply

    def members(
        self, name: str, *, page_size: int = 0, limit: int | None = None
    ) -> Iterator[groups_pb2.PrincipalReference]:
        """Yield the direct members, in the order of their names."""
        return self._pages("ListGroupMembers", "members", page_size=page_size, limit=limit, name=name)

    def delete(self, name: str, *, etag: str = "") -> None:
        """Delete a group with its memberships. What it owned and was granted stays, under its id and for nobody."""
        self._delete(name, etag=etag)


def _source(name: str) -> int:
    """The number of a membership source. Raises InvalidArgument for a name that is none."""
    if name.upper() not in groups_pb2.MembershipSource.keys():  # noqa: SIM118 - no dict, and not iterable
        raise InvalidArgument(
            f"there is no membership source {name!r}: say ADMIN, SCIM or IDP", reason="FIELD_INVALID"
        )
    return groups_pb2.MembershipSource.Value(name.upper())


class Tokens(Resource[tokens_pb2.Token]):
    """Personal access tokens, and access tokens for client secrets."""

    messages: ClassVar[ModuleType] = tokens_pb2
    stub_class = tokens_pb2_grpc.TokenServiceStub
    noun = "Token"
    plural = "Tokens"
    field = "token"
    key = "id"

    def create(
        self, *, principal: str = "", comment: str = "", lifetime_seconds: int = 0, workspace: str = ""
    ) -> tokens_pb2.CreateTokenResponse:
        """Create a token, for the caller unless `principal` names a service principal.

        The reply's `token_value` is the secret, shown only here; `workspace` limits the token to one.
        Raises Unavailable (TOKEN_VALUE_LOST) when it was created but the reply with the secret got lost on the way.
        """
        reply: tokens_pb2.CreateTokenResponse = self._call(
            "CreateToken",
            principal=principal,
            comment=comment,
            lifetime_seconds=lifetime_seconds,
            workspace=workspace,
        )
        _require_value(reply)
        return reply

    def rotate(
        self, token_id: str, *, principal: str = "", lifetime_seconds: int = 0, overlap_seconds: int = 0
    ) -> tokens_pb2.RotateTokenResponse:
        """Replace a token by a new one with its comment and workspace; the old one works on for `overlap_seconds`.

        Raises Unavailable (TOKEN_VALUE_LOST) as `create`.
        """
        reply: tokens_pb2.RotateTokenResponse = self._call(
            "RotateToken",
            id=token_id,
            principal=principal,
            lifetime_seconds=lifetime_seconds,
            overlap_seconds=overlap_seconds,
        )
        _require_value(reply)
        return reply

    def list(
        self, *, principal: str = "", page_size: int = 0, limit: int | None = None
    ) -> Iterator[tokens_pb2.Token]:
        """Yield live tokens without their secrets: the caller's own, or those of `principal`."""
        return self._list(page_size=page_size, limit=limit, principal=principal)

    def delete(self, token_id: str, *, principal: str = "") -> None:
        """Revoke a token: the next call with it is refused."""
        self._delete(token_id, principal=principal)

    def create_access_token(
        self, client_id: str = "", client_secret: str = ""
    ) -> tokens_pb2.CreateAccessTokenResponse:
        """Trade a service principal's application id and client secret for an access token of an hour at most.

        Without them, the client's own token is traded, which must be one of an identity provider: `client.as_token(text).tokens…`.
        Raises Unavailable (TOKEN_VALUE_LOST) when the reply got lost on the way: ask again.
        """
        connection = replace(self._connection, workspace="")
        if client_id or client_secret:
            connection = self._connection.with_client_secret(client_id, client_secret)
        reply = connection.call(self._stub.CreateAccessToken, tokens_pb2.CreateAccessTokenRequest())
        if not reply.access_token:
            raise Unavailable("the reply with the access token was lost: retry", reason="TOKEN_VALUE_LOST")
        return reply  # type: ignore[no-any-return]

    def list_of_workspace(
        self, workspace: str, *, page_size: int = 0, limit: int | None = None
    ) -> Iterator[tokens_pb2.Token]:
        """Yield the live tokens that are limited to a workspace, whosever they are. Its admins only."""
        return self._pages(
            "ListWorkspaceTokens", "tokens", page_size=page_size, limit=limit, workspace=workspace
        )

    def delete_of_workspace(self, workspace: str, token_id: str) -> None:
        """Revoke a token that is limited to a workspace, whosever it is. Its admins only."""
        self._call("DeleteWorkspaceToken", workspace=workspace, id=token_id)


def _require_value(reply: tokens_pb2.CreateTokenResponse | tokens_pb2.RotateTokenResponse) -> None:
    if not reply.token_value:
        raise Unavailable(
            f"token {reply.token.id} was created, but the reply with its secret was lost. Revoke it and create another",
            reason="TOKEN_VALUE_LOST",
            metadata={"token_id": reply.token.id},
        )


class Sessions:
    """The caller itself, as the server sees it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = sessions_pb2_grpc.SessionServiceStub(connection.open_channel)

    def get(self) -> sessions_pb2.Session:
        """Return who the caller is, its groups, and where it is calling from."""
        return self._connection.call(self._stub.GetSession, sessions_pb2.GetSessionRequest())
