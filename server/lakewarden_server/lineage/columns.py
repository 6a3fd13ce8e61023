"""Walks from column to column: along the edges of the graph, through what each says of columns.

Like a walk of assets it tells only what follows from what is visible and from its hidden neighbours, of which not even the columns
are told.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from lakewarden_server.core.clock import monotonic
from lakewarden_server.lineage.graph import Direction, Ints
from lakewarden_server.lineage.mapping import WHOLE, Subtype
from lakewarden_server.lineage.traversal import Edges, Ending, Sight, Truncation, Walk

EDGES_MAX: Final = 100_000
"""Of one step: a few wide runs can say many times as much of columns as there are nodes."""


class Column(NamedTuple):
    """A column of an asset; WHOLE stands for the asset as a whole, and ends a walk: which rows it has, or, where nothing is known of
    its columns or they may not be seen, for all of them.
    """

    asset: int
    name: str


class Use(NamedTuple):
    """What one edge says of one pair of columns."""

    target: str
    source: str
    subtype: Subtype
    masking: bool = False


class ColumnEdge(NamedTuple):
    """A column in a column. Without a subtype: nothing is said, or may be told, of how."""

    source: Column
    target: Column
    standing: int
    """That of the edge it is part of."""
    subtype: Subtype | None = None
    masking: bool = False


class ColumnLevel(NamedTuple):
    """What is one step further from the roots than the level before."""

    depth: int
    direction: Direction
    visible: tuple[Column, ...]
    """Columns met here for the first time."""
    hidden: tuple[int, ...]
    """Assets met here for the first time that may not be seen; in edges they are WHOLE."""
    edges: tuple[ColumnEdge, ...]
    """Those told for the first time."""


UsesOf = Callable[[Ints], Mapping[int, Sequence[Use]]]
"""What edges say of columns; those that say nothing are not in it."""


class ColumnWalk(NamedTuple):
    """What is asked. ``within`` says how far and along which edges; its roots are not looked at."""

    roots: tuple[Column, ...]
    within: Walk
    indirect: bool = False
    """Whether to follow filters, joins and the like too."""


def walk_columns(
    graph: Edges, asked: ColumnWalk, sight: Sight, uses_of: UsesOf
) -> Generator[ColumnLevel, None, Ending]:
    """The levels around the roots, whose assets must all be visible. Every column and every pair comes once."""
    return (yield from _Walker(graph, asked, sight, uses_of).levels())


def columns_of(graph: Edges, asset: int, asked: ColumnWalk, uses_of: UsesOf) -> tuple[Column, ...]:
    """The columns of a visible asset that anything is known of in the directions asked, after the asset as a whole."""
    names: set[str] = set()
    for way in asked.within.directions:
        hops = asked.within.wanted(graph.hops(np.array([asset], dtype=np.int32), way))
        for uses in uses_of(hops.edges).values():
            for use in uses:
                if use.subtype.is_direct or asked.indirect:
                    names.add(use.source if way is Direction.DOWNSTREAM else use.target)
    return Column(asset, WHOLE), *(Column(asset, name) for name in sorted(names - {WHOLE}))


class _Walker:
    def __init__(self, graph: Edges, asked: ColumnWalk, sight: Sight, uses_of: UsesOf) -> None:
        self._graph, self._asked, self._sight, self._uses_of = graph, asked, sight, uses_of
        self._told = set(asked.roots)
        self._edges: set[ColumnEdge] = set()
        self._stopped: Truncation | None = None
        self._frontiers = {way: frozenset(asked.roots) for way in asked.within.directions}
        self._reached = {way: set(asked.roots) for way in asked.within.directions}

    def levels(self) -> Generator[ColumnLevel, None, Ending]:
        within = self._asked.within
        for depth in range(1, within.depth_max + 1):
            if monotonic() > within.deadline:
                return self._ending(Truncation.TIME)
            for way in within.directions:
                level, cut = self._level(depth, way)
                if level.edges:
                    yield level
                if cut or self._stopped:
                    return self._ending(self._stopped or Truncation.NODES)
            if not any(self._frontiers.values()):
                return self._ending(None)
        return self._ending(Truncation.DEPTH if self._has_more() else None)

    def _level(self, depth: int, way: Direction) -> tuple[ColumnLevel, bool]:
        edges, hidden = self._next(way)
        far = {edge.target if way is Direction.DOWNSTREAM else edge.source for edge in edges}
        met = sorted(far - self._told, key=lambda column: (column.asset in hidden, column))
        left = self._asked.within.nodes_max - self._nodes
        first = met[: max(left, 0)]
        self._told.update(first)
        new = tuple(
            edge for edge in edges - self._edges if edge.source in self._told and edge.target in self._told
        )
        self._edges.update(new)
        ahead = {column for column in far if column.name != WHOLE} - self._reached[way]
        self._frontiers[way] = frozenset(ahead)
        self._reached[way] |= ahead
        visible = tuple(column for column in first if column.asset not in hidden)
        masked = tuple(column.asset for column in first if column.asset in hidden)
        return ColumnLevel(depth, way, visible, masked, new), len(met) > left

    def _next(self, way: Direction) -> tuple[set[ColumnEdge], set[int]]:
        """What lies ahead that way, and which of the assets there are hidden."""
        columns: dict[int, set[str]] = {}
        for asset, name in self._frontiers[way]:
            columns.setdefault(asset, set()).add(name)
        nodes = np.array(sorted(columns), dtype=np.int32)
        hops = self._asked.within.wanted(self._graph.hops(nodes, way))
        seen = self._sight(hops.far)
        uses_of = self._uses_of(hops.edges)
        edges: set[ColumnEdge] = set()
        hidden = set(hops.far[~seen].tolist())
        for near, far, edge, standing in zip(*(part.tolist() for part in hops), strict=True):
            found = self._through(
                columns[near], uses_of.get(edge, ()), downstream=way is Direction.DOWNSTREAM
            )
            for near_name, far_name, subtype, masking in found:
                here, there = Column(near, near_name), Column(far, far_name)
                said: tuple[Subtype | None, bool] = (subtype, masking)
                if far in hidden:
                    there, said = Column(far, WHOLE), (None, False)
                source, target = (here, there) if way is Direction.DOWNSTREAM else (there, here)
                edges.add(ColumnEdge(source, target, standing, *said))
                if len(edges) >= EDGES_MAX:
                    self._stopped = Truncation.NODES
                    return edges, hidden
            if monotonic() > self._asked.within.deadline:
                self._stopped = Truncation.TIME
                break
        return edges, hidden

    def _through(
        self, names: set[str], uses: Sequence[Use], *, downstream: bool
    ) -> Iterator[tuple[str, str, Subtype | None, bool]]:
        """The pairs (near, far) that one edge leads through from columns. What it says of the whole of the near asset it says of each."""
        each: Iterable[str] = {WHOLE} if WHOLE in names else names
        if not uses:
            yield from ((near, WHOLE, None, False) for near in each)
        for use in uses:
            if not (use.subtype.is_direct or self._asked.indirect):
                continue
            near, far = (use.source, use.target) if downstream else (use.target, use.source)
            for name in each if near == WHOLE else names & {near}:
                yield name, far, use.subtype, use.masking

    def _has_more(self) -> bool:
        ahead = [self._next(way)[0] - self._edges for way in self._asked.within.directions]
        return any(ahead) or self._stopped is not None

    @property
    def _nodes(self) -> int:
        return len(self._told) - len(set(self._asked.roots))

    def _ending(self, truncated_by: Truncation | None) -> Ending:
        return Ending(truncated_by, self._nodes, len(self._edges))
