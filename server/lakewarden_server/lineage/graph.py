"""The graph of lineage in memory: edges as arrays for both directions, and beside them what came since.

A graph never changes. What follows the database makes a later one of it, at a cost of what changed; when much has, the
arrays are made anew. Nodes are the ids of assets and edges those of edges, both dense.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum, StrEnum
from functools import cache, cached_property
from typing import Final, NamedTuple, Self, TypeVar

import numpy as np
from immutables import Map
from numpy.typing import NDArray

from lakewarden_server.lineage.evidence import Evidence

LATER_MAX: Final = 50_000
"""Edges kept beside the arrays; with more, the arrays are made anew."""

Ints = NDArray[np.int32]
Flags = NDArray[np.bool_]
Number = TypeVar("Number", np.int32, np.int64)


class Direction(StrEnum):
    """Where to look from an asset."""

    UPSTREAM = "UPSTREAM"
    """At what it was made of."""
    DOWNSTREAM = "DOWNSTREAM"
    """At what was made of it."""


class State(IntEnum):
    """What an edge is worth."""

    LIVE = 0
    PROVISIONAL = 1
    """Said by a run that has not ended yet."""
    DROPPED = 2
    """An end of it was dropped, or its run failed."""


RETRACTED: Final = "RETRACTED"
"""What an edge is stored as that no run states any more: it is none."""


class Edge(NamedTuple):
    """Data of one asset went into another."""

    id: int
    source: int
    target: int
    state: State = State.LIVE
    evidence: Evidence = Evidence.OBSERVED
    mapping: int = 0
    """The number of what it says of columns; 0 for nothing."""

    @property
    def standing(self) -> int:
        """Its state and, in the lowest bits, its evidence."""
        return self.state << EVIDENCE_BITS | self.evidence


EVIDENCE_BITS: Final = 2
STANDING_BITS: Final = EVIDENCE_BITS + 2


@cache
def standings(states: frozenset[State], evidence: frozenset[Evidence]) -> Flags:
    """By standing, whether the state and the evidence are among these."""
    wanted = np.zeros((len(State), 1 << EVIDENCE_BITS), dtype=bool)
    wanted[np.ix_(sorted(states), sorted(evidence))] = True
    return wanted.reshape(-1)


def distinct(numbers: NDArray[Number]) -> NDArray[Number]:
    """The numbers in order, each once. By sorting: `np.unique` hashes, which takes several times as long here."""
    ordered = np.sort(numbers)
    return ordered[firsts(ordered)]


def firsts(ordered: NDArray[Number]) -> Flags:
    """Which of numbers in order are not what the one before is."""
    first = np.empty(len(ordered), dtype=bool)
    first[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return first


class Hops(NamedTuple):
    """Edges met from some nodes, as arrays of one length: the node, what lies behind the edge, the edge and its standing."""

    near: Ints
    far: Ints
    edges: Ints
    standings: Ints
    """State and evidence as one number, as in `Edge.standing`."""

    @property
    def states(self) -> Ints:
        """Of each edge the number of its state."""
        return self.standings >> EVIDENCE_BITS

    def where(self, flags: Flags) -> Hops:
        """Those of them the flags are set for: most often all."""
        if flags.all():
            return self
        near, far, edges, standings = self
        return Hops(near[flags], far[flags], edges[flags], standings[flags])

    def and_also(self, others: Ints) -> Hops:
        """These and others, given as four rows."""
        return Hops(*(np.concatenate(parts) for parts in zip(self, others, strict=True)))


class _Arrays(NamedTuple):
    """The edges in one direction, sorted by the node they are met from: node n has those from starts[n] to starts[n + 1]."""

    starts: NDArray[np.int64]
    far: Ints
    edges: Ints
    standings: Ints

    @classmethod
    def of(cls, nodes: int, hops: Hops) -> Self:
        order = np.argsort(hops.near, kind="stable")
        starts = np.zeros(nodes + 1, dtype=np.int64)
        np.cumsum(np.bincount(hops.near, minlength=nodes), out=starts[1:])
        return cls(starts, hops.far[order], hops.edges[order], hops.standings[order])

    def hops(self, nodes: Ints) -> Hops:
        first = self.starts[nodes]
        counts = self.starts[nodes + 1] - first
        before = np.cumsum(counts) - counts
        at = np.repeat(first - before, counts) + np.arange(counts.sum())
        return Hops(np.repeat(nodes, counts), self.far[at], self.edges[at], self.standings[at])


class _Later(NamedTuple):
    """What came since the arrays were made."""

    edges: Map[int, Edge]
    """By id: new ones, and those of the arrays that are different now."""
    sources: Map[int, tuple[int, ...]]
    """Ids of edges by the asset they lead from."""
    targets: Map[int, tuple[int, ...]]
    """Ids of edges by the asset they lead to."""
    replaced: Map[int, None]
    """Ids of edges whose entry in the arrays no longer counts."""


_NOTHING_LATER: Final = _Later(Map(), Map(), Map(), Map())


class Graph:
    """The edges at one sequence number of the lineage log."""

    def __init__(
        self,
        sequence: int,
        arrays: dict[Direction, _Arrays],
        mappings: Ints,
        later: _Later = _NOTHING_LATER,
    ) -> None:
        self.sequence = sequence
        self._arrays = arrays
        self._mappings = mappings
        self._later = later

    @classmethod
    def of(cls, sequence: int, edges: Iterable[Edge]) -> Self:
        """The graph of these edges, each id once."""
        rows = [(edge.id, edge.source, edge.target, edge.standing, edge.mapping) for edge in edges]
        columns = np.array(rows, dtype=np.int32).reshape(-1, 5)
        return cls.from_arrays(sequence, *(columns[:, part] for part in range(5)))

    @classmethod
    def from_arrays(
        cls, sequence: int, ids: Ints, sources: Ints, targets: Ints, standings: Ints, mappings: Ints
    ) -> Self:
        """The graph of edges given as arrays of one length."""
        nodes = int(max(sources.max(), targets.max())) + 1 if len(ids) else 0
        mapping_of = np.zeros(int(ids.max(initial=-1)) + 1, dtype=np.int32)
        mapping_of[ids] = mappings
        return cls(
            sequence,
            {
                Direction.DOWNSTREAM: _Arrays.of(nodes, Hops(sources, targets, ids, standings)),
                Direction.UPSTREAM: _Arrays.of(nodes, Hops(targets, sources, ids, standings)),
            },
            mapping_of,
        )

    @cached_property
    def nodes_end(self) -> int:
        """One more than the highest id of an asset that has an edge."""
        later = max((max(edge.source, edge.target) for edge in self._later.edges.values()), default=-1)
        return max(len(self._arrays[Direction.UPSTREAM].starts) - 1, later + 1)

    @cached_property
    def edges_end(self) -> int:
        """One more than the highest id of an edge."""
        ids = self._arrays[Direction.UPSTREAM].edges
        return max(int(ids.max()) + 1 if len(ids) else 0, max(self._later.edges, default=-1) + 1)

    def hops(self, nodes: Ints, direction: Direction) -> Hops:
        """The edges met from nodes when looking in a direction; each once for each node it is met from."""
        arrays = self._arrays[direction]
        found = arrays.hops(nodes[nodes < len(arrays.starts) - 1])
        if len(self._replaced):
            found = found.where(~np.isin(found.edges, self._replaced))
        later = self._hops_later(nodes, direction)
        if not later:
            return found
        return found.and_also(np.array(later, dtype=np.int32).T)

    def mappings(self, edges: Ints) -> Ints:
        """Of each of these edges of the graph the number of what it says of columns."""
        found = self._mappings[np.minimum(edges, len(self._mappings) - 1)] if len(self._mappings) else edges
        ids, mappings = self._mappings_later
        if not len(ids):
            return found
        places = np.minimum(np.searchsorted(ids, edges), len(ids) - 1)
        return np.where(ids[places] == edges, mappings[places], found)

    def changed(self, sequence: int, edges: Iterable[Edge], removed: Iterable[int] = ()) -> Graph:
        """The graph after edges were added or became different, and others went."""
        later = self._later
        for edge_id in removed:
            later = _without(later, edge_id)
        for edge in edges:
            later = _with(_without(later, edge.id), edge)
        graph = Graph(sequence, self._arrays, self._mappings, later)
        return graph.compact() if len(later.edges) + len(later.replaced) > LATER_MAX else graph

    def compact(self) -> Graph:
        """The same graph with everything in its arrays."""
        hops = self.hops(np.arange(self.nodes_end, dtype=np.int32), Direction.DOWNSTREAM)
        mappings = self.mappings(hops.edges)
        return self.from_arrays(self.sequence, hops.edges, hops.near, hops.far, hops.standings, mappings)

    @cached_property
    def _mappings_later(self) -> tuple[Ints, Ints]:
        """The ids of later edges, in order, and the numbers of what they say."""
        later = self._later.edges
        ids = np.sort(np.fromiter(later, dtype=np.int32, count=len(later)))
        said = (later[edge_id].mapping for edge_id in ids.tolist())
        return ids, np.fromiter(said, dtype=np.int32, count=len(ids))

    @cached_property
    def _replaced(self) -> Ints:
        return np.fromiter(self._later.replaced, dtype=np.int32, count=len(self._later.replaced))

    @cached_property
    def _touched(self) -> dict[Direction, Ints]:
        """The nodes that have later edges."""
        later = {Direction.DOWNSTREAM: self._later.sources, Direction.UPSTREAM: self._later.targets}
        return {way: np.fromiter(ids, dtype=np.int32, count=len(ids)) for way, ids in later.items()}

    def _hops_later(self, nodes: Ints, direction: Direction) -> list[tuple[int, int, int, int]]:
        touched = self._touched[direction]
        if not len(touched):
            return []
        downstream = direction is Direction.DOWNSTREAM
        ids = self._later.sources if downstream else self._later.targets
        found = []
        for node in nodes[np.isin(nodes, touched)].tolist():
            for edge in map(self._later.edges.__getitem__, ids[node]):
                found.append((node, edge.target if downstream else edge.source, edge.id, edge.standing))
        return found


def _with(later: _Later, edge: Edge) -> _Later:
    return later._replace(
        edges=later.edges.set(edge.id, edge),
        sources=later.sources.set(edge.source, (*later.sources.get(edge.source, ()), edge.id)),
        targets=later.targets.set(edge.target, (*later.targets.get(edge.target, ()), edge.id)),
    )


def _without(later: _Later, edge_id: int) -> _Later:
    """Without an edge, wherever it was; an id the arrays never had is replaced for nothing."""
    edge = later.edges.get(edge_id)
    if edge is None:
        return later._replace(replaced=later.replaced.set(edge_id, None))
    return later._replace(
        edges=later.edges.delete(edge_id),
        sources=_dropped(later.sources, edge.source, edge_id),
        targets=_dropped(later.targets, edge.target, edge_id),
    )


def _dropped(ids: Map[int, tuple[int, ...]], node: int, edge_id: int) -> Map[int, tuple[int, ...]]:
    left = tuple(found for found in ids[node] if found != edge_id)
    return ids.set(node, left) if left else ids.delete(node)
