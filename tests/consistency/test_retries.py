"""A write whose answer got lost is sent again under its request id, and is done exactly once (DESIGN section 4)."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import pytest

from consistency.cluster import Cluster
from consistency.proxies import CuttingProxy, cutting_proxy
from consistency.robots import changes_logged, create_robot, robots
from durability.calls import Caller, calling
from lakewarden import Client, InvalidArgument, LakewardenError, PermissionDenied, Unauthenticated
from lakewarden.v1 import (
    schemas_pb2,
    schemas_pb2_grpc,
    tokens_pb2,
    tokens_pb2_grpc,
)
from lakewarden_server.testing import WORKSPACE

OPERATIONS = 40
OPERATIONS_LONG = 500
CUTS_MAX = 3
CUT_SECONDS_MAX = 0.02
CALLS_TO_CUT = 1.5
REUSES = 20
TRIES_MAX = 20
TWINS = 6
CUT_CODES = frozenset({"UNAVAILABLE", "UNKNOWN", "INTERNAL", "CANCELLED"})
AUTHOR = "author@example.com"


def test_a_write_retried_through_cut_connections_is_done_once(cluster: Cluster) -> None:
    retry_storm(cluster, operations=OPERATIONS, seed=20261120)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_write_retried_through_cut_connections_is_done_once_for_long(cluster: Cluster) -> None:
    retry_storm(cluster, operations=OPERATIONS_LONG, seed=1)


def test_control_a_retry_under_a_new_request_id_is_done_again(cluster: Cluster) -> None:
    with admin_calling(cluster, cluster.server.endpoint) as caller:
        assert create_robot(caller, "twice", str(uuid.uuid4())) != create_robot(
            caller, "twice", str(uuid.uuid4())
        )
    assert robots(cluster)["twice"] == 2


def test_the_same_request_on_every_replica_at_once_is_done_once(cluster: Cluster) -> None:
    cluster.add()
    cluster.add()
    request_id = str(uuid.uuid4())

    def create(number: int) -> str:
        with admin_calling(cluster, cluster.endpoints[number % len(cluster.endpoints)]) as caller:
            return create_robot(caller, "one", request_id)

    with ThreadPoolExecutor(TWINS) as pool:
        assert len(set(pool.map(create, range(TWINS)))) == 1
    assert robots(cluster) == {"one": 1}


def test_a_request_id_with_another_payload_is_refused(cluster: Cluster) -> None:
    with admin_calling(cluster, cluster.server.endpoint) as caller:
        for number in range(REUSES):
            request_id = str(uuid.uuid4())
            create_robot(caller, f"robot{number}", request_id)
            with pytest.raises(InvalidArgument) as failure:
                create_robot(caller, f"impostor{number}", request_id)
            assert failure.value.reason == "REQUEST_ID_REUSED"
    assert robots(cluster) == {f"robot{number}": 1 for number in range(REUSES)}


def test_a_token_is_shown_once_and_never_by_a_retry(cluster: Cluster) -> None:
    request_id = str(uuid.uuid4())
    request = tokens_pb2.CreateTokenRequest(comment="retried")
    with admin_calling(cluster, cluster.server.endpoint) as caller:
        first, _ = caller.call(
            tokens_pb2_grpc.TokenServiceStub, "CreateToken", request, request_id=request_id
        )
        again, _ = caller.call(
            tokens_pb2_grpc.TokenServiceStub, "CreateToken", request, request_id=request_id
        )
    assert first.token_value
    assert again.token_value == ""
    assert again.token == first.token


def forget_by_disabling(admin: Client) -> None:
    """The author may not call at all any more."""
    admin.users.disable(AUTHOR)


def forget_by_unassigning(admin: Client) -> None:
    """The author may not work in the workspace any more."""
    admin.grants.revoke("USER", "workspace", WORKSPACE, AUTHOR)


def forget_by_revoking(admin: Client) -> None:
    """The author sees nothing of what it made any more."""
    admin.schemas.set_owner("main.mine", "admin@example.com")
    admin.grants.revoke(["USE_CATALOG", "CREATE_SCHEMA"], "catalog", "main", AUTHOR)


@pytest.mark.parametrize("forget", [forget_by_disabling, forget_by_unassigning, forget_by_revoking])
def test_a_replay_after_a_revoke_is_denied(cluster: Cluster, forget: Callable[[Client], None]) -> None:
    admin = cluster.admin()
    admin.catalogs.create("main")
    token = cluster.server.token_of(AUTHOR)
    admin.grants.grant(["USE_CATALOG", "CREATE_SCHEMA"], "catalog", "main", AUTHOR)
    request_id = str(uuid.uuid4())
    with calling(cluster.server.endpoint, token, WORKSPACE) as caller:
        made = create_schema(caller, request_id)
        assert create_schema(caller, request_id) == made
        forget(admin)
        with pytest.raises((PermissionDenied, Unauthenticated)):
            create_schema(caller, request_id)


def retry_storm(cluster: Cluster, *, operations: int, seed: int) -> None:
    """Creates service principals, whose names do not collide, through a proxy that cuts calls at random moments."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    answers: dict[str, str] = {}
    lost_after_commit = failures = 0
    with cutting_proxy(cluster.server.endpoint) as proxy:
        # On a busy machine a call takes longer, and a cut that always comes before its commit loses no answer.
        begun = time.monotonic()
        answers["first"] = insist(cluster, proxy, "first", str(uuid.uuid4()))
        longest = max(CUT_SECONDS_MAX, CALLS_TO_CUT * (time.monotonic() - begun))
        for number in range(operations):
            name, request_id = f"robot{number}", str(uuid.uuid4())
            failed = try_with_cuts(cluster, proxy, name, request_id, chance, longest)
            failures += failed
            lost_after_commit += bool(failed and robots(cluster)[name])
            answers[name] = insist(cluster, proxy, name, request_id)
    stored = robots(cluster)
    assert stored == dict.fromkeys(answers, 1)
    assert changes_logged(cluster) == operations + 1
    # The storm raged: calls were lost, and some of them only after they had been committed.
    assert failures >= operations // 4
    assert lost_after_commit >= 1


