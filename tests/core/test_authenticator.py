"""What a process remembers of a verified token never outlives the rows it was verified against."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lakewarden_policy import Head, Principal, Snapshot, Token
from lakewarden_server.authn.authenticator import Authenticator
from lakewarden_server.authn.keys import Keys
from lakewarden_server.authn.tokens import TokenKind, TokenText, digest, mint
from lakewarden_server.core.errors import Reason, Unauthenticated

KEYS = Keys.derive(b"root key of a test, 32 bytes lon")
BOB = Principal("bob", "USER", "bob@example.com", "bob@example.com", True)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
END = NOW.timestamp() + 60


def stored(text: TokenText) -> Token:
    return Token(text.id, "bob", digest(KEYS.pepper, text, "bob"), text.kind, END, None)


def state(*, principals: list[Principal], tokens: list[Token]) -> Snapshot:
    return Snapshot.build(
        Head("epoch", 1, "nonce"), principals=principals, memberships=[], securables=[], grants=[], tokens=tokens
    )  # fmt: skip


@pytest.fixture
def text() -> TokenText:
    return mint(TokenKind.PAT)


@pytest.fixture
def authenticator(text: TokenText) -> Authenticator:
    """One that has verified the token before."""
    made = Authenticator(KEYS)
    snapshot = state(principals=[BOB], tokens=[stored(text)])
    caller = made.authenticate(snapshot, made.read(f"Bearer {text.render()}"), NOW)
    assert caller.name == "bob@example.com"
    again = made.read(f"Bearer {text.render()}")
    assert again.shown is None, "the token was not remembered"
    assert made.authenticate(snapshot, again, NOW) is caller
    return made


def refusal(authenticator: Authenticator, snapshot: Snapshot, text: TokenText, now: datetime = NOW) -> str:
    with pytest.raises(Unauthenticated) as refused:
        authenticator.authenticate(snapshot, authenticator.read(f"Bearer {text.render()}"), now)
    return str(refused.value.reason)


@pytest.mark.parametrize("sent", ["Basic \u00e9", "Basic ====", "Basic /w==", "Basic "])
def test_what_is_no_base64_is_malformed(authenticator: Authenticator, sent: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        authenticator.read(sent)
    assert refused.value.reason is Reason.TOKEN_MALFORMED


def test_a_revoked_token_is_not_remembered(authenticator: Authenticator, text: TokenText) -> None:
    assert refusal(authenticator, state(principals=[BOB], tokens=[]), text) == Reason.TOKEN_INVALID


def test_a_disabled_or_deleted_principal_is_not_remembered(
    authenticator: Authenticator, text: TokenText
) -> None:
    for principals in ([BOB._replace(active=False)], []):
        snapshot = state(principals=principals, tokens=[stored(text)])
        assert refusal(authenticator, snapshot, text) == Reason.PRINCIPAL_DISABLED


def test_an_expired_token_is_not_remembered(authenticator: Authenticator, text: TokenText) -> None:
    snapshot = state(principals=[BOB], tokens=[stored(text)])
    assert refusal(authenticator, snapshot, text, datetime.fromtimestamp(END, UTC)) == Reason.TOKEN_EXPIRED


def test_a_renamed_principal_is_called_by_its_new_name(authenticator: Authenticator, text: TokenText) -> None:
    renamed = state(
        principals=[BOB._replace(name="robert@example.com", name_key="robert@example.com")],
        tokens=[stored(text)],
    )
    credential = authenticator.read(f"Bearer {text.render()}")
    assert authenticator.authenticate(renamed, credential, NOW).name == "robert@example.com"


def test_the_remembered_id_with_another_secret_is_refused(
    authenticator: Authenticator, text: TokenText
) -> None:
    forged = text._replace(secret=mint(TokenKind.PAT).secret)
    snapshot = state(principals=[BOB], tokens=[stored(text)])
    assert refusal(authenticator, snapshot, forged) == Reason.TOKEN_INVALID


def test_nothing_remembered_or_shown_holds_the_secret(authenticator: Authenticator, text: TokenText) -> None:
    credential = authenticator.read(f"Bearer {text.render()}")
    shown = repr(credential) + repr(vars(authenticator)["_known"])
    assert text.secret not in shown
    assert text.render() not in shown
