"""Walks from column to column: along the edges of the graph, through what each says of columns."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from lakewarden_server.core.clock import monotonic
from lakewarden_server.lineage.graph import Direction, Graph
from lakewarden_server.lineage.mapping import WHOLE, Subtype
from lakewarden_server.lineage.traversal import Ending, Sight, Truncation, Walk


class Column(NamedTuple):
    """A column of an asset; WHOLE stands for which rows it has, in which order, and ends a walk downstream."""

    asset: int
    name: str


class Use(NamedTuple):
    """What one edge says of one pair of columns."""

    target: str
    source: str
    subtype: Subtype
    masking: bool = False


class ColumnEdge(NamedTuple):
    """A column in a column, through an edge of the graph."""

    edge: int
    source: Column
    target: Column
    subtype: Subtype
    masking: bool


class ColumnLevel(NamedTuple):
    """What is one step further from the roots than the level before."""

    depth: int
    visible: tuple[Column, ...]
    hidden: tuple[int, ...]
    """Assets met here that may not be seen: of their columns nothing is told."""
    edges: tuple[ColumnEdge, ...]
    """Those between columns that may be seen."""
    blind: tuple[int, ...]
    """Edges that say nothing of columns, so that nothing is known behind them."""


UsesOf = Callable[[int], Sequence[Use]]
"""What an edge says of columns; empty where it says nothing."""


class ColumnWalk(NamedTuple):
    """What is asked. ``within`` says how far and along which edges; its roots are not looked at."""

    roots: tuple[Column, ...]
    within: Walk
    indirect: bool = False
    """Whether to follow filters, joins and the like too."""


def walk_columns(
    graph: Graph, asked: ColumnWalk, sight: Sight, uses_of: UsesOf
) -> Generator[ColumnLevel, None, Ending]:
    """The levels around the roots, whose assets must all be visible. Every column and every pair comes once."""
    return (yield from _Walker(graph, asked, sight, uses_of).levels())


class _Walker:
    def __init__(self, graph: Graph, asked: ColumnWalk, sight: Sight, uses_of: UsesOf) -> None:
        self._graph, self._asked, self._sight, self._uses_of = graph, asked, sight, uses_of
        self._told = set(asked.roots)
        self._hidden: set[int] = set()
        self._edges: set[ColumnEdge] = set()
        self._blind: set[int] = set()
        self._frontiers = {way: frozenset(asked.roots) for way in asked.within.directions}
        self._reached = {way: set(asked.roots) for way in asked.within.directions}

    def levels(self) -> Generator[ColumnLevel, None, Ending]:
        within = self._asked.within
        for depth in range(1, within.depth_max + 1):
            if monotonic() > within.deadline:
                return self._ending(Truncation.TIME if self._has_more() else None)
            for way in within.directions:
                level, cut = self._level(depth, way)
                if level.edges or level.hidden or level.blind:
                    yield level
                if cut:
                    return self._ending(Truncation.NODES)
            if not any(self._frontiers.values()):
                return self._ending(None)
        return self._ending(Truncation.DEPTH if self._has_more() else None)

    def _level(self, depth: int, way: Direction) -> tuple[ColumnLevel, bool]:
        edges, hidden, blind = self._next(way)
        far = sorted({_far(edge, way) for edge in edges})
        first = [column for column in far if column not in self._told]
        hidden_first = sorted(hidden - self._hidden)
        left = self._asked.within.nodes_max - self._nodes
        cut = len(first) + len(hidden_first) > left
        first = first[: max(left, 0)]
        hidden_first = hidden_first[: max(left - len(first), 0)]
        self._told.update(first)
        self._hidden.update(hidden_first)
        new = tuple(
            sorted(e for e in edges - self._edges if e.source in self._told and e.target in self._told)
        )
        self._edges.update(new)
        blind_first = tuple(sorted(blind - self._blind))
        self._blind.update(blind)
        self._frontiers[way] = frozenset(far) - self._reached[way]
        self._reached[way].update(far)
        return ColumnLevel(depth, tuple(first), tuple(hidden_first), new, blind_first), cut

    def _next(self, way: Direction) -> tuple[set[ColumnEdge], set[int], set[int]]:
        """What lies ahead that way: pairs of columns, hidden assets, and edges that say nothing of columns."""
        within = self._asked.within
        columns: dict[int, set[str]] = {}
        for asset, name in self._frontiers[way]:
            columns.setdefault(asset, set()).add(name)
        nodes = np.array(sorted(columns), dtype=np.int32)
        hops = self._graph.hops(nodes, way)
        seen = self._sight(hops.far)
        edges: set[ColumnEdge] = set()
        hidden: set[int] = set()
        blind: set[int] = set()
        for near, far, edge, state, visible in zip(*(part.tolist() for part in (*hops, seen)), strict=True):
            if state not in within.states or (near == far and not within.self_edges):
                continue
            uses = self._uses_of(edge)
            found = set(self._through(edge, near, far, way, columns[near], uses))
            if not uses:
                blind.add(edge)
            elif visible:
                edges |= found
            elif found:
                hidden.add(far)
        return edges, hidden, blind

    def _through(
        self, edge: int, near: int, far: int, way: Direction, columns: set[str], uses: Sequence[Use]
    ) -> Iterator[ColumnEdge]:
        """The pairs of one edge that have one of the columns at their near end."""
        downstream = way is Direction.DOWNSTREAM
        for use in uses:
            if not (use.subtype.is_direct or self._asked.indirect):
                continue
            source, target = (Column(near, use.source), Column(far, use.target))
            if not downstream:
                source, target = (Column(far, use.source), Column(near, use.target))
            if _meets(use, columns, downstream=downstream):
                yield ColumnEdge(edge, source, target, use.subtype, use.masking)

    def _has_more(self) -> bool:
        for way in self._asked.within.directions:
            edges, hidden, blind = self._next(way)
            if edges - self._edges or hidden - self._hidden or blind - self._blind:
                return True
        return False

    @property
    def _nodes(self) -> int:
        return len(self._told) - len(set(self._asked.roots)) + len(self._hidden)

    def _ending(self, truncated_by: Truncation | None) -> Ending:
        return Ending(truncated_by, self._nodes, len(self._edges))


def _far(edge: ColumnEdge, way: Direction) -> Column:
    return edge.target if way is Direction.DOWNSTREAM else edge.source


def _meets(use: Use, columns: set[str], *, downstream: bool) -> bool:
    """Whether a use has one of the columns at its near end; what chooses the rows of a target does so for each column."""
    if downstream:
        return use.source in columns
    return use.target in columns or use.target == WHOLE
