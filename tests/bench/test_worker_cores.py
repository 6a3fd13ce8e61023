"""Where the processes of a load test run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from bench.processes import cores_apart, worker_cores

CORES = os.sched_getaffinity(0)
SUPERVISOR = """
import json, os, subprocess, sys
workers = []
for core in json.loads(sys.argv[1]):
    os.sched_setaffinity(0, {core})
    workers.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
print("ready", flush=True)
input()
for worker in workers:
    worker.communicate(b"\\n")
"""


@contextmanager
def supervisor(cores: Sequence[int]) -> Iterator[int]:
    """The process id of one that has started a worker on each core in turn."""
    command = [sys.executable, "-c", SUPERVISOR, str(list(cores))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid
        process.communicate("\n")


def test_workers_for_grpc_and_those_for_http_are_told_apart_by_the_order_in_which_they_started() -> None:
    first, last = min(CORES), max(CORES)
    with supervisor([last, first]) as process_id:
        # On a machine with one core they share it.
        assert worker_cores(process_id, 1) == (((last,), (first,)) if first != last else ((), ()))
        assert worker_cores(process_id, 0) == worker_cores(process_id, 2) == ((), ())


@pytest.mark.parametrize(
    ("cores", "http_workers", "apart"),
    [
        ([{0}, {1}], 1, ((0,), (1,))),
        ([{3}, {1}, {0}, {2}], 2, ((1, 3), (0, 2))),
        ([{0, 1}, {2}], 1, ((0, 1), (2,))),
        ([{0}, {1}, {0}], 1, ((), ())),
        ([{0, 1}, {0, 1}], 1, ((), ())),
    ],
)
def test_workers_that_share_a_core_have_none_to_themselves(
    cores: list[set[int]], http_workers: int, apart: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    assert cores_apart(cores, http_workers) == apart
