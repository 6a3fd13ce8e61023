"""Turns the `authorization` metadata of a call into a `Caller`, with the snapshot and the database's clock alone."""

from __future__ import annotations

import hmac
from datetime import datetime
from typing import NamedTuple

from lakewarden_policy import Snapshot
from lakewarden_server.authn.tokens import TokenKind, TokenText, digest, parse
from lakewarden_server.core.errors import Reason, Unauthenticated

SCHEME = "bearer "
_NOBODY = "00000000-0000-0000-0000-000000000000"


class Caller(NamedTuple):
    """An authenticated principal and the limits of the token it came with."""

    id: str
    name: str
    kind: str
    token_id: str
    token_kind: TokenKind
    token_expire_time: float
    """Epoch seconds, by the database's clock."""
    token_workspace_id: str | None


class Authenticator:
    """Holds the pepper; everything else it needs is in the snapshot."""

    def __init__(self, pepper: bytes) -> None:
        self._pepper = pepper

    def authenticate(self, snapshot: Snapshot, text: TokenText, now: datetime) -> Caller:
        """The caller a bearer token belongs to.

        Raises `Unauthenticated`: TOKEN_INVALID (unknown, revoked or forged: deliberately one answer), TOKEN_EXPIRED,
        PRINCIPAL_DISABLED.
        """
        token = snapshot.tokens.get(text.id)
        # An unknown id costs the same HMAC as a known one, so that time does not tell them apart.
        computed = digest(self._pepper, text, token.principal_id if token else _NOBODY)
        stored = token.digest if token else bytes(len(computed))
        if not hmac.compare_digest(computed, stored) or token is None or token.kind != text.kind:
            raise Unauthenticated(
                Reason.TOKEN_INVALID,
                "the token is not valid: it was revoked, used up (a one-time token works once), or never made here",
            )
        if token.expire_time <= now.timestamp():
            raise Unauthenticated(Reason.TOKEN_EXPIRED, "the token has expired: create a new one")
        principal = snapshot.principals.get(token.principal_id)
        if principal is None or not principal.active:
            raise Unauthenticated(
                Reason.PRINCIPAL_DISABLED, "the token's principal is disabled: ask an account admin"
            )
        return Caller(
            id=principal.id,
            name=principal.name,
            kind=principal.kind,
            token_id=token.id,
            token_kind=text.kind,
            token_expire_time=token.expire_time,
            token_workspace_id=token.workspace_id,
        )


def read_bearer(authorization: str) -> TokenText:
    """The token of an `authorization` value, without any lookup: garbage costs the database nothing.

    Raises `Unauthenticated`: TOKEN_MISSING, TOKEN_MALFORMED, TOKEN_CHECKSUM_WRONG.
    """
    if not authorization:
        raise Unauthenticated(
            Reason.TOKEN_MISSING, "no credential: send the metadata `authorization: Bearer <token>`"
        )
    if not authorization.lower().startswith(SCHEME):
        raise Unauthenticated(Reason.TOKEN_MALFORMED, "the credential must read `Bearer <token>`")
    return parse(authorization[len(SCHEME) :].strip())
