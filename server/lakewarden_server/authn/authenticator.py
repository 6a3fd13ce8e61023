"""Turns the `authorization` metadata of a call into a `Caller`, with the snapshot and the database's clock alone."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime
from typing import NamedTuple

from lakewarden_policy import FederationPolicy, Principal, Snapshot, Token
from lakewarden_server.authn import client_certificates, presented
from lakewarden_server.authn.access_tokens import AccessToken, AccessTokens
from lakewarden_server.authn.client_certificates import ClientCertificate
from lakewarden_server.authn.federation import IdentityProviders
from lakewarden_server.authn.guesses import Guesses
from lakewarden_server.authn.jwts import Jwt
from lakewarden_server.authn.keys import Keys
from lakewarden_server.authn.presented import ClientSecret, Presented
from lakewarden_server.authn.provider_keys import ProviderKeys, is_url
from lakewarden_server.authn.tokens import DIGEST_BYTES, TokenKind, TokenText, digest
from lakewarden_server.core.errors import Reason, Unauthenticated
from lakewarden_server.core.peers import LOCAL, Peer

KNOWN_MAX = 10_000
"""How many verified tokens a process remembers."""
_NOBODY = "00000000-0000-0000-0000-000000000000"
_MARK_BYTES = 16


class Caller(NamedTuple):
    """An authenticated principal and the limits of the token it came with."""

    id: str
    name: str
    kind: str
    token_id: str
    """Id of the row its credential rests on."""
    token_kind: TokenKind
    token_expire_time: float
    """Epoch seconds, by the database's clock."""
    token_workspace_id: str | None


class Credential(NamedTuple):
    """The credential of one call; its secret never appears in its representation."""

    authorization: str
    mark: bytes
    """Tells equal credentials by a hash under a key of this process, so that what is remembered holds no secret."""
    shown: Presented | None
    """None where the mark is remembered, as such a credential was taken apart before, and where there is a certificate alone."""
    certificate: ClientCertificate | None = None
    """What the client showed in TLS."""
    peer: Peer = LOCAL

    def __repr__(self) -> str:
        return f"Credential(shown={self.shown!r})"


Row = Token | FederationPolicy
"""What a credential rests on."""


class _Known(NamedTuple):
    """A verified token and the rows it was verified against: it holds for as long as the state has these very rows."""

    row: Row
    principal: Principal
    caller: Caller

    def rests_on(self, snapshot: Snapshot) -> bool:
        """Whether the state has them."""
        return (
            _row(snapshot, self.caller.token_id) is self.row
            and snapshot.principals.get(self.caller.id) is self.principal
        )


class _Examined(NamedTuple):
    """What a credential rests on, whose it is, what it is, and until when it is good (epoch seconds)."""

    row: Row
    principal: Principal
    kind: TokenKind
    expire_time: float


