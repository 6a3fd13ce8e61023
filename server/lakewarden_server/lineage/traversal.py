"""Walks the graph level by level within what may be seen: a hidden neighbour is met, never looked behind.

Everything told, also whether the answer is whole, follows from what is visible and from its hidden neighbours alone, so that
an answer is the same whatever lies behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeVar, cast

import numpy as np

from lakewarden_server.core.clock import monotonic
from lakewarden_server.lineage.evidence import Evidence
from lakewarden_server.lineage.graph import Direction, Flags, Hops, Ints, State, distinct, standings

Sight = Callable[[Ints], Flags]
"""Which of these assets the caller may see."""
Step = TypeVar("Step")


class Truncation(StrEnum):
    """Why an answer is not whole."""

    DEPTH = "DEPTH"
    NODES = "NODES"
    TIME = "TIME"


class Walk(NamedTuple):
    """What is asked: from which assets, which way, how far."""

    roots: tuple[int, ...]
    directions: tuple[Direction, ...]
    depth_max: int
    nodes_max: int
    """Assets besides the roots."""
    deadline: float
    """Monotonic seconds, looked at before each level."""
    states: frozenset[State] = frozenset({State.LIVE})
    self_edges: bool = False
    evidence: frozenset[Evidence] = frozenset(Evidence)

    def wanted(self, hops: Hops) -> Hops:
        """Those of the hops that are asked for."""
        flags = standings(self.states, self.evidence)[hops.standings]
        if not self.self_edges:
            flags &= hops.near != hops.far
        return hops.where(flags)


class Level(NamedTuple):
    """What is one step further from the roots than the level before."""

    depth: int
    direction: Direction
    visible: Ints
    """Assets met here for the first time."""
    hidden: Ints
    """Hidden assets met here for the first time."""
    hops: Hops
    """Edges met for the first time; ``near`` is where the walk came from."""
    sources: Ints
    """Of each edge the asset it leads from."""
    targets: Ints


class Ending(NamedTuple):
    """How a walk ended."""

    truncated_by: Truncation | None
    nodes: int
    """Assets told of besides the roots, hidden ones among them."""
    edges: int


class Edges(Protocol):
    """A graph, in memory or of the past."""

    @property
    def nodes_end(self) -> int:
        """One more than the highest id of an asset."""

    @property
    def edges_end(self) -> int:
        """One more than the highest id of an edge."""

    def hops(self, nodes: Ints, direction: Direction) -> Hops:
        """The edges met from nodes when looking in a direction."""


def walk(graph: Edges, asked: Walk, sight: Sight) -> Generator[Level, None, Ending]:
    """The levels around the roots, all of which must be visible. Every asset and every edge comes once."""
    return (yield from _Walker(graph, asked, sight).levels())


def ending_of(walking: Generator[Step, None, Ending], tell: Callable[[Step], None]) -> Ending:
    """Tells every level of a walk and returns how it ended."""
    while True:
        try:
            tell(next(walking))
        except StopIteration as end:
            return cast(Ending, end.value)


class _Walker:
    def __init__(self, graph: Edges, asked: Walk, sight: Sight) -> None:
        self._graph, self._asked, self._sight = graph, asked, sight
        end = max(graph.nodes_end, max(asked.roots, default=-1) + 1)
        roots = np.array(sorted(set(asked.roots)), dtype=np.int32)
        self._told = np.zeros(end, dtype=bool)
        self._told[roots] = True
        self._frontiers = dict.fromkeys(asked.directions, roots)
        # One way each asset is gone on from once, when it is told of, and no edge is met twice.
        self._is_one_way = len(asked.directions) == 1
        self._reached = {
            way: self._told if self._is_one_way else self._told.copy() for way in asked.directions
        }
        self._edges_told = np.zeros(0 if self._is_one_way else graph.edges_end, dtype=bool)
        self._nodes = self._edges = 0

    def levels(self) -> Generator[Level, None, Ending]:
        for depth in range(1, self._asked.depth_max + 1):
            if monotonic() > self._asked.deadline:
                return self._ending(Truncation.TIME if self._has_more() else None)
            for way in self._asked.directions:
                level, cut = self._level(depth, way)
                if len(level.hops.edges):
                    yield level
                if cut:
                    return self._ending(Truncation.NODES)
            if not any(len(frontier) for frontier in self._frontiers.values()):
                return self._ending(None)
        return self._ending(Truncation.DEPTH if self._has_more() else None)

    def _level(self, depth: int, way: Direction) -> tuple[Level, bool]:
        """The next level that way, and whether it is cut where the assets would be too many."""
        hops = self._next(way)
        far = hops.far
        first = distinct(far[~self._told[far]])
        cut = len(first) > self._asked.nodes_max - self._nodes
        first = first[: self._asked.nodes_max - self._nodes]
        self._told[first] = True
        seen = self._sight(first)
        if self._is_one_way:
            # What is told and what is reached is the same then.
            self._frontiers[way] = first[seen]
        else:
            # An edge that was told from its other end is walked all the same.
            ahead = distinct(far)
            ahead = ahead[~self._reached[way][ahead]]
            self._reached[way][ahead] = True
            self._frontiers[way] = ahead[self._sight(ahead)]
        if cut:
            hops = hops.where(self._told[hops.far])
        if not self._is_one_way:
            hops = hops.where(self._untold(hops))
            self._edges_told[hops.edges] = True
        self._nodes += len(first)
        self._edges += len(hops.edges)
        upstream = way is Direction.UPSTREAM
        sources, targets = (hops.far, hops.near) if upstream else (hops.near, hops.far)
        return Level(depth, way, first[seen], first[~seen], hops, sources, targets), cut

    def _next(self, way: Direction) -> Hops:
        """The edges that lie ahead that way."""
        return self._asked.wanted(self._graph.hops(self._frontiers[way], way))

    def _has_more(self) -> bool:
        return any(self._untold(self._next(way)).any() for way in self._asked.directions)

    def _untold(self, hops: Hops) -> Flags:
        """Which of the edges that lie ahead were not told."""
        return np.ones(len(hops.edges), dtype=bool) if self._is_one_way else ~self._edges_told[hops.edges]

    def _ending(self, truncated_by: Truncation | None) -> Ending:
        return Ending(truncated_by, self._nodes, self._edges)
