"""Peppers and keys of secrets are rotated on a whole server: what was made before works until its key is dropped, nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from lakewarden import Client
from lakewarden_server.app import App
from lakewarden_server.authn.keys import Ring, load_key_file
from lakewarden_server.cli import main
from lakewarden_server.core.seals import BrokenSeal, unseal
from lakewarden_server.entities import Secret, Token
from lakewarden_server.testing import EmbeddedServer, serve
from services.errors import fails


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server on a database of each kind."""
    with serve(database_url=database_url, directory=tmp_path) as server:
        yield server


def operated(server: EmbeddedServer, *command: str) -> Result:
    """What `lakewarden-server` says to a command about the installation."""
    settings = server.app.settings
    where = ["--key-file", str(settings.key_file), "--database-url", settings.database_url]
    return CliRunner().invoke(main, [*command, *where])


def done(server: EmbeddedServer, *command: str) -> str:
    """The same, which must work; the server then has the new key file."""
    result = operated(server, *command)
    assert result.exit_code == 0, result.output
    server.restart()
    return result.output


def resting(server: EmbeddedServer) -> dict[str, str]:
    """The pepper each token rests on."""
    with server.app.database.read() as uow:
        return {token.id: token.pepper_id for token in uow.session.scalars(select(Token))}


class Credentials:
    """A token and a client secret of one moment."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.server = server
        admin = server.client()
        self.spark = admin.service_principals.create("spark").name
        self.secret = admin.service_principals.create_secret(self.spark).secret_value
        made = admin.tokens.create()
        self.token, self.token_id = made.token_value, made.token.id

    def work(self) -> None:
        """Both are taken."""
        client = self.server.client(self.token, workspace="")
        assert client.session.get().principal == "admin@example.com"
        assert client.tokens.create_access_token(self.spark, self.secret).access_token

    def are_void(self) -> None:
        """Neither is, and the answer is that to one that never was."""
        client = self.server.client(self.token, workspace="")
        with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
            client.session.get()
        with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
            client.tokens.create_access_token(self.spark, self.secret)


def test_tokens_from_before_work_until_their_pepper_is_dropped(server: EmbeddedServer) -> None:
    old = Credentials(server)
    first = load_key_file(server.app.settings.key_file).peppers[0].id
    assert set(resting(server).values()) == {first}
    done(server, "pepper", "add")
    old.work()
    between = Credentials(server)
    assert resting(server)[between.token_id] == first
    done(server, "pepper", "use")
    second = load_key_file(server.app.settings.key_file).peppers[0].id
    old.work()
    new = Credentials(server)
    assert (resting(server)[new.token_id], second != first) == (second, True)
    new.work()

    before = server.app.settings.key_file.read_bytes()
    refused = operated(server, "pepper", "drop")
    assert refused.exit_code == 1
    assert "5 tokens or client secrets rest on" in refused.output
    assert server.app.settings.key_file.read_bytes() == before
    listed = operated(server, "pepper", "list").output
    assert f"{second}  in use  2 tokens\n{first}  verifies  5 tokens\n" == listed

    # Made anew with a token of the new pepper, one thing after the other rests on it.
    server.admin_token = new.token
    admin = server.client()
    for token_id, pepper in resting(server).items():
        if pepper == first and token_id in {token.id for token in admin.tokens.list()}:
            admin.tokens.delete(token_id)
    for principal in admin.service_principals.list():
        for secret in admin.service_principals.secrets(principal.name):
            if resting(server)[secret.id] == first:
                admin.service_principals.delete_secret(principal.name, secret.id)
    assert "no other beside it" in done(server, "pepper", "drop")
    old.are_void()
    new.work()
    assert set(resting(server).values()) == {second}


def test_dropped_all_the_same_tokens_are_void_and_told(server: EmbeddedServer) -> None:
    old = Credentials(server)
    done(server, "pepper", "add")
    done(server, "pepper", "use")
    new = Credentials(server)
    first = resting(server)[old.token_id]
    said = done(server, "pepper", "drop", "--void-tokens")
    assert "3 tokens or client secrets are void" in said
    old.are_void()
    new.work()
    assert (
        f"{first}  not in the key file  3 tokens, which are void" in operated(server, "pepper", "list").output
    )


def test_servers_of_one_database_take_each_others_tokens_in_every_step(server: EmbeddedServer) -> None:
    app = App(server.app.settings)
    app.start()
    try:
        for step in ("add", "use"):
            # This one has the new key file, the other still that of before.
            done(server, "pepper", step)
            for mine, other in (
                (server.endpoint, f"127.0.0.1:{app.port}"),
                (f"127.0.0.1:{app.port}", server.endpoint),
            ):
                with Client(mine, server.admin_token, "") as here:
                    token = here.tokens.create().token_value
                with Client(other, token, "") as there:
                    assert there.session.get().principal == "admin@example.com"
            app.stop()
            app = App(server.app.settings)
            app.start()
    finally:
        app.stop()


def sealed(server: EmbeddedServer) -> dict[str, str]:
    """The secrets as a server's newest key opens them."""
    with server.app.database.read() as uow:
        rows = uow.session.scalars(select(Secret)).all()
        opened = [unseal(server.app.keys.secrets, row.sealed, owner_id=row.securable_id) for row in rows]
        assert {row.key_id for row in rows} <= {key.id for key in server.app.keys.rings[Ring.SECRETS]}
    return {name: value for secrets in opened for name, value in secrets.items()}


def connect(server: EmbeddedServer, name: str, password: str) -> None:
    server.client().connections.create(
        name, "POSTGRESQL", options={"host": "db"}, secret_options={"password": password}
    )


def test_secrets_are_sealed_anew_before_their_key_goes(server: EmbeddedServer) -> None:
    connect(server, "old", "first")
    done(server, "secrets-key", "add")
    assert sealed(server) == {"password": "first"}
    done(server, "secrets-key", "use")
    with pytest.raises(BrokenSeal):
        sealed(server)
    old = load_key_file(server.app.settings.key_file).rings[Ring.SECRETS][1]
    assert "1 secrets sealed anew" in done(server, "secrets-key", "drop")
    assert sealed(server) == {"password": "first"}
    with server.app.database.read() as uow:
        row = uow.session.scalars(select(Secret)).one()
        with pytest.raises(BrokenSeal):
            unseal(old.secret, row.sealed, owner_id=row.securable_id)
    entry = next(iter(server.client().audit.list(limit=1)))
    assert (entry.operation, entry.actor) == ("seal_secrets", "operator")
    assert server.client().audit.verify()


def test_a_secret_that_cannot_be_opened_keeps_the_old_key(server: EmbeddedServer) -> None:
    connect(server, "one", "first")
    done(server, "secrets-key", "add")
    done(server, "secrets-key", "use")
    with server.app.database.write(
        deadline=1e12, request_id="", actor_id="", policy_digest=server.app.follower.policy.digest
    ) as uow:
        row = uow.session.scalars(select(Secret)).one()
        row.sealed = row.sealed[:-1] + bytes([row.sealed[-1] ^ 1])
        uow.session.flush()
        uow.commit()
    before = server.app.settings.key_file.read_bytes()
    refused = operated(server, "secrets-key", "drop")
    assert (refused.exit_code, "nothing was changed" in refused.output) == (1, True)
    assert server.app.settings.key_file.read_bytes() == before
