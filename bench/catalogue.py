"""Every figure that a whole run writes: its key, what it is, its unit and the bar DESIGN 8 sets for it. Stated here only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Bar:
    """What a figure is to reach: at most or at least `limit`."""

    limit: float
    at_most: bool

    def met_by(self, value: float) -> bool:
        """Whether the figure reaches it."""
        return value <= self.limit if self.at_most else value >= self.limit

    def __str__(self) -> str:
        return f"{'<=' if self.at_most else '>='} {self.limit:g}"


class Declared(NamedTuple):
    """What is said of a figure before it is measured; `bar` is None where the design asks for nothing."""

    title: str
    unit: str
    bar: Bar | None = None


def at_most(limit: float) -> Bar:
    """A bar for what should be small."""
    return Bar(limit, at_most=True)


def at_least(limit: float) -> Bar:
    """A bar for what should be large."""
    return Bar(limit, at_most=False)


DECISION = "USE CATALOG & USE SCHEMA & SELECT from two names, fresh pairs"

DECLARED: dict[str, Declared] = {
    "decision_us_1m": Declared(f"one decision at 1 M grants: {DECISION}", "us", at_most(10)),
    "decision_us_1m_closure50": Declared("the same where a user stands for 50 principals", "us", at_most(25)),
    "decision_growth_1k_to_1m": Declared(
        "one decision at 1 M grants / at 1 k, same tree and principals", "x", at_most(2)
    ),
    "stock_casbin_vs_ours_at_10k": Declared(
        "denied check at 10,000 rows, stock casbin.Enforcer (one atom) / ours (resolve, three atoms)",
        "x",
        at_least(3_000),
    ),
    "cedar_vs_ours_at_10k": Declared(
        "check at 10,000 grants, cedarpy with parsed policies and entities (one atom) / ours (resolve, three atoms), CPU",
        "x",
    ),
    "list_10k_owner_on_vs_off": Declared(
        "all pages of a list of 10,000 tables as the owner / the same list without the filter",
        "x",
        at_most(1.2),
    ),
    "list_10k_one_percent_vs_off": Declared(
        "the same as a caller who may see 1 % / without the filter", "x", at_most(0.2)
    ),
    "filter_100k_ms": Declared(
        "FilterSecurables of 100,000 tables for SELECT at 1 M grants, bytes to bytes", "ms", at_most(150)
    ),
    "filter_growth_1k_to_1m": Declared("the same at 1 M grants / at 1 k, same tree and principals", "x"),
    "cli_help_ms": Declared("lakewarden --help, a whole process", "ms", at_most(250)),
    "embedded_start_ms": Declared(
        "embedded server after the first, up to its first answer", "ms", at_most(100)
    ),
    "check_vs_echo_latency": Declared(
        "median latency of Check, bounded / echo, one caller, PostgreSQL", "x", at_most(1.15)
    ),
    "check_vs_echo_throughput": Declared(
        "throughput of Check, bounded / echo, 32 callers, PostgreSQL", "x", at_least(0.90)
    ),
    "check_full_pg_vs_echo_latency": Declared(
        "median latency of Check, FULL / echo, one caller, PostgreSQL", "x", at_most(1.35)
    ),
    "check_full_pg_vs_echo_throughput_32": Declared(
        "throughput of Check, FULL / echo, 32 callers, PostgreSQL", "x", at_least(0.60)
    ),
    "check_full_sqlite_vs_echo_latency": Declared(
        "median latency of Check, FULL / echo, one caller, SQLite", "x"
    ),
    "check_full_sqlite_vs_echo_throughput_32": Declared(
        "throughput of Check, FULL / echo, 32 callers, SQLite", "x", at_least(0.85)
    ),
    "full_read_vs_raw_driver_sqlite": Declared(
        "the head row as a FULL call reads it / the same row by sqlite3 alone", "x"
    ),
    "full_read_vs_raw_driver_pg": Declared("the same on PostgreSQL / by psycopg alone, prepared", "x"),
    "head_shared_vs_each_sqlite": Declared(
        "CPU of a read of the head that concurrent threads share / of one that each makes for itself", "x"
    ),
    "head_shared_vs_each_pg": Declared("the same on PostgreSQL", "x"),
    "batch_decisions_per_s_cold": Declared(
        "decisions in BatchCheck of 1,000, each call about another subject", "/s", at_least(60_000)
    ),
    "batch_decisions_per_s_warm": Declared(
        "decisions in BatchCheck of 1,000, all about one subject", "/s", at_least(150_000)
    ),
    "authorize_plan_10x250_ms": Declared(
        "AuthorizePlan of 10 tables with 250 columns each, one caller", "ms", at_most(3)
    ),
    "revoke_to_denied_bounded_ms": Declared(
        "from a revoke acknowledged by one server to a denial by another, bounded, PostgreSQL",
        "ms",
        at_most(50),
    ),
    "revoke_stale_allows_full": Declared(
        "allows by another server after a revoke was acknowledged, FULL, PostgreSQL", "", at_most(0)
    ),
    "check_p50_with_24_writers_vs_idle": Declared(
        "median latency of Check, FULL, while 24 writers queue / while none does, PostgreSQL", "x", at_most(2)
    ),
    "check_p50_with_24_writers_vs_idle_sqlite": Declared("the same on SQLite", "x", at_most(2)),
    "cold_start_s_1m": Declared(
        "lakewarden-server serve from process start to SERVING, SQLite, 1 M grants, 100 k tables",
        "s",
        at_most(5),
    ),
    "rss_mb_1m": Declared("resident memory of that server after a round of checks", "MB", at_most(1_024)),
    "replica_snapshot_s_1m": Declared(
        "a replica's own work of a whole slice with 1 M grants: bytes received, decoded, indexed, CPU",
        "s",
        at_most(1),
    ),
    "replica_end_to_end_s_1m": Declared(
        "the same from the first call, with the server's cut, encoding and transfer, wall", "s"
    ),
    "replica_check_us": Declared(
        "one decision of that replica from two names, fresh pairs", "us", at_most(10)
    ),
    "check_p50_with_50_watchers_vs_idle": Declared(
        "median latency of Check, FULL, while 50 engines watch / while none does, both beside 5 writes a second, SQLite",
        "x",
    ),
    "lineage_depth10_1k_nodes_p99_ms": Declared(
        "99th percentile of TraverseLineage, ten steps downstream, at most 1,000 nodes, in a graph of 1 M edges",
        "ms",
        at_most(10),
    ),
    "lineage_20k_nodes_ms": Declared("the same with at most 20,000 nodes, median", "ms", at_most(60)),
    "lineage_columns_depth10_p50_ms": Declared(
        "what a column went into, ten steps and 2,000 columns at most, in the same graph with 10 M pairs of columns, median",
        "ms",
        at_most(10),
    ),
    "lineage_unknown_root_ms": Declared("the same from a name that nothing has", "ms", at_most(2)),
    "lineage_first_question_s": Declared("the first question, which reads the graph", "s", at_most(5)),
    "lineage_200k_first_level_ms": Declared(
        "until the first level of StreamLineage is there, downstream to 200,000 tables, in a graph of 1 M edges",
        "ms",
        at_most(20),
    ),
    "lineage_200k_ms": Declared("until all of it is there, median", "ms", at_most(1_500)),
    "lineage_leaks_ms": Declared("FindLineageLeaks of one column in that graph, as far as it follows", "ms"),
    "table_lineage_first_batch_ms": Declared(
        "the first 10,000 rows of system.access.table_lineage there", "ms"
    ),
    "table_lineage_rows_per_s": Declared("reading it batch after batch, for at most a minute", "/s"),
    "column_lineage_first_batch_ms": Declared(
        "the first 10,000 rows of system.access.column_lineage there", "ms"
    ),
    "column_lineage_rows_per_s": Declared("reading it batch after batch, for at most a minute", "/s"),
    "rename_10k_edges_ms": Declared(
        "recording the rename of a table that 10,000 edges lead to, which writes no edge, SQLite",
        "ms",
        at_most(20),
    ),
    "as_of_5k_nodes_ms": Declared(
        "a walk to 5,000 nodes at a past time among 1 M edges that are and 3 M that were, in the process, SQLite",
        "ms",
        at_most(60),
    ),
    "ol_events_per_s": Declared(
        "OpenLineage run events recorded durably over HTTP, gzipped batches of 100 from 8 clients, SQLite",
        "/s",
        at_least(2_000),
    ),
    "ol_ack_p99_ms": Declared(
        "99th percentile until a single event is acknowledged over HTTP, at 100 a second, SQLite",
        "ms",
        at_most(25),
    ),
    "check_p50_under_lineage_load_vs_idle": Declared(
        "median latency of Check, FULL, while 1,000 events a second are recorded / while none are, SQLite",
        "x",
        at_most(1.1),
    ),
    "sql_lineage_p95_ms": Declared(
        "tracing one of the 121 queries of TPC-H and TPC-DS in the process for it, 95th percentile",
        "ms",
        at_most(25),
    ),
    "grpc_no_limits": Declared(
        "server's CPU of an echo without our gRPC options / of the echo as it is served, 32 callers", "x"
    ),
    "grpc_for_throughput": Declared("the same with grpc.optimization_target = throughput", "x"),
    "grpc_for_latency": Declared("the same with grpc.optimization_target = latency", "x"),
    "grpc_bandwidth_probe": Declared("the same with grpc.http2.bdp_probe = 1", "x"),
    "grpc_gzip": Declared("the same with answers compressed", "x"),
    "grpc_thread_at_headers": Declared(
        "the same where a call takes a thread before its request is there", "x"
    ),
    "grpc_not_pinned": Declared("the same not pinned to one core", "x"),
    "grpc_1_thread": Declared("the same with one thread", "x"),
    "grpc_8_threads": Declared("the same with 8 threads", "x"),
    "grpc_16_threads": Declared("the same with 16 threads", "x"),
}
