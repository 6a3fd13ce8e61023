"""How fast things start: the command line's help beside a bare interpreter, an embedded server after the first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from time import perf_counter

from bench.figures import Figure, median_of
from lakewarden_server.testing import serve

ROUNDS = 7
MILLISECONDS = 1_000


def start_figures() -> list[Figure]:
    """Milliseconds of whole processes and of whole embedded servers, with workspace and client call."""
    help_times, bare_times = [], []
    for _ in range(ROUNDS):
        help_times.append(_process([sys.executable, "-m", "lakewarden.cli", "--help"]))
        bare_times.append(_process([sys.executable, "-c", "pass"]))
    _serve()
    embedded = [_serve() for _ in range(ROUNDS)]
    return [
        Figure(
            key="cli_help_ms",
            value=median_of(help_times),
            raw={"bare_interpreter_ms": median_of(bare_times), "rounds": ROUNDS},
        ),
        Figure(
            key="embedded_start_ms",
            value=median_of(embedded),
            raw={"slowest_ms": max(embedded), "rounds": ROUNDS},
        ),
    ]


def _process(command: Sequence[str]) -> float:
    started = perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (perf_counter() - started) * MILLISECONDS


def _serve() -> float:
    started = perf_counter()
    with serve(workspace=False) as server:
        server.client().session.get()
        return (perf_counter() - started) * MILLISECONDS
