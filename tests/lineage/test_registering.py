"""What was told of a name before anything was registered by it becomes what is registered by it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import text

from lakewarden import Client
from lakewarden_server.lineage import registering
from lakewarden_server.lineage.names import catalog_digest, dataset_name, found_by, job_name
from lakewarden_server.lineage.registering import Registrar
from lakewarden_server.storage import Database
from lakewarden_server.storage.errors import deadline_passed
from lakewarden_server.storage.migrations import downgrade, migrate
from lakewarden_server.testing import METASTORE, EmbeddedServer, serve
from lineage.corpus import dataset, event
from lineage.lake import OURS, Lake, of, shown
from lineage.stored import Lineage
from storage.dialects import ON_SQLITE

ORDERS, REPORT = "main.raw.orders", "main.sales.report"


def registered(server: EmbeddedServer, hosts: frozenset[str] = frozenset()) -> None:
    """Has everything bound that was registered until now."""
    Registrar(server.app.database, server.app.follower, hosts).catch_up()


@pytest.fixture
def lake(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    monkeypatch.setattr(registering, "LOOK_SECONDS", 3_600.0)
    with serve(database_url=database_url) as server:
        lake = Lake(server, ("raw.orders",))
        lake.admin.schemas.create("main.sales")
        yield lake


def upstream(client: Client, name: str, **asked: Any) -> set[tuple[str, str]]:
    return shown(client.lineage.traverse(name, direction="upstream", **asked))[1]


def bigint(name: str) -> list[dict[str, str]]:
    return [{"name": name, "type_text": "BIGINT"}]


def test_a_table_has_the_lineage_told_of_its_name_before_also_by_its_columns(lake: Lake) -> None:
    lake.made_of_columns("sales.report", second=5, total=[("raw.orders", "id", "AGGREGATION")])
    lake.made("sales.report", "kafka://broker|reports", second=6)
    lake.admin.tables.create(REPORT, columns=bigint("total"))
    assert upstream(lake.admin, REPORT) == set()
    registered(lake.server)
    assert upstream(lake.admin, REPORT) == {("raw.orders", "sales.report")}
    assert "broker reports" in " ".join(shown(lake.admin.lineage.traverse(REPORT))[0]).replace("/", " ")
    found = lake.admin.lineage.columns(REPORT, "total", direction="upstream")
    assert len(found.edges) == 1
    (told,) = lake.admin.lineage.history(ORDERS, REPORT)
    assert told.run_count == 1
    # Once is enough, and what comes later is the same edge's.
    before = lake.sequence()
    registered(lake.server)
    assert lake.sequence() == before


def test_it_is_what_it_is_of_a_table_that_was_there_before_and_a_rename_takes_it_along(lake: Lake) -> None:
    def record(table: str) -> None:
        sources = [("raw.orders", "id", "IDENTITY")], [("raw.orders", "id", "AGGREGATION")]
        for second, total in zip((5, 7), sources, strict=True):
            lake.made_of_columns(f"sales.{table}", second=second, job=table, total=total)

    def told(table: str) -> Any:
        answer = lake.admin.lineage.columns(f"main.sales.{table}", direction="upstream")
        (history,) = lake.admin.lineage.history(ORDERS, f"main.sales.{table}")
        labels = {node.id: node.label.rpartition(".")[2] for node in answer.nodes}
        edges = {(labels[edge.source_id], labels[edge.target_id], edge.subtype) for edge in answer.edges}
        return edges, history.versions, history.run_count, history.first_time

    lake.admin.tables.create("main.sales.before", columns=bigint("total"))
    record("before")
    record("after")
    lake.admin.tables.create("main.sales.after", columns=bigint("total"))
    registered(lake.server)
    assert told("after") == told("before")
    lake.admin.tables.rename("main.sales.after", "elsewhere")
    lake.admin.tables.create("main.sales.after", columns=bigint("total"))
    registered(lake.server)
    assert told("elsewhere") == told("before")
    assert upstream(lake.admin, "main.sales.after") == set()


def test_a_path_becomes_the_table_that_is_registered_at_it(lake: Lake) -> None:
    admin = lake.admin
    role = {"role_arn": "arn:aws:iam::123456789012:role/lake"}
    admin.storage_credentials.create("key", "aws_iam_role", role)
    admin.external_locations.create("lake", "s3://lake", "key")
    lake.made("raw.orders", "s3://lake|sales/report", second=5)
    admin.tables.create(REPORT, bigint("id"), storage_location="s3://lake/sales/report")
    registered(lake.server)
    assert upstream(admin, REPORT) == {("raw.orders", "sales.report")}


@pytest.mark.parametrize(
    ("resource", "old", "new"),
    [
        ("tables", "main.sales.made", "report"),
        ("schemas", "main.made", "sales"),
        ("catalogs", "made", "main"),
    ],
)
def test_a_name_that_is_got_by_renaming_takes_its_lineage_along(
    lake: Lake, resource: str, old: str, new: str
) -> None:
    """As it would with the next event that speaks of the name."""
    admin, made = lake.admin, {"tables": old, "schemas": f"{old}.report", "catalogs": f"{old}.sales.report"}
    lake.admin.schemas.delete("main.sales")
    if resource == "catalogs":
        admin.catalogs.rename("main", "before")
        admin.catalogs.create("made")
    admin.schemas.create(made[resource].rpartition(".")[0])
    admin.tables.create(made[resource], columns=bigint("total"))
    registered(lake.server)
    lake.made("kafka://broker|orders", "sales.report", second=5)
    registered(lake.server)
    assert upstream(admin, made[resource]) == set()
    getattr(admin, resource).rename(old, new)
    registered(lake.server)
    assert upstream(admin, REPORT) == {("kafka://broker orders", "sales.report")}
    admin.tables.rename(REPORT, "elsewhere")
    registered(lake.server)
    assert upstream(admin, "main.sales.elsewhere") == {("kafka://broker orders", "sales.elsewhere")}


def test_a_rename_takes_nothing_that_is_another_tables(lake: Lake) -> None:
    """Tables are replaced so: the one that has the name now is made of what its own names were told of."""
    for table in ("report", "fresh"):
        lake.admin.tables.create(f"main.sales.{table}", columns=bigint("total"))
    lake.made("kafka://broker|old", "sales.report", second=5)
    lake.made("kafka://broker|new", "sales.fresh", second=6)
    lake.admin.tables.rename(REPORT, "past")
    lake.admin.tables.rename("main.sales.fresh", "report")
    registered(lake.server)
    assert upstream(lake.admin, REPORT) == {("kafka://broker new", "sales.report")}
    assert upstream(lake.admin, "main.sales.past") == {("kafka://broker old", "sales.past")}


@ON_SQLITE
def test_what_another_table_had_stays_that_ones(lake: Lake) -> None:
    """A table that was dropped and one made after it under its name are two."""
    lake.admin.tables.create(REPORT, columns=bigint("total"))
    lake.made("raw.orders", "sales.report", second=5)
    assert upstream(lake.admin, REPORT) == {("raw.orders", "sales.report")}
    lake.admin.tables.delete(REPORT)
    lake.admin.tables.create(REPORT, columns=bigint("total"))
    registered(lake.server)
    assert upstream(lake.admin, REPORT) == set()


@ON_SQLITE
def test_names_at_other_hosts_are_other_tables(lake: Lake) -> None:
    elsewhere = dataset("main.sales.report", "unitycatalog://other.example.com")
    lake.record(event(second=5, run=90, inputs=[of("raw.orders")], outputs=[elsewhere]))
    lake.admin.tables.create(REPORT, columns=bigint("total"))
    registered(lake.server, frozenset({"lake.example.com"}))
    assert upstream(lake.admin, REPORT) == set()


@ON_SQLITE
def test_names_at_hosts_of_ones_own_and_at_the_metastores_id_are_ones_own(lake: Lake) -> None:
    metastore = lake.server.app.follower.at_head().snapshot.locate("METASTORE", METASTORE, None).securable
    assert metastore
    for run, host in enumerate(("lake.example.com", metastore.id), 90):
        named = dataset(f"main.sales.t{run}", f"unitycatalog://{host}")
        lake.record(event(second=5, run=run, inputs=[of("raw.orders")], outputs=[named]))
        lake.admin.tables.create(f"main.sales.t{run}", columns=bigint("total"))
    registered(lake.server, frozenset({"lake.example.com"}))
    for run in (90, 91):
        assert upstream(lake.admin, f"main.sales.t{run}") == {("raw.orders", f"sales.t{run}")}


@ON_SQLITE
def test_what_was_told_after_a_table_was_dropped_is_not_its_own(lake: Lake) -> None:
    lake.admin.tables.create(REPORT, columns=bigint("total"))
    lake.admin.tables.delete(REPORT)
    lake.made("raw.orders", "sales.report", second=5)
    registered(lake.server)
    (edge,) = list(lake.admin.lineage.traverse(ORDERS, direction="downstream").edges)
    nodes = {node.id: node for node in lake.admin.lineage.traverse(ORDERS, direction="downstream").nodes}
    assert [node.kind for node in nodes.values() if node.distance] == ["DATASET"]
    assert edge.state == "LIVE"


def test_a_job_that_is_called_like_a_table_is_none() -> None:
    digest = catalog_digest("main.sales.report")
    assert found_by(dataset_name(OURS, "main.sales.report"))["catalog_digest"] == digest
    assert found_by(job_name(OURS, "main.sales.report"))["catalog_digest"] is None


@pytest.mark.parametrize("passed_over", [False, True])
def test_it_goes_in_steps_and_what_is_too_much_holds_up_nothing(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, passed_over: bool
) -> None:
    names = [f"t{number}" for number in range(5)]
    for name in names:
        lake.made("raw.orders", f"sales.{name}")
        lake.admin.tables.create(f"main.sales.{name}", columns=bigint("x"))
    monkeypatch.setattr(registering, "CHANGES_MAX", 2)
    bind = registering._bind

    def heavy(store: Any, metastore_id: str, found: Any) -> None:
        if any(each.name.name == "main.sales.t2" for each in found):
            raise deadline_passed()
        bind(store, metastore_id, found)

    if passed_over:
        monkeypatch.setattr(registering, "HEAVY_SECONDS", 0.0)
        monkeypatch.setattr(registering, "_bind", heavy)
    registered(lake.server)
    told = {name for name in names if upstream(lake.admin, f"main.sales.{name}")}
    assert told == set(names) - ({"t2"} if passed_over else set())


@ON_SQLITE
def test_nobody_sees_more_than_the_table_by_registering_it(lake: Lake) -> None:
    """Whoever makes a table of a name that others told lineage of sees that there is some, and no hidden end of it."""
    lake.made("raw.orders", "sales.report", second=5)
    eve = lake.server.client_as("eve")
    for privilege, kind, name in (
        ("USE CATALOG", "catalog", "main"), ("USE SCHEMA", "schema", "main.sales"), ("CREATE TABLE", "schema", "main.sales"),
    ):  # fmt: skip
        lake.admin.grants.grant(privilege, kind, name, "eve@example.com")
    eve.tables.create(REPORT, columns=bigint("total"))
    registered(lake.server)
    nodes = list(eve.lineage.traverse(REPORT, direction="upstream").nodes)
    assert [node.hidden for node in nodes] == [False, True]
    assert "raw.orders" not in str(nodes)


def test_an_event_decided_on_an_older_state_is_found_later(lake: Lake) -> None:
    """Between the state an event was understood by and its transaction something was registered, and looked for already."""
    follower = lake.server.app.follower
    state = follower.at_head()
    lake.admin.tables.create(REPORT, columns=bigint("total"))
    registered(lake.server)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(follower), "at_head", lambda _self: state)
        lake.made("raw.orders", "sales.report", second=5)
    assert upstream(lake.admin, REPORT) == set()
    registered(lake.server)
    assert upstream(lake.admin, REPORT) == {("raw.orders", "sales.report")}


def test_many_registrations_in_any_order_with_their_events(lake: Lake) -> None:
    chance = random.Random(11)
    names = [f"t{number}" for number in range(12)]
    acts: list[Callable[[], object]] = []
    for name in names:
        acts.append(lambda name=name: lake.admin.tables.create(f"main.sales.{name}", columns=bigint("x")))
        acts.append(lambda name=name: lake.made("raw.orders", f"sales.{name}"))
    chance.shuffle(acts)
    for act in acts:
        act()
        if chance.random() < 0.3:
            registered(lake.server)
    registered(lake.server)
    found = shown(lake.admin.lineage.traverse(ORDERS, direction="downstream", max_depth=1))[1]
    assert found == {("raw.orders", f"sales.{name}") for name in names}
    for name in names:
        assert upstream(lake.admin, f"main.sales.{name}") == {("raw.orders", f"sales.{name}")}


def test_a_server_does_it_by_itself() -> None:
    with serve() as server:
        lake = Lake(server, ("raw.orders",))
        lake.made("raw.orders", "raw.later", second=5)
        lake.admin.tables.create("main.raw.later", columns=bigint("x"))
        deadline = monotonic() + 20
        while not (found := upstream(lake.admin, "main.raw.later")):
            assert monotonic() < deadline
        assert found == {("raw.orders", "raw.later")}


def test_of_a_database_of_another_history_nothing_is_taken_for_looked_at(lake: Lake) -> None:
    """As after a restore: revisions are counted on from an earlier one, while the process goes on."""
    registrar = Registrar(lake.server.app.database, lake.server.app.follower, frozenset())
    registrar.catch_up()
    lake.admin.catalogs.create("other")
    registrar.catch_up()
    epoch, bound, until = registrar._looked
    registrar._looked = registrar._looked._replace(epoch="another", until=until + 100)
    lake.made("raw.orders", "sales.report", second=5)
    lake.admin.tables.create(REPORT, columns=bigint("total"))
    registrar.catch_up()
    assert (epoch, bound < until) == (lake.server.app.follower.at_head().head.epoch, True)
    assert upstream(lake.admin, REPORT) == {("raw.orders", "sales.report")}


def test_names_told_to_a_server_of_before_are_found_too(database: Database) -> None:
    def digests() -> set[str | None]:
        with database.reading() as connection:
            return set(connection.execute(text("SELECT catalog_digest FROM lineage_names")).scalars())

    stored, told = Lineage(database), {catalog_digest("main.raw.orders"), None}
    bodies = [event(run=run, inputs=[of("raw.orders")], outputs=["elsewhere"]) for run in (1, 2)]
    stored.record(bodies[0])
    assert digests() == told
    downgrade(database, "0022")
    migrate(database)
    assert digests() == told
    # By a server of before, beside one of today.
    with database.transaction(deadline=monotonic() + 60) as connection:
        connection.execute(text("UPDATE lineage_names SET catalog_digest = NULL"))
        connection.commit()
    stored.record(bodies[1])
    assert digests() == told
