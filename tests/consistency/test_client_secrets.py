"""An access token ends on every replica with what it rests on: no use that begins after the acknowledgement succeeds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

import pytest

from consistency.cluster import Cluster
from lakewarden import Client, Unauthenticated
from services.providers import AUDIENCE, ISSUER, SUBJECT, Provider

ROUNDS = 2
USERS_PER_REPLICA = 2
BEGINNING_SECONDS = 60.0

End = Callable[[Client, str, str], None]
ENDS: dict[str, End] = {
    "secret": lambda admin, name, secret: admin.service_principals.delete_secret(name, secret),
    "disabled": lambda admin, name, secret: admin.service_principals.disable(name),
    "deleted": lambda admin, name, secret: admin.service_principals.delete(name),
}


class Use(threading.Thread):
    """Uses a token on one replica until it is refused; notes when the last use that succeeded began."""

    def __init__(self, client: Client) -> None:
        super().__init__(daemon=True)
        self._client = client
        self.count, self.last, self.reason = 0, 0.0, ""

    def run(self) -> None:
        """Ends with the first refusal."""
        while True:
            began = time.monotonic()
            try:
                self._client.session.get()
            except Unauthenticated as error:
                self.reason = error.reason
                return
            self.count, self.last = self.count + 1, began


@pytest.mark.parametrize("end", ENDS)
def test_no_use_succeeds_after_the_acknowledgement_on_three_replicas(cluster: Cluster, end: str) -> None:
    cluster.add()
    cluster.add()
    admin = cluster.admin()
    for _ in range(ROUNDS):
        name = admin.service_principals.create("engine").name
        secret = admin.service_principals.create_secret(name)
        made = admin.tokens.create_access_token(name, secret.secret_value)
        token = made.access_token
        _assert_ends(cluster, token, partial(ENDS[end], admin, name, secret.secret.id))
        for endpoint in cluster.endpoints:
            with pytest.raises(Unauthenticated):
                cluster.admin(endpoint).tokens.create_access_token(name, secret.secret_value)


def test_no_use_succeeds_after_a_policy_was_deleted(cluster: Cluster) -> None:
    cluster.add()
    cluster.add()
    admin, provider = cluster.admin(), Provider()
    name = admin.service_principals.create("engine").name
    for _ in range(ROUNDS):
        policy = admin.federation_policies.create(
            ISSUER, [AUDIENCE], provider.jwks, service_principal=name, subject=SUBJECT
        )
        trading = cluster.client(provider.token()).with_workspace("")
        token = trading.tokens.create_access_token().access_token
        _assert_ends(cluster, token, partial(admin.federation_policies.delete, policy.id))


def _assert_ends(cluster: Cluster, token: str, end: Callable[[], object]) -> None:
    """Uses a token everywhere, ends it, and compares the last use that succeeded with the acknowledgement."""
    users = [
        Use(cluster.client(token, endpoint).with_workspace(""))
        for endpoint in cluster.endpoints
        for _ in range(USERS_PER_REPLICA)
    ]
    for user in users:
        user.start()
    deadline = time.monotonic() + BEGINNING_SECONDS
    while not all(user.count > 1 for user in users):
        assert time.monotonic() < deadline, [user.reason for user in users]
        time.sleep(0.01)
    end()
    acknowledged = time.monotonic()
    for user in users:
        user.join(BEGINNING_SECONDS)
    assert [user.reason for user in users] == ["TOKEN_INVALID"] * len(users)
    assert max(user.last for user in users) < acknowledged
