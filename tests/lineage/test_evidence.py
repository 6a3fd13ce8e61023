"""On what edges stand: told with every answer, whoever tried to say something else, and asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select, text

from lakewarden import Client, InvalidArgument
from lakewarden.cli import main
from lakewarden_server.core.clock import monotonic
from lakewarden_server.entities import LineageDeclaration, LineageEdge
from lakewarden_server.lineage.follower import LineageFollower
from lakewarden_server.lineage.graph import Direction
from lakewarden_server.storage.migrations import downgrade, migrate
from lakewarden_server.testing import EmbeddedServer, serve
from lineage.corpus import event
from lineage.lake import Lake, may_use, of

TABLES = ("raw.orders", "raw.prices", "sales.menu", "sales.dinner")
PARSED = "INSERT INTO main.sales.menu SELECT id FROM main.raw.prices"
DECLARED_JOBS = "SELECT digest FROM lineage_jobs WHERE evidence = 'DECLARED'"
Told = set[tuple[str, str, str]]


def filled(server: EmbeddedServer) -> Lake:
    """One edge of each kind."""
    lake = Lake(server, TABLES)
    lake.made_of_columns("sales.menu", id=[("raw.orders", "id", "IDENTITY")])
    lake.admin.lineage.record_sql(PARSED)
    lake.admin.external_lineage.create("main.sales.menu", "main.sales.dinner", columns=[("id", "id")])
    return lake


@pytest.fixture
def lake() -> Iterator[Lake]:
    with serve() as server:
        yield filled(server)


@pytest.fixture
def stored(database_url: str) -> Iterator[Lake]:
    """The same on both databases."""
    with serve(database_url=database_url) as server:
        yield filled(server)


ALL: Told = {
    ("raw.orders", "sales.menu", "OBSERVED"),
    ("raw.prices", "sales.menu", "PARSED"),
    ("sales.menu", "sales.dinner", "DECLARED"),
}


def told(client: Client, name: str = "main.sales.menu", **asked: Any) -> Told:
    found = client.lineage.traverse(name, **asked)
    labels = {node.id: node.label.removeprefix("main.") for node in found.nodes}
    return {(labels[edge.source_id], labels[edge.target_id], edge.evidence) for edge in found.edges}


def told_of_columns(client: Client, **asked: Any) -> Told:
    found = client.lineage.columns("main.sales.menu", "id", **asked)
    labels = {node.id: node.label.removeprefix("main.") for node in found.nodes}
    return {(labels[edge.source_id], labels[edge.target_id], edge.evidence) for edge in found.edges}


def test_each_edge_says_what_it_stands_on(lake: Lake) -> None:
    assert told(lake.admin) == ALL
    assert told_of_columns(lake.admin) == {
        ("raw.orders.id", "sales.menu.id", "OBSERVED"),
        ("raw.prices.id", "sales.menu.id", "PARSED"),
        ("sales.menu.id", "sales.dinner.id", "DECLARED"),
    }


def test_a_question_is_answered_by_the_evidence_it_asks_for(lake: Lake) -> None:
    for evidence in ("OBSERVED", "PARSED", "DECLARED"):
        wanted = {edge for edge in ALL if edge[2] == evidence}
        assert told(lake.admin, evidence=[evidence]) == wanted
        assert {edge[2] for edge in told_of_columns(lake.admin, evidence=[evidence])} == {evidence}
    assert told(lake.admin, evidence=["OBSERVED", "DECLARED"]) == {
        edge for edge in ALL if edge[2] != "PARSED"
    }
    # Nothing is walked through what was not asked for.
    assert told(lake.admin, "main.raw.prices", evidence=["OBSERVED"]) == set()
    with pytest.raises(InvalidArgument) as refused:
        lake.admin.lineage._call("TraverseLineage", root={"table": "main.sales.menu"}, evidence=[0])
    with pytest.raises(InvalidArgument, match="evidence: 'GUESSED' is none of OBSERVED, PARSED, DECLARED"):
        told(lake.admin, evidence=["observed", "GUESSED"])
    with pytest.raises(InvalidArgument, match="include_states: 'GONE' is none of LIVE, PROVISIONAL, DROPPED"):
        told(lake.admin, include_states=["GONE"])
    assert refused.value.metadata["field"] == "evidence"


def test_of_several_edges_between_two_the_strongest_evidence_is_told(lake: Lake) -> None:
    lake.admin.external_lineage.create("main.raw.prices", "main.sales.menu", columns=[("id", "id")])
    assert told(lake.admin) == ALL
    lake.made_of_columns("sales.dinner", id=[("sales.menu", "id", "TRANSFORMATION")])
    assert told(lake.admin, direction="downstream") == {("sales.menu", "sales.dinner", "OBSERVED")}
    assert ("sales.menu.id", "sales.dinner.id", "OBSERVED") in told_of_columns(lake.admin)
    assert len(told_of_columns(lake.admin, direction="downstream")) == 1
    assert told(lake.admin, direction="downstream", evidence=["DECLARED"]) == {
        ("sales.menu", "sales.dinner", "DECLARED")
    }
    lake.admin.external_lineage.delete("main.sales.menu", "main.sales.dinner")
    assert told(lake.admin, direction="downstream", evidence=["DECLARED"]) == set()


def test_an_earlier_time_says_it_too(stored: Lake) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    assert told(stored.admin, as_of=soon) == ALL
    assert told(stored.admin, as_of=soon, evidence=["PARSED"]) == {("raw.prices", "sales.menu", "PARSED")}


def test_a_graph_read_anew_says_what_the_one_that_followed_says(stored: Lake) -> None:
    def edges(follower: LineageFollower) -> set[tuple[int, ...]]:
        with stored.server.app.database.read(deadline=monotonic() + 60) as uow:
            state = follower.at_head(uow)
        hops = state.graph.hops(np.arange(state.end, dtype=np.int32)[:-1], Direction.DOWNSTREAM)
        return set(zip(*(part.tolist() for part in hops), strict=True))

    followed = LineageFollower()
    edges(followed)
    stored.admin.external_lineage.create("main.raw.orders", "main.sales.dinner")
    assert edges(followed) == edges(LineageFollower())
    assert len({standing for *_, standing in edges(followed)}) == 3


def test_an_event_in_the_name_of_a_declaration_is_one_that_was_observed(lake: Lake) -> None:
    """Nor does it make the declaration anything else, told by the same principal from the same workspace."""
    with lake.server.app.database.reading() as connection:
        row = connection.execute(select(LineageDeclaration.__table__)).one()
    body = json.loads(event(second=5, run=77, inputs=[of("raw.orders")], outputs=[of("sales.dinner")]))
    body["job"] = {"namespace": "lakewarden", "name": f"declared/{row.id}"}
    lake.record(json.dumps(body).encode())
    assert told(lake.admin) == ALL
    assert told(lake.admin, "main.sales.dinner", direction="upstream", max_depth=1) == {
        ("sales.menu", "sales.dinner", "DECLARED"),
        ("raw.orders", "sales.dinner", "OBSERVED"),
    }


def test_a_job_event_that_says_it_was_declared_adds_nothing_to_a_declaration_of_its_name(lake: Lake) -> None:
    def declared() -> Any:
        histories = lake.admin.lineage.history("main.sales.menu", "main.sales.dinner")
        return [(each.run_count, len(each.versions)) for each in histories]

    with lake.server.app.database.reading() as connection:
        row = connection.execute(select(LineageDeclaration.__table__)).one()
    assert declared() == [(1, 1)]
    body = json.loads(event(second=5, run=77, inputs=[of("sales.menu")], outputs=[of("sales.dinner")]))
    facet = {"_producer": "urn:x", "_schemaURL": "urn:x", "evidence": "DECLARED"}
    body["job"] = {"namespace": "lakewarden", "name": f"declared/{row.id}"}
    body["job"]["facets"] = {"lakewarden_evidence": facet}
    del body["run"], body["eventType"]
    lake.record(json.dumps(body).encode())
    assert told(lake.admin) == ALL
    assert declared() == [(1, 1), (1, 1)]
    lake.admin.external_lineage.delete("main.sales.menu", "main.sales.dinner")
    (kept,) = (
        each for each in lake.admin.lineage.history("main.sales.menu", "main.sales.dinner") if each.state
    )
    assert kept.last_run == ""


def test_what_leads_to_a_hidden_asset_says_it_as_it_says_its_state(lake: Lake) -> None:
    reader = may_use(lake, "ada", "sales.menu")
    assert {(source == "(hidden)", evidence) for source, _, evidence in told(reader)} == {
        (True, "OBSERVED"), (True, "PARSED"), (False, "DECLARED"),
    }  # fmt: skip
    assert {edge[2] for edge in told_of_columns(reader)} == {"OBSERVED", "PARSED", "DECLARED"}


def test_the_command_line_shows_what_is_declared_and_leaves_it_out(
    lake: Lake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEWARDEN_ENDPOINT", lake.server.endpoint)
    monkeypatch.setenv("LAKEWARDEN_TOKEN", lake.server.admin_token)
    monkeypatch.setenv("LAKEWARDEN_WORKSPACE", "workspace")

    def shown(*arguments: str) -> str:
        assert main(["lineage", "show", "main.sales.menu", *arguments]) == 0
        return capsys.readouterr().out

    assert "└─ main.sales.dinner  [declared]" in shown()
    assert "sales.dinner" not in shown("--evidence", "observed", "--evidence", "parsed")
    edges = json.loads(shown("--format", "json"))["edges"]
    assert sorted(edge["evidence"] for edge in edges) == ["DECLARED", "OBSERVED", "PARSED"]


def test_a_database_of_before_learns_what_was_declared(stored: Lake) -> None:
    """Of what else was recorded nobody kept by what it is known."""
    database = stored.server.app.database
    downgrade(database, "0019")
    migrate(database)
    with database.reading() as connection:
        found = connection.execute(select(LineageEdge.evidence, LineageEdge.state)).all()
        digests = connection.execute(text(DECLARED_JOBS)).all()
    assert sorted(row.evidence for row in found) == ["DECLARED", "OBSERVED", "OBSERVED"]
    # What changes it is of the same job.
    stored.admin.external_lineage.update("main.sales.menu", "main.sales.dinner", columns=[])
    with database.reading() as connection:
        assert connection.execute(text(DECLARED_JOBS)).all() == digests
        assert len(connection.execute(select(LineageEdge.id)).all()) == 3
