"""A token that somebody pastes where a name belongs is in no audit, no decision and no error; its id is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lakewarden import Client, LakewardenError
from lakewarden_server.authn.tokens import TokenKind, mint
from lakewarden_server.pipeline import redaction
from lakewarden_server.pipeline.redaction import REDACTED, redacted, redacted_text
from lakewarden_server.testing import EmbeddedServer, serve
from services.providers import Provider


def written(server: EmbeddedServer) -> str:
    """What audit and decision log say."""
    server.app.decisions.flush()
    return "\n".join(map(str, server.client().audit.list()))


def pasted(server: EmbeddedServer, token: str) -> list[str]:
    """A token where names belong, in calls that succeed and calls that fail; tells the errors."""
    admin, guest = server.client(), server.client_as("guest")
    admin.catalogs.create(token)
    admin.catalogs.update(token, comment="kept")
    admin.schemas.create(f"{token}.inside")
    attempts: list[Callable[[Client], object]] = [
        lambda client: client.catalogs.get(f"x{token}"),
        lambda client: client.schemas.get(f"{token}.missing"),
        lambda client: client.catalogs.create(token),
        lambda client: client.tables.get(f"main.sales.{token}"),
        lambda client: client.users.get(f"{token}@example.com"),
        lambda client: client.grants.grant("SELECT", "table", f"main.sales.{token}", token),
        lambda client: client.catalogs.create(f"{token}/"),
        lambda client: list(client.with_workspace(token).catalogs.list()),
    ]
    errors = []
    for client in (admin, guest):
        assert not client.authorization.check("SELECT", "table", f"main.sales.{token}")
        for attempt in attempts:
            try:
                attempt(client)
            except LakewardenError as error:
                errors.append(f"{error} {vars(error)}")
    return errors


@pytest.mark.parametrize("kind", [TokenKind.PAT, TokenKind.BOOTSTRAP, TokenKind.CLIENT_SECRET])
def test_a_pasted_token_is_not_kept(kind: TokenKind) -> None:
    planted = mint(kind)
    with serve() as server:
        errors = pasted(server, planted.render())
        audit = written(server)
    assert len(errors) > 8
    for where in (audit, *errors):
        assert planted.secret[:20].lower() not in where.lower()
    # Whoever reads it can tell which token it was, and delete that.
    for where in (audit, "".join(errors)):
        assert f"{planted.id}_{REDACTED}" in where


def test_control_without_redaction_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = mint(TokenKind.PAT)
    monkeypatch.setattr(redaction, "_SHORTEST", 10**9)
    with serve() as server:
        errors = pasted(server, planted.render())
        audit = written(server)
    assert planted.secret in audit
    assert planted.secret in "".join(errors)


def test_a_pasted_signed_token_is_not_kept() -> None:
    with serve() as server:
        admin = server.client()
        name = admin.service_principals.create("spark").name
        secret = admin.service_principals.create_secret(name).secret_value
        ours = admin.tokens.create_access_token(name, secret).access_token
        for token in (ours, Provider().token()):
            # Its three parts read as a catalog, a schema and a table.
            assert not admin.authorization.check("SELECT", "table", token)
            with pytest.raises(LakewardenError) as refused:
                server.client_as("guest").tables.get(token)
            signature = token.rpartition(".")[2]
            assert signature not in f"{refused.value} {vars(refused.value)}"
            audit = written(server)
            assert signature not in audit
            assert token.split(".")[1] not in audit
        assert audit.count(REDACTED) >= 2


def test_what_is_no_credential_stays_as_it_is() -> None:
    plain = [
        "main.sales.orders",
        "eyjafjallajoekull.reports.monthly",
        "lwpat_is_how_our_tokens_begin_and_this_is_none",
        "a_catalog_with_a_very_long_name.and_a_schema_with_another.and_a_table_with_the_longest_of_all",
        f"lwpat_{mint(TokenKind.PAT).id}",
        "",
    ]
    assert [redacted_text(text) for text in plain] == plain
    planted = mint(TokenKind.PAT)
    shown = f"lwpat_{planted.id}_{REDACTED}"
    assert redacted({"a": [planted.render(), 1, None], planted.render(): "b"}) == {
        "a": [shown, 1, None],
        shown: "b",
    }
    assert redacted_text(f"before {planted.render()} after") == f"before {shown} after"
    assert redacted_text(planted.render().lower()) == shown.lower()
    assert redacted_text(planted.render()[:60]) == shown
