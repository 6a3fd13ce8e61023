"""Tokens of identity providers: admitted by a federation policy, and only once everything it says was found right.

Issuer, audience and subject are compared with the policies before any key is looked at, and keys come from the policy alone: nothing
in a token says where to ask or what with (RFC 8725; Unity Catalog's CVE-2026-27478 let `iss` choose the keys, OpenFGA's
CVE-2026-55689 an unset audience let all pass).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from joserfc import jws
from joserfc.errors import JoseError

from lakewarden_policy import FederationPolicy, Principal, Snapshot
from lakewarden_server.authn.jwks import InvalidJwks, parse_jwks
from lakewarden_server.authn.jwts import Jwt
from lakewarden_server.core.errors import Reason, Unauthenticated

ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "Ed25519",
)
"""Signatures with a public key. No HMAC: its key would be the public key, which everybody has."""
TYPES: Final = frozenset({"", "jwt", "at+jwt"})
"""What `typ` may be: other kinds of tokens that a provider signs, as of a logout, prove nothing here."""
SKEW_SECONDS: Final = 60
"""How far a provider's clock may be ahead of the database's."""


class Admitted(NamedTuple):
    """Whom a token stands for, by which policy, and until when (epoch seconds)."""

    policy: FederationPolicy
    principal: Principal
    expire_time: float


def admit(snapshot: Snapshot, token: Jwt, now: datetime) -> Admitted:
    """Raises `Unauthenticated`: TOKEN_INVALID, TOKEN_EXPIRED, PRINCIPAL_DISABLED."""
    expire_time = _checked_times(token.claims, now.timestamp())
    header = token.header
    if header.get("alg") not in ALGORITHMS or header.get("typ", "").lower() not in TYPES:
        raise _refused()
    for policy, principal in _trusting(snapshot, token.claims):
        if _is_signed(token, policy):
            if not principal.active:
                raise Unauthenticated(
                    Reason.PRINCIPAL_DISABLED, "the token's principal is disabled: ask an account admin"
                )
            return Admitted(policy, principal, expire_time)
    raise _refused()


def _trusting(snapshot: Snapshot, claims: Mapping[str, Any]) -> Iterator[tuple[FederationPolicy, Principal]]:
    """The policies of the token's issuer, audience and subject, those of a service principal first, with whom it stands for."""
    policies = [
        policy for policy in snapshot.federation_policies.values() if policy.issuer == claims.get("iss")
    ]
    for policy in sorted(policies, key=lambda policy: (policy.principal_id is None, policy.id)):
        subject = claims.get(policy.subject_claim)
        if not isinstance(subject, str) or not subject or not _is_for(claims, policy):
            continue
        if policy.subject_claim == "email" and claims.get("email_verified") is not True:
            continue
        principal = _stood_for(snapshot, policy, subject)
        if principal is not None:
            yield policy, principal


def _is_for(claims: Mapping[str, Any], policy: FederationPolicy) -> bool:
    """Whether the token is for audiences of the policy and for nobody else, who could show it here."""
    told = claims.get("aud")
    audiences = [told] if isinstance(told, str) else told
    if not isinstance(audiences, list) or not audiences:
        return False
    return all(isinstance(audience, str) and audience in policy.audiences for audience in audiences)


def _stood_for(snapshot: Snapshot, policy: FederationPolicy, subject: str) -> Principal | None:
    if policy.principal_id is not None:
        return snapshot.principals.get(policy.principal_id) if subject == policy.subject else None
    found = snapshot.principal_named(subject)
    if found is None or found.kind != "USER":
        return None
    # Names are folded by Unicode's rules, by which two people of a provider could be one: beyond ASCII only the same spelling is the same.
    same = subject == found.name or (subject.isascii() and subject.lower() == found.name.lower())
    return found if same else None


def _is_signed(token: Jwt, policy: FederationPolicy) -> bool:
    try:
        key = parse_jwks(policy.jwks).key_for(token.header)
        if key is None:
            return False
        jws.deserialize_compact(token.text, key, algorithms=[token.header["alg"]])
    except (JoseError, InvalidJwks, ValueError):
        return False
    return True


def _checked_times(claims: Mapping[str, Any], now: float) -> float:
    """When the token ends. It must say when it ends and was issued; neither its issue nor its beginning lie ahead."""
    times = {name: claims[name] for name in ("exp", "iat", "nbf") if name in claims}
    if not {"exp", "iat"} <= times.keys() or not all(type(value) in (int, float) for value in times.values()):
        raise _refused()
    if max(times["iat"], times.get("nbf", 0)) > now + SKEW_SECONDS or times["iat"] > times["exp"]:
        raise _refused()
    if times["exp"] <= now:
        raise Unauthenticated(
            Reason.TOKEN_EXPIRED, "the identity provider's token has expired: get a new one"
        )
    return float(times["exp"])


def _refused() -> Unauthenticated:
    """One answer for all: what is wrong with it would tell a forger what to change."""
    return Unauthenticated(
        Reason.TOKEN_INVALID,
        "no federation policy trusts this token: an account admin compares issuer, audience, subject and keys",
    )
