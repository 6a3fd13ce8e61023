"""The act about lineage: a job that really runs, what it made of what, and who sees how much of that."""

from __future__ import annotations

from pathlib import Path

from lakewarden import Client
from lakewarden.duckdb import GovernedConnection
from lakewarden.lineage import Lineage, to_svg, to_tree
from lakewarden_server.demo.acts import expect
from lakewarden_server.demo.expected import ANALYST
from lakewarden_server.demo.lake import CATALOG, SCHEMA, Lake
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
MARGIN_COLUMNS = [
    {"name": "o_custkey", "type_text": "BIGINT"},
    {"name": "revenue", "type_text": "DECIMAL(38,4)"},
]
SEGMENT_COLUMNS = [
    {"name": "c_mktsegment", "type_text": "STRING"},
    {"name": "revenue", "type_text": "DECIMAL(38,4)"},
]
SEGMENT_COUNT = 5
DRAWING, DRAWING_OF_ANALYST = "lineage-demo.svg", "lineage-demo-analyst.svg"


def prepare_job(lake: Lake, world: World) -> None:
    """A catalog with the two tables the job will make, of which everybody may read the second. The engine is let see names."""
    admin, connection = world.admin, lake.connection
    connection.execute(f"ATTACH ':memory:' AS {FINANCE}; CREATE SCHEMA {BOOKS}; CREATE SCHEMA {REPORTS}")
    admin.catalogs.create(FINANCE)
    for catalog in (FINANCE, CATALOG):
        admin.grants.grant("BROWSE", "catalog", catalog, world.engine.session.get().principal)
    for schema, table, columns in ((BOOKS, MARGINS, MARGIN_COLUMNS), (REPORTS, SEGMENTS, SEGMENT_COLUMNS)):
        admin.schemas.create(schema)
        admin.tables.create(table, columns=columns)
    admin.grants.grant("USE CATALOG", "catalog", FINANCE, EVERYBODY)
    admin.grants.grant("USE SCHEMA", "schema", REPORTS, EVERYBODY)
    admin.grants.grant("SELECT", "table", SEGMENTS, EVERYBODY)


def run_job(governed: GovernedConnection) -> None:
    """Makes the two tables. What of which, the governed connection tells by itself."""
    for statement in JOB:
        governed.execute(statement)
    rows = governed.execute("FROM finance.reports.segments").fetchall()
    expect(len(rows) == SEGMENT_COUNT, f"{SEGMENT_COUNT} segments, not {rows}")
    lineage = governed.lineage
    expect(
        lineage is not None and lineage.flush(30) and lineage.recorded == len(JOB), "the lineage to be told"
    )


def show_lineage(world: World, screen: Screen, directory: Path) -> None:
    """The last act: the same table's lineage as its owner and as the analyst see it, and a drawing of each in a file."""
    screen.title("what is the report made of?")
    for statement in JOB:
        screen.line(f"  {statement}", FAINT)
    owner = _shown(world.admin, "owner", screen)
    analyst = _shown(world.server.client_as(ANALYST, workspace=world.admin.workspace), "analyst", screen)
    told = {node.label for node in owner.nodes}
    expect({MARGINS, f"{SCHEMA}.orders", f"{SCHEMA}.lineitem"} <= told, f"all sources, not {told}")
    told = {node.label for node in analyst.nodes}
    expect("(hidden)" in told and MARGINS not in told, f"{MARGINS} to be hidden from the analyst, not {told}")
    expect(f"{SCHEMA}.orders" not in told, "nothing behind a hidden table to be told")
    _show_readers(world, screen)
    for drawing, seen in ((DRAWING, owner), (DRAWING_OF_ANALYST, analyst)):
        (directory / drawing).write_text(to_svg(seen), encoding="utf-8")
    screen.line(f"  drawn in {DRAWING} and {DRAWING_OF_ANALYST}", FAINT)


def _shown(client: Client, who: str, screen: Screen) -> Lineage:
    found = client.lineage.traverse(SEGMENTS, direction="upstream")
    screen.line(f"  the {who} sees", GREEN)
    for line in to_tree(found):
        screen.line(f"    {line}")
    return found


def _show_readers(world: World, screen: Screen) -> None:
    """Who reads what the margins went into without reading the margins."""
    (leak,) = world.admin.lineage_governance.leaks(columns=[(MARGINS, "revenue")]).leaks
    copy = leak.way[-1].name
    expect(copy == SEGMENTS, f"what {MARGINS} went into, not {copy}")
    screen.line(f"  {copy} holds {MARGINS}; who reads only the first", GREEN)
    for reader in leak.readers:
        screen.line(f"    {reader.principal_count} principals of {reader.source.principal}")
    readers = {reader.source.principal for reader in leak.readers}
    expect(readers == {EVERYBODY}, f"{EVERYBODY} to read it, not {readers}")
