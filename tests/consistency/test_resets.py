"""A retry storm through connections that are reset at COMMIT: each write is done exactly once, whichever link is cut."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from consistency.cluster import Cluster, cluster_on
from consistency.links import connect_to, url_through
from consistency.resets import CommitAnswers, GrpcAnswers, ResettingProxy, resetting_proxy
from consistency.robots import changes_logged, create_robot, robots
from durability.calls import calling
from lakewarden import InvalidArgument, LakewardenError, PermissionDenied
from lakewarden_server.testing import WORKSPACE

WRITES = 40
WRITES_LONG = 2_000
THREADS = 4
SHARE = 0.5
TRIES_MAX = 40
SAMPLE = 100
CUT_CODES = frozenset({"UNAVAILABLE", "UNKNOWN", "INTERNAL", "CANCELLED"})
CUT_REASONS = frozenset({"", "STORAGE_UNAVAILABLE", "SNAPSHOT_UNAVAILABLE"})
AUTHOR = "author@example.com"


class Storm(NamedTuple):
    """A cluster, where its author's calls go, and the proxy on one of the two links."""

    cluster: Cluster
    endpoint: str
    token: str
    proxy: ResettingProxy

    def create(self, name: str, request_id: str) -> str:
        """One attempt over a connection of its own; the id."""
        with calling(self.endpoint, self.token, WORKSPACE) as caller:
            return create_robot(caller, name, request_id)

    def insist(self, name: str, *, request_id: str = "") -> int:
        """Tries until it is answered, each time under a new id when none is given; how often that took."""
        for tries in range(1, TRIES_MAX):
            try:
                self.create(name, request_id or str(uuid.uuid4()))
            except LakewardenError as error:
                if error.code not in CUT_CODES or error.reason not in CUT_REASONS:
                    raise
            else:
                return tries
        raise AssertionError(f"{name} was never answered")


@contextmanager
def storm_between_client_and_server(cluster: Cluster, *, seed: int) -> Iterator[Storm]:
    """The client's link is reset when the server answers a call."""
    host, _, port = cluster.server.endpoint.rpartition(":")
    with resetting_proxy(
        lambda: socket.create_connection((host, int(port))), GrpcAnswers, seed=seed
    ) as proxy:
        yield Storm(cluster, f"127.0.0.1:{proxy.port}", author_of(cluster), proxy)


@contextmanager
def storm_between_server_and_postgresql(url: str, directory: Path, *, seed: int) -> Iterator[Storm]:
    """The server's link is reset when PostgreSQL says that a transaction is committed."""
    with resetting_proxy(lambda: connect_to(url), CommitAnswers, seed=seed) as proxy:
        proxied = url_through(url, proxy.port)
        with cluster_on(proxied, directory) as cluster:
            yield Storm(cluster, cluster.server.endpoint, author_of(cluster), proxy)
            proxy.share = 0.0


def author_of(cluster: Cluster) -> str:
    """The token of another account admin, whose right can be taken."""
    token = cluster.server.token_of(AUTHOR)
    cluster.admin().grants.grant("ADMIN", "account", "account", AUTHOR)
    return token


def rage(storm: Storm, *, writes: int) -> None:
    """Writes through resets, then counts; then tries what a remembered request must not be good for."""
    request_ids = {f"robot{number}": str(uuid.uuid4()) for number in range(writes)}
    storm.proxy.share = SHARE
    with ThreadPoolExecutor(THREADS) as pool:
        tries = sum(pool.map(lambda name: storm.insist(name, request_id=request_ids[name]), request_ids))
    storm.proxy.share = 0.0
    print(f"{writes} writes in {tries} tries, {storm.proxy.resets} resets")
    assert robots(storm.cluster) == dict.fromkeys(request_ids, 1)
    assert changes_logged(storm.cluster) == writes
    assert storm.proxy.resets >= writes // 4, "hardly any answer was lost"
    assert tries - writes >= writes // 4
    sample = dict(list(request_ids.items())[:SAMPLE])
    for name, request_id in sample.items():
        with pytest.raises(InvalidArgument) as failure:
            storm.create(f"impostor of {name}", request_id)
        assert failure.value.reason == "REQUEST_ID_REUSED"
    storm.cluster.admin().grants.revoke("ADMIN", "account", "account", AUTHOR)
    for name, request_id in sample.items():
        with pytest.raises(PermissionDenied):
            storm.create(name, request_id)
    assert robots(storm.cluster) == dict.fromkeys(request_ids, 1)


def test_writes_whose_answers_are_lost_on_the_way_to_the_client_are_done_once(cluster: Cluster) -> None:
    with storm_between_client_and_server(cluster, seed=20261126) as storm:
        rage(storm, writes=WRITES)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_writes_whose_answers_are_lost_on_the_way_to_the_client_are_done_once_for_long(
    cluster: Cluster,
) -> None:
    with storm_between_client_and_server(cluster, seed=1) as storm:
        rage(storm, writes=WRITES_LONG)


def test_writes_whose_commits_are_not_heard_of_are_done_once(
    make_database_url: Callable[[str], str], tmp_path: Path
) -> None:
    url = make_database_url("postgresql")
    with storm_between_server_and_postgresql(url, tmp_path, seed=20261126) as storm:
        rage(storm, writes=WRITES)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_writes_whose_commits_are_not_heard_of_are_done_once_for_long(
    make_database_url: Callable[[str], str], tmp_path: Path
) -> None:
    with storm_between_server_and_postgresql(make_database_url("postgresql"), tmp_path, seed=1) as storm:
        rage(storm, writes=WRITES_LONG)


def test_control_without_a_request_id_of_their_own_they_are_done_again(
    make_database_url: Callable[[str], str], tmp_path: Path
) -> None:
    with storm_between_server_and_postgresql(make_database_url("postgresql"), tmp_path, seed=2) as storm:
        storm.proxy.share = SHARE
        for number in range(10):
            storm.insist(f"robot{number}")
        storm.proxy.share = 0.0
        assert max(robots(storm.cluster).values()) > 1
