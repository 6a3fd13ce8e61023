"""The service agrees with the second judge: whole random worlds in the database, asked through the public client."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from typing import NamedTuple

import pytest

from lakewarden import Client
from lakewarden.v1 import grants_pb2
from lakewarden_server.testing import EmbeddedServer, serve
from policies.calls import Question
from policies.questions import make_question
from policies.reference import Reference
from policies.reference_matrix import MATRIX
from policies.stored import ENGINE, fill, storable
from policies.worlds import WORKSPACES, World, full_name, make_world

SEED = 20261126
WORLDS = 2
QUESTIONS = 6000
NOW = 5
KINDS = set(grants_pb2.SecurableType.keys()) - {"ACCOUNT", "METASTORE", "WORKSPACE"}


class Access(NamedTuple):
    """What is asked, and what the second judge says."""

    securable_type: str
    full_name: str
    privilege: str
    expected: bool


def accesses(world: World, rng: random.Random) -> dict[tuple[str, str], list[Access]]:
    """By workspace and subject: what can be asked by name, which is what the workspace's metastore holds."""
    reference, found = Reference(world, now=NOW), defaultdict(list)
    for _ in range(QUESTIONS):
        question = make_question(rng, world)._replace(now=NOW)
        obj = question.objects.get("self", "")
        if question.workspace is None or not _can_be_asked(world, question):
            continue
        expected = reference.allows(*question[:5])
        access = Access(world["objects"][obj]["kind"], full_name(world, obj), question.selector, expected)
        found[question.workspace, question.who].append(access)
    return found


def _can_be_asked(world: World, question: Question) -> bool:
    thing = world["objects"].get(question.objects.get("self", ""))
    if thing is None or thing["kind"] not in KINDS or not question.operation.endswith(".use"):
        return False
    if question.selector not in MATRIX[thing["kind"]]:
        return False
    return world["objects"][question.workspace]["metastore"] == thing["metastore"]


def engines(server: EmbeddedServer) -> dict[str, Client]:
    """The query engine of each workspace."""
    token = server.issue_token(ENGINE)
    return {workspace: server.client(token, workspace=workspace) for workspace in WORKSPACES}


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_check_says_what_the_second_judge_says(database: str, request: pytest.FixtureRequest) -> None:
    outcomes: Counter[bool] = Counter()
    for seed in range(SEED, SEED + WORLDS):
        rng = random.Random(seed)
        world = storable(make_world(rng))
        url = None
        if database == "postgresql":
            url = request.getfixturevalue("postgresql_server").create_migrated()
        with serve(database_url=url, workspace=False) as server:
            fill(server, world, now=NOW)
            asking = engines(server)
            for (workspace, who), wanted in accesses(world, rng).items():
                subject = f"{who}@x.io" if who.startswith("u") else who
                verdicts = asking[workspace].authorization.batch_check(wanted, subject=subject, explain=False)
                for access, verdict in zip(wanted, verdicts, strict=True):
                    assert verdict.allowed == access.expected, f"seed {seed}: {who} in {workspace}: {access}"
                    outcomes[access.expected] += 1
    assert outcomes.total() > 1000
    assert min(outcomes.values()) > outcomes.total() / 5, outcomes
