"""What is exported from one server and ingested by another is the same lineage there, and holds nothing that was hidden."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakewarden.cli import main
from lakewarden.lineage import Lineage
from lakewarden_server.testing import WORKSPACE, EmbeddedServer, serve
from lineage.corpus import event
from lineage.lake import Lake, may_use, of, shown
from lineage.test_column_questions import TABLES, record
from lineage.test_evidence import TABLES as EVIDENT
from lineage.test_evidence import filled, told

CLICKS = ("kafka://broker:9092", "clicks")


@pytest.fixture(scope="module")
def lake() -> Iterator[Lake]:
    with serve() as server:
        found = Lake(server, TABLES)
        record(found)
        found.made("|".join(CLICKS), "raw.orders")
        yield found


def run(server: EmbeddedServer, token: str, *words: str) -> int:
    return main(["--endpoint", server.endpoint, "--token", token, "--workspace", WORKSPACE, *words])


def of_columns(answer: Lineage) -> set[tuple[str, str, str]]:
    labels = {node.id: node.label for node in answer.nodes}
    return {(labels[edge.source_id], labels[edge.target_id], edge.how) for edge in answer.edges}


def test_another_server_has_the_same_lineage_from_the_file(lake: Lake, tmp_path: Path) -> None:
    file = str(tmp_path / "menu.jsonl")
    assert (
        run(lake.server, lake.server.admin_token, "lineage", "export", "main.sales.menu", "--to", file) == 0
    )
    with serve() as server:
        other = Lake(server, TABLES)
        other.admin.grants.grant("LINEAGE PRODUCER", "workspace", WORKSPACE, "admin@example.com")
        assert run(server, server.admin_token, "lineage", "ingest", "--strict", file) == 0
        for asked in ({"name": "main.sales.menu"}, {"name": CLICKS[1], "namespace": CLICKS[0]}):
            assert shown(other.admin.lineage.traverse(**asked)) == shown(lake.admin.lineage.traverse(**asked))
        columns = {
            each: of_columns(each.admin.lineage.columns("main.sales.menu", include_indirect=True))
            for each in (lake, other)
        }
        assert columns[other] == columns[lake]
        assert any(how == "filter" for _source, _target, how in columns[lake])


def test_what_was_parsed_or_declared_is_so_where_it_is_ingested(tmp_path: Path) -> None:
    """Also where a declaration says something of columns and a run made the same of the same."""
    file = str(tmp_path / "menu.jsonl")
    with serve() as server, serve() as second:
        lake, other = filled(server), Lake(second, EVIDENT)
        lake.made_of_columns("sales.dinner", id=[("sales.menu", "id", "IDENTITY")])
        lake.admin.external_lineage.create("main.raw.prices", "main.raw.orders")
        lake.admin.external_lineage.create("main.raw.orders", "main.sales.menu", columns=[("id", "id")])
        wanted, columns = told(lake.admin), lake.admin.lineage.columns("main.sales.menu")
        assert {evidence for _source, _target, evidence in wanted} == {"OBSERVED", "PARSED", "DECLARED"}
        other.admin.grants.grant("LINEAGE PRODUCER", "workspace", WORKSPACE, "admin@example.com")
        assert run(server, server.admin_token, "lineage", "export", "main.sales.menu", "--to", file) == 0
        for _time in range(2):
            assert run(second, second.admin_token, "lineage", "ingest", "--strict", file) == 0
            assert told(other.admin) == wanted
            assert of_columns(other.admin.lineage.columns("main.sales.menu")) == of_columns(columns)
        # What was said to be declared is nobody's to take back as a declaration.
        assert not list(other.admin.external_lineage.list("main.sales.menu"))


@pytest.mark.parametrize(
    ("says", "known"),
    [("DECLARED", "DECLARED"), ("parsed", "PARSED"), ("ANYTHING", "OBSERVED"), (7, "OBSERVED")],
)
def test_a_job_event_may_say_less_than_that_it_ran_and_a_run_may_not(
    lake: Lake, says: object, known: str
) -> None:
    facet = {"_producer": "urn:x", "_schemaURL": "urn:x", "evidence": says}

    def evidence(target: str, second: int, *, run: bool = False, silent: bool = False) -> set[str]:
        facets = {} if silent else {"lakewarden_evidence": facet}
        body = json.loads(event(second=second, run=500 + second, outputs=[of(f"{target} {says}")]))
        body |= {"inputs": [of("raw.orders")]}
        body["job"] = {"namespace": "x", "name": f"{target} {says}", "facets": facets}
        if not run:
            del body["run"], body["eventType"]
        lake.record(json.dumps(body).encode())
        found = told(lake.admin, "main.raw.orders", direction="downstream", max_depth=1)
        return {how for _source, name, how in found if name.endswith(f"{target.partition('|')[2]} {says}")}

    assert evidence("kafka://broker:9093|of a job", 5) == {known}
    assert evidence("kafka://broker:9093|of a job", 6, silent=True) == {"OBSERVED"}
    assert evidence("kafka://broker:9093|of a job", 7) == {known}
    assert evidence("kafka://broker:9093|of a run", 8, run=True) == {"OBSERVED"}


def test_events_of_an_export_have_their_times_in_utc_with_a_z(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(lake.server, lake.server.admin_token, "lineage", "export", "main.sales.menu") == 0
    times = [json.loads(line)["eventTime"] for line in capsys.readouterr().out.splitlines()]
    assert times
    assert all(re.fullmatch(r"[-0-9]{10}T[:0-9]{8}(\.\d{3}|\.\d{6})?Z", time) for time in times)


def test_what_is_hidden_is_left_out_and_said_to_be(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    may_use(lake, "ada", "sales.menu", "sales.report")
    token = lake.server.token_of("ada")
    assert run(lake.server, token, "lineage", "export", "main.sales.menu", "--host", "lake.example.com") == 0
    said = capsys.readouterr()
    events = [json.loads(line) for line in said.out.splitlines()]
    assert [(event["inputs"], [each["name"] for each in event["outputs"]]) for event in events] == [
        ([{"namespace": "unitycatalog://lake.example.com", "name": "main.sales.menu"}], ["main.sales.report"])
    ]
    assert "raw" not in said.out
    assert "1 event\n" in said.err
    assert "left out" in said.err
    assert run(lake.server, token, "lineage", "export", "main.sales.menu", "--host", "no host") == 2
    assert "is no host" in capsys.readouterr().err
