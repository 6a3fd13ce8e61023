"""A network that is blocked is refused on every replica from the acknowledgement on, and admitted again as soon."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from consistency.cluster import Cluster
from lakewarden import Client, PermissionDenied
from lakewarden_policy import Snapshot
from lakewarden_server.authz.follower import Follower, Fresh
from services.relays import relayed

THERE = "127.0.0.2"
ROUNDS = 20


def test_block_holds_on_three_replicas_on_the_next_call(cluster: Cluster) -> None:
    cluster.add()
    cluster.add()
    lists = cluster.admin().ip_access_lists
    made = lists.create("b", "BLOCK", [THERE], enabled=False)
    lists.enforce()
    with ExitStack() as stack:
        away = [_client(cluster, endpoint, stack) for endpoint in cluster.endpoints]
        for _ in range(ROUNDS):
            lists.update(made.id, enabled=True)
            for client in away:
                with pytest.raises(PermissionDenied) as refused:
                    client.session.get()
                assert refused.value.reason == "IP_NOT_ALLOWED"
            lists.update(made.id, enabled=False)
            for client in away:
                client.session.get()


class Stuck(Follower):
    """Goes on with the first state it read."""

    def at_head(self) -> Fresh:
        """The control: what is not brought forward."""
        fresh = super().at_head()
        self.first: Snapshot = getattr(self, "first", fresh.snapshot)
        fresh.snapshot.ip_admissions = self.first.ip_admissions
        return fresh


def test_control_a_replica_that_does_not_follow_lets_calls_through(cluster: Cluster) -> None:
    cluster.add(follower=Stuck)
    lists = cluster.admin().ip_access_lists
    with ExitStack() as stack:
        away = _client(cluster, cluster.endpoints[-1], stack)
        away.session.get()
        lists.create("b", "BLOCK", [THERE])
        lists.enforce()
        away.session.get()


def _client(cluster: Cluster, endpoint: str, stack: ExitStack) -> Client:
    there = stack.enter_context(relayed(endpoint, THERE))
    return stack.enter_context(
        Client(there, token=cluster.server.admin_token, workspace="workspace", retries=0)
    )
