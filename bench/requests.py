"""What the callers send: for each method they are told to measure an endless stream of serialized requests, and how to read the replies."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from bench.echo import ECHO_METHOD
from bench.plans import COLUMNS, SUBJECT, TABLES, table_name
from bench.worlds import Question, World, ask, ask_as, askable
from lakewarden.v1 import authorization_pb2 as pb
from lakewarden.v1 import grants_pb2

SERVICE = "/lakewarden.v1.AuthorizationService"
QUESTIONS = 60_000
BATCH = 1_000
WARM_BATCHES = 40


class Sent(NamedTuple):
    """A method to measure: its gRPC name, its requests, what goes beside them, and the share of a reply's answers that are yes."""

    path: str
    requests: Iterator[bytes]
    allowed: Callable[[bytes], float]
    metadata: tuple[tuple[str, str], ...] = (("lakewarden-freshness", "full"),)


def sent(world: World) -> dict[str, Sent]:
    """Every method by its name; requests are made when they are drawn."""
    checks = _checks(world)
    bounded = (("lakewarden-freshness", "bounded"),)
    return {
        "echo": Sent(f"/{ECHO_METHOD}", checks, _of_check),
        "check": Sent(f"{SERVICE}/Check", checks, _of_check),
        "check_bounded": Sent(f"{SERVICE}/Check", checks, _of_check, bounded),
        "batch_cold": Sent(f"{SERVICE}/BatchCheck", _cold_batches(world), _of_batch),
        "batch_warm": Sent(f"{SERVICE}/BatchCheck", _warm_batches(world), _of_batch),
        "plan": Sent(f"{SERVICE}/AuthorizePlan", itertools.repeat(_plan()), _of_plan),
        "grant": Sent("/lakewarden.v1.GrantService/UpdateGrants", _grants(world), lambda _reply: 1.0),
    }


def _checks(world: World) -> Iterator[bytes]:
    """Check and echo draw from one stream; a question comes again only after all others."""
    serialized = [
        pb.CheckRequest(subject=question.user, access=_access(question)).SerializeToString()
        for question in ask(world, QUESTIONS, seed=1)
    ]
    shuffle = random.Random(2)
    while True:
        yield from serialized
        shuffle.shuffle(serialized)


def _cold_batches(world: World) -> Iterator[bytes]:
    """Each about a user no other batch was about, as long as there are any."""
    users = askable(world)
    random.Random(3).shuffle(users)
    for number, user in enumerate(itertools.cycle(users)):
        yield _batch(user, ask_as(world, user, BATCH, seed=number))


def _warm_batches(world: World) -> Iterator[bytes]:
    """All about one user."""
    user = askable(world)[0]
    yield from itertools.cycle(
        [_batch(user, ask_as(world, user, BATCH, seed=number)) for number in range(WARM_BATCHES)]
    )


def _batch(user: str, questions: list[Question]) -> bytes:
    request = pb.BatchCheckRequest(subject=user, accesses=[_access(question) for question in questions])
    return request.SerializeToString()


def _access(question: Question) -> pb.Access:
    return pb.Access(securable_type=grants_pb2.TABLE, full_name=question.table, privilege="SELECT")


def _plan() -> bytes:
    """Every column of every table of the plan, by an engine that applies filters and masks."""
    columns = [f"column_{number}" for number in range(COLUMNS)]
    accesses = [
        pb.Access(
            securable_type=grants_pb2.TABLE, full_name=table_name(number), privilege="SELECT", columns=columns
        )
        for number in range(TABLES)
    ]
    return pb.AuthorizePlanRequest(
        subject=SUBJECT, accesses=accesses, capabilities=[pb.ROW_FILTER, pb.COLUMN_MASK]
    ).SerializeToString()


def _grants(world: World) -> Iterator[bytes]:
    """Grants that nobody holds yet, of a privilege no question is about."""
    rng = random.Random(4)
    tables = [row.id for row in world.securables if row.kind == "TABLE"]
    users = askable(world)
    while True:
        change = grants_pb2.GrantChange(
            action=grants_pb2.GrantChange.GRANT, principal=rng.choice(users), privileges=["MODIFY"]
        )
        yield grants_pb2.UpdateGrantsRequest(
            securable_type=grants_pb2.TABLE, full_name=rng.choice(tables), changes=[change]
        ).SerializeToString()


def _of_check(reply: bytes) -> float:
    return float(pb.CheckResponse.FromString(reply).verdict.allowed)


def _of_batch(reply: bytes) -> float:
    verdicts = pb.BatchCheckResponse.FromString(reply).verdicts
    return sum(verdict.allowed for verdict in verdicts) / len(verdicts)


def _of_plan(reply: bytes) -> float:
    return float(pb.AuthorizePlanResponse.FromString(reply).allowed)
