"""For every RPC of lineage: the client method that calls it, and the commands that do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lakewarden import Client

EVENTS = Path(__file__).parents[1] / "lineage" / "events" / "flink.jsonl"

METHODS: dict[str, Callable[[Client], Any]] = {
    "LineageGovernanceService/FindLineageLeaks": lambda client: client.lineage_governance.leaks(
        ["a.b.c"], tags=["pii", "pii=email"]
    ),
    "LineageGovernanceService/SimulateRevoke": lambda client: client.lineage_governance.simulate_revoke(
        "SELECT", "table", "a.b.c", "bob"
    ),
    "LineageGraphService/AnalyzeImpact": lambda client: client.lineage.impact("a.b.c", "x"),
    "LineageGraphService/FindLineagePaths": lambda client: client.lineage.paths("a.b.c", "a.b.d"),
    "LineageGraphService/GetLineageHistory": lambda client: client.lineage.history("a.b.c", "a.b.d"),
    "LineageGraphService/StreamLineage": lambda client: list(client.lineage.stream("a.b.c")),
    "LineageGraphService/TraverseLineage": lambda client: client.lineage.traverse("a.b.c"),
    "LineageService/RecordOpenLineage": lambda client: client.lineage_events.record(b"{}"),
    "LineageService/RecordOpenLineageBatch": lambda client: client.lineage_events.record_batch([b"{}"]),
    "LineageService/RecordSql": lambda client: client.lineage.record_sql("SELECT 1"),
}

COMMANDS: tuple[tuple[str, str], ...] = (
    (
        "LineageGovernanceService/FindLineageLeaks",
        "lineage leaks --table a.b.c --column a.b.d.e --tag pii=email --fail",
    ),
    ("LineageGovernanceService/SimulateRevoke", "lineage impact --revoke SELECT --on table a.b.c --from bob"),
    ("LineageGraphService/AnalyzeImpact", "lineage impact a.b.c.x"),
    ("LineageGraphService/FindLineagePaths", "lineage paths a.b.c a.b.d"),
    ("LineageGraphService/GetLineageHistory", "lineage history a.b.c a.b.d"),
    ("LineageGraphService/StreamLineage", "lineage upstream a.b.c --format jsonl --nodes 250000"),
    ("LineageGraphService/StreamLineage", "lineage column a.b.c x --format jsonl"),
    ("LineageGraphService/TraverseLineage", "lineage column a.b.c x --upstream --indirect"),
    ("LineageGraphService/TraverseLineage", "lineage upstream a.b.c --depth 2"),
    ("LineageGraphService/TraverseLineage", "lineage downstream a.b.c --include DROPPED"),
    ("LineageGraphService/TraverseLineage", "lineage show a.b.c --format svg"),
    ("LineageService/RecordOpenLineageBatch", f"lineage ingest {EVENTS}"),
    ("LineageService/RecordSql", f"lineage from-sql {EVENTS}"),
)
