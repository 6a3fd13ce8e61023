"""A refusal about something that did not exist is decided again as what it was; an edited one is found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from lakewarden import Client, LakewardenError
from lakewarden.v1.grants_pb2 import SecurableType
from lakewarden_policy import KINDS
from lakewarden_server.core.clock import monotonic
from lakewarden_server.entities import DecisionLog
from lakewarden_server.testing import EmbeddedServer, serve

CONTAINERS = ("nope", "main.nope", "nope.nope")
NOUNS = (
    "schemas", "tables", "views", "materialized_views", "streaming_tables", "volumes", "functions", "models",
)  # fmt: skip


def _name(kind: str, stem: str) -> str:
    return ".".join(("main", "sales", stem)[-KINDS[kind].name_parts :])


def _refused(client: Client) -> Iterator[Any]:
    """Calls about what does not exist, one of each sort and kind."""
    for noun in NOUNS:
        for container in CONTAINERS:
            yield lambda noun=noun, container=container: list(getattr(client, noun).list(container))
    yield lambda: list(client.tables.list_deleted("main.nope"))
    for kind in SecurableType.keys()[1:]:
        name = _name(kind, "nope")
        yield lambda kind=kind, name=name: client.authorization.explain("MANAGE", kind, name)
        yield lambda kind=kind, name=name: list(client.grants.list(kind, name))
        yield lambda kind=kind, name=name: client.grants.grant("MANAGE", kind, name, "bob@example.com")
    for noun in ("catalogs", "users", "groups", "metastores", "workspaces", "shares", "connections"):
        yield lambda noun=noun: getattr(client, noun).get("nope@example.com" if noun == "users" else "nope")
    yield lambda: client.tables.get("main.sales." + "x" * 2_000)
    yield lambda: client.tables.update("main.sales.nope", comment="x")
    yield lambda: client.tables.create("main.nope.t")
    yield lambda: client.views.create("nope.nope.v", "SELECT 1 AS one")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    """A server where an admin and a stranger asked for what did not exist, some of which was made later."""
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_server").create_migrated()
    with serve(database_url=url) as server:
        admin, bob = server.client(), server.client_as("bob")
        admin.catalogs.create("main")
        admin.schemas.create("main.sales")
        admin.tables.create("main.sales.here")
        for client in (admin, bob):
            for call in _refused(client):
                # Of a caller's refusals only so many a second are kept, and here each is wanted.
                server.app.decisions._used.clear()
                with suppress(LakewardenError):
                    call()
        admin.catalogs.create("nope")
        admin.schemas.create("main.nope")
        admin.tables.create("main.sales.nope")
        server.app.decisions.flush()
        yield server


def _rows(server: EmbeddedServer, condition: str) -> list[Any]:
    with server.app.database.read() as uow:
        return list(uow.connection.execute(select(DecisionLog.__table__).where(text(condition))))


def _update(server: EmbeddedServer, row: Any, **values: Any) -> None:
    with server.app.database.transaction(deadline=monotonic() + 10) as connection:
        connection.execute(DecisionLog.__table__.update().where(DecisionLog.id == row.id).values(values))
        connection.commit()


def test_refusals_about_what_was_absent_come_out_as_they_were_logged(server: EmbeddedServer) -> None:
    found = server.client().audit.replay()
    assert found, [(d.record.operation, d.record.object_name, d.problem) for d in found.differences]
    assert not found.skipped
    logged = {(row.operation, row.reason) for row in _rows(server, "privilege IS NULL")}
    assert {("schema.list", "OBJECT_NOT_FOUND"), ("table.list", "OBJECT_NOT_FOUND")} <= logged
    assert {(f"table.{verb}", reason) for verb in ("explain", "get") for reason in ("OBJECT_NOT_FOUND", "ACCESS_DENIED")} <= logged  # fmt: skip
    assert found.replayed == len(_rows(server, "1 = 1")) > 100


NAMED_NOPE = "operation = 'schema.list' AND object_name = 'nope'"
EXPLAINED = "operation = 'table.explain' AND reason = 'OBJECT_NOT_FOUND'"
TAMPERED: dict[str, tuple[str, dict[str, Any]]] = {
    "refused list made a yes": (NAMED_NOPE, {"outcome": "ALLOWED"}),
    "refused list of a container that was there": (NAMED_NOPE, {"object_name": "main"}),
    "refused list that a stranger made": (NAMED_NOPE, {"actor_id": "nobody"}),
    "explanation made a yes": (EXPLAINED, {"outcome": "ALLOWED"}),
    "explanation of a table that was there": (EXPLAINED, {"object_name": "main.sales.here"}),
    "name of no object": (EXPLAINED, {"object_name": "main.sales"}),
    "object there was not": (EXPLAINED, {"objects": {"self": "x"}}),
    "objects that are none": (EXPLAINED, {"objects": ["self"]}),
    "operation without a verb": (EXPLAINED, {"operation": "x"}),
    "create in the account": (EXPLAINED, {"operation": "account.create", "object_name": ""}),
    "table named for one that was hidden": (
        "operation = 'table.update.comment' AND reason = 'ACCESS_DENIED'", {"object_name": "main.sales.here"}
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", TAMPERED)
def test_control_edited_refusal_about_the_absent_is_found(server: EmbeddedServer, kind: str) -> None:
    condition, values = TAMPERED[kind]
    row = _rows(server, condition)[0]
    _update(server, row, **values)
    try:
        found = server.client().audit.replay(since=row.time, until=row.time + timedelta(microseconds=1))
    finally:
        _update(server, row, **{column: getattr(row, column) for column in values})
    (difference,) = found.differences
    assert difference.record.event_id == f"decision/{row.id}"