def try_with_cuts(
    cluster: Cluster, proxy: CuttingProxy, name: str, request_id: str, chance: random.Random, longest: float
) -> int:
    """Sends a creation over connections that are cut; returns how many attempts failed."""
    failed = 0
    for _ in range(chance.randint(1, CUTS_MAX)):
        proxy.cut_after(chance.uniform(0, longest))
        failed += attempt(cluster, proxy, name, request_id) is None
    return failed


def insist(cluster: Cluster, proxy: CuttingProxy, name: str, request_id: str) -> str:
    """Sends the creation until it is answered; returns the id."""
    for _ in range(TRIES_MAX):
        answer = attempt(cluster, proxy, name, request_id)
        if answer is not None:
            return answer
    raise AssertionError(f"{name} was never answered")


def attempt(cluster: Cluster, proxy: CuttingProxy, name: str, request_id: str) -> str | None:
    """The id, or None when the connection was cut; any error that the server itself answered is raised."""
    try:
        with admin_calling(cluster, proxy.endpoint) as caller:
            return create_robot(caller, name, request_id)
    except LakewardenError as error:
        if error.reason or error.code not in CUT_CODES:
            raise
        return None


def admin_calling(cluster: Cluster, endpoint: str) -> AbstractContextManager[Caller]:
    """A caller of its own connection with the admin's token."""
    return calling(endpoint, cluster.server.admin_token, WORKSPACE)


def create_schema(caller: Caller, request_id: str) -> str:
    """Creates the schema `main.mine` in one attempt; returns its id."""
    request = schemas_pb2.CreateSchemaRequest(parent="main", schema=schemas_pb2.Schema(name="mine"))
    reply, _ = caller.call(schemas_pb2_grpc.SchemaServiceStub, "CreateSchema", request, request_id=request_id)
    return str(reply.id)
