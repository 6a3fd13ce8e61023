"""`system.access.audit` has the rows of an exported audit, for whoever may read the audit and nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from lakewarden import PermissionDenied
from lakewarden._audit_export import arrow_schema, row_of
from lakewarden._system_tables import SystemTables
from lakewarden_server.testing import EmbeddedServer, serve

AUDIT = "system.access.audit"


@pytest.fixture
def server(database_url: str) -> Iterator[EmbeddedServer]:
    with serve(database_url=database_url) as found:
        admin, stranger = found.client(), found.client_as("stranger")
        admin.catalogs.create("main")
        admin.schemas.create("main.s")
        for name in ("main", "none"):
            with pytest.raises(PermissionDenied):
                stranger.catalogs.get(name)
        found.app.decisions.flush()
        yield found


def test_it_has_the_rows_of_the_audit(server: EmbeddedServer) -> None:
    admin = server.client()
    listed = [row_of(record) for record in admin.audit.list(oldest_first=True)]
    table = admin.system_table(AUDIT)
    assert table.schema.equals(arrow_schema())
    rows = table.to_pylist()
    assert [row["event_id"] for row in rows] == [row["event_id"] for row in listed]
    assert any(event.startswith("decision/") for event in table["event_id"].to_pylist())
    for row, expected in zip(rows, listed, strict=True):
        assert row["user_identity"] == expected["user_identity"]
        assert row["response"] == expected["response"]
        assert dict(row["request_params"]) == expected["request_params"]
    _, batches = SystemTables(admin._connection).batches(AUDIT, batch_rows=3)
    assert [row for batch in batches for row in batch.to_pylist()] == rows
    middle = rows[len(rows) // 2]["event_time"]
    later = admin.system_table(AUDIT, since=middle).to_pylist()
    assert later == [row for row in rows if row["event_time"] >= middle]
    assert admin.system_table(AUDIT, until=rows[0]["event_time"] - timedelta(seconds=1)).num_rows == 0
    assert {
        row["action_name"]
        for row in admin.system_table(AUDIT, equal_to={"action_name": "createCatalog"}).to_pylist()
    } == {"createCatalog"}


def test_others_are_refused_and_a_metastore_admin_has_its_metastore(server: EmbeddedServer) -> None:
    with pytest.raises(PermissionDenied) as refused:
        server.client_as("stranger").system_table(AUDIT)
    assert refused.value.reason == "PRIVILEGE_MISSING"
    keeper = server.client_as("keeper")
    server.client().metastores.set_owner("metastore", "keeper@example.com")
    listed = [record.event_id for record in keeper.audit.list(oldest_first=True)]
    assert keeper.system_table(AUDIT)["event_id"].to_pylist() == listed
    assert 0 < len(listed) < server.client().system_table(AUDIT).num_rows
