"""Where the time goes on the paths that have bars: each runs under cProfile in one process, from the request's bytes to the answer's, without gRPC.

A profiler makes many small calls look dearer than few large ones: the shares say where to look, the figures what it costs.
"""

from __future__ import annotations

import cProfile
import gc
import pstats
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench import plans
from bench.decisions import decide
from bench.requests import Sent, sent
from bench.server import engine_token, fill
from bench.worlds import Size, ask, make_world
from lakewarden.v1 import authorization_pb2 as pb
from lakewarden_policy import Decider, load_policy
from lakewarden_server.authz.follower import Follower
from lakewarden_server.core.peers import LOCAL
from lakewarden_server.pipeline.pipeline import Incoming
from lakewarden_server.testing import WORKSPACE, EmbeddedServer, serve

WORLD = Size()
SHARE_MIN: Final = 0.03
LINES_MAX: Final = 16
SECONDS_LEFT = 10.0
MICROSECONDS = 1e6
HERE: Final = str(Path(__file__).parent)
PLACES: Final = ("/lakewarden_server/", "/policies/", "/client/", "/site-packages/", "/lib/")
"""What the paths of modules are told from, inmost first."""

PATHS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "decision": (
        "one decision from two names",
        ("decision_us_1m", "decision_us_1m_closure50", "decision_growth_1k_to_1m", "replica_check_us"),
    ),
    "check_bounded": (
        "one Check, bounded freshness",
        ("check_vs_echo_latency", "check_vs_echo_throughput"),
    ),
    "check": (
        "one Check, FULL, SQLite",
        (
            "check_full_pg_vs_echo_latency",
            "check_full_pg_vs_echo_throughput_32",
            "check_full_sqlite_vs_echo_throughput_32",
            "check_p50_with_24_writers_vs_idle",
            "check_p50_with_24_writers_vs_idle_sqlite",
        ),
    ),
    "batch_cold": ("one BatchCheck of 1,000 about a subject not met before", ("batch_decisions_per_s_cold",)),
    "batch_warm": ("one BatchCheck of 1,000 about the same subject", ("batch_decisions_per_s_warm",)),
    "plan": ("one AuthorizePlan of 10 tables with 250 columns", ("authorize_plan_10x250_ms",)),
    "load": ("the state of 100 k grants read from SQLite", ("cold_start_s_1m", "rss_mb_1m")),
}
"""What each profile is of, and the figures whose time it is."""
_CALLS = {"check": 2_000, "check_bounded": 2_000, "batch_cold": 20, "batch_warm": 20, "plan": 200}
_MESSAGES: Final[Mapping[str, Any]] = {
    "check": pb.CheckRequest, "check_bounded": pb.CheckRequest, "batch_cold": pb.BatchCheckRequest,
    "batch_warm": pb.BatchCheckRequest, "plan": pb.AuthorizePlanRequest,
}  # fmt: skip


class Line(NamedTuple):
    """A function: its share of the time with all it calls, by itself, and how often it was called in one run of the path."""

    with_callees: float
    by_itself: float
    calls: float
    function: str


def profiles(size: Size = WORLD, share_of_calls: float = 1.0) -> dict[str, dict[str, Any]]:
    """For each path, as results.json has it: what it is, microseconds of one run under the profiler, and its `Line`s."""
    world = make_world(size)
    questions = ask(world, int(4_000 * share_of_calls), seed=1)
    decider = Decider(load_policy(), world.snapshot())
    found = {"decision": _profile("decision", [partial(decide, decider, question) for question in questions])}
    with serve() as server:
        fill(server, size)
        plans.set_up(server.client())
        found["load"] = _profile("load", [Follower(server.app.database, load_policy()).at_head])
        calling = _Calling(server)
        requests = sent(world)
        for name, calls in _CALLS.items():
            # The first half unprofiled: what is imported and remembered at the first calls is none of the others'.
            count = max(1, int(calls * share_of_calls))
            prepared = [
                calling.prepared(name, requests[name], next(requests[name].requests))
                for _ in range(2 * count)
            ]
            for call in prepared[:count]:
                call()
            found[name] = _profile(name, prepared[count:])
    return found


class _Calling:
    """Answers a request's bytes with the answer's, as the server does between the two ends of gRPC."""

    def __init__(self, server: EmbeddedServer) -> None:
        self._pipeline = server.app.pipeline
        self._metadata = {
            "authorization": f"Bearer {engine_token(server)}",
            "lakewarden-workspace": WORKSPACE,
        }

    def prepared(self, name: str, method: Sent, request: bytes) -> Callable[[], object]:
        """One call with a request id of its own, still to be made."""
        message = _MESSAGES[name]
        incoming = Incoming(
            {**self._metadata, **dict(method.metadata), "lakewarden-request-id": str(uuid.uuid4())},
            SECONDS_LEFT,
            LOCAL,
        )

        def call() -> object:
            reply = self._pipeline.handle(
                method.path.removeprefix("/"), message.FromString(request), incoming
            )
            return reply.message.SerializeToString()

        return call


def _profile(name: str, runs: Sequence[Callable[[], object]]) -> dict[str, Any]:
    gc.collect()
    profiler = cProfile.Profile()
    profiler.enable()
    for run in runs:
        run()
    profiler.disable()
    statistics: Any = pstats.Stats(profiler)
    lines = _lines(statistics.stats, statistics.total_tt, len(runs))
    what, figures = PATHS[name]
    microseconds = statistics.total_tt / len(runs) * MICROSECONDS
    return {
        "what": what,
        "figures": list(figures),
        "us_under_the_profiler": microseconds,
        "lines": [list(line) for line in lines],
    }


def _lines(found: Mapping[tuple[str, int, str], Any], total: float, runs: int) -> list[Line]:
    """The dearest functions of ours and of what we use, by their time with all they call."""
    lines = [
        # The profiler's own work between two of its events is in the one time and not in the other.
        Line(min(cumulative / total, 1.0), own / total, calls / runs, _named(function))
        for function, (_, calls, own, cumulative, _) in found.items()
        if not function[0].startswith(HERE)
    ]
    dearest = sorted((line for line in lines if line.with_callees >= SHARE_MIN), reverse=True)
    return dearest[:LINES_MAX]


def _named(function: tuple[str, int, str]) -> str:
    """Module and function; what is not Python has a name alone."""
    path, _, name = function
    if path == "~":
        # Without the address of a built-in type, which is another in every run.
        return name.strip("<>").partition(" at 0x")[0]
    module = next((path.rpartition(place)[2] for place in PLACES if place in path), path.rpartition("/")[2])
    return f"{module}: {name}"
