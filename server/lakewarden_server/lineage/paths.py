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


class Way(NamedTuple):
    """A path without repeated assets: one more asset than edges."""

    assets: tuple[int, ...]
    edges: tuple[int, ...]


class Between(NamedTuple):
    """What is asked: ways downstream from one asset to another, both of which must be visible."""

    source: int
    target: int
    steps_max: int
    deadline: float
    """Monotonic seconds; what is found until then is told."""
    states: frozenset[State] = frozenset({State.LIVE})


def ways(graph: Graph, asked: Between, sight: Sight) -> Iterator[Way]:
    """The ways through visible assets, shortest first, then in the order of asset and edge ids. None is hidden in it."""
    left = _distances(graph, asked, sight)
    if asked.source not in left or asked.source == asked.target:
        return
    queue = [(left[asked.source], Way((asked.source,), ()))]
    while queue and monotonic() <= asked.deadline:
        _, way = heappop(queue)
        if way.assets[-1] == asked.target:
            yield way
            continue
        for far, edge in _ahead(graph, way.assets[-1], Direction.DOWNSTREAM, asked.states):
            steps = len(way.edges) + 1 + left.get(far, asked.steps_max)
            if far in left and far not in way.assets and steps <= asked.steps_max:
                heappush(queue, (steps, Way((*way.assets, far), (*way.edges, edge))))


def _distances(graph: Graph, asked: Between, sight: Sight) -> dict[int, int]:
    """How many steps each visible asset is from the target, looking upstream; only where it is within reach."""
    found = {asked.target: 0}
    queue = deque([asked.target])
    while queue and monotonic() <= asked.deadline:
        node = queue.popleft()
        if found[node] >= asked.steps_max or node == asked.source:
            continue
        ahead = [far for far, _ in _ahead(graph, node, Direction.UPSTREAM, asked.states) if far not in found]
        fresh = np.array(sorted(set(ahead)), dtype=np.int32)
        for far in fresh[sight(fresh)].tolist():
            found[far] = found[node] + 1
            queue.append(far)
    return found


def _ahead(graph: Graph, node: int, way: Direction, states: frozenset[State]) -> Iterator[tuple[int, int]]:
    hops = graph.hops(np.array([node], dtype=np.int32), way)
    for far, edge, state in zip(hops.far.tolist(), hops.edges.tolist(), hops.states.tolist(), strict=True):
        if state in states:
            yield far, edge
