"""Client secrets of service principals: rows beside the tokens, made by who manages the service principal (semantics 5.5)."""

from __future__ import annotations

from datetime import timedelta

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import service_principals_pb2 as pb
from lakewarden_server.authn.keys import Keys
from lakewarden_server.authn.tokens import TokenKind, mint
from lakewarden_server.core.errors import NotFound, Reason, ResourceExhausted
from lakewarden_server.entities import Token
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.lifetimes import lifetime
from lakewarden_server.services.tokens import token_row
from lakewarden_server.storage.repositories import tokens

LIFETIME_DEFAULT = timedelta(days=365)
LIFETIME_MAX = timedelta(days=730)
SECRETS_PER_PRINCIPAL_MAX = 5


def create(
    keys: Keys, request: pb.CreateServicePrincipalSecretRequest, call: Call
) -> pb.CreateServicePrincipalSecretResponse:
    """Adds one and shows it. Raises QUOTA_EXCEEDED, FIELD_INVALID."""
    if len(_live(call)) >= SECRETS_PER_PRINCIPAL_MAX:
        raise ResourceExhausted(
            Reason.QUOTA_EXCEEDED,
            f"the service principal has {SECRETS_PER_PRINCIPAL_MAX} live secrets: delete one first",
        )
    text = mint(TokenKind.CLIENT_SECRET)
    row = token_row(
        keys,
        text,
        principal_id=call.self_id,
        now=call.now,
        lifetime=lifetime(request.lifetime_seconds, call, default=LIFETIME_DEFAULT, longest=LIFETIME_MAX),
        comment=validation.comment(request.comment),
    )
    call.uow.session.add(row)
    call.uow.session.flush()
    call.detail.update(secret_id=row.id, expire_time=row.expire_time.isoformat())
    return pb.CreateServicePrincipalSecretResponse(secret=_to_message(row), secret_value=text.render())


def page(
    request: pb.ListServicePrincipalSecretsRequest, call: Call
) -> pb.ListServicePrincipalSecretsResponse:
    """The live ones, in the order of their ids."""
    rows, token = call.pager.page(
        sorted(_live(call), key=lambda row: row.id),
        lambda row: row.id,
        list_name=f"secrets/{call.self_id}",
        page_size=request.page_size,
        page_token=request.page_token,
    )
    return pb.ListServicePrincipalSecretsResponse(
        secrets=[_to_message(row) for row in rows], next_page_token=token
    )


def delete(request: pb.DeleteServicePrincipalSecretRequest, call: Call) -> Empty:
    """Deletes its row, and with it every access token it was traded for. Raises OBJECT_NOT_FOUND."""
    row = call.uow.session.get(Token, request.id)
    if row is None or row.principal_id != call.self_id or row.kind != TokenKind.CLIENT_SECRET:
        raise NotFound(Reason.OBJECT_NOT_FOUND, f"the service principal has no secret {request.id!r}")
    call.uow.session.delete(row)
    call.detail["secret_id"] = row.id
    return Empty()


def _live(call: Call) -> list[Token]:
    rows = tokens.of_principal(call.uow.session, call.self_id, (TokenKind.CLIENT_SECRET,))
    return [row for row in rows if row.expire_time > call.now]


def _to_message(row: Token) -> pb.ServicePrincipalSecret:
    message = pb.ServicePrincipalSecret(id=row.id, comment=row.comment)
    message.create_time.FromDatetime(row.create_time)
    message.expire_time.FromDatetime(row.expire_time)
    return message