class Authenticator:
    """Holds keys, and what it verified before; everything else it needs is in the snapshot."""

    def __init__(
        self, keys: Keys, guesses: Guesses | None = None, provider_keys: ProviderKeys | None = None
    ) -> None:
        self._guesses = guesses or Guesses(0)
        self._peppers = [pepper.secret for pepper in keys.peppers]
        self._access_tokens = AccessTokens(keys)
        self._identity_providers = IdentityProviders(provider_keys)
        self._mark_key = secrets.token_bytes(32)
        self._known: dict[bytes, _Known] = {}

    def read(self, authorization: str, certificate: bytes = b"", peer: Peer = LOCAL) -> Credential:
        """The credential of an `authorization` value and a verified certificate in PEM (empty for none), without any lookup:
        garbage and forgeries cost the database nothing.

        Raises `Unauthenticated`: TOKEN_MISSING, TOKEN_MALFORMED, TOKEN_CHECKSUM_WRONG; TOKEN_INVALID for a forged access token;
        CERTIFICATE_INVALID for a certificate that cannot be read; and `RetryLater` for a peer that guessed too often. What was verified here
        before is no guess: it goes on whatever others do behind the same address.
        """
        shown_in_tls = client_certificates.read(certificate) if certificate else None
        if shown_in_tls is not None and not authorization:
            return Credential("", b"", None, shown_in_tls, peer)
        mark = self._mark(authorization)
        shown = None if mark in self._known else self._taken_apart(authorization, peer)
        return Credential(authorization, mark, shown, shown_in_tls, peer)

    def remembered(self, snapshot: Snapshot, authorization: str, certificate: bytes) -> str | None:
        """Id of the principal that shows what was verified here before, or a verified certificate alone, while a state has what that rests on.

        Nothing is taken apart or counted, and no clock is read: it says whose request is worth receiving, and lets nobody in.
        """
        if not authorization:
            return _certified(snapshot, certificate) if certificate else None
        known = self._known.get(self._mark(authorization))
        return known.caller.id if known is not None and known.rests_on(snapshot) else None

    def _mark(self, authorization: str) -> bytes:
        text = presented.spelled_once(authorization).encode(errors="replace")
        return hashlib.blake2b(text, key=self._mark_key, digest_size=_MARK_BYTES).digest()

    def _taken_apart(self, authorization: str, peer: Peer) -> Presented:
        self._guesses.check_peer(peer)
        try:
            shown = presented.read(authorization, self._access_tokens)
        except Unauthenticated as error:
            self._guesses.check_name(peer, "")
            self._guesses.failed(peer, "", error)
            raise
        self._guesses.check_name(peer, presented.named(shown))
        return shown

    def authenticate(self, snapshot: Snapshot, credential: Credential, now: datetime) -> Caller:
        """The caller a credential belongs to: whom the token says, or without one whom the certificate does.

        A certificate that stands for somebody else than the token refuses the call: a token that was stolen from one program
        is not taken from another. One that stands for nobody says nothing, as that of a device or a proxy.

        Raises `Unauthenticated`: TOKEN_INVALID (unknown, revoked or forged: deliberately one answer), TOKEN_EXPIRED,
        PRINCIPAL_DISABLED, CERTIFICATE_INVALID.
        """
        certificate = credential.certificate
        if certificate is None:
            return self._by_token(snapshot, credential, now)
        policy = client_certificates.policy_of(snapshot, certificate, now)
        if not credential.authorization:
            return _by_certificate(snapshot, certificate, policy)
        caller = self._by_token(snapshot, credential, now)
        if policy is not None and policy.principal_id != caller.id:
            raise client_certificates.invalid("it stands for somebody else than the token beside it")
        return caller

    def _by_token(self, snapshot: Snapshot, credential: Credential, now: datetime) -> Caller:
        known = self._known.get(credential.mark)
        if (
            known is not None
            and known.rests_on(snapshot)
            and known.caller.token_expire_time > now.timestamp()
        ):
            return known.caller
        shown = credential.shown or presented.read(credential.authorization, self._access_tokens)
        try:
            row, principal, kind, expire_time = self._examined(snapshot, shown, now)
        except Unauthenticated as error:
            self._known.pop(credential.mark, None)
            self._guesses.failed(credential.peer, presented.named(shown), error)
            raise
        self._guesses.succeeded(credential.peer, presented.named(shown))
        caller = Caller(
            id=principal.id,
            name=principal.name,
            kind=principal.kind,
            token_id=row.id,
            token_kind=kind,
            token_expire_time=expire_time,
            token_workspace_id=row.workspace_id if isinstance(row, Token) else None,
        )
        if isinstance(row, FederationPolicy) and is_url(row.jwks):
            # Its keys may be withdrawn while the row stays as it is.
            return caller
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[credential.mark] = _Known(row, principal, caller)
        return caller

    def _examined(self, snapshot: Snapshot, shown: Presented, now: datetime) -> _Examined:
        if isinstance(shown, Jwt):
            found = self._identity_providers.admit(snapshot, shown, now)
            return _Examined(found.policy, found.principal, TokenKind.IDENTITY, found.expire_time)
        if isinstance(shown, AccessToken):
            return _rests_on(snapshot, shown, now)
        text = shown.secret if isinstance(shown, ClientSecret) else shown
        token, principal = self._verified(snapshot, text, now)
        if isinstance(shown, ClientSecret) and shown.client_id != principal.name_key:
            raise _invalid()
        return _Examined(token, principal, text.kind, token.expire_time)

    def _verified(self, snapshot: Snapshot, text: TokenText, now: datetime) -> tuple[Token, Principal]:
        token = snapshot.tokens.get(text.id)
        # An unknown id costs the same HMACs as a known one, and each pepper is tried, so that time does not tell them apart.
        stored = token.digest if token else bytes(DIGEST_BYTES)
        computed = [
            digest(pepper, text, token.principal_id if token else _NOBODY) for pepper in self._peppers
        ]
        matches = [hmac.compare_digest(one, stored) for one in computed]
        if not any(matches) or token is None or token.kind != text.kind:
            raise _invalid()
        _check_live(token, now)
        return token, _active(snapshot, token.principal_id)


