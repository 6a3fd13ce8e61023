"""Access tokens: signed here, verified here, for this installation alone (JWT profile of RFC 9068).

They say which row they rest on, so that they end with it on every server, without a list of what was revoked.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from joserfc.util import urlsafe_b64encode

from lakewarden_server.authn.jwts import Jwt, is_time
from lakewarden_server.authn.keys import Keys
from lakewarden_server.core.errors import Reason, Unauthenticated

LIFETIME_MAX: Final = timedelta(hours=1)
ALGORITHM: Final = "Ed25519"
"""The only one that is made or taken (RFC 9864)."""
TYPE: Final = "at+jwt"


class AccessToken(NamedTuple):
    """An access token whose signature is ours; whether what it rests on still holds is to be looked up."""

    principal_id: str
    credential_id: str
    """Of the row it rests on: a client secret or a federation policy."""
    activation: int
    """Of the principal, when it was issued."""
    expire_time: float
    """Epoch seconds."""


class AccessTokens:
    """Holds the signing keys of the installation: the first signs, every one verifies."""

    def __init__(self, keys: Keys) -> None:
        found = [_key(seed) for seed in keys.signing]
        self._signer = found[0]
        self._verifiers: Mapping[str, OKPKey] = {key.thumbprint(): key for key in found}
        self._audience = f"urn:lakewarden:account:{keys.id}"

    @property
    def issuer(self) -> str:
        """Who issues them and whom they are for: the account under this key file, and no other installation."""
        return self._audience

    def issue(
        self,
        *,
        principal_id: str,
        client_id: str,
        credential_id: str,
        activation: int,
        now: datetime,
        expire_time: datetime,
    ) -> str:
        """The text of a new token, which ends at `expire_time` or after an hour, by the database's clock."""
        issued = int(now.timestamp())
        claims = {
            "iss": self._audience,
            "aud": self._audience,
            "sub": principal_id,
            "client_id": client_id,
            "credential_id": credential_id,
            "activation": activation,
            "iat": issued,
            "exp": min(int(expire_time.timestamp()), issued + int(LIFETIME_MAX.total_seconds())),
            "jti": secrets.token_urlsafe(16),
        }
        header = {"alg": ALGORITHM, "typ": TYPE, "kid": self._signer.thumbprint()}
        return jwt.encode(header, claims, self._signer, algorithms=[ALGORITHM], default_type=None)

    def is_ours(self, token: Jwt) -> bool:
        """Whether it claims to be one of these."""
        return token.claims.get("iss") == self._audience

    def verify(self, token: Jwt) -> AccessToken:
        """What it says, once signature, type, audience and form are right. Raises `Unauthenticated`: TOKEN_INVALID."""
        key = self._verifiers.get(token.header.get("kid", ""))
        claims = token.claims
        if token.header.get("typ") != TYPE or token.header.get("alg") != ALGORITHM or key is None:
            raise _invalid()
        try:
            jws.deserialize_compact(token.text, key, algorithms=[ALGORITHM])
        except (JoseError, ValueError):
            raise _invalid() from None
        if not self.is_ours(token) or claims.get("aud") != self._audience or not _is_formed(claims):
            raise _invalid()
        return AccessToken(claims["sub"], claims["credential_id"], claims["activation"], float(claims["exp"]))


def _is_formed(claims: Mapping[str, Any]) -> bool:
    """The claims are there, of their types, and no more than an hour is between beginning and end."""
    if not all(type(claims.get(name)) is str for name in ("sub", "credential_id", "client_id", "jti")):
        return False
    if not all(type(claims.get(name)) is int for name in ("iat", "exp", "activation")):
        return False
    if not is_time(claims["iat"]) or not is_time(claims["exp"]):
        return False
    return bool(claims["exp"] - claims["iat"] <= LIFETIME_MAX.total_seconds())


def _key(seed: bytes) -> OKPKey:
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return OKPKey.import_key(
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "d": urlsafe_b64encode(seed).decode(),
            "x": urlsafe_b64encode(public).decode(),
        }
    )


def _invalid() -> Unauthenticated:
    return Unauthenticated(
        Reason.TOKEN_INVALID, "the access token is not valid here: it was not issued by this installation"
    )
