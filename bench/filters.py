"""FilterSecurables of 100,000 names as the server does it, from the bytes of the request to those of the answer, and beside it
one decision after the other about the same names; how it grows with what is granted to others.
"""

from __future__ import annotations

import gc
import random
from time import perf_counter, thread_time
from typing import NamedTuple

from bench.decisions import decide
from bench.figures import Figure, median_of
from bench.worlds import METASTORE, SEED, WORKSPACE, Question, Size, World, make_world
from lakewarden.v1 import authorization_pb2 as pb
from lakewarden_policy import Access, Asked, Decider, filter_names, load_policy

ROUNDS = 7
NAMES = 100_000
SAMPLE = 2_000
GRANTS = (1_000, 1_000_000)


class Rounds(NamedTuple):
    """Milliseconds of each round by the clock and of this thread's CPU, how many names passed, and one by one."""

    clock: list[float]
    cpu: list[float]
    allowed: list[int]
    one_by_one: float


def filter_figures() -> list[Figure]:
    """Each round asks for another user about the same names in the same random order."""
    few, many = (_measure(make_world(Size(grants=grants))) for grants in GRANTS)
    return [
        Figure(
            "filter_100k_ms",
            median_of(many.clock),
            {
                "cpu_ms": median_of(many.cpu),
                "one_by_one_ms": many.one_by_one,
                "allowed": many.allowed,
                "round_ms": many.clock,
            },
        ),
        Figure(
            "filter_growth_1k_to_1m",
            median_of(many.clock) / median_of(few.clock),
            {"ms_at_1k": median_of(few.clock), "ms_at_1m": median_of(many.clock)},
        ),
    ]


def _measure(world: World) -> Rounds:
    decider = Decider(load_policy(), world.snapshot())
    names = [decider.snapshot.full_name(row.id) for row in world.securables if row.kind == "TABLE"][:NAMES]
    random.Random(SEED).shuffle(names)
    payload = pb.FilterSecurablesRequest(privilege="SELECT", full_names=names).SerializeToString()
    users = [name for name, groups in world.groups_of.items() if groups][: ROUNDS + 1]
    clock, cpu, allowed = [], [], []
    gc.collect()
    for user in users:
        started, started_cpu = perf_counter(), thread_time()
        allowed.append(_answer(decider, user, payload))
        cpu.append((thread_time() - started_cpu) * 1_000)
        clock.append((perf_counter() - started) * 1_000)
    # The first one warms what the snapshot works out once.
    return Rounds(clock[1:], cpu[1:], allowed[1:], _one_by_one(decider, users[-1], names))


def _answer(decider: Decider, user: str, payload: bytes) -> int:
    """What the service does; returns how many names passed."""
    request = pb.FilterSecurablesRequest.FromString(payload)
    subject = decider.snapshot.principal_named(user)
    if subject is None:
        raise LookupError(f"the world has no {user}")
    access = Access(decider, Asked(subject.id, WORKSPACE, "TABLE", request.privilege))
    indices = filter_names(access, METASTORE, request.full_names)
    pb.FilterSecurablesResponse(indices=indices).SerializeToString()
    return len(indices)


def _one_by_one(decider: Decider, user: str, names: list[str]) -> float:
    """Milliseconds that as many single decisions take, from a sample."""
    started = perf_counter()
    for name in names[:SAMPLE]:
        decide(decider, Question(user, name))
    return (perf_counter() - started) * 1_000 * len(names) / SAMPLE
