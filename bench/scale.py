"""What a server with a million grants costs to start and to hold: `lakewarden-server serve` on a filled SQLite database."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from time import perf_counter, sleep
from typing import NamedTuple

import psutil

from bench.figures import Figure, median_of
from bench.processes import Target, served
from bench.server import filled
from bench.worlds import SEED, Size
from lakewarden import Client
from lakewarden_server.rpc.probe import ask_health

ROUNDS = 3
WORLD = Size(grants=1_000_000)
FEW_GRANTS = 1_000
NOTHING = Size(users=1, groups=1, catalogs=1, schemas_per_catalog=1, tables_per_schema=1, grants=1, closure=3)
CHECKS = 1_000
SERVING_SECONDS_MAX = 60.0
MEGABYTE = 1 << 20
MILLION = 1_000_000


class Start(NamedTuple):
    """From the process's start to SERVING: seconds, those of its CPU; its megabytes then, and after checks about many users."""

    seconds: float
    cpu_seconds: float
    serving_mb: float
    used_mb: float


def scale_figures(size: Size = WORLD, few: int = FEW_GRANTS, rounds: int = ROUNDS) -> list[Figure]:
    """The start and the memory with all grants; the same tree and principals with few grants, and with nothing, tell what each costs."""
    many = starts(size, rounds)
    (tree,) = starts(size._replace(grants=few), 1)
    (empty,) = starts(NOTHING, 1)
    used = median_of([start.used_mb for start in many])
    return [
        Figure(
            "cold_start_s_1m",
            median_of([start.seconds for start in many]),
            {
                "cpu_seconds": median_of([start.cpu_seconds for start in many]),
                "round_seconds": [start.seconds for start in many],
                f"seconds_with_{few}_grants": tree.seconds,
                "seconds_empty": empty.seconds,
            },
        ),
        Figure(
            "rss_mb_1m",
            used,
            {
                "serving_mb": median_of([start.serving_mb for start in many]),
                f"mb_with_{few}_grants": tree.used_mb,
                "mb_empty": empty.used_mb,
                "mb_per_million_grants": (used - tree.used_mb) / (size.grants - few) * MILLION,
                "tables": size.catalogs * size.schemas_per_catalog * size.tables_per_schema,
                "users": size.users,
            },
        ),
    ]


def starts(size: Size, rounds: int) -> list[Start]:
    """Fills a database, stops the server that did it, and starts another one on it again and again."""
    with tempfile.TemporaryDirectory(prefix="lakewarden-bench-") as directory:
        target = filled(size, Path(directory))
        return [_start(target) for _ in range(rounds)]


def _start(target: Target) -> Start:
    started = perf_counter()
    with served(target.directory) as server:
        while ask_health(server.endpoint, None) != "SERVING":
            if perf_counter() - started > SERVING_SECONDS_MAX:
                raise RuntimeError(f"the server does not serve after {SERVING_SECONDS_MAX} s")
            sleep(0.01)
        seconds = perf_counter() - started
        process = psutil.Process(server.process_id)
        times, serving = process.cpu_times(), process.memory_info().rss
        _ask(target, server.endpoint)
        return Start(
            seconds, times.user + times.system, serving / MEGABYTE, process.memory_info().rss / MEGABYTE
        )


def _ask(target: Target, endpoint: str) -> None:
    """Checks of random users about random tables: what is remembered of them is memory too."""
    rng, size = random.Random(SEED), target.size
    with Client(endpoint, token=target.token, workspace=target.workspace) as engine:
        for _ in range(CHECKS):
            schema = (
                f"catalog_{rng.randrange(size.catalogs)}.schema_{rng.randrange(size.schemas_per_catalog)}"
            )
            engine.authorization.check(
                "SELECT",
                "table",
                f"{schema}.table_{rng.randrange(size.tables_per_schema)}",
                subject=f"user_{rng.randrange(size.users)}@example.com",
                explain=False,
            )