def _by_certificate(
    snapshot: Snapshot, certificate: ClientCertificate, policy: FederationPolicy | None
) -> Caller:
    if policy is None or policy.principal_id is None:
        raise client_certificates.invalid("no federation policy names its one URI, so send a token")
    principal = _active(snapshot, policy.principal_id)
    return Caller(
        id=principal.id,
        name=principal.name,
        kind=principal.kind,
        token_id=policy.id,
        token_kind=TokenKind.CERTIFICATE,
        token_expire_time=certificate.expire_time,
        token_workspace_id=None,
    )


def _certified(snapshot: Snapshot, certificate: bytes) -> str | None:
    """Id of the active principal a certificate stands for, if any."""
    try:
        uri = client_certificates.read(certificate).uri
    except Unauthenticated:
        return None
    policy = snapshot.client_certificates.get(uri) if uri else None
    principal = snapshot.principals.get(policy.principal_id or "") if policy else None
    return principal.id if principal is not None and principal.active else None


def _row(snapshot: Snapshot, row_id: str) -> Row | None:
    return snapshot.tokens.get(row_id) or snapshot.federation_policies.get(row_id)


def _rests_on(snapshot: Snapshot, shown: AccessToken, now: datetime) -> _Examined:
    """What an access token was traded for or by, and its principal: it ends with either, and when the principal is deactivated."""
    if shown.expire_time <= now.timestamp():
        raise Unauthenticated(Reason.TOKEN_EXPIRED, "the access token has expired: get a new one")
    row, expire_time, kind = _row(snapshot, shown.credential_id), shown.expire_time, TokenKind.FEDERATED
    if isinstance(row, Token):
        if row.kind != TokenKind.CLIENT_SECRET:
            raise _invalid()
        _check_live(row, now)
        kind, expire_time = TokenKind.ACCESS, min(expire_time, row.expire_time)
    if row is None or row.principal_id not in (shown.principal_id, None):
        raise _invalid()
    principal = _active(snapshot, shown.principal_id)
    if principal.activation != shown.activation:
        raise _invalid()
    return _Examined(row, principal, kind, expire_time)


def _check_live(token: Token, now: datetime) -> None:
    if token.expire_time <= now.timestamp():
        raise Unauthenticated(Reason.TOKEN_EXPIRED, "the token has expired: create a new one")


def _active(snapshot: Snapshot, principal_id: str) -> Principal:
    principal = snapshot.principals.get(principal_id)
    if principal is None or not principal.active:
        raise Unauthenticated(
            Reason.PRINCIPAL_DISABLED, "the credential's principal is disabled: ask an account admin"
        )
    return principal


def _invalid() -> Unauthenticated:
    return Unauthenticated(
        Reason.TOKEN_INVALID,
        "the token is not valid: it was revoked, used up (a one-time token works once), or never made here",
    )
