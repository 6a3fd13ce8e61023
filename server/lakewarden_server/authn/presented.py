"""What a caller shows in the `authorization` metadata, taken apart without any lookup."""

from __future__ import annotations

import base64
from typing import Final, NamedTuple
from urllib.parse import unquote_plus

from lakewarden_policy import name_key
from lakewarden_server.authn.access_tokens import AccessToken, AccessTokens
from lakewarden_server.authn.jwts import Jwt, looks_like_jwt, take_apart
from lakewarden_server.authn.tokens import TokenKind, TokenText, parse
from lakewarden_server.core.errors import Reason, Unauthenticated

BEARER: Final = "bearer "
BASIC: Final = "basic "
BASIC_CHARACTERS_MAX: Final = 512


class ClientSecret(NamedTuple):
    """A client secret beside the id of the client that says it is its own."""

    client_id: str
    """As a name key."""
    secret: TokenText


Presented = TokenText | ClientSecret | AccessToken | Jwt


def read(authorization: str, access_tokens: AccessTokens) -> Presented:
    """Raises `Unauthenticated`: TOKEN_MISSING, TOKEN_MALFORMED, TOKEN_CHECKSUM_WRONG; TOKEN_INVALID for a forged access token."""
    if not authorization:
        raise Unauthenticated(
            Reason.TOKEN_MISSING, "no credential: send the metadata `authorization: Bearer <token>`"
        )
    scheme = authorization[: len(BEARER)].lower()
    if scheme == BEARER:
        return _bearer(authorization[len(BEARER) :].strip(), access_tokens)
    if scheme.startswith(BASIC):
        return _basic(authorization[len(BASIC) :].strip())
    raise _malformed("the credential must read `Bearer <token>`")


def spelled_once(authorization: str) -> str:
    """The same text for every spelling of one credential, so that what is remembered by it has one place for each."""
    scheme = authorization[: len(BEARER)].lower()
    if scheme == BEARER:
        return BEARER + authorization[len(BEARER) :].strip()
    if scheme.startswith(BASIC):
        try:
            shown = _basic(authorization[len(BASIC) :].strip())
        except Unauthenticated:
            return authorization
        # No header holds a NUL, so nothing else is spelled like this.
        return f"{BASIC}\0{shown.client_id}:{shown.secret.render()}"
    return authorization


def _bearer(text: str, access_tokens: AccessTokens) -> Presented:
    if looks_like_jwt(text):
        token = take_apart(text)
        return access_tokens.verify(token) if access_tokens.is_ours(token) else token
    found = parse(text)
    if found.kind is TokenKind.CLIENT_SECRET:
        raise _malformed("a client secret is no bearer token: trade it for an access token")
    return found


def _basic(text: str) -> ClientSecret:
    """`base64(client id:client secret)`, both form-encoded (RFC 6749 section 2.3.1)."""
    try:
        pair = base64.b64decode(text, validate=True).decode() if len(text) <= BASIC_CHARACTERS_MAX else ""
    except ValueError:
        # Also what is no base64, no ASCII or no UTF-8.
        pair = ""
    client_id, colon, secret = pair.partition(":")
    if not colon:
        raise _malformed("the credential must read `Basic <base64 of client id:client secret>`")
    found = parse(unquote_plus(secret))
    if found.kind is not TokenKind.CLIENT_SECRET:
        raise _malformed("what stands behind the client id is no client secret: those start with lwsec_")
    return ClientSecret(name_key(unquote_plus(client_id)), found)


def named(shown: Presented) -> str:
    """What a credential says it is of: a client id, the id of a token or of what it rests on. A provider's token names nothing here yet."""
    if isinstance(shown, ClientSecret):
        return shown.client_id
    if isinstance(shown, AccessToken):
        return shown.credential_id
    return shown.id if isinstance(shown, TokenText) else ""


def _malformed(message: str) -> Unauthenticated:
    return Unauthenticated(Reason.TOKEN_MALFORMED, message)
