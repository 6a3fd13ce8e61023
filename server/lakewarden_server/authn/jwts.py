"""Compact JSON Web Tokens read strictly, before anything in them is believed: what two readers could read differently is refused."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, NoReturn

from lakewarden_server.core.errors import Reason, Unauthenticated

TEXT_BYTES_MAX: Final = 8_192
HEADERS_KNOWN: Final = frozenset({"alg", "typ", "kid", "x5t", "x5t#S256"})
"""Header parameters that may be there. Keys and places of keys (jwk, jku, x5c, x5u), extensions (crit, b64) and nesting (cty, zip) may not:
the keys are those that were configured (RFC 8725 section 3.10). A thumbprint is let pass and never used.
"""
TIME_MAX: Final = 253_402_300_799
"""The last second of the year 9999: no `datetime` holds a later one."""
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+")


class Jwt(NamedTuple):
    """A token taken apart and not verified; its text never appears in its representation."""

    text: str
    header: Mapping[str, Any]
    claims: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"Jwt(header={dict(self.header)!r})"


def is_time(claim: object) -> bool:
    """Whether a claim is epoch seconds that the server can reckon with: JSON has numbers without end."""
    return isinstance(claim, int | float) and not isinstance(claim, bool) and 0 <= claim <= TIME_MAX


def looks_like_jwt(text: str) -> bool:
    """Whether a bearer credential is meant as one: no token of ours begins like a JSON object in base64."""
    return text.startswith("eyJ")


def take_apart(text: str) -> Jwt:
    """Raises `Unauthenticated`: TOKEN_MALFORMED for what is no signed JWT, ambiguous, too long, or brings keys along."""
    if len(text) > TEXT_BYTES_MAX:
        _refuse(f"is longer than {TEXT_BYTES_MAX} bytes")
    parts = text.split(".")
    if len(parts) != 3 or not all(_BASE64URL.fullmatch(part) for part in parts):
        _refuse("is not three parts of base64 (encrypted and unsigned ones are not taken)")
    header, claims = _object(parts[0]), _object(parts[1])
    if unknown := header.keys() - HEADERS_KNOWN:
        _refuse(f"has the header parameter {sorted(unknown)[0][:32]!r}, which is not taken")
    if not all(isinstance(value, str) for value in header.values()):
        _refuse("has a header parameter that is no text")
    _decoded(parts[2])
    return Jwt(text, header, claims)


def _object(part: str) -> dict[str, Any]:
    try:
        found = json.loads(
            _decoded(part).decode(), object_pairs_hook=_without_doubles, parse_constant=_no_number
        )
    except (ValueError, RecursionError):
        _refuse("holds a part that is no JSON, or names something twice")
    if not isinstance(found, dict):
        _refuse("holds a part that is no JSON object")
    return found


def _decoded(part: str) -> bytes:
    """Only the one spelling of the bytes: base64 has others, with set bits in what is left over."""
    try:
        found = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        _refuse("holds a part that is no base64")
    if base64.urlsafe_b64encode(found).rstrip(b"=").decode() != part:
        _refuse("holds a part with stray bits")
    return found


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _refuse(why: str) -> NoReturn:
    raise Unauthenticated(Reason.TOKEN_MALFORMED, f"the bearer credential {why}")
