"""What a metastore admin reads of the audit: all about its metastore, nothing about anything else, in pages of what is visible."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lakewarden import Client, PermissionDenied
from lakewarden.v1 import audit_pb2, audit_pb2_grpc
from lakewarden_server.testing import EmbeddedServer, serve
from services.errors import fails

MET, WSA = "met@example.com", "wsa@example.com"
SECRET = ("secret", "eve@example.com", "vault", "elsewhere")
"""What stands in records about another metastore, about workspaces and about people, and nowhere else."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def told(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    """Two metastores with a history each, changes of the account, refusals and decisions in both."""
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_server").create_migrated()
    with serve(database_url=url) as server:
        admin = server.client()
        for person in (MET, WSA, "eve@example.com"):
            server.token_of(person)
        admin.grants.grant("ADMIN", "workspace", "workspace", WSA)
        admin.metastores.create("elsewhere")
        admin.workspaces.create("vault", metastore="elsewhere", omit_catalog=True)
        admin.grants.grant("USER", "workspace", "vault", "eve@example.com")
        away = server.client(workspace="vault")
        for turn in range(4):
            admin.catalogs.create(f"c{turn}")
            away.catalogs.create(f"secret{turn}")
            away.grants.grant("BROWSE", "catalog", f"secret{turn}", "eve@example.com")
            admin.catalogs.update(f"c{turn}", comment="seen")
        admin.tables.create("c0.default.t")
        admin.tables.delete("c0.default.t")
        admin.catalogs.delete("c3", force=True)
        admin.groups.create("secret group")
        for client, catalog in (
            (server.client_as("bob"), "c0"),
            (server.client_as("eve", workspace="vault"), "secret0"),
        ):
            client.authorization.check("USE CATALOG", "catalog", catalog)
            with pytest.raises(PermissionDenied):
                client.catalogs.delete(catalog)
        admin.metastores.set_owner("metastore", MET)
        server.app.decisions.flush()
        yield server


@pytest.fixture
def met(told: EmbeddedServer) -> Client:
    return told.client_as(MET)


def visible(told: EmbeddedServer) -> list[audit_pb2.AuditRecord]:
    """What the account admin reads of the first metastore: by names, not by the rule that is tested."""
    return [
        record
        for record in told.client().audit.list()
        if record.object_name.partition(".")[0] in ("c0", "c1", "c2", "c3", "metastore", "main", "workspace")
        and record.object_kind not in ("WORKSPACE", "USER", "GROUP", "TOKEN")
    ]


def test_metastore_admin_reads_all_about_its_metastore(told: EmbeddedServer, met: Client) -> None:
    shown = list(met.audit.list())
    assert [record.event_id for record in shown] == [record.event_id for record in visible(told)]
    operations = {record.operation for record in shown}
    assert {
        "catalog.create",
        "catalog.update.comment",
        "table.delete",
        "catalog.delete",
        "metastore.update.owner",
    } <= operations
    # What was deleted since is told too, and what was asked and refused.
    assert {"c0.default.t", "c3"} <= {record.object_name for record in shown}
    assert {audit_pb2.AuditRecord.DONE, audit_pb2.AuditRecord.DENIED} <= {record.outcome for record in shown}


def test_nothing_about_anything_else_is_told(told: EmbeddedServer, met: Client) -> None:
    everything = "\n".join(map(str, told.client().audit.list()))
    shown = "\n".join(map(str, met.audit.list()))
    for word in SECRET:
        assert word in everything, "the control: it is in the audit"
        assert word not in shown
    for filters in (
        {"workspace": "vault"}, {"actor": "eve@example.com"}, {"object_name": "secret0"}, {"object_kind": "GROUP"},
        {"object_name": "elsewhere"}, {"action": "workspace.create"}, {"action": "group.create"},
    ):  # fmt: skip
        assert list(told.client().audit.list(**filters)), filters
        assert list(met.audit.list(**filters)) == [], filters


@pytest.mark.parametrize("oldest_first", [True, False])
def test_pages_hold_visible_records_only_and_are_full(
    told: EmbeddedServer, met: Client, oldest_first: bool
) -> None:
    stub = audit_pb2_grpc.AuditServiceStub(met._connection.open_channel)
    sizes, found, token = [], [], ""
    while True:
        request = audit_pb2.ListAuditRecordsRequest(page_size=3, page_token=token, oldest_first=oldest_first)
        reply = met._connection.call(stub.ListAuditRecords, request)
        sizes.append(len(reply.audit_records))
        found += [record.event_id for record in reply.audit_records]
        token = reply.next_page_token
        if not token:
            break
    expected = [record.event_id for record in visible(told)]
    assert found == (expected[::-1] if oldest_first else expected)
    assert set(sizes[:-1]) == {3}
    assert 0 < sizes[-1] <= 3


def test_others_see_none_of_it(told: EmbeddedServer, met: Client) -> None:
    for client in (told.client_as(WSA), told.client_as("bob"), told.client_as("stranger")):
        with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED"):
            list(client.audit.list())
    # Nor does a metastore admin verify or replay, which go through everything, nor read from outside its workspaces.
    for attempt in (met.audit.head, met.audit.verify, met.audit.replay):
        with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED"):
            attempt()
    with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED"):
        list(told.client(told.token_of(MET), workspace="vault").audit.list())


def test_who_is_not_metastore_admin_any_more_sees_nothing(told: EmbeddedServer, met: Client) -> None:
    admin = told.client()
    assert list(met.audit.list(limit=1))
    admin.metastores.set_owner("metastore", "admin@example.com")
    with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED"):
        list(met.audit.list(limit=1))
    admin.metastores.set_owner("metastore", MET)
