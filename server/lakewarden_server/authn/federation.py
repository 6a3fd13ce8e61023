"""Tokens of identity providers: admitted by a federation policy, and only once everything it says was found right.

Issuer and audience are compared with the policies before any key is looked at, and keys come from the policy, or from the URL in
it, alone: nothing in a token says where to ask or what with (RFC 8725; Unity Catalog's CVE-2026-27478 let `iss` choose the keys, OpenFGA's
CVE-2026-55689 an unset audience let all pass). Whom a token stands for is looked up only once its signature was found right,
or the time of a refusal would tell a forger who is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

from joserfc import jws
from joserfc.errors import JoseError

from lakewarden_policy import FederationPolicy, Principal, Snapshot
from lakewarden_server.authn.jwks import InvalidJwks, Key, parse_jwks
from lakewarden_server.authn.jwts import Jwt, is_time
from lakewarden_server.authn.provider_keys import JwksHosts, ProviderKeys, is_url
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
KEY_SETS_MAX: Final = 256
"""How many key sets a process keeps as it read them."""


class Admitted(NamedTuple):
    """Whom a token stands for, by which policy, and until when (epoch seconds)."""

    policy: FederationPolicy
    principal: Principal
    expire_time: float


class IdentityProviders:
    """Admits their tokens; keeps their key sets as it read them, since to read one takes longer than to verify a signature."""

    def __init__(self, provider_keys: ProviderKeys | None = None) -> None:
        """Without `provider_keys` no policy with a URL admits anybody."""
        self._key_set = lru_cache(maxsize=KEY_SETS_MAX)(parse_jwks)
        self._provider_keys = provider_keys or ProviderKeys(JwksHosts())

    def admit(self, snapshot: Snapshot, token: Jwt, now: datetime) -> Admitted:
        """Raises `Unauthenticated`: TOKEN_INVALID, TOKEN_EXPIRED, PRINCIPAL_DISABLED."""
        expire_time = _checked_times(token.claims, now.timestamp())
        header = token.header
        if header.get("alg") not in ALGORITHMS or header.get("typ", "").lower() not in TYPES:
            raise _refused()
        trusting = _trusting(snapshot, token.claims)
        signed = self._signed(token, {policy.jwks for policy in trusting})
        for policy in trusting:
            principal = _stood_for(snapshot, policy, token.claims) if policy.jwks in signed else None
            if principal is None:
                continue
            if not principal.active:
                raise Unauthenticated(
                    Reason.PRINCIPAL_DISABLED, "the token's principal is disabled: ask an account admin"
                )
            return Admitted(policy, principal, expire_time)
        raise _refused()

    def _signed(self, token: Jwt, key_sets: set[str]) -> set[str]:
        """Those of the key sets with whose key the token is signed; a key that is in several of them is tried once."""
        tried: dict[str, bool] = {}
        signed = set()
        for text in key_sets:
            key = self._key_for(text, token)
            if key is None:
                continue
            thumbprint = key.thumbprint()
            if thumbprint not in tried:
                tried[thumbprint] = _is_signed(token, key)
            if tried[thumbprint]:
                signed.add(text)
        return signed

    def _key_for(self, text: str, token: Jwt) -> Key | None:
        if is_url(text):
            published = self._provider_keys.current(text)
            found = published.key_for(token.header) if published else None
            if found is None:
                self._provider_keys.missed(text)
            return found
        try:
            return self._key_set(text).key_for(token.header)
        except InvalidJwks:
            return None


def _trusting(snapshot: Snapshot, claims: Mapping[str, Any]) -> list[FederationPolicy]:
    """The policies of the token's issuer and audiences, those of a service principal first."""
    policies = [
        policy
        for policy in snapshot.federation_policies.values()
        if policy.issuer == claims.get("iss") and _is_for(claims, policy)
    ]
    return sorted(policies, key=lambda policy: (policy.principal_id is None, policy.id))


def _is_for(claims: Mapping[str, Any], policy: FederationPolicy) -> bool:
    """Whether the token is for audiences of the policy and for nobody else, who could show it here."""
    told = claims.get("aud")
    audiences = [told] if isinstance(told, str) else told
    if not isinstance(audiences, list) or not audiences:
        return False
    return all(isinstance(audience, str) and audience in policy.audiences for audience in audiences)


def _stood_for(snapshot: Snapshot, policy: FederationPolicy, claims: Mapping[str, Any]) -> Principal | None:
    """Whom the policy lets the token's subject be, if anybody."""
    subject = claims.get(policy.subject_claim)
    if not isinstance(subject, str) or not subject:
        return None
    if policy.subject_claim == "email" and claims.get("email_verified") is not True:
        return None
    if policy.principal_id is not None:
        return snapshot.principals.get(policy.principal_id) if subject == policy.subject else None
    found = snapshot.principal_named(subject)
    if found is None or found.kind != "USER":
        return None
    # Names are folded by Unicode's rules, by which two people of a provider could be one: beyond ASCII only the same spelling is the same.
    same = subject == found.name or (subject.isascii() and subject.lower() == found.name.lower())
    return found if same else None


def _is_signed(token: Jwt, key: Key) -> bool:
    try:
        jws.deserialize_compact(token.text, key, algorithms=[token.header["alg"]])
    except (JoseError, ValueError):
        return False
    return True


def _checked_times(claims: Mapping[str, Any], now: float) -> float:
    """When the token ends. It must say when it ends and was issued; neither its issue nor its beginning lie ahead."""
    times = {name: claims[name] for name in ("exp", "iat", "nbf") if name in claims}
    if not {"exp", "iat"} <= times.keys() or not all(map(is_time, times.values())):
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
