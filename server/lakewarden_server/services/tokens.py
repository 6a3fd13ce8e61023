"""Personal access tokens, and access tokens for client secrets."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

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
from lakewarden_server.services.lifetimes import LASTING_LEFT_MIN, lifetime, remaining
from lakewarden_server.storage import token_uses
from lakewarden_server.storage.repositories import tokens

LIFETIME_DEFAULT = timedelta(days=90)
LIFETIME_MAX = timedelta(days=365)
ONE_TIME_LIFETIME = timedelta(hours=24)
OVERLAP_MAX = timedelta(hours=24)
"""How long a token that was rotated works on beside the new one (reliability 3)."""
TOKENS_PER_PRINCIPAL_MAX = 20


class TokenService:
    """Implements `lakewarden.v1.TokenService`."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._access_tokens = AccessTokens(keys)

    def create_token(self, request: pb.CreateTokenRequest, call: Call) -> pb.CreateTokenResponse:
        """Creates a token; a bootstrap token that asked is used up in the same transaction."""
        principal_id = call.objects["subject"]
        _check_quota(principal_id, call)
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

    def rotate_token(self, request: pb.RotateTokenRequest, call: Call) -> pb.RotateTokenResponse:
        """Makes a token with the other one's comment and workspace, which ends after the overlap."""
        old = _of_subject(request.id, call)
        if old.kind != TokenKind.PAT or old.expire_time <= call.now:
            raise _no_token(request.id)
        overlap = _overlap(request)
        _check_quota(old.principal_id, call, besides=old.id)
        text = mint(TokenKind.PAT)
        token = token_row(
            self._keys,
            text,
            principal_id=old.principal_id,
            now=call.now,
            lifetime=lifetime(request.lifetime_seconds, call, default=LIFETIME_DEFAULT, longest=LIFETIME_MAX),
            comment=old.comment,
            workspace_id=old.workspace_id,
        )
        call.uow.session.add(token)
        if overlap:
            old.expire_time = min(old.expire_time, call.now + overlap)
        else:
            call.uow.session.delete(old)
        call.uow.session.flush()
        call.detail.update(token_id=token.id, replaced_token_id=old.id)
        return pb.RotateTokenResponse(token=to_message(token, call), token_value=text.render())

    def list_tokens(self, request: pb.ListTokensRequest, call: Call) -> pb.ListTokensResponse:
        """Lists the live tokens of the caller or of the named principal."""
        principal_id = call.objects["subject"]
        rows = [
            row
            for row in tokens.of_principal(call.uow.session, principal_id, PERSONAL)
            if _within_limit(row, call)
        ]
        page, token = _page(rows, f"tokens/{principal_id}", request, call)
        return pb.ListTokensResponse(tokens=page, next_page_token=token)

    def delete_token(self, request: pb.DeleteTokenRequest, call: Call) -> Empty:
        """Revokes a token by deleting its row."""
        return _delete(_of_subject(request.id, call), call)

    def create_access_token(
        self, request: pb.CreateAccessTokenRequest, call: Call
    ) -> pb.CreateAccessTokenResponse:
        """Signs a token that rests on what the call was made with, a secret or a policy, and ends no later than that."""
        expire_time = min(
            datetime.fromtimestamp(call.caller.token_expire_time, UTC),
            (call.now + ACCESS_LIFETIME_MAX),
        ).replace(microsecond=0)
        text = self._access_tokens.issue(
            principal_id=call.caller.id,
            client_id=call.caller.name,
            credential_id=call.caller.token_id,
            activation=call.snapshot.principals[call.caller.id].activation,
            now=call.now,
            expire_time=expire_time,
        )
        call.detail.update(credential_id=call.caller.token_id, expire_time=expire_time.isoformat())
        reply = pb.CreateAccessTokenResponse(
            access_token=text, expires_in=int((expire_time - call.now).total_seconds())
        )
        reply.expire_time.FromDatetime(expire_time)
        return reply

    def list_workspace_tokens(
        self, request: pb.ListWorkspaceTokensRequest, call: Call
    ) -> pb.ListWorkspaceTokensResponse:
        """Lists the live tokens limited to the bound workspace."""
        rows = tokens.of_workspace(call.uow.session, call.self_id)
        page, token = _page(rows, f"tokens of {call.self_id}", request, call)
        return pb.ListWorkspaceTokensResponse(tokens=page, next_page_token=token)

    def delete_workspace_token(self, request: pb.DeleteWorkspaceTokenRequest, call: Call) -> Empty:
        """Revokes a token limited to the bound workspace."""
        token = call.uow.session.get(Token, request.id)
        if token is None or token.workspace_id != call.self_id:
            raise _no_token(request.id)
        return _delete(token, call)


