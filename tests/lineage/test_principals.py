"""What one principal tells changes nothing of what another told, and shows it to nobody else."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from lakewarden_server.entities import LineageEvent, LineageRun
from lakewarden_server.lineage.follower import LineageFollower
from lakewarden_server.storage import Database
from lineage.corpus import dataset, event, lifecycle, symlinks
from lineage.stored import Lineage
from storage.worlds import catalog, committed, metastore, user
from storage.worlds import schema as schema_of
from storage.worlds import table as table_of

DB = "postgres://db"


@pytest.fixture
def follower(database: Database) -> LineageFollower:
    return LineageFollower()


def recorders(database: Database, follower: LineageFollower) -> dict[str, str | None]:
    """Of each asset, by its name, who sees it for having recorded it: as a follower that goes on reads it, and a new one."""
    found = []
    for each in (follower, LineageFollower()):
        with database.read() as uow:
            nodes = each.at_head(uow).nodes.values()
        found.append({node.name: node.recorder_id for node in nodes})
    assert found[0] == found[1]
    return found[0]


def test_nobody_speaks_in_anothers_run(database, ada, eve):
    ada.record(event(run=1, inputs=["a"], outputs=["b"]))
    assert eve.record(event("FAIL", 5, run=1), event(second=6, run=1, inputs=["evil"], outputs=["b"])) == [
        True,
        True,
    ]
    assert ada.edges() == {("a", "b"), ("evil", "b")}
    assert ada.edge("a", "b")["runs"] == 1
    with database.reading() as connection:
        told = connection.execute(select(LineageRun.principal_id, LineageRun.key)).all()
    assert [principal for principal, _key in sorted(told)] == ["ada", "eve"]
    assert len({key for _principal, key in told}) == 1
    eve.record(event("FAIL", 7, run=1))
    assert ada.edges() == {("a", "b")}


def test_what_another_sent_first_is_not_known_for_that(database, ada, eve):
    body = event(run=1, inputs=["a"], outputs=["b"])
    assert (eve.record(body), ada.record(body), ada.record(body)) == ([True], [True], [False])
    with database.reading() as connection:
        told = connection.execute(select(LineageEvent.principal_id)).scalars().all()
    assert sorted(told) == ["ada", "eve"]
    assert ada.edge("a", "b")["runs"] == 2


def test_what_another_told_of_first_is_ended_by_its_own_recorder_alone(ada, eve):
    ada.record(event(run=1, inputs=["a"], outputs=["b"]))
    dropped = dataset("b", lifecycleStateChange=lifecycle("DROP"))
    moved = dataset("mine", lifecycleStateChange=lifecycle("RENAME", (DB, "b")))
    onto = dataset("b", lifecycleStateChange=lifecycle("RENAME", (DB, "mine")))
    for run, output in enumerate((dropped, moved, onto), 2):
        eve.record(event(second=10 * run, run=run, outputs=[output]))
        assert ada.edges() == {("a", "b")}
        assert ada.meaning("b")["name"][1] == "b"
    ada.record(event(second=50, run=9, outputs=[dropped]))
    assert (ada.edges(), ada.edges("DROPPED")) == (set(), {("a", "b")})


def test_who_links_anothers_dataset_to_an_older_one_does_not_see_it(database, ada, eve, follower):
    eve.record(event(run=5, inputs=["0"], outputs=["00"]))
    ada.record(event(run=1, inputs=["a"], outputs=["payroll"]))
    assert recorders(database, follower) == {"0": "eve", "00": "eve", "a": "ada", "payroll": "ada"}
    eve.record(event(second=3, run=6, outputs=[dataset("00", symlinks=symlinks((DB, "payroll")))]))
    assert ada.meaning("payroll") == ada.meaning("00")
    # The asset keeps its id and is called what it was called: who had read it before must learn it nevertheless.
    found = recorders(database, follower)
    assert (found["00"], found["0"], found["a"]) == (None, "eve", "ada")


def test_who_only_speaks_of_anothers_dataset_does_not_see_it_even_in_an_older_run(
    database, ada, eve, follower
):
    eve.record(event("START", 1, run=5, inputs=["0"], outputs=["00"]))
    ada.record(event(run=1, inputs=["a"], outputs=["payroll"]))
    eve.record(event(second=3, run=5, inputs=["payroll"]))
    assert recorders(database, follower)["payroll"] == "ada"


@pytest.fixture
def governed(database):
    """ada and eve in a metastore with a table, and the table's id."""
    owner = user("owner@example.com")
    store = metastore(owner)
    main = catalog(store, "main")
    sales = schema_of(main, "sales")
    orders = table_of(sales, "orders")
    committed(database, owner, store, main, sales, orders)
    ada, eve = (Lineage(database, metastore_id=store.id) for _ in range(2))
    eve.origin = eve.origin._replace(principal_id="eve")
    return ada, eve, orders.id


def orders_as(*others: str) -> dict[str, object]:
    named = {"namespace": "unitycatalog://host", "name": "main.sales.orders"}
    return {**named, "facets": {"symlinks": symlinks(*((DB, other) for other in others))}}


def test_a_link_to_a_table_makes_only_ones_own_names_that_table(governed):
    ada, eve, orders_id = governed
    ada.record(event(run=1, inputs=["a"], outputs=["report"]))
    eve.record(event(second=2, run=2, outputs=[orders_as("report")]))
    assert ada.meaning("report")["securable"] is None
    eve.record(event(second=3, run=3, outputs=[dataset("own", symlinks=symlinks((DB, "report")))]))
    eve.record(event(second=4, run=4, outputs=[orders_as("own")]))
    assert eve.meaning("own")["securable"] == orders_id
    assert ada.meaning("report")["securable"] is None
    ada.record(event(second=5, run=5, outputs=[orders_as("report")]))
    assert ada.meaning("report")["securable"] == orders_id


def test_a_drop_in_between_makes_anothers_dataset_no_table_either(governed):
    ada, eve, orders_id = governed
    ada.record(event(run=1, inputs=["a"], outputs=["report"]))
    eve.record(
        event(second=2, run=2, outputs=[dataset("own", symlinks=symlinks((DB, "report"), (DB, "z")))]),
        event(second=3, run=3, outputs=[orders_as("y")]),
        event(second=4, run=4, outputs=[dataset("y", lifecycleStateChange=lifecycle("DROP"))]),
        event(second=5, run=5, outputs=[dataset("own", symlinks=symlinks((DB, "report"), (DB, "z")))]),
        event(second=6, run=6, outputs=[orders_as("y", "own")]),
    )
    assert ada.meaning("report")["securable"] is None
    assert eve.meaning("main.sales.orders")["securable"] == orders_id
