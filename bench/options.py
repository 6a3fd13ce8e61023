"""What each gRPC option of the server costs or saves: a bare echo with one thing changed, beside the echo as it is served."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

from bench.figures import Figure, median_of
from bench.processes import Callers, echo_server
from bench.rpc import CALLERS, MICROSECONDS
from bench.worlds import Size
from lakewarden_server.config import READ_THREADS_DEFAULT
from lakewarden_server.rpc.server import OPTIONS

WORLD = Size(users=200, groups=40, catalogs=10, schemas_per_catalog=4, tables_per_schema=20, grants=1_500)
"""Requests have to name something; an echo does not look at them."""


class Served(NamedTuple):
    """How an echo is served."""

    options: tuple[tuple[str, Any], ...] = OPTIONS
    threads: int = READ_THREADS_DEFAULT
    pinned: bool = True
    gzip: bool = False
    on_arrival: bool = True
    """A thread is taken when the request is there, else when the headers are."""


AS_SERVED = Served()
CHANGES: dict[str, Served] = {
    "grpc_no_limits": Served(options=()),
    "grpc_for_throughput": Served(options=(*OPTIONS, ("grpc.optimization_target", "throughput"))),
    "grpc_for_latency": Served(options=(*OPTIONS, ("grpc.optimization_target", "latency"))),
    "grpc_bandwidth_probe": Served(
        options=tuple((name, 1 if name == "grpc.http2.bdp_probe" else value) for name, value in OPTIONS)
    ),
    "grpc_gzip": Served(gzip=True),
    "grpc_thread_at_headers": Served(on_arrival=False),
    "grpc_not_pinned": Served(pinned=False),
    "grpc_1_thread": Served(threads=1),
    "grpc_8_threads": Served(threads=8),
    "grpc_16_threads": Served(threads=16),
}


class Effort(NamedTuple):
    """How much is measured."""

    rounds: int = 7
    calls: int = 150
    """Of one caller in a round."""
    seconds: float = 0.7
    """Of many callers in a round."""


def option_figures(effort: Effort | None = None, changes: Mapping[str, Served] = CHANGES) -> list[Figure]:
    """One figure for each change: the server's CPU for a call, divided by that of the echo as it is served. All take turns in each round."""
    wanted = effort or Effort()
    with ExitStack() as stack:
        callers = {
            name: stack.enter_context(echo_server(WORLD, **served._asdict()))
            for name, served in {"as_served": AS_SERVED, **changes}.items()
        }
        names = list(callers)
        measured: dict[str, list[dict[str, float]]] = {name: [] for name in names}
        for number in range(wanted.rounds + 1):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                measured[name].append(_round(callers[name], wanted))
    # The first round warms every server up.
    costs = {name: _medians(rounds[1:]) for name, rounds in measured.items()}
    as_served = costs.pop("as_served")
    return [
        Figure(
            name,
            cost["server_cpu_us"] / as_served["server_cpu_us"],
            {**cost, **{f"as_served_{what}": value for what, value in as_served.items()}},
        )
        for name, cost in costs.items()
    ]


def _round(callers: Callers, effort: Effort) -> dict[str, float]:
    many = callers.measure("throughput", method="echo", callers=CALLERS, seconds=effort.seconds)
    one = callers.measure("latency", method="echo", count=effort.calls)
    if many["server_cpu_seconds"] is None:
        raise RuntimeError("this system does not tell the CPU time of a process")
    return {
        "server_cpu_us": many["server_cpu_seconds"] / many["calls"] * MICROSECONDS,
        "per_second": many["per_second"],
        "p50_us": median_of(one["seconds"]) * MICROSECONDS,
    }


def _medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {what: median_of([each[what] for each in rounds]) for what in rounds[0]}
