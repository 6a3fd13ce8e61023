"""What leaves the server is the workspace's: no tokens, no secrets, and no name of anything that is isolated from it or of elsewhere.

The bytes are read as they are, and every string in them unpacked, in snapshots and in changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import text

from lakewarden import Client
from lakewarden.v1 import authorization_pb2
from lakewarden_policy import slices
from lakewarden_server.testing import EmbeddedServer, serve
from replica.restless import engine
from storage.dialects import ON_SQLITE

Change = authorization_pb2.WatchPolicyResponse
FOREIGN = "xqz"
"""Begins every name and text in this world that the engine must not be told."""


@pytest.fixture
def server(database_url: str) -> Iterator[EmbeddedServer]:
    """On each kind of database: a metastore whose workspace has a part of it, another metastore, secrets, and people who do not work here."""
    with serve(database_url=database_url) as server:
        admin = server.client()
        admin.metastores.create("xqz_elsewhere")
        admin.workspaces.create("xqz_remote", metastore="xqz_elsewhere", omit_catalog=True)
        admin.workspaces.create("xqz_beside", metastore="metastore", omit_catalog=True)
        admin.groups.create("xqz_strangers")
        server.client_as("bob")
        admin.users.create("xqz_stranger@example.com")
        admin.groups.update_members("xqz_strangers", add=["xqz_stranger@example.com"])
        # Bob works beside too: that group counts for him, and its name is not for this workspace.
        admin.grants.grant("USER", "workspace", "xqz_beside", "bob@example.com")
        fill(admin, server)
        yield server


def fill(admin: Client, server: EmbeddedServer) -> None:
    """Objects here, hidden and elsewhere."""
    remote, beside = (server.client(workspace=name) for name in ("xqz_remote", "xqz_beside"))
    for client, catalog in ((admin, "main"), (beside, "xqz_hidden"), (remote, "xqz_far")):
        client.catalogs.create(catalog)
        client.schemas.create(f"{catalog}.sales" if catalog == "main" else f"{catalog}.xqz_s")
    admin.tables.create("main.sales.orders", [{"name": "id", "type_text": "BIGINT"}])
    beside.tables.create("xqz_hidden.xqz_s.xqz_t", [{"name": "xqz_c", "type_text": "BIGINT"}])
    remote.tables.create("xqz_far.xqz_s.xqz_u", [{"name": "xqz_d", "type_text": "BIGINT"}])
    admin.views.create("main.sales.through", "SELECT xqz_c AS c FROM xqz_hidden.xqz_s.xqz_t")
    admin.functions.create("main.sales.body", ["x VARCHAR"], "VARCHAR", "x || 'xqz_in_a_body'")
    beside.workspace_bindings.update("catalog", "xqz_hidden", isolated=True)
    admin.grants.grant("SELECT", "view", "main.sales.through", "bob@example.com")
    admin.grants.grant("SELECT", "view", "main.sales.through", "xqz_strangers")
    # Even this workspace's own objects do not travel.
    admin.workspace_objects.create("directory", "xqz_folder", display_name="xqz_path")
    admin.workspace_objects.create("notebook", "xqz_notebook", parent="xqz_folder")
    admin.permissions.update("directory", "xqz_folder", add={"bob@example.com": "CAN_RUN"})
    places(admin)


def places(admin: Client) -> None:
    """What has secrets and URLs."""
    keys = {
        "directory_id": "00000000-0000-0000-0000-000000000001",
        "application_id": "c",
        "client_secret": "xqz_secret",
    }
    admin.service_credentials.create("robot", "azure_service_principal", keys)
    role = {"role_arn": "arn:aws:iam::123456789012:role/xqz_role"}
    admin.storage_credentials.create("lake", "aws_iam_role", role)
    admin.external_locations.create("landing", "s3://xqz-bucket/path", "lake")
    options = {"host": "xqz.example.com", "port": "5432", "user": "xqz_user"}
    admin.connections.create(
        "crm", "POSTGRESQL", options=options, secret_options={"password": "xqz_password"}
    )
    admin.storage_credentials.create("xqz_cred", "aws_iam_role", role)
    admin.workspace_bindings.update(
        "storage_credential", "xqz_cred", isolated=True, add=["xqz_beside"], remove=["workspace"]
    )


def strings(table: pa.Table) -> Iterator[str]:
    """Every string in a list and its schema."""
    yield str(table.schema)
    for column in table.columns:
        for value in column.to_pylist():
            yield from map(str, value if isinstance(value, list) else [value])


def unpacked(data: bytes) -> tuple[str, bytes]:
    """All strings, and all bytes without compression, so that what a dictionary keeps and no row names is found too."""
    source, texts, sink = pa.BufferReader(data), [], pa.BufferOutputStream()
    while source.tell() < len(data):
        table = pa.ipc.open_stream(source).read_all()
        texts.extend(strings(table))
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    return "\n".join(texts), sink.getvalue().to_pybytes()


def secrets_of(server: EmbeddedServer) -> list[bytes]:
    """What the token and secret tables tell one from another by, as bytes and as text."""
    found: list[bytes] = [server.admin_token.encode()]
    with server.app.database.read() as uow:
        for statement in ("SELECT id, digest FROM tokens", "SELECT sealed FROM secrets"):
            for row in uow.connection.execute(text(statement)):
                for value in row:
                    found += [value, value.hex().encode()] if isinstance(value, bytes) else [value.encode()]
    return found


def leaks(server: EmbeddedServer, data: bytes) -> list[bytes]:
    """What is in the bytes and must not be."""
    texts, plain = unpacked(data)
    return [
        value
        for value in (FOREIGN.encode(), *secrets_of(server))
        if value in plain or value in texts.encode()
    ]


def changes(server: EmbeddedServer) -> None:
    """Something happens to everything the engine must not know, and to what it knows of."""
    admin, beside, remote = (
        server.client(workspace=name) for name in ("workspace", "xqz_beside", "xqz_remote")
    )
    admin.tokens.create(comment="xqz_comment")
    beside.tables.create("xqz_hidden.xqz_s.xqz_new", [{"name": "xqz_c", "type_text": "BIGINT"}])
    remote.tables.create("xqz_far.xqz_s.xqz_new", [{"name": "xqz_c", "type_text": "BIGINT"}])
    beside.grants.grant("SELECT", "table", "xqz_hidden.xqz_s.xqz_new", "bob@example.com")
    beside.tables.delete("xqz_hidden.xqz_s.xqz_t")
    admin.users.create("xqz_newcomer@example.com")
    admin.groups.update_members("xqz_strangers", add=["xqz_newcomer@example.com"])
    admin.workspaces.create("xqz_third", omit_catalog=True)
    admin.external_locations.update("landing", url="s3://xqz-elsewhere/path", credential="lake")
    admin.connections.update("crm", options={"host": "xqz"}, secret_options={"password": "xqz_other"})
    admin.workspace_objects.create("job", "xqz_job", owner="bob@example.com")
    admin.workspace_objects.move("notebook", "xqz_notebook", "")
    admin.permissions.update("notebook", "xqz_notebook", add={"bob@example.com": "CAN_EDIT"})
    admin.workspace_objects.delete("directory", "xqz_folder")
    admin.grants.grant("MODIFY", "table", "main.sales.orders", "bob@example.com")


def test_snapshot_and_changes_tell_nothing_foreign_and_nothing_secret(server: EmbeddedServer) -> None:
    client = engine(server)[1]
    first = client.authorization.watch_policy()
    assert first.change == Change.SNAPSHOT
    texts, _ = unpacked(first.data)
    for known in ("bob@example.com", "orders", "through", "landing", slices.HIDDEN_NAME):
        assert known in texts, "the search finds what is there"
    assert leaks(server, first.data) == []
    changes(server)
    later = client.authorization.watch_policy(position=first.position)
    assert later.change == Change.DELTA
    assert "MODIFY" in unpacked(later.data)[0]
    assert leaks(server, later.data) == []


@ON_SQLITE
def test_who_comes_to_work_here_gets_a_name_and_who_leaves_loses_it(server: EmbeddedServer) -> None:
    client, admin = engine(server)[1], server.client()
    first = client.authorization.watch_policy()
    admin.grants.grant("USER", "workspace", "workspace", "xqz_strangers")
    second = client.authorization.watch_policy(position=first.position)
    assert leaks(server, second.data) == [FOREIGN.encode()]
    admin.grants.revoke("USER", "workspace", "workspace", "xqz_strangers")
    third = client.authorization.watch_policy(position=second.position)
    assert second.change == third.change == Change.DELTA
    assert leaks(server, third.data) == []


@ON_SQLITE
def test_what_is_isolated_after_the_engine_knew_it_is_sent_no_more(server: EmbeddedServer) -> None:
    client, beside = engine(server)[1], server.client(workspace="xqz_beside")
    beside.workspace_bindings.update("catalog", "xqz_hidden", isolated=False)
    first = client.authorization.watch_policy()
    assert leaks(server, first.data) == [FOREIGN.encode()]
    beside.workspace_bindings.update(
        "catalog", "xqz_hidden", isolated=True, add=["xqz_beside"], remove=["workspace"]
    )
    second = client.authorization.watch_policy(position=first.position)
    assert second.change == Change.SNAPSHOT
    assert leaks(server, second.data) == []


SPOILED: dict[str, Any] = {
    "_shown": lambda self, securable: (
        securable if securable.kind not in {"USER", "GROUP", "ACCOUNT"} else None
    ),
    "_masked": lambda self, reference: reference,
    "principals": lambda self: sorted(self._snapshot.principals.values()),
}


@ON_SQLITE
@pytest.mark.parametrize("method", SPOILED)
def test_slice_that_hides_less_is_caught(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """The controls: each of the ways in which something is left out is needed, and its absence found."""
    monkeypatch.setattr(slices.WorkspaceSlice, method, SPOILED[method])
    found = leaks(server, engine(server)[1].authorization.watch_policy().data)
    assert found == [FOREIGN.encode()]


@ON_SQLITE
def test_url_that_is_sent_is_caught(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "_without_url", lambda location: location)
    assert leaks(server, engine(server)[1].authorization.watch_policy().data) == [FOREIGN.encode()]


@ON_SQLITE
def test_tokens_in_the_bytes_are_caught(server: EmbeddedServer) -> None:
    """The control of the search itself."""
    sink = pa.BufferOutputStream()
    table = pa.table({"id": [value for value in secrets_of(server) if value.isalnum()][:1]})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    assert leaks(server, sink.getvalue().to_pybytes())
