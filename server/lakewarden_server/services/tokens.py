"""Personal access tokens, and access tokens for client secrets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import tokens_pb2 as pb
from lakewarden_policy import ACCOUNT_ADMIN, ACCOUNT_ID, name_key
from lakewarden_server.authn.access_tokens import LIFETIME_MAX as ACCESS_LIFETIME_MAX
from lakewarden_server.authn.access_tokens import AccessTokens
from lakewarden_server.authn.keys import Keys
from lakewarden_server.authn.tokens import PERSONAL, TokenKind, TokenText, digest, mint
from lakewarden_server.core.errors import (
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Reason,
    ResourceExhausted,
)
from lakewarden_server.entities import Token
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.lifetimes import lifetime
from lakewarden_server.storage.repositories import tokens

LIFETIME_DEFAULT = timedelta(days=90)
LIFETIME_MAX = timedelta(days=365)
ONE_TIME_LIFETIME = timedelta(hours=24)
TOKENS_PER_PRINCIPAL_MAX = 20


class TokenService:
    """Implements `lakewarden.v1.TokenService`."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._access_tokens = AccessTokens(keys)

    def create_token(self, request: pb.CreateTokenRequest, call: Call) -> pb.CreateTokenResponse:
        """Creates a token; a bootstrap token that asked is used up in the same transaction."""
        principal_id = call.objects["subject"]
        live = [
            token
            for token in tokens.of_principal(call.uow.session, principal_id, PERSONAL)
            if token.expire_time > call.now
        ]
        if len(live) >= TOKENS_PER_PRINCIPAL_MAX:
            raise ResourceExhausted(
                Reason.QUOTA_EXCEEDED,
                f"{len(live)} live tokens; at most {TOKENS_PER_PRINCIPAL_MAX}: revoke one first",
            )
        kind = _kind(principal_id, call)
        if kind is TokenKind.BOOTSTRAP:
            _check_may_hand_out(principal_id, call)
        text = mint(kind)
        token = token_row(
            self._keys,
            text,
            principal_id=principal_id,
            now=call.now,
            lifetime=lifetime(
                request.lifetime_seconds, call, default=LIFETIME_DEFAULT, longest=_longest(kind)
            ),
            comment=validation.comment(request.comment),
            workspace_id=_workspace_id(request, call),
        )
        call.uow.session.add(token)
        if call.caller.token_kind is TokenKind.BOOTSTRAP:
            call.uow.session.delete(call.uow.session.get(Token, call.caller.token_id))
            call.detail["redeemed_token_id"] = call.caller.token_id
        call.uow.session.flush()
        call.detail.update(token_id=token.id, expire_time=token.expire_time.isoformat())
        return pb.CreateTokenResponse(token=to_message(token, call), token_value=text.render())

    def list_tokens(self, request: pb.ListTokensRequest, call: Call) -> pb.ListTokensResponse:
        """Lists the live tokens of the caller or of the named principal."""
        principal_id = call.objects["subject"]
        rows = [
            row
            for row in tokens.of_principal(call.uow.session, principal_id, PERSONAL)
            if _within_limit(row, call)
        ]
        page, token = call.pager.page(
            sorted((row for row in rows if row.expire_time > call.now), key=lambda row: row.id),
            lambda row: row.id,
            list_name=f"tokens/{principal_id}",
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListTokensResponse(tokens=[to_message(row, call) for row in page], next_page_token=token)

    def delete_token(self, request: pb.DeleteTokenRequest, call: Call) -> Empty:
        """Revokes a token by deleting its row."""
        token = call.uow.session.get(Token, request.id)
        of_subject = token is not None and token.principal_id == call.objects["subject"]
        if token is None or not of_subject or token.kind not in PERSONAL or not _within_limit(token, call):
            raise NotFound(Reason.OBJECT_NOT_FOUND, f"there is no token {request.id!r} of that principal")
        call.uow.session.delete(token)
        call.detail["token_id"] = token.id
        return Empty()

    def create_access_token(
        self, request: pb.CreateAccessTokenRequest, call: Call
    ) -> pb.CreateAccessTokenResponse:
        """Signs a token that rests on the client secret of the call and ends no later than it."""
        expire_time = min(
            datetime.fromtimestamp(call.caller.token_expire_time, UTC),
            (call.now + ACCESS_LIFETIME_MAX),
        ).replace(microsecond=0)
        text = self._access_tokens.issue(
            principal_id=call.caller.id,
            client_id=call.caller.name,
            credential_id=call.caller.token_id,
            now=call.now,
            expire_time=expire_time,
        )
        call.detail.update(secret_id=call.caller.token_id, expire_time=expire_time.isoformat())
        reply = pb.CreateAccessTokenResponse(
            access_token=text, expires_in=int((expire_time - call.now).total_seconds())
        )
        reply.expire_time.FromDatetime(expire_time)
        return reply


def _within_limit(token: Token, call: Call) -> bool:
    """A token limited to a workspace sees and ends only tokens with the same limit."""
    limit = call.caller.token_workspace_id
    return limit is None or token.workspace_id == limit


def token_row(
    keys: Keys,
    text: TokenText,
    *,
    principal_id: str,
    now: datetime,
    lifetime: timedelta,
    comment: str = "",
    workspace_id: str | None = None,
) -> Token:
    """The row of a freshly minted token: everything but its secret."""
    return Token(
        id=text.id,
        principal_id=principal_id,
        kind=str(text.kind),
        digest=digest(keys.pepper, text, principal_id),
        pepper_id=keys.id,
        comment=comment,
        workspace_id=workspace_id,
        create_time=now,
        expire_time=now + lifetime,
    )


def to_message(token: Token, call: Call) -> pb.Token:
    """The message of a token's row."""
    workspace = call.snapshot.securables.get(token.workspace_id or "")
    message = pb.Token(
        id=token.id,
        principal=call.principal_name(token.principal_id),
        comment=token.comment,
        workspace=workspace.name if workspace else "",
    )
    message.create_time.FromDatetime(token.create_time)
    message.expire_time.FromDatetime(token.expire_time)
    return message


def _kind(principal_id: str, call: Call) -> TokenKind:
    """One-time for another person, who trades it for a lasting one; both acts are audited under one token id."""
    for_another = principal_id != call.caller.id and call.snapshot.principals[principal_id].kind == "USER"
    return TokenKind.BOOTSTRAP if for_another else TokenKind.PAT


def _longest(kind: TokenKind) -> timedelta:
    return ONE_TIME_LIFETIME if kind is TokenKind.BOOTSTRAP else LIFETIME_MAX


def _check_may_hand_out(principal_id: str, call: Call) -> None:
    """A one-time token outlives itself by what it is traded for, so a short-lived token makes none, and none is for an admin.

    Raises FIELD_INVALID or ACCESS_DENIED.
    """
    left = datetime.fromtimestamp(call.caller.token_expire_time, UTC) - call.now
    if left < ONE_TIME_LIFETIME:
        raise validation.invalid(
            "principal",
            "a token that ends within a day makes no one-time token for another person: use a longer one",
        )
    if call.decider.atom(principal_id, None, ACCOUNT_ID, ACCOUNT_ADMIN):
        raise PermissionDenied(
            Reason.ACCESS_DENIED,
            "it is an account admin: only `lakewarden-server recover` makes a one-time token for one",
        )


def _workspace_id(request: pb.CreateTokenRequest, call: Call) -> str | None:
    limit = call.caller.token_workspace_id
    if not request.workspace:
        return limit
    found = call.snapshot.child(ACCOUNT_ID, "WORKSPACE", name_key(request.workspace))
    if found is None or not call.decider.visible(call.caller.id, call.workspace_id, found.id):
        raise InvalidArgument(
            Reason.FIELD_INVALID,
            f"workspace: there is no workspace {request.workspace!r} you may use",
            field="workspace",
        )
    if limit is not None and found.id != limit:
        raise PermissionDenied(
            Reason.WORKSPACE_DENIED, "this token is limited to its workspace and so are its tokens"
        )
    return found.id
