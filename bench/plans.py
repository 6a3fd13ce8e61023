"""AuthorizePlan of a wide join: ten tables, every one of their 250 columns named, half of the tables with a filter and two masks."""

from __future__ import annotations

from bench.figures import Figure, median_of, percentile
from bench.processes import load_test
from bench.worlds import Size
from lakewarden import Client

ROUNDS = 7
CALLS_PER_ROUND = 100
TABLES = 10
COLUMNS = 250
SUBJECT = "user_0@example.com"
"""Who runs the query; the world has this user."""
WORLD = Size(
    users=1_000, groups=100, catalogs=10, schemas_per_catalog=10, tables_per_schema=20, grants=10_000
)
MILLISECONDS = 1_000


def table_name(number: int) -> str:
    """Full name of a table of the plan."""
    return f"plans.wide.table_{number}"


def set_up(admin: Client) -> None:
    """Makes the tables and what guards every second of them, and lets the subject read all."""
    admin.catalogs.create("plans")
    admin.schemas.create("plans.wide")
    admin.functions.create("plans.wide.own", ["r VARCHAR"], "BOOLEAN", "r = 'eu' OR r = current_user()")
    admin.functions.create("plans.wide.stars", ["x VARCHAR"], "VARCHAR", "concat('*', right(x, 2))")
    columns = [{"name": f"column_{number}", "type_text": "VARCHAR"} for number in range(COLUMNS)]
    for number in range(TABLES):
        name = table_name(number)
        admin.tables.create(name, columns=columns)
        if number % 2:
            admin.tables.set_row_filter(name, "plans.wide.own", ["column_0"])
            for masked in ("column_1", "column_2"):
                admin.tables.set_column_mask(name, masked, "plans.wide.stars")
    admin.grants.grant(["USE CATALOG", "USE SCHEMA", "SELECT"], "catalog", "plans", SUBJECT)


def plan_figures(size: Size = WORLD, rounds: int = ROUNDS, calls: int = CALLS_PER_ROUND) -> list[Figure]:
    """One caller's latency. Raises AssertionError for a plan that is denied: that would be a measurement of something else."""
    with load_test(None, size, plan=True) as callers:
        callers.measure("latency", method="plan", count=calls)
        answers = [callers.measure("latency", method="plan", count=calls) for _ in range(rounds)]
    if any(answer["allowed_share"] < 1 for answer in answers):
        raise AssertionError("the plan is denied")
    medians = [median_of(answer["seconds"]) * MILLISECONDS for answer in answers]
    everything = [seconds * MILLISECONDS for answer in answers for seconds in answer["seconds"]]
    return [
        Figure(
            "authorize_plan_10x250_ms",
            median_of(medians),
            {
                "p99_ms": percentile(everything, 0.99),
                "guarded_tables": TABLES // 2,
                "round_medians_ms": medians,
            },
        )
    ]
