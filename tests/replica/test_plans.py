"""A replica decides the plain plans of an engine by itself, asks the server for what needs more, and denies when it is stale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

import duckdb
from lakewarden import Client, Unavailable
from lakewarden._duckdb_access import CAPABILITIES
from lakewarden.duckdb import Access, AccessDenied, GovernedConnection, govern
from lakewarden.replica import PolicyReplica, seconds
from lakewarden_server.testing import EmbeddedServer, serve
from replica.restless import engine

BOB = "bob@example.com"
ORDERS = "lake.sales.orders"


class Engine(NamedTuple):
    """A governed DuckDB connection for Bob that asks a replica, and how often the replica asked the server for a plan."""

    server: EmbeddedServer
    replica: PolicyReplica
    governed: GovernedConnection
    asked: list[Any]
    clock: list[float]


@pytest.fixture
def bobs() -> Iterator[Engine]:
    """Bob may read and change the orders, and nothing else."""
    with serve() as server, duckdb.connect() as raw:
        raw.execute("ATTACH ':memory:' AS lake; CREATE SCHEMA lake.sales; USE lake.sales")
        raw.execute(
            "CREATE TABLE orders AS SELECT i AS id FROM range(5) rows(i); CREATE TABLE pay(id BIGINT)"
        )
        admin = server.client()
        admin.catalogs.create("lake")
        admin.schemas.create("lake.sales")
        for name in ("orders", "pay"):
            admin.tables.create(f"lake.sales.{name}", [{"name": "id", "type_text": "BIGINT"}])
        server.client_as("bob")
        admin.grants.grant(["USE CATALOG", "USE SCHEMA"], "catalog", "lake", BOB)
        admin.grants.grant(["SELECT", "MODIFY"], "table", ORDERS, BOB)
        client, clock = engine(server)[1], [seconds()]
        replica = PolicyReplica(client, clock=lambda: clock[0])
        asked = counted(replica._client)
        yield Engine(server, replica, govern(raw, replica, subject=BOB), asked, clock)


def counted(client: Client) -> list[Any]:
    """What a client is asked about plans from now on."""
    asked: list[Any] = []
    inner = client.authorize_plan

    def authorize_plan(accesses: Any, **options: Any) -> Any:
        asked.append(accesses)
        return inner(accesses, **options)

    client.authorize_plan = authorize_plan  # type: ignore[method-assign]
    return asked


def test_plain_statements_run_without_a_call(bobs: Engine) -> None:
    bobs.replica.refresh()
    bobs.server.app.rpc.stop(0)
    assert bobs.governed.execute("SELECT count(*) FROM orders").fetchall() == [(5,)]
    bobs.governed.execute("DELETE FROM orders WHERE id = 1")
    assert bobs.governed.execute("SELECT count(*) FROM orders").fetchall() == [(4,)]
    assert bobs.asked == []


def test_a_stale_or_empty_replica_denies_and_asks_nobody(bobs: Engine) -> None:
    with pytest.raises(AccessDenied, match="no whole state"):
        bobs.governed.execute("SELECT * FROM orders")
    bobs.replica.refresh()
    bobs.clock[0] += bobs.replica.max_staleness_seconds + 0.1
    with pytest.raises(AccessDenied, match="stale"):
        bobs.governed.execute("SELECT * FROM orders")
    bobs.clock[0] -= 100
    with pytest.raises(AccessDenied, match="stale"):
        bobs.governed.execute("SELECT * FROM orders")
    assert not bobs.replica.authorize_plan([], subject=BOB)
    assert bobs.asked == []


def test_a_denial_is_explained_by_the_server_and_stands_without_it(bobs: Engine) -> None:
    bobs.server.client().grants.grant("BROWSE", "catalog", "lake", BOB)
    bobs.replica.refresh()
    with pytest.raises(AccessDenied, match=r"GRANT SELECT ON TABLE lake\.sales\.pay"):
        bobs.governed.execute("SELECT * FROM orders JOIN pay USING (id)")
    assert len(bobs.asked) == 1
    bobs.server.app.rpc.stop(0)
    with pytest.raises((AccessDenied, Unavailable)):
        bobs.governed.execute("SELECT * FROM orders JOIN pay USING (id)")


def test_a_filter_is_asked_of_the_server_and_applied(bobs: Engine) -> None:
    admin = bobs.server.client()
    admin.functions.create("lake.sales.few", ["x BIGINT"], "BOOLEAN", "x < 2")
    admin.tables.set_row_filter(ORDERS, "lake.sales.few", ["id"])
    bobs.replica.refresh()
    assert bobs.governed.execute("SELECT count(*) FROM orders").fetchall() == [(2,)]
    assert len(bobs.asked) == 1


def test_a_revoked_right_is_gone_with_the_next_refresh(bobs: Engine) -> None:
    bobs.replica.refresh()
    assert bobs.governed.execute("SELECT count(*) FROM orders").fetchall() == [(5,)]
    bobs.server.client().grants.revoke("SELECT", "table", ORDERS, BOB)
    bobs.replica.refresh()
    with pytest.raises(AccessDenied):
        bobs.governed.execute("SELECT count(*) FROM orders")


def fill(admin: Client) -> dict[str, str]:
    """Something of each kind that engines use, Bob's to use; full name to kind."""
    kinds = {f"lake.sales.{name}": "TABLE" for name in ("filtered", "masked", "given")}
    for name in kinds:
        admin.tables.create(name, [{"name": "id", "type_text": "BIGINT"}])
    admin.functions.create("lake.sales.few", ["x BIGINT"], "BOOLEAN", "x < 2")
    admin.functions.create("lake.sales.none", ["x BIGINT"], "BIGINT", "NULL")
    admin.tables.set_row_filter("lake.sales.filtered", "lake.sales.few", ["id"])
    admin.tables.set_column_mask("lake.sales.masked", "id", "lake.sales.none")
    for table in ("orders", "filtered"):
        admin.views.create(f"lake.sales.v_{table}", f"SELECT id FROM lake.sales.{table}")
        kinds[f"lake.sales.v_{table}"] = "VIEW"
    admin.materialized_views.create("lake.sales.stored", "SELECT id FROM lake.sales.orders")
    for name, kind in {**kinds, "lake.sales.stored": "MATERIALIZED_VIEW"}.items():
        admin.grants.grant("SELECT", kind, name, BOB)
    admin.grants.grant("MODIFY", "table", "lake.sales.filtered", BOB)
    admin.grants.grant("EXECUTE", "function", "lake.sales.few", BOB)
    admin.grants.grant("CREATE TABLE", "schema", "lake.sales", BOB)
    return {
        **kinds,
        ORDERS: "TABLE",
        "lake.sales.pay": "TABLE",
        "lake.sales.stored": "TABLE",
        "lake.sales.gone": "TABLE",
    }


