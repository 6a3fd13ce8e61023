"""Unmodified producers, each in an environment of its own, tell a real server of what they ran; the graph has it."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import select

from house.environments import packages_of, python_with
from lakewarden_server.entities import LineageMapping
from lakewarden_server.testing import WORKSPACE, serve
from lineage.lake import OURS

HERE = Path(__file__).parent
PROGRAM = HERE / "transport.py"
SECONDS_MAX = 120


@pytest.fixture(scope="module")
def server():
    """Tables, and a scheduler that may tell of lineage and read nothing."""
    with serve(http=True) as running:
        admin = running.client()
        admin.catalogs.create("main")
        for schema in ("raw", "sales"):
            admin.schemas.create(f"main.{schema}")
        tables = ("raw.one", "sales.one", "raw.two", "sales.two", "raw.three", "sales.three")
        for table in tables:
            admin.tables.create(f"main.{table}", columns=[{"name": "id", "type_text": "BIGINT"}])
        running.client_as("airflow")
        admin.grants.grant("LINEAGE PRODUCER", "workspace", WORKSPACE, "airflow@example.com")
        yield running


@pytest.fixture(scope="module")
def openlineage():
    return python_with(HERE / "openlineage-requirements.txt")


def tell(python, kind, server, table, *, token=None, **more):
    """The program's run; the rest of the environment is empty."""
    environment = {
        "HOME": "/nonexistent", "URL": server.http_url, "TOKEN": token or server.token_of("airflow"),
        "WORKSPACE": WORKSPACE, "TABLES": OURS, "RAW": f"main.raw.{table}", "REPORT": f"main.sales.{table}", **more,
    }  # fmt: skip
    return subprocess.run(
        [python, "-I", PROGRAM, kind], env=environment, capture_output=True, text=True, timeout=SECONDS_MAX
    )


def upstream(client, name, namespace=""):
    """What a dataset was made of, and the edges between all of it, without namespaces."""
    found = client.lineage.traverse(name, namespace=namespace, direction="upstream")
    labels = {node.id: node.label.rpartition(" ")[2] for node in found.nodes}
    return {(labels[edge.source_id], labels[edge.target_id]) for edge in found.edges}


def mappings(server):
    """The columns that were made of which, of every run."""
    with server.app.database.reading() as connection:
        stored = connection.execute(select(LineageMapping.columns)).scalars().all()
    return [[(use[0], use[1]) for use in mapping] for mapping in stored]


def test_http_transport_of_openlineage_feeds_the_graph(openlineage, server):
    done = tell(openlineage, "sync", server, "one", COMPRESSION="gzip")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[201, "gzip"], [201, "gzip"]]
    assert upstream(server.client(), "main.sales.one") == {("main.raw.one", "main.sales.one")}
    assert [("total", "amount")] in mappings(server)


def test_its_asynchronous_transport_feeds_the_graph(openlineage, server):
    done = tell(openlineage, "asynchronous", server, "two")
    assert done.returncode == 0, done.stderr
    finished, counts = json.loads(done.stdout)
    assert (finished, counts["success"], counts["failed"], counts["pending"]) == (True, 2, 0, 0)
    assert upstream(server.client(), "main.sales.two") == {("main.raw.two", "main.sales.two")}


def test_a_token_that_is_limited_to_a_workspace_needs_no_header(openlineage, server):
    limited = server.client_as("airflow").tokens.create(workspace=WORKSPACE).token_value
    done = tell(openlineage, "sync", server, "three", token=limited, WORKSPACE="")
    assert (done.returncode, done.stdout) == (0, "[[201, null], [201, null]]\n"), done.stderr
    assert upstream(server.client(), "main.sales.three") == {("main.raw.three", "main.sales.three")}


@pytest.mark.parametrize(("whose", "status"), [("nobody", 401), ("reader", 403)])
def test_who_may_not_tell_is_refused_and_not_retried(openlineage, server, whose, status):
    token = server.token_of("airflow")[:-1] + "0" if whose == "nobody" else server.token_of("reader")
    done = tell(openlineage, "sync", server, "one", token=token)
    assert done.returncode != 0
    assert f"HTTPError: {status} Client Error" in done.stderr


def test_the_environment_has_the_client_as_it_was_published_and_nothing_of_ours(openlineage):
    shown = packages_of(openlineage)
    assert "openlineage-python" in shown
    assert "lakewarden" not in shown


@pytest.mark.slow
def test_a_run_of_dbt_feeds_the_graph_and_a_failed_one_adds_nothing(server, tmp_path):
    python = python_with(HERE / "dbt-requirements.txt")
    assert "lakewarden" not in packages_of(python)
    project, database = tmp_path / "shop", tmp_path / "Lake" / "shop.duckdb"
    database.parent.mkdir()
    shutil.copytree(HERE / "shop", project)
    transport = {
        "type": "http", "url": server.http_url, "compression": "gzip",
        "auth": {"type": "api_key", "apiKey": server.token_of("airflow")},
        "custom_headers": {"Lakewarden-Workspace": WORKSPACE},
    }  # fmt: skip
    (project / "openlineage.yml").write_text(json.dumps({"transport": transport}))

    def run(**more):
        environment = {
            "HOME": str(tmp_path), "PATH": f"{python.parent}:{os.environ['PATH']}", "SHOP_DATABASE": str(database),
            "OPENLINEAGE_CONFIG": str(project / "openlineage.yml"), "DO_NOT_TRACK": "1", **more,
        }  # fmt: skip
        command = [python.with_name("dbt-ol"), "run", "--project-dir", project, "--profiles-dir", project]
        done = subprocess.run(
            command, cwd=project, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX
        )
        assert "Emitted 8 OpenLineage events" in done.stdout + done.stderr, done.stdout + done.stderr
        return done.returncode

    assert run(SHOP_BROKEN="yes") != 0
    namespace, producer = f"duckdb://{database}", server.client_as("airflow")
    made = {("shop.main.orders", "shop.main.large_orders")}
    assert upstream(producer, "shop.main.large_orders", namespace) == made
    assert upstream(producer, "shop.main.revenue", namespace) == set(), "the run that failed made nothing"

    assert run() == 0
    made |= {("shop.main.large_orders", "shop.main.revenue")}
    assert upstream(producer, "shop.main.revenue", namespace) == made
    assert upstream(server.client(), "shop.main.revenue", namespace) == made, "the metastore's admin"
    assert [("customer", "customer"), ("revenue", "amount")] in mappings(server)
