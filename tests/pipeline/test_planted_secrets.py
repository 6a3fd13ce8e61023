"""Neither a dump of the database nor the logs at DEBUG hold a credential that was made, used or refused."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import inspect, text

from lakewarden import LakewardenError
from lakewarden_server.authn.tokens import TokenKind, mint
from lakewarden_server.storage import Database
from lakewarden_server.testing import EmbeddedServer, serve
from observability.watching import Collector, collecting, exposition, watched
from services.providers import AUDIENCE, ISSUER, SUBJECT, Provider

NAME = "spark-of-the-planted"


@contextmanager
def everything_logged() -> Iterator[io.StringIO]:
    """What every logger of the process writes."""
    stream = io.StringIO()
    handler, root = logging.StreamHandler(stream), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield stream
    finally:
        root.setLevel(before)
        root.removeHandler(handler)


def dump(database: Database) -> str:
    """Every value of every table; bytes also as the text they may be."""
    with database.engines.reader.connect() as connection:
        rows = [
            row
            for table in inspect(connection).get_table_names()
            for row in connection.execute(text(f'SELECT * FROM "{table}"'))
        ]
    return "\n".join(_spelled(value) for row in rows for value in row)


def _spelled(value: object) -> str:
    if isinstance(value, bytes | memoryview):
        found = bytes(value)
        return f"{found.hex()} {found.decode(errors='replace')}"
    return str(value)


def secret_of(text: str) -> str:
    """What nobody may learn of a token's text: what comes after its id."""
    return text.rpartition("_")[2][:40]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        yield collector


def plant(server: EmbeddedServer) -> tuple[dict[str, str], list[Callable[[], object]]]:
    """Makes and uses secrets of every kind; tells them, and calls that show secrets and must fail."""
    admin, provider = server.client(), Provider()
    name = admin.service_principals.create(NAME).name
    made = admin.service_principals.create_secret(name)
    token = admin.tokens.create_access_token(name, made.secret_value).access_token
    admin.federation_policies.create(
        ISSUER, [AUDIENCE], provider.jwks, service_principal=name, subject=SUBJECT
    )
    identity, foreign = provider.token(), Provider().token()
    traded = admin.as_token(identity).tokens.create_access_token().access_token
    program = server.client(token, workspace="")
    assert program.session.get().principal == name
    own = admin.tokens.create()
    rotated = admin.tokens.rotate(own.token.id).token_value
    on_behalf = admin.tokens.create(principal=name).token_value
    unknown, stranger, bootstrap, in_header = (
        mint(kind).render()
        for kind in (TokenKind.CLIENT_SECRET, TokenKind.PAT, TokenKind.BOOTSTRAP, TokenKind.PAT)
    )
    values = [f"planted-{what}-1f7c92ab" for what in ("value", "other-value", "password", "other-password")]
    options = {"host": "h", "user": "u"}
    admin.service_credentials.create("vault", "secret", {"value": values[0]})
    admin.connections.create("crm", "POSTGRESQL", options=options, secret_options={"password": values[2]})
    keys = server.app.keys
    secrets = {
        "client secret": secret_of(made.secret_value),
        "unknown secret": secret_of(unknown),
        "as sent": base64.b64encode(f"{name}:{made.secret_value}".encode()).decode()[60:100],
        "access token": token.split(".")[1],
        "its signature": token.split(".")[2],
        "a provider's token": identity.split(".")[1],
        "its provider's signature": identity.split(".")[2],
        "a forged one": foreign.split(".")[2],
        "what it was traded for": traded.split(".")[2],
        "key": server.app.settings.key_file.read_text().split()[0],
        "pepper": keys.peppers[0].secret.hex(),
        "key of page tokens": keys.page_token.hex(),
        "the admin's token": secret_of(server.admin_token),
        "own token": secret_of(own.token_value),
        "rotated token": secret_of(rotated),
        "on-behalf token": secret_of(on_behalf),
        "unknown token": secret_of(stranger),
        "unknown one-time token": secret_of(bootstrap),
        "token as a workspace": in_header,
        **dict(
            zip(("credential", "refused credential", "password", "refused password"), values, strict=True)
        ),
    }
    return secrets, [
        lambda: admin.tokens.create_access_token(name, unknown),
        lambda: server.client(token[:-6] + "AAAAAA").session.get(),
        lambda: server.client(made.secret_value).session.get(),
        lambda: admin.as_token(foreign).tokens.create_access_token(),
        lambda: admin.as_token(identity).session.get(),
        lambda: program.tokens.create(),
        lambda: program.catalogs.create(f"x_{name}"),
        lambda: server.client(stranger).session.get(),
        lambda: server.client(f"{stranger}x").session.get(),
        lambda: server.client(bootstrap).tokens.create(),
        lambda: server.client(own.token_value).session.get(),
        lambda: admin.service_credentials.create("vault", "secret", {"value": values[1]}),
        lambda: admin.connections.create(
            "crm", "POSTGRESQL", options=options, secret_options={"password": values[3]}
        ),
        lambda: admin.connections.create("crm2", "POSTGRESQL", options={"password": values[3]}, secret_options={}),
    ]  # fmt: skip


def test_no_secret_is_told_anywhere(database_url: str, collector: Collector) -> None:
    """Twenty secrets and more, made, used and refused."""
    errors: list[str] = []
    with everything_logged() as written, serve(database_url=database_url) as server:
        watched(server, metrics="127.0.0.1:0", traces=True)
        secrets, attempts = plant(server)
        for attempt in attempts:
            with pytest.raises(LakewardenError) as refused:
                attempt()
            errors += [str(refused.value), repr(vars(refused.value))]
        # To its sender alone an error repeats the name of a workspace.
        with pytest.raises(LakewardenError):
            list(server.client(workspace=secrets["token as a workspace"]).catalogs.list())
        server.app.decisions.stop()
        metrics = exposition(server)
        watched(server, traces=False)
        told = {
            "database": dump(server.app.database),
            "log": written.getvalue(),
            "errors": "\n".join(errors),
            "metrics": metrics,
            "traces": repr(collector.bodies),
            "audit": "\n".join(map(str, server.client().audit.list())),
        }
    assert len(secrets) > 20
    assert all(len(secret) > 15 for secret in secrets.values())
    assert len(set(secrets.values())) == len(secrets)
    # The controls: what is no secret is found, and each place holds something.
    assert NAME in told["database"]
    assert "vault" in told["audit"]
    assert all(len(what) > 100 for what in told.values())
    found = {
        (where, what) for where, text in told.items() for what, secret in secrets.items() if secret in text
    }
    assert found == set()
