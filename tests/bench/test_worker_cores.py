"""Where the processes of a load test run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from bench.processes import worker_cores

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
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

pytestmark = pytest.mark.skipif(len(CORES) < 2, reason="this machine does not pin processes, or has one core")


@contextmanager
def supervisor(cores: Sequence[int]) -> Iterator[int]:
    """The process id of one that has started a worker on each core in turn."""
    command = [sys.executable, "-c", SUPERVISOR, str(list(cores))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid
        process.communicate("\n")


def test_workers_for_grpc_and_those_for_http_are_told_apart_by_their_cores() -> None:
    first, second = CORES[:2]
    with supervisor([second, first]) as process_id:
        assert worker_cores(process_id, 1) == ((second,), (first,))
        assert worker_cores(process_id, 0) == worker_cores(process_id, 2) == ((), ())


def test_workers_that_share_a_core_have_none_to_themselves() -> None:
    first, second = CORES[:2]
    with supervisor([first, second, first]) as process_id:
        assert worker_cores(process_id, 2) == ((), ())
        assert worker_cores(process_id, 1) == ((), ())
