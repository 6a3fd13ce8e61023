"""Several enemies at once, each in a lane of its own, that look through one replica for what others just changed through two more."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from consistency.cluster import Cluster
from lakewarden import Client, NotFound, PermissionDenied
from lakewarden_server.testing import WORKSPACE

LANES = 4
DELAY_SECONDS_MAX = 0.05
TIMEOUT_SECONDS = 30.0

Round = Callable[[random.Random, list[str]], list[str]]
"""Is given three replicas: where to take a right, where to make what is secret, where to look. Returns what was seen and must not be."""


class Lane:
    """The clients of one lane. They retry, for a busy machine must look slow and not wrong."""

    def __init__(self, cluster: Cluster, number: int, stack: ExitStack) -> None:
        self.number = number
        self.enemy = f"enemy{number}@example.com"
        token = cluster.server.token_of(self.enemy)

        def clients(token: str) -> dict[str, Client]:
            return {
                endpoint: stack.enter_context(
                    Client(endpoint, token=token, workspace=WORKSPACE, timeout_seconds=TIMEOUT_SECONDS)
                )
                for endpoint in cluster.endpoints
            }

        self.admins, self.enemies = clients(cluster.server.admin_token), clients(token)


@contextmanager
def lanes(cluster: Cluster, count: int = LANES) -> Iterator[list[Lane]]:
    """So many lanes on the replicas as they are now."""
    with ExitStack() as stack:
        yield [Lane(cluster, number, stack) for number in range(count)]


def run_rounds(cluster: Cluster, rounds_of: list[Round], *, rounds: int, seed: int) -> None:
    """So many rounds over all lanes, each on three random replicas; nothing may be seen in any of them."""
    print(f"seed {seed}")

    def run(number: int) -> list[str]:
        chance = random.Random(f"{seed} lane {number}")
        return [
            f"lane {number} round {count}: {found}"
            for count in range(-(-rounds // len(rounds_of)))
            for found in rounds_of[number](chance, chance.sample(cluster.endpoints, 3))
        ]

    with ThreadPoolExecutor(len(rounds_of)) as pool:
        assert list(pool.map(run, range(len(rounds_of)))) == [[] for _ in rounds_of]


def is_shown(ask: Callable[[], bool]) -> bool:
    """Whether a question is answered by a yes; a refusal of any kind is a no."""
    try:
        return ask()
    except (PermissionDenied, NotFound):
        return False
