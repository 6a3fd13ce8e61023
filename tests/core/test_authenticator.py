"""What a process remembers of a verified token never outlives the rows it was verified against."""

from __future__ import annotations

import base64
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


def test_however_a_token_is_spelled_it_is_remembered_once(
    authenticator: Authenticator, text: TokenText
) -> None:
    """Else one token would fill the memory of all others, with spellings of which it has any number."""
    snapshot = state(principals=[BOB], tokens=[stored(text)])
    for scheme in ("Bearer", "bearer", "BEARER", "bEARER"):
        for blanks in range(50):
            read = authenticator.read(f"{scheme} {' ' * blanks}{text.render()}{' ' * (50 - blanks)}")
            assert read.shown is None, "it was taken for another one"
            assert authenticator.authenticate(snapshot, read, NOW).name == "bob@example.com"
    assert len(vars(authenticator)["_known"]) == 1


def test_what_is_remembered_is_good_in_its_own_scheme_alone(
    authenticator: Authenticator, text: TokenText
) -> None:
    secret = mint(TokenKind.CLIENT_SECRET)
    spark = Principal("bob", "SERVICE_PRINCIPAL", "spark", "spark", True)
    pair = f"spark:{secret.render()}"
    known = authenticator.read(f"Basic {base64.b64encode(pair.encode()).decode()}")
    authenticator.authenticate(state(principals=[spark], tokens=[stored(secret)]), known, NOW)
    for sent in (
        text.render(),
        f"Basic {text.render()}",
        f"Token {text.render()}",
        f"Basic {pair}",
        f"Bearer {pair}",
    ):
        with pytest.raises(Unauthenticated) as refused:
            authenticator.read(sent)
        assert refused.value.reason is Reason.TOKEN_MALFORMED


def test_however_a_client_secret_is_spelled_it_is_remembered_once() -> None:
    secret, authenticator = mint(TokenKind.CLIENT_SECRET), Authenticator(KEYS)
    spark = Principal("bob", "SERVICE_PRINCIPAL", "spark", "spark", True)
    snapshot = state(principals=[spark], tokens=[stored(secret)])
    for client_id in ("spark", "SPARK", "Spark", "%73park", "%73%70ark"):
        for blanks in ("", " ", "   "):
            pair = base64.b64encode(f"{client_id}:{secret.render()}".encode()).decode()
            read = authenticator.read(f"Basic {blanks}{pair}{blanks}")
            assert authenticator.authenticate(snapshot, read, NOW).name == "spark"
    assert len(vars(authenticator)["_known"]) == 1
    other = base64.b64encode(f"other:{secret.render()}".encode()).decode()
    with pytest.raises(Unauthenticated):
        authenticator.authenticate(snapshot, authenticator.read(f"Basic {other}"), NOW)


def test_from_memory_only_who_was_verified_and_still_is_there_is_known(
    authenticator: Authenticator, text: TokenText
) -> None:
    shown = f"Bearer {text.render()}"
    row = next(iter(vars(authenticator)["_known"].values())).row
    snapshot = state(principals=[BOB], tokens=[row])
    assert authenticator.remembered(snapshot, shown, b"") == "bob"
    forged = text._replace(secret=mint(TokenKind.PAT).secret)
    for stranger in (
        f"Bearer {forged.render()}",
        f"Bearer {mint(TokenKind.PAT).render()}",
        "Bearer x",
        "",
        "x",
    ):
        assert authenticator.remembered(snapshot, stranger, b"") is None
    for later in (
        state(principals=[BOB], tokens=[]),
        state(principals=[], tokens=[row]),
        state(principals=[BOB._replace(active=False)], tokens=[row]),
    ):
        assert authenticator.remembered(later, shown, b"") is None
    assert authenticator.remembered(snapshot, "", b"no certificate") is None


def test_nothing_remembered_or_shown_holds_the_secret(authenticator: Authenticator, text: TokenText) -> None:
    credential = authenticator.read(f"Bearer {text.render()}")
    shown = repr(credential) + repr(vars(authenticator)["_known"])
    assert text.secret not in shown
    assert text.render() not in shown
