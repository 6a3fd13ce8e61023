"""The ways from one asset to another, the shortest first."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np

from lakewarden_server.core.clock import monotonic
from lakewarden_server.lineage.graph import Direction, Graph, State
from lakewarden_server.lineage.traversal import Sight

Way = tuple[int, ...]
"""The assets of a path, none of them twice. Several jobs that make the same of the same are one way, not as many as they have edges."""


class Between(NamedTuple):
    """What is asked: ways downstream from one asset to another, both of which must be visible."""

    source: int
    target: int
    steps_max: int
    deadline: float
    """Monotonic seconds; what is found until then is told."""
    states: frozenset[State] = frozenset({State.LIVE})


def ways(graph: Graph, asked: Between, sight: Sight) -> Iterator[Way]:
    """The ways through visible assets, shortest first, then in the order of asset ids. None is hidden in it."""
    left = _distances(graph, asked, sight)
    if asked.source not in left or asked.source == asked.target:
        return
    queue: list[tuple[int, Way]] = [(left[asked.source], (asked.source,))]
    while queue and monotonic() <= asked.deadline:
        _, way = heappop(queue)
        if way[-1] == asked.target:
            yield way
            continue
        for far in _ahead(graph, way[-1], Direction.DOWNSTREAM, asked.states):
            steps = len(way) + left.get(far, asked.steps_max)
            if far in left and far not in way and steps <= asked.steps_max:
                heappush(queue, (steps, (*way, far)))


def _distances(graph: Graph, asked: Between, sight: Sight) -> dict[int, int]:
    """How many steps each visible asset is from the target, looking upstream; only where it is within reach."""
    found = {asked.target: 0}
    queue = deque([asked.target])
    while queue and monotonic() <= asked.deadline:
        node = queue.popleft()
        if found[node] >= asked.steps_max or node == asked.source:
            continue
        ahead = _ahead(graph, node, Direction.UPSTREAM, asked.states)
        fresh = np.array([far for far in ahead if far not in found], dtype=np.int32)
        for far in fresh[sight(fresh)].tolist():
            found[far] = found[node] + 1
            queue.append(far)
    return found


def _ahead(graph: Graph, node: int, way: Direction, states: frozenset[State]) -> list[int]:
    """The assets one step on, each once, in order."""
    hops = graph.hops(np.array([node], dtype=np.int32), way)
    return sorted(
        {far for far, state in zip(hops.far.tolist(), hops.states.tolist(), strict=True) if state in states}
    )