def _of_subject(token_id: str, call: Call) -> Token:
    """The bound principal's token of that id. Raises OBJECT_NOT_FOUND."""
    token = call.uow.session.get(Token, token_id)
    of_subject = token is not None and token.principal_id == call.objects["subject"]
    if token is None or not of_subject or token.kind not in PERSONAL or not _within_limit(token, call):
        raise _no_token(token_id)
    return token


def _no_token(token_id: str) -> NotFound:
    return NotFound(Reason.OBJECT_NOT_FOUND, f"there is no token {token_id[:100]!r} there")


def _delete(token: Token, call: Call) -> Empty:
    call.uow.session.delete(token)
    call.detail["token_id"] = token.id
    return Empty()


def _page(rows: Iterable[Token], list_name: str, request: Any, call: Call) -> tuple[list[pb.Token], str]:
    """One page of those that did not end, in the order of their ids."""
    page, token = call.pager.page(
        sorted((row for row in rows if row.expire_time > call.now), key=lambda row: row.id),
        lambda row: row.id,
        list_name=list_name,
        page_size=request.page_size,
        page_token=request.page_token,
    )
    used = token_uses.last_used(call.uow.session, [row.id for row in page])
    return [to_message(row, call, last_used=used.get(row.id)) for row in page], token


def _check_quota(principal_id: str, call: Call, *, besides: str = "") -> None:
    """Raises QUOTA_EXCEEDED where the principal has all the live tokens it may have."""
    rows = tokens.of_principal(call.uow.session, principal_id, PERSONAL)
    live = [row for row in rows if row.expire_time > call.now and row.id != besides]
    if len(live) >= TOKENS_PER_PRINCIPAL_MAX:
        raise ResourceExhausted(
            Reason.QUOTA_EXCEEDED,
            f"{len(live)} live tokens; at most {TOKENS_PER_PRINCIPAL_MAX}: revoke one first",
        )


def _overlap(request: pb.RotateTokenRequest) -> timedelta:
    longest = int(OVERLAP_MAX.total_seconds())
    if not 0 <= request.overlap_seconds <= longest:
        raise validation.invalid(
            "overlap_seconds", f"{request.overlap_seconds} is not between 0 and {longest}"
        )
    return timedelta(seconds=request.overlap_seconds)


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
        pepper_id=keys.peppers[0].id,
        comment=comment,
        workspace_id=workspace_id,
        create_time=now,
        expire_time=now + lifetime,
    )


def to_message(token: Token, call: Call, *, last_used: datetime | None = None) -> pb.Token:
    """The message of a token's row."""
    workspace = call.snapshot.securables.get(token.workspace_id or "")
    message = pb.Token(
        id=token.id,
        principal=call.principal_name(token.principal_id),
        principal_id=token.principal_id,
        comment=token.comment,
        workspace=workspace.name if workspace else "",
    )
    message.create_time.FromDatetime(token.create_time)
    message.expire_time.FromDatetime(token.expire_time)
    if last_used is not None:
        message.last_used_time.FromDatetime(last_used)
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
    if remaining(call) < LASTING_LEFT_MIN:
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
