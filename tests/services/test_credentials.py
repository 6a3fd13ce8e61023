"""Storage and service credentials and connections: identities, secrets that go in and never come out, what uses them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToJson

from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.seals import unseal
from lakewarden_server.entities import Secret
from lakewarden_server.testing import EmbeddedServer, serve
from services.errors import fails
from services.places import KEY, ROLE, fresh_url

Fresh = Callable[[str], str]

IDENTITIES: dict[str, tuple[dict[str, str], str]] = {
    "aws_iam_role": (ROLE, ""),
    "aws_access_key": ({"access_key_id": "AKIA"}, "secret_access_key"),
    "azure_service_principal": ({"directory_id": "d", "application_id": "a"}, "client_secret"),
    "azure_managed_identity": ({"access_connector_id": "/subscriptions/x"}, ""),
    "gcp_service_account": ({"email": "a@b.iam.gserviceaccount.com"}, "private_key"),
    "cloudflare_api_token": ({"account_id": "c", "access_key_id": "k"}, "secret_access_key"),
    "secret": ({}, "value"),
}
KINDS = [
    (kind, identity)
    for kind in ("storage_credentials", "service_credentials")
    for identity in IDENTITIES
    if (kind, identity) not in {("storage_credentials", "secret"), ("service_credentials", "cloudflare_api_token")}
]  # fmt: skip
CANARY = "canary-7f3a9c"


def _fields(identity: str, secret: str = CANARY) -> dict[str, str]:
    public, name = IDENTITIES[identity]
    return {**public, name: secret} if name else dict(public)


@pytest.mark.parametrize(("kind", "identity"), KINDS)
def test_identity_is_shown_without_its_secret(
    both: EmbeddedServer, fresh: Fresh, kind: str, identity: str
) -> None:
    resource, name = getattr(both.client(), kind), fresh("credential")
    made = resource.create(name, identity, _fields(identity))
    assert made.WhichOneof("identity") == identity
    shown = getattr(made, identity)
    assert all(getattr(shown, field) == value for field, value in IDENTITIES[identity][0].items())
    assert resource.get(name) == made
    for message in (made, *resource.list()):
        assert CANARY not in MessageToJson(message)


@pytest.mark.parametrize(("kind", "identity"), KINDS)
def test_identity_misses_no_field(server: EmbeddedServer, fresh: Fresh, kind: str, identity: str) -> None:
    resource, name = getattr(server.client(), kind), fresh("credential")
    whole = _fields(identity)
    for field in whole:
        with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying=f"{identity}.{field}") as failure:
            resource.create(name, identity, {key: value for key, value in whole.items() if key != field})
        assert CANARY not in failure.error.message
    resource.create(name, identity, whole)


def test_credential_without_an_identity_is_refused(server: EmbeddedServer, fresh: Fresh) -> None:
    client = server.client()
    for resource in (client.storage_credentials, client.service_credentials):
        with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="aws_iam_role"):
            resource._create({"name": fresh("credential")})


def test_too_long_secret_is_refused_and_not_quoted(server: EmbeddedServer, fresh: Fresh) -> None:
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="secret.value") as failure:
        server.client().service_credentials.create(fresh("x"), "secret", {"value": CANARY * 2_000})
    assert CANARY not in failure.error.message


def test_external_id_of_a_role_stays_when_the_role_changes(both: EmbeddedServer, fresh: Fresh) -> None:
    resource, name = both.client().storage_credentials, fresh("role")
    made = resource.create(name, "aws_iam_role", ROLE)
    changed = resource.update(name, identity="aws_iam_role", fields={"role_arn": "arn:other"})
    assert made.aws_iam_role.external_id == changed.aws_iam_role.external_id != ""
    assert changed.aws_iam_role.role_arn == "arn:other"


def test_new_secret_replaces_the_old_one_and_moves_the_etag(both: EmbeddedServer, fresh: Fresh) -> None:
    resource, name = both.client().storage_credentials, fresh("key")
    made = resource.create(name, "aws_access_key", KEY)
    changed = resource.update(name, identity="aws_access_key", fields={**KEY, "secret_access_key": "new"})
    assert changed.etag != made.etag
    assert _secrets(both, made.id) == {"secret_access_key": "new"}
    resource.update(name, identity="aws_iam_role", fields=ROLE, read_only=True)
    assert _secrets(both, made.id) is None


def test_update_that_names_another_identity_than_it_holds_is_refused(
    server: EmbeddedServer, fresh: Fresh
) -> None:
    resource, name = server.client().storage_credentials, fresh("key")
    resource.create(name, "aws_access_key", KEY)
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="aws_iam_role"):
        resource._update(name, {"aws_iam_role": {}, "aws_access_key": KEY}, etag="")
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="secret_access_key"):
        resource.update(name, identity="aws_access_key", fields={"access_key_id": "AKIA"})


def test_storage_and_service_credentials_share_their_names(both: EmbeddedServer, fresh: Fresh) -> None:
    client, name = both.client(), fresh("shared")
    client.storage_credentials.create(name, "aws_iam_role", ROLE)
    with fails("NAME_TAKEN", "ALREADY_EXISTS"):
        client.service_credentials.create(name.upper(), "aws_iam_role", ROLE)
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        client.service_credentials.get(name)


def test_credential_in_use_goes_only_by_force(both: EmbeddedServer, fresh: Fresh) -> None:
    client, lake, desk = both.client(), fresh("lake"), fresh("desk")
    client.storage_credentials.create(lake, "aws_iam_role", ROLE)
    client.service_credentials.create(desk, "secret", {"value": "s"})
    place = client.external_locations.create(fresh("place"), fresh_url(), lake)
    client.connections.create(desk, "HTTP", credential=desk)
    for resource, name in ((client.storage_credentials, lake), (client.service_credentials, desk)):
        with fails("IN_USE", "FAILED_PRECONDITION") as failure:
            resource.delete(name)
        assert place.name not in failure.error.message
        resource.delete(name, force=True)
    # Another one of the same name is not theirs.
    client.storage_credentials.create(lake, "aws_iam_role", ROLE)
    assert client.external_locations.get(place.name).credential == ""
    assert client.connections.get(desk).credential == ""


def test_deleted_credential_leaves_no_secret(both: EmbeddedServer, fresh: Fresh) -> None:
    resource, name = both.client().service_credentials, fresh("gone")
    made = resource.create(name, "secret", {"value": "s"})
    assert _secrets(both, made.id) == {"value": "s"}
    resource.delete(name)
    assert _secrets(both, made.id) is None


def test_connection_shows_the_names_of_its_secret_options(both: EmbeddedServer, fresh: Fresh) -> None:
    resource, name = both.client().connections, fresh("db")
    options, secrets = {"host": "h", "port": "5432"}, {"user_token": "t", "password": CANARY}
    made = resource.create(name, "postgresql", options=options, secret_options=secrets, read_only=True)
    assert (made.connection_type, dict(made.options), made.read_only) == ("POSTGRESQL", options, True)
    assert list(made.secret_option_names) == ["password", "user_token"]
    assert not made.secret_options
    assert resource.get(name) == made
    assert _secrets(both, made.id) == secrets


def test_stored_password_is_never_sent_to_a_new_host(both: EmbeddedServer, fresh: Fresh) -> None:
    """Whoever may change the options, and was never told the password, must not have it sent elsewhere."""
    resource, name = both.client().connections, fresh("db")
    made = resource.create(name, "MYSQL", options={"host": "a"}, secret_options={"password": "p"})
    with fails("UPDATE_MASK_INVALID", "INVALID_ARGUMENT", saying="secret_options"):
        resource.update(name, options={"host": "evil"})
    changed = resource.update(name, options={"host": "b"}, secret_options={"password": "q"})
    assert (dict(changed.options), _secrets(both, made.id)) == ({"host": "b"}, {"password": "q"})
    bare = resource.update(name, options={"host": "c"}, secret_options={})
    assert (list(bare.secret_option_names), _secrets(both, made.id)) == ([], None)
    assert dict(resource.update(name, options={"host": "d"}).options) == {"host": "d"}


@pytest.mark.parametrize(
    ("values", "saying"),
    [
        ({"connection_type": "CARRIER_PIGEON"}, "connection_type"),
        ({"options": {"password": CANARY}}, "secret_options"),
        ({"options": {"clientSecret": CANARY}}, "secret_options"),
        ({"options": {"aws.access-key": CANARY}}, "secret_options"),
        ({"options": {"": "x"}}, "options"),
        ({"options": {"k": "v" * 4_097}}, "options"),
        ({"options": {"host": "h"}, "secret_options": {"host": CANARY}}, "secret_options"),
        ({"secret_options": {"password": ""}}, "secret_options"),
        ({"secret_options": {"password": CANARY * 2_000}}, "secret_options"),
        ({"secret_options": {f"k{number}": CANARY for number in range(21)}}, "secret_options"),
    ],
)
def test_wrong_connection_is_refused_and_no_secret_quoted(
    server: EmbeddedServer, fresh: Fresh, values: dict[str, Any], saying: str
) -> None:
    arguments = {"connection_type": "HTTP", **values}
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying=saying) as failure:
        server.client().connections.create(fresh("db"), **arguments)
    assert CANARY not in failure.error.message


def test_option_that_only_speaks_of_a_secret_is_an_option(server: EmbeddedServer, fresh: Fresh) -> None:
    options = {"token_url": "https://x", "passwordPolicy": "strict", "sslmode": "require"}
    made = server.client().connections.create(fresh("db"), "HTTP", options=options)
    assert dict(made.options) == options


def test_credential_of_a_connection_is_hidden_or_missing_alike(both: EmbeddedServer, fresh: Fresh) -> None:
    client, guest = both.client(), both.client_as("guest")
    hidden = fresh("hidden")
    client.service_credentials.create(hidden, "secret", {"value": "s"})
    client.grants.grant("CREATE CONNECTION", "metastore", "metastore", "guest@example.com")
    said = []
    for name in (hidden, hidden.replace("hidden", "absent")):
        with fails("ACCESS_DENIED", "PERMISSION_DENIED") as failure:
            guest.connections.create(fresh("db"), "HTTP", credential=name)
        said.append(failure.error.message.replace(name, "NAME"))
    assert said[0] == said[1]
    client.grants.grant("CREATE CONNECTION", "service_credential", hidden, "guest@example.com")
    assert guest.connections.create(fresh("db"), "HTTP", credential=hidden).credential == hidden


def test_no_secret_is_left_anywhere_in_the_clear(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Database file, write-ahead log, change log, audit, idempotency records and the server's log."""
    caplog.set_level(logging.DEBUG)
    secrets = [f"{CANARY}-{number}" for number in range(7)]
    with serve(directory=tmp_path) as server:
        client = server.client()
        client.storage_credentials.create("a", "aws_access_key", {**KEY, "secret_access_key": secrets[0]})
        client.storage_credentials.update(
            "a", identity="aws_access_key", fields={**KEY, "secret_access_key": secrets[1]}
        )
        client.service_credentials.create("b", "secret", {"value": secrets[2]})
        client.connections.create("c", "HTTP", secret_options={"password": secrets[3]})
        client.connections.update("c", secret_options={"password": secrets[4]})
        client.providers.create("d", recipient_profile=secrets[5])
        with fails("FIELD_INVALID"):
            client.connections.create("e", "HTTP", options={"password": secrets[6]})
        # The control: what is no secret is found there.
        client.connections.create("f", "HTTP", options={"host": "findable-host"})
        disk = _bytes_in(tmp_path)
    disk += _bytes_in(tmp_path)
    assert b"findable-host" in disk
    assert CANARY.encode() not in disk
    assert CANARY.encode().hex().encode() not in disk
    assert CANARY not in caplog.text


def _bytes_in(directory: Path) -> bytes:
    return b"".join(found.read_bytes() for found in directory.rglob("*") if found.is_file())


def _secrets(server: EmbeddedServer, securable_id: str) -> dict[str, str] | None:
    """What is stored of a securable's secrets, opened with the server's own key."""
    with server.app.database.read(deadline=monotonic() + 10) as uow:
        row = uow.session.get(Secret, securable_id)
        return None if row is None else unseal(server.app.keys.secrets, row.sealed, owner_id=securable_id)
