"""Every recorded scenario, sent by HTTP to a real server as its producer sent it, has the graph its jobs made."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from lakewarden_server.testing import WORKSPACE, EmbeddedServer, serve
from lineage.corpus import RECORDED, recorded
from lineage.lake import shown

HDFS = "hdfs://dataproc-producer-test-m"
INSERT = (f"{HDFS} /user/hive/warehouse/t1", f"{HDFS} /user/hive/warehouse/t2")
GRAPHS = {
    # The names one asks with, and which data went into which.
    "CLL": (
        ("file", "/tmp/cll_test/tbl1"),
        {
            ("file /tmp/cll_test/cll_source1", "file /tmp/cll_test/tbl1"),
            ("file /tmp/cll_test/cll_source2", "file /tmp/cll_test/tbl1"),
        },
    ),
    "simple_run_event": (
        ("bigquery", "test.table.output"),
        {("bigquery test.table.input", "bigquery test.table.output")},
    ),
    "spark_dataproc_simple_producer_test": ((HDFS, "/user/hive/warehouse/t1"), {INSERT}),
    "spark_dataproc_simple_producer_test_complete": ((HDFS, "/user/hive/warehouse/t2"), {INSERT}),
}


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    with serve(http=True) as running:
        running.client_as("spark")
        running.client().grants.grant("LINEAGE PRODUCER", "workspace", WORKSPACE, "spark@example.com")
        yield running


def test_every_scenario_is_expected() -> None:
    if not RECORDED.is_dir():
        pytest.skip(f"the recorded events are not here: {RECORDED}")
    assert {folder.name for folder in (RECORDED / "scenarios").iterdir()} == GRAPHS.keys()


@pytest.mark.parametrize("scenario", GRAPHS)
def test_a_scenario_has_the_graph_its_jobs_made(server: EmbeddedServer, scenario: str) -> None:
    headers = {
        "Authorization": f"Bearer {server.token_of('spark')}",
        "Lakewarden-Workspace": WORKSPACE,
        "Content-Type": "application/json",
    }
    bodies = recorded(scenario)
    with httpx2.Client(base_url=server.http_url, headers=headers, timeout=30) as http:
        answers = [http.post("/api/v1/lineage", content=body) for body in bodies]
    assert [answer.status_code for answer in answers] == [201] * len(bodies)

    (namespace, name), edges = GRAPHS[scenario]
    with server.client_as("spark") as spark:
        found = spark.lineage.traverse(name, namespace=namespace)
        assert shown(found) == ({end for edge in edges for end in edge}, edges)
        assert {edge.state for edge in found.edges} == {"LIVE"}
