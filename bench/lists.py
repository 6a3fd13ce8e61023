"""Listing a schema of 10,000 tables through the API, with the filter by visibility and without it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from unittest.mock import patch

from sqlalchemy import insert

from bench.figures import Figure, median_of
from bench.server import table_of
from lakewarden import Client
from lakewarden_policy import KINDS, Decider, load_policy
from lakewarden_server import entities
from lakewarden_server.core.clock import monotonic
from lakewarden_server.testing import EmbeddedServer, declare_filled, serve

ROUNDS = 5
TABLES = 10_000
GRANTED = TABLES // 100
PAGE_SIZE = 1_000
SCHEMA = "main.wide"
READER = "reader@example.com"
FILL_SECONDS = 60.0


def list_figures() -> list[Figure]:
    """As the owner, who sees everything, and as a caller with grants on 1 % of the tables."""
    with serve() as server:
        owner = _fill(server)
        reader = server.client_as(READER)
        by_owner: list[tuple[float, float]] = []
        by_reader: list[tuple[float, float]] = []
        for _ in range(ROUNDS):
            with _without_filter():
                everything = _seconds(owner, TABLES)
            by_owner.append((_seconds(owner, TABLES), everything))
            by_reader.append((_seconds(reader, GRANTED), everything))
    return [
        _figure("list_10k_owner_on_vs_off", by_owner),
        _figure("list_10k_one_percent_vs_off", by_reader),
    ]


def _figure(key: str, rounds: list[tuple[float, float]]) -> Figure:
    filtered, unfiltered = (median_of(seconds) for seconds in zip(*rounds, strict=True))
    return Figure(
        key,
        filtered / unfiltered,
        {"filtered_seconds": filtered, "unfiltered_seconds": unfiltered, "rounds": len(rounds)},
    )


@contextmanager
def _without_filter() -> Iterator[None]:
    """The comparison exists only here: no switch in production turns authorization off."""
    with patch.object(
        Decider,
        "visible_children",
        lambda self, _subject, _workspace, parent, kind: self.snapshot.children(parent, kind),
    ):
        yield


def _seconds(client: Client, expected: int) -> float:
    started = perf_counter()
    count = sum(1 for _ in client.tables.list(SCHEMA, omit_columns=True, page_size=PAGE_SIZE))
    seconds = perf_counter() - started
    if count != expected:
        raise AssertionError(f"the list has {count} tables, not {expected}")
    return seconds


def _fill(server: EmbeddedServer) -> Client:
    """One schema, its tables written under one revision past the services; returns their owner."""
    admin = server.client()
    admin.catalogs.create("main")
    admin.schemas.create(SCHEMA)
    admin.grants.grant(["USE CATALOG", "USE SCHEMA"], "catalog", "main", "account users")
    server.token_of(READER)
    snapshot = server.app.follower.at_head().snapshot
    workspace = snapshot.resolve("WORKSPACE", server.workspace or "", None)
    schema = snapshot.resolve("SCHEMA", SCHEMA, workspace.metastore_id if workspace else None)
    owner, reader = snapshot.principal_named("admin@example.com"), snapshot.principal_named(READER)
    if schema is None or owner is None or reader is None:
        raise LookupError("the embedded server lacks what was just made")
    with server.app.database.write(
        deadline=monotonic() + FILL_SECONDS,
        request_id="",
        actor_id=owner.id,
        policy_digest=load_policy().digest,
    ) as uow:
        at = {"create_time": uow.time, "revision": uow.head.revision}
        rows = [
            {
                "id": f"table-{number}",
                "kind": "TABLE",
                "namespace": KINDS["TABLE"].namespace,
                "parent_id": schema.id,
                "metastore_id": schema.metastore_id,
                "name": f"table_{number}",
                "name_key": f"table_{number}",
                "owner_id": owner.id,
                "comment": "",
                "properties": {},
                "created_by": owner.id,
                "update_time": uow.time,
                "updated_by": owner.id,
                **at,
            }
            for number in range(TABLES)
        ]
        uow.connection.execute(insert(table_of(entities.Securable)), rows)
        details = {
            "table_type": "MANAGED",
            "data_source_format": "",
            "storage_location": "",
            "column_count": 0,
        }
        uow.connection.execute(
            insert(table_of(entities.Table)), [{"id": row["id"], **details} for row in rows]
        )
        granted = {"principal_id": reader.id, "privilege": "SELECT", "granted_by": owner.id, **at}
        uow.connection.execute(
            insert(table_of(entities.Grant)),
            [{"securable_id": row["id"], **granted} for row in rows[:: TABLES // GRANTED]],
        )
        uow.commit()
    declare_filled(server.app.database)
    return admin
