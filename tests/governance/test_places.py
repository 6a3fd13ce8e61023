"""Credentials, locations, connections and shares in files: secrets are looked for first, sent when needed, and never written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from governance.conftest import Run
from lakewarden import Client
from lakewarden_server.testing import EmbeddedServer, serve

Write = Callable[..., Path]
NOTHING = "nothing to do\n"
HUSH = "a-secret-nobody-may-see"
KEY = (
    '[[storage_credential]]\nfull_name = "key"\nidentity = "aws_access_key"\n'
    'identity_fields = {access_key_id = "AK1"}\nsecret = {env = "KEY_SECRET"}\n'
)
CRM = (
    '[[connection]]\nfull_name = "crm"\nconnection_type = "postgresql"\noptions = {host = "db1"}\n'
    'secret_options = {password = {file = "password.txt"}}\n'
)
LAKE = '[[external_location]]\nfull_name = "lake"\nurl = "s3://bucket/lake"\ncredential = "key"\n'


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    """A server of this test's own."""
    with serve() as server:
        yield server


@pytest.fixture
def admin(server: EmbeddedServer) -> Client:
    """Its admin, who owns the metastore."""
    return server.client()


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    """The secrets where the files say they are."""
    monkeypatch.setenv("KEY_SECRET", HUSH)
    write(HUSH + "\n", "password.txt")


@pytest.mark.usefixtures("secrets")
def test_secrets_are_sent_and_never_written(
    run: Run, server: EmbeddedServer, admin: Client, write: Write
) -> None:
    write(KEY + CRM + LAKE)
    done = run(server, "apply governance.toml")
    assert HUSH not in done.out + done.err
    assert list(admin.connections.get("crm").secret_option_names) == ["password"]
    assert admin.storage_credentials.get("key").aws_access_key.access_key_id == "AK1"
    assert run(server, "diff governance.toml").out == NOTHING
    text = run(server, "export").out
    assert HUSH not in text
    assert 'secret = {env = "SECRET_AWS_ACCESS_KEY_KEY_SECRET_ACCESS_KEY"}' in text
    assert 'secret_options = {password = {env = "SECRET_CONNECTION_CRM_PASSWORD"}}' in text


def test_a_missing_secret_is_told_before_the_first_step(
    run: Run, server: EmbeddedServer, admin: Client, write: Write
) -> None:
    write('[[user]]\nname = "x@example.com"\n' + KEY)
    err = run(server, "apply governance.toml", exits=5).err
    assert "the environment variable KEY_SECRET with a secret is not set" in err
    assert "x@example.com" not in [user.name for user in admin.users.list()]


@pytest.mark.usefixtures("secrets")
def test_what_a_secret_belongs_to_is_changed_with_it_and_all_else_without(
    run: Run, server: EmbeddedServer, admin: Client, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(KEY + CRM)
    run(server, "apply governance.toml")
    monkeypatch.delenv("KEY_SECRET")
    write(KEY + 'comment = "new"\n')
    run(server, "apply governance.toml")
    write((KEY + CRM).replace("AK1", "AK2").replace("db1", "db2"))
    run(server, "apply governance.toml", exits=5)
    monkeypatch.setenv("KEY_SECRET", HUSH)
    run(server, "apply governance.toml")
    assert admin.storage_credentials.get("key").aws_access_key.access_key_id == "AK2"
    assert admin.connections.get("crm").options["host"] == "db2"
    assert run(server, "diff governance.toml").out == NOTHING


@pytest.mark.usefixtures("secrets")
def test_a_location_moves_with_its_credential_named(
    run: Run, server: EmbeddedServer, admin: Client, write: Write
) -> None:
    write(KEY + LAKE)
    run(server, "apply governance.toml")
    write(KEY + LAKE.replace("bucket/lake", "bucket/other"))
    assert '    url: "s3://bucket/lake" → "s3://bucket/other"' in run(server, "apply governance.toml").out
    assert admin.external_locations.get("lake").url == "s3://bucket/other"


def test_what_is_shared_with_whom(run: Run, server: EmbeddedServer, admin: Client, write: Write) -> None:
    admin.catalogs.create("main")
    for name in ("a", "b"):
        admin.tables.create(f"main.default.{name}", [{"name": "id", "type_text": "INT"}])
        admin.recipients.create(name)
    admin.shares.create("gift")
    share = 'objects = ["main.default.a", "main.default.b"]\nrecipients = ["a", "b"]\n'
    whole = run(server, "export").out
    write(whole.replace('[[share]]\nfull_name = "gift"\n', '[[share]]\nfull_name = "gift"\n' + share))
    assert run(server, "apply governance.toml").out.splitlines()[:-1] == [
        "+ add main.default.a, main.default.b to share gift",
        "+ add a to share gift",
        "+ add b to share gift",
    ]
    assert run(server, "diff governance.toml --prune").out == NOTHING
    write(whole)
    assert run(server, "apply governance.toml --prune --yes").out.count("- remove") == 3
    assert list(admin.shares.objects("gift")) == []
    assert run(server, "export").out == whole


def test_references_to_places_are_checked(run: Run, write: Write) -> None:
    write('[scope]\nmetastore = "eu"\n' + LAKE + KEY.replace("secret = {", "secret = {file = 1, "))
    err = run(None, "validate governance.toml", exits=2).err
    assert (
        "governance.toml:4: external location lake has credential key, which the files do not describe" in err
    )
    assert 'governance.toml:11: secret must be such as {env = "NAME"} or {file = "PATH"}' in err
