"""Answers about lineage in parts, told while they are found: of each level its nodes and then its edges, none of the parts large."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, TypeVar

import numpy as np

from lakewarden.v1 import lineage_graph_pb2 as pb
from lakewarden_server.lineage.graph import Direction, Ints
from lakewarden_server.lineage.traversal import Edges, Walk, walk
from lakewarden_server.services.lineage_answers import Telling

PART_NODES_MAX: Final = 10_000
PART_EDGES_MAX: Final = 20_000
PART_BYTES_MAX: Final = 1 << 20
"""Of the nodes of a part, unless there is only one of them."""

Part = pb.StreamLineageResponse
WriteEdges = Callable[[pb.LineageEdges], None]
"""Writes edges into an empty message."""
Columns = TypeVar("Columns", pb.LineageNodes, pb.LineageEdges)


class Parts:
    """The parts of one answer."""

    def __init__(self) -> None:
        self._nodes = self._edges = 0

    def level(self, distance: int, nodes: Iterator[Part], edges: Iterator[WriteEdges]) -> Iterator[Part]:
        """A level: nodes come before the edges between them, and in one part with them where both are few."""
        held: Part | None = None
        for few in nodes:
            if held is not None:
                yield held
            self._nodes += len(few.nodes.names)
            few.distance, held = distance, few
        for write in edges:
            held = held or Part(distance=distance)
            write(held.edges)
            self._edges += len(held.edges.sources)
            yield held
            held = None
        if held is not None:
            yield held

    def ending(self, truncated_by: str | None) -> Part:
        """The last part."""
        ending = pb.LineageEnding(
            complete=not truncated_by, truncated_by=truncated_by or "", nodes=self._nodes, edges=self._edges
        )
        return Part(ending=ending)


def as_found(told: Telling, graph: Edges, asked: Walk) -> Iterator[Part]:
    """What assets were made of and what was made of them, each level before the next one is looked for. Reads nothing but memory."""
    parts = Parts()
    yield from parts.level(0, *_taken(told))
    walking = walk(graph, asked, told.sight)
    while True:
        try:
            level = next(walking)
        except StopIteration as end:
            yield parts.ending(end.value.truncated_by)
            return
        told.add_level(level)
        distance = -level.depth if level.direction is Direction.UPSTREAM else level.depth
        yield from parts.level(distance, *_taken(told))


def in_parts(answer: pb.TraverseLineageResponse) -> Iterator[Part]:
    """An answer that was found whole."""
    parts = Parts()
    distances = np.array(answer.nodes.distances, dtype=np.int32)
    ends = np.append(np.flatnonzero(np.diff(distances)) + 1, len(distances))
    # An edge is told with the later of its ends.
    later = np.maximum(
        np.array(answer.edges.sources, dtype=np.int32), np.array(answer.edges.targets, dtype=np.int32)
    )
    order = np.argsort(later, kind="stable").astype(np.int32)
    bounds = np.searchsorted(later[order], ends)
    first = first_edge = 0
    for end, bound in zip(ends.tolist(), bounds.tolist(), strict=True):
        places, rows = np.arange(first, end, dtype=np.int32), order[first_edge:bound]
        nodes = _fitting(lambda some, told: _copy(answer.nodes, some, told), places, PART_NODES_MAX)
        edges = (partial(_copy, answer.edges, some) for some in _sliced(rows, PART_EDGES_MAX))
        yield from parts.level(int(distances[first]), nodes, edges)
        first, first_edge = end, bound
    yield parts.ending(answer.truncated_by)


def _taken(told: Telling) -> tuple[Iterator[Part], Iterator[WriteEdges]]:
    """What was told since it was last taken: nodes in parts, and edges to be written."""
    nodes, edges = told.take()
    places = np.arange(len(nodes.assets), dtype=np.int32)
    return (
        _fitting(lambda some, part: told.describe(part, *nodes.of(some)), places, PART_NODES_MAX),
        (
            edges.of(some).write
            for some in _sliced(np.arange(len(edges.sources), dtype=np.int32), PART_EDGES_MAX)
        ),
    )


def _fitting(write: Callable[[Ints, pb.LineageNodes], None], places: Ints, largest: int) -> Iterator[Part]:
    """The nodes at these places in parts that are not too large: names may be long."""
    for some in _sliced(places, largest):
        part = Part()
        write(some, part.nodes)
        if len(some) == 1 or part.nodes.ByteSize() <= PART_BYTES_MAX:
            yield part
        else:
            yield from _fitting(write, some, (len(some) + 1) // 2)


def _sliced(rows: Ints, largest: int) -> Iterator[Ints]:
    for first in range(0, len(rows), largest):
        yield rows[first : first + largest]


def _copy(columns: Columns, places: Ints, told: Columns) -> None:
    """Writes these rows of columns into an empty message."""
    for field, values in columns.ListFields():
        getattr(told, field.name).extend([values[place] for place in places.tolist()])
