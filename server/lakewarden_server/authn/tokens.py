"""The text of a personal access token or a client secret: made here, taken apart here, digested here.

`lw<type>_<id: 22 base62>_<secret: 43 base62><CRC32 of all before it: 6 base62>`. The typed prefix and the checksum let a
scanner find leaked tokens and let the server refuse a typo without any lookup; neither is a secret.
"""

from __future__ import annotations

import hmac
import secrets
import string
import zlib
from enum import StrEnum
from typing import NamedTuple

from lakewarden_server.core.errors import Reason, Unauthenticated

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
ID_LENGTH = 22
SECRET_LENGTH = 43
CHECKSUM_LENGTH = 6
SECRET_BYTES = 32
DIGEST_BYTES = 32


class TokenKind(StrEnum):
    """What a token is for."""

    PAT = "PAT"
    BOOTSTRAP = "BOOTSTRAP"
    CLIENT_SECRET = "CLIENT_SECRET"
    """Only traded for an access token."""
    ACCESS = "ACCESS"
    """An access token that a client secret was traded for; it has no row and another form (`access_tokens`)."""
    IDENTITY = "IDENTITY"
    """A token of an identity provider: only traded for an access token."""
    FEDERATED = "FEDERATED"
    """An access token that a token of an identity provider was traded for."""
    CERTIFICATE = "CERTIFICATE"
    """A certificate that the client showed in TLS, without any token."""


PREFIXES = {TokenKind.PAT: "lwpat", TokenKind.BOOTSTRAP: "lwboot", TokenKind.CLIENT_SECRET: "lwsec"}
PERSONAL = (TokenKind.PAT, TokenKind.BOOTSTRAP)
"""What a principal makes and revokes itself."""
TRADED = (TokenKind.CLIENT_SECRET, TokenKind.IDENTITY)
"""What is traded for an access token and does nothing else."""
SHORT_LIVED = (TokenKind.ACCESS, TokenKind.FEDERATED, TokenKind.CERTIFICATE)
"""What makes no other credentials: they would outlive what it rests on."""
_PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
_KINDS = {prefix: kind for kind, prefix in PREFIXES.items()}


class TokenText(NamedTuple):
    """A token taken apart; `secret` never appears in its representation."""

    kind: TokenKind
    id: str
    secret: str

    def __repr__(self) -> str:
        return f"TokenText(kind={self.kind!r}, id={self.id!r})"

    def render(self) -> str:
        """The text given to the token's holder, once."""
        body = f"{PREFIXES[self.kind]}_{self.id}_{self.secret}"
        return body + _checksum(body)


def mint(kind: TokenKind) -> TokenText:
    """A new token with 256 random bits of secret."""
    return TokenText(
        kind=kind,
        id=_base62(int.from_bytes(secrets.token_bytes(16), "big"), ID_LENGTH),
        secret=_base62(int.from_bytes(secrets.token_bytes(SECRET_BYTES), "big"), SECRET_LENGTH),
    )


def parse(text: str) -> TokenText:
    """Takes a token's text apart without any lookup.

    Raises `Unauthenticated` with TOKEN_MALFORMED when it is no token at all and TOKEN_CHECKSUM_WRONG when it is a mistyped one.
    """
    prefix, _, rest = text.partition("_")
    kind = _KINDS.get(prefix)
    shape = (
        len(rest) == ID_LENGTH + 1 + SECRET_LENGTH + CHECKSUM_LENGTH
        and rest[ID_LENGTH : ID_LENGTH + 1] == "_"
    )
    if kind is None:
        raise Unauthenticated(
            Reason.TOKEN_MALFORMED,
            "the bearer credential is not a Lakewarden token: send one that starts with lwpat_",
        )
    if not shape or not (rest[:ID_LENGTH] + rest[ID_LENGTH + 1 :]).isascii():
        raise Unauthenticated(
            Reason.TOKEN_MALFORMED,
            "the token is cut short, too long, or has characters that no token has: copy it again",
        )
    body, checksum = text[:-CHECKSUM_LENGTH], text[-CHECKSUM_LENGTH:]
    if not hmac.compare_digest(_checksum(body), checksum):
        raise Unauthenticated(
            Reason.TOKEN_CHECKSUM_WRONG,
            "the token's checksum is wrong: it was mistyped or cut short; copy it again",
        )
    return TokenText(kind=kind, id=rest[:ID_LENGTH], secret=rest[ID_LENGTH + 1 : -CHECKSUM_LENGTH])


def digest(pepper: bytes, token: TokenText, principal_id: str) -> bytes:
    """What is stored: HMAC-SHA-256 under the pepper, bound to kind, id and principal.

    A slow password hash would buy nothing against 256 random bits. The pepper keeps whoever can only write the database
    from inserting a token, and the binding from moving one to another principal.
    """
    message = f"{token.kind}:{token.id}:{principal_id}:{token.secret}".encode()
    return hmac.digest(pepper, message, "sha256")


def _checksum(body: str) -> str:
    """Read two digits at a time: every call pays for this."""
    upper, last = divmod(zlib.crc32(body.encode()), len(_PAIRS))
    first, middle = divmod(upper, len(_PAIRS))
    return _PAIRS[first] + _PAIRS[middle] + _PAIRS[last]


def _base62(number: int, length: int) -> str:
    digits = []
    while number:
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits)).rjust(length, ALPHABET[0])
