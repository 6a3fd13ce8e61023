"""Credentials end on three replicas whose clocks are ten minutes apart from the true time: by the database's clock, and from the acknowledgement on."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from consistency.broken import JudgesByOwnClock
from consistency.cluster import Cluster
from consistency.skewed import command
from consistency.test_client_secrets import BEGINNING_SECONDS, USERS_PER_REPLICA, Use
from lakewarden import Client

SKEWS_SECONDS = (-600.0, 0.0, 600.0)
ROUNDS = 1
ROUNDS_LONG = 20
OVERLAP_SECONDS = 2
REFUSED_WITHIN_SECONDS = 5.0
REASONS = {"TOKEN_INVALID", "TOKEN_EXPIRED", "PRINCIPAL_DISABLED"}


@dataclass(frozen=True)
class Held:
    """A token in somebody's hands, and who may end it."""

    admin: Client
    own: Client
    principal: str
    token_id: str


def revoked(held: Held) -> float:
    held.own.tokens.delete(held.token_id)
    return time.monotonic()


def deactivated(held: Held) -> float:
    held.admin.users.disable(held.principal)
    return time.monotonic()


def removed(held: Held) -> float:
    held.admin.users.delete(held.principal)
    return time.monotonic()


def replaced(held: Held) -> float:
    held.own.tokens.rotate(held.token_id)
    return time.monotonic()


def replaced_with_overlap(held: Held) -> float:
    """The old one ends when the database says so, whose machine is this one."""
    held.own.tokens.rotate(held.token_id, overlap_seconds=OVERLAP_SECONDS)
    old = next(token for token in held.own.tokens.list() if token.id == held.token_id)
    return time.monotonic() + old.expire_time.ToNanoseconds() / 1e9 - time.time()


ENDS: tuple[Callable[[Held], float], ...] = (revoked, deactivated, removed, replaced, replaced_with_overlap)
"""Each ends a token and returns from when on no use may succeed, in monotonic seconds."""


def skewed_replicas(cluster: Cluster) -> list[str]:
    """Three server processes; where they listen."""
    return [cluster.process(f"skew{skew:+.0f}.log", command=command(skew)).endpoint for skew in SKEWS_SECONDS]


def test_nothing_is_used_after_its_end_whatever_clocks_say(postgresql_cluster: Cluster) -> None:
    assert end_many(postgresql_cluster, skewed_replicas(postgresql_cluster), ENDS, rounds=ROUNDS) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_is_used_after_its_end_whatever_clocks_say_for_long(postgresql_cluster: Cluster) -> None:
    assert end_many(postgresql_cluster, skewed_replicas(postgresql_cluster), ENDS, rounds=ROUNDS_LONG) == []


def test_control_a_replica_that_judges_by_its_own_clock_lets_an_ended_token_in(
    postgresql_cluster: Cluster,
) -> None:
    postgresql_cluster.add(follower=JudgesByOwnClock)
    late = end_many(
        postgresql_cluster,
        postgresql_cluster.endpoints[1:],
        [replaced_with_overlap],
        rounds=1,
        within_seconds=1.0,
    )
    assert len(late) == 1


def end_many(
    cluster: Cluster,
    endpoints: list[str],
    ends: Sequence[Callable[[Held], float]],
    *,
    rounds: int,
    within_seconds: float = REFUSED_WITHIN_SECONDS,
) -> list[str]:
    """Which ends did not hold; each is made in each round, of a token that is in use on every replica."""
    late, admin = [], cluster.admin()
    for number, end in itertools.product(range(rounds), ends):
        principal = f"{end.__name__.replace('_', '-')}{number}@example.com"
        own = cluster.client_as(principal)
        made = own.tokens.create()
        users = [
            Use(cluster.client(made.token_value, endpoint))
            for endpoint in endpoints
            for _ in range(USERS_PER_REPLICA)
        ]
        for user in users:
            user.start()
        deadline = time.monotonic() + BEGINNING_SECONDS
        while not all(user.count > 1 for user in users):
            assert time.monotonic() < deadline, [user.reason for user in users]
            time.sleep(0.01)
        ended = end(Held(admin, own, principal, made.token.id))
        if (lateness := followed(users, ended, within_seconds)) > 0:
            late.append(f"{end.__name__}: {lateness:.3f} s")
        if any(user.is_alive() for user in users):
            admin.users.disable(principal)
            for user in users:
                user.join(BEGINNING_SECONDS)
    return late


def followed(users: list[Use], end: float, within_seconds: float) -> float:
    """By how much the last use was late; whoever still goes on after a while is late."""
    waited = max(end, time.monotonic()) + within_seconds
    for user in users:
        user.join(max(0.0, waited - time.monotonic()))
    assert {user.reason for user in users if not user.is_alive()} <= REASONS
    return max(user.last for user in users) - end
