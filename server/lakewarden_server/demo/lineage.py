"""The act about lineage: a job that really runs, what it made of what, and who sees how much of that."""

from __future__ import annotations

from pathlib import Path

from lakewarden import Client
from lakewarden.lineage import Lineage, to_svg, to_tree
from lakewarden_server.demo.acts import expect
from lakewarden_server.demo.expected import ANALYST
from lakewarden_server.demo.lake import SCHEMA, Lake
from lakewarden_server.demo.screen import FAINT, GREEN, Screen
from lakewarden_server.demo.world import EVERYBODY, World

FINANCE = "finance"
BOOKS, REPORTS = f"{FINANCE}.books", f"{FINANCE}.reports"
MARGINS, SEGMENTS = f"{BOOKS}.margins", f"{REPORTS}.segments"
JOB = (
    "CREATE TABLE finance.books.margins AS SELECT o_custkey, sum(l_extendedprice * (1 - l_discount)) AS revenue "
    "FROM tpch.main.orders JOIN tpch.main.lineitem ON l_orderkey = o_orderkey GROUP BY o_custkey",
    "CREATE TABLE finance.reports.segments AS SELECT c_mktsegment, sum(revenue) AS revenue "
    "FROM finance.books.margins JOIN tpch.main.customer ON c_custkey = o_custkey GROUP BY c_mktsegment",
)
SEGMENT_COUNT = 5
DRAWING = "lineage-demo.svg"


def run_job(lake: Lake, world: World) -> None:
    """Makes two tables in a catalog of their own, registers them and records what was run. Everybody may read the second only."""
    admin, connection = world.admin, lake.connection
    admin.catalogs.create(FINANCE)
    connection.execute(f"ATTACH ':memory:' AS {FINANCE}; CREATE SCHEMA {BOOKS}; CREATE SCHEMA {REPORTS}")
    for schema, table, statement in zip((BOOKS, REPORTS), (MARGINS, SEGMENTS), JOB, strict=True):
        connection.execute(statement)
        admin.schemas.create(schema)
        columns = connection.table(table).limit(0).to_arrow_table().schema
        admin.tables.create(table, arrow_schema=columns)
        told = admin.lineage_events.record_sql(statement, dialect="duckdb", job_name="nightly report")
        expect(len(told.statements) == 1, f"the lineage of {table} to be recorded")
    rows = connection.table(SEGMENTS).fetchall()
    expect(len(rows) == SEGMENT_COUNT, f"{SEGMENT_COUNT} segments, not {rows}")
    connection.execute(f"DETACH {FINANCE}")
    admin.grants.grant("USE CATALOG", "catalog", FINANCE, EVERYBODY)
    admin.grants.grant("USE SCHEMA", "schema", REPORTS, EVERYBODY)
    admin.grants.grant("SELECT", "table", SEGMENTS, EVERYBODY)


def show_lineage(world: World, screen: Screen, directory: Path) -> None:
    """The same table's lineage as its owner and as the analyst see it, and a drawing of it in a file."""
    screen.title("what is the report made of?")
    screen.line(f"  {JOB[-1]}", FAINT)
    owner = _shown(world.admin, "owner", screen)
    analyst = _shown(world.server.client_as(ANALYST, workspace=world.admin.workspace), "analyst", screen)
    told = {node.label for node in owner.nodes}
    expect({MARGINS, f"{SCHEMA}.orders", f"{SCHEMA}.lineitem"} <= told, f"all sources, not {told}")
    told = {node.label for node in analyst.nodes}
    expect("(hidden)" in told and MARGINS not in told, f"{MARGINS} to be hidden from the analyst, not {told}")
    expect(f"{SCHEMA}.orders" not in told, "nothing behind a hidden table to be told")
    (directory / DRAWING).write_text(to_svg(owner), encoding="utf-8")
    screen.line(f"  drawn in {DRAWING}", FAINT)


def _shown(client: Client, who: str, screen: Screen) -> Lineage:
    found = client.lineage.traverse(SEGMENTS, direction="upstream")
    screen.line(f"  the {who} sees", GREEN)
    for line in to_tree(found):
        screen.line(f"    {line}")
    return found