def test_plans_decided_without_a_call_are_decided_as_the_server_does(bobs: Engine) -> None:
    kinds = fill(bobs.server.client())
    bobs.replica.refresh()
    accesses = [Access(name, "SELECT", kind) for name, kind in kinds.items()]  # type: ignore[arg-type]
    accesses += [Access(name, "MODIFY", "TABLE") for name, kind in kinds.items() if kind == "TABLE"]
    accesses += [
        Access("lake.sales", "CREATE_TABLE", "SCHEMA"),
        Access("lake.sales.few", "EXECUTE", "FUNCTION"),
    ]
    alone = set()
    for capabilities in ((), CAPABILITIES):
        for plan in ([access, *more] for access in accesses for more in ([], [accesses[-2]], [accesses[0]])):
            bobs.asked.clear()
            answer = bobs.replica.authorize_plan(plan, subject=BOB, capabilities=capabilities)
            if not bobs.asked:
                alone.add(tuple(plan))
            expected = bobs.replica._client.authorize_plan(plan, subject=BOB, capabilities=capabilities)
            assert answer == expected, plan
    used = {access.full_name for plan in alone for access in plan}
    assert used == {ORDERS, "lake.sales.given", "lake.sales"}


def test_without_a_subject_it_decides_for_the_engine_itself(bobs: Engine) -> None:
    bobs.replica.refresh()
    accesses = [Access(ORDERS, "SELECT", "TABLE")]
    assert bobs.replica.authorize_plan(accesses, subject=BOB)
    assert not bobs.replica.authorize_plan(accesses)
    assert not bobs.replica.authorize_plan(accesses, subject="nobody@example.com")
    assert not bobs.replica.authorize_plan(
        [*accesses, Access("lake.sales.pay", "SELECT", "TABLE")], subject=BOB
    )
