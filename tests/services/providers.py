"""An identity provider of a test: its keys, its tokens, and whatever else somebody could sign and call one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

ISSUER = "https://id.example.com"
AUDIENCE = "lakewarden"
SUBJECT = "repo:acme/lake:ref:refs/heads/main"


def now() -> int:
    """Epoch seconds."""
    return int(datetime.now(UTC).timestamp())


def encoded(value: object) -> str:
    """A part of a compact token: JSON, or the text as it is, in base64url."""
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


class Provider:
    """RSA, EC and Ed25519 keys under the kids `rsa`, `ec` and `okp`."""

    def __init__(self, issuer: str = ISSUER, prefix: str = "") -> None:
        self.issuer = issuer
        self.keys = {
            "RS256": RSAKey.generate_key(2048, {"kid": f"{prefix}rsa"}),
            "ES256": ECKey.generate_key("P-256", {"kid": f"{prefix}ec"}),
            "Ed25519": OKPKey.generate_key("Ed25519", {"kid": f"{prefix}okp"}),
        }

    @property
    def jwks(self) -> str:
        """The public keys."""
        return json.dumps({"keys": [key.as_dict(private=False) for key in self.keys.values()]})

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Those of a good token of the program; None leaves one out."""
        found = {
            "iss": self.issuer, "aud": AUDIENCE, "sub": SUBJECT, "iat": now() - 5, "nbf": now() - 5, "exp": now() + 300,
            **changed,
        }  # fmt: skip
        return {name: value for name, value in found.items() if value is not None}

    def token(self, *, alg: str = "RS256", header: dict[str, Any] | None = None, **changed: Any) -> str:
        """A token signed with the key for `alg`; `header` changes its header."""
        head = {"alg": alg, "typ": "JWT", "kid": self.keys[alg].kid, **(header or {})}
        return self.signed(
            {name: value for name, value in head.items() if value is not None},
            self.claims(**changed),
            alg=alg,
        )

    def signed(self, header: object, claims: object, *, alg: str = "RS256") -> str:
        """Any header and claims, also as text, over which a signature with the key for `alg` is right."""
        message = f"{encoded(header)}.{encoded(claims)}"
        private: Any = self.keys[alg].get_op_key("sign")
        if isinstance(private, rsa.RSAPrivateKey):
            signature = private.sign(message.encode(), padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(private, ec.EllipticCurvePrivateKey):
            # joserfc writes the two numbers side by side, as JWS wants them.
            return jwt.encode(header, claims, self.keys[alg], algorithms=[alg], default_type=None)  # type: ignore[arg-type]
        else:
            signature = private.sign(message.encode())
        return f"{message}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"

    def with_hmac(self, secret: bytes, *, alg: str = "HS256", **header: Any) -> str:
        """A token whose signature is an HMAC under something that is no secret."""
        message = f"{encoded({'alg': alg, 'typ': 'JWT', **header})}.{encoded(self.claims())}"
        found = hmac.new(secret, message.encode(), hashlib.sha256).digest()
        return f"{message}.{base64.urlsafe_b64encode(found).rstrip(b'=').decode()}"

    def public_pem(self) -> bytes:
        """The public RSA key as it is often handed around."""
        return self.keys["RS256"].as_pem(private=False)


_watched: list[list[object]] = []


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        for seen in _watched:
            seen.append((event, arguments[1] if event == "socket.connect" else arguments[0]))


sys.addaudithook(_note)


@contextmanager
def sockets_watched() -> Iterator[list[object]]:
    """Every connection and every look-up of a name that Python code of this process makes meanwhile."""
    seen: list[object] = []
    _watched.append(seen)
    try:
        yield seen
    finally:
        _watched.remove(seen)
