"""Neither a dump of the database nor the logs at DEBUG hold a credential that was made, used or refused."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import inspect, text

from lakewarden import LakewardenError
from lakewarden_server.authn.tokens import TokenKind, mint
from lakewarden_server.storage import Database
from lakewarden_server.testing import serve
from services.providers import AUDIENCE, ISSUER, SUBJECT, Provider


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


def test_no_credential_is_in_the_database_or_the_log(database_url: str) -> None:
    with everything_logged() as written, serve(database_url=database_url) as server:
        admin = server.client()
        name = admin.service_principals.create("spark").name
        made = admin.service_principals.create_secret(name)
        unknown = mint(TokenKind.CLIENT_SECRET).render()
        token = admin.tokens.create_access_token(name, made.secret_value).access_token
        provider = Provider()
        admin.federation_policies.create(
            ISSUER, [AUDIENCE], provider.jwks, service_principal=name, subject=SUBJECT
        )
        identity, foreign = provider.token(), Provider().token()
        traded = admin.as_token(identity).tokens.create_access_token().access_token
        program = server.client(token, workspace="")
        assert program.session.get().principal == name
        for attempt in (
            lambda: admin.tokens.create_access_token(name, unknown),
            lambda: server.client(token[:-6] + "AAAAAA").session.get(),
            lambda: server.client(made.secret_value).session.get(),
            lambda: admin.as_token(foreign).tokens.create_access_token(),
            lambda: admin.as_token(identity).session.get(),
            lambda: program.tokens.create(),
            lambda: program.catalogs.create(f"x_{name}"),
        ):
            with pytest.raises(LakewardenError):
                attempt()
        server.app.decisions.stop()
        stored, logged = dump(server.app.database), written.getvalue()
        key = server.app.settings.key_file.read_text().split()[0]
    secrets = {
        "client secret": made.secret_value[29:72],
        "unknown secret": unknown[29:72],
        "as sent": base64.b64encode(f"{name}:{made.secret_value}".encode()).decode()[60:100],
        "access token": token.split(".")[1],
        "its signature": token.split(".")[2],
        "a provider's token": identity.split(".")[2],
        "a forged one": foreign.split(".")[2],
        "what it was traded for": traded.split(".")[2],
        "key": key,
    }
    assert made.secret.id in stored, "the control: what is no secret is found"
    assert len(logged) > 100, "the control: something was logged"
    assert {what for what, secret in secrets.items() if secret in stored} == set()
    assert {what for what, secret in secrets.items() if secret in logged} == set()
