"""Answers about columns as they are written: nodes and edges as columns of numbers, a node for each column."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import numpy as np

from lakewarden.v1 import lineage_graph_pb2 as pb
from lakewarden_server.lineage.column_uses import ColumnUses
from lakewarden_server.lineage.columns import Column, ColumnLevel, ColumnWalk, columns_of, walk_columns
from lakewarden_server.lineage.evidence import Evidence
from lakewarden_server.lineage.graph import EVIDENCE_BITS, Direction, State
from lakewarden_server.lineage.identities import FOREVER
from lakewarden_server.lineage.mapping import WHOLE, Subtype
from lakewarden_server.lineage.names import NameInvalid, check_name
from lakewarden_server.lineage.traversal import Edges, ending_of
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.lineage_answers import EVIDENCE, STATES, Telling, shuffled
from lakewarden_server.storage.repositories.lineage_graph import LineageGraphReader
from lakewarden_server.storage.repositories.lineage_history import LineageHistoryReader

COLUMNS_MAX: Final = 1_000
"""Columns of the root that a question names."""
SUBTYPES: Final[dict[Subtype | None, int]] = {
    None: pb.LINEAGE_SUBTYPE_UNSPECIFIED,
    **{subtype: pb.LineageSubtype.Value(subtype.value) for subtype in Subtype},
}
"""How an answer says how a column takes part in another."""


def names_of(columns: Sequence[str]) -> list[str]:
    """The columns a request names, each once. Raises FIELD_INVALID."""
    if len(columns) > COLUMNS_MAX:
        raise validation.invalid("columns", f"{len(columns):,} are more than {COLUMNS_MAX:,}")
    try:
        return list(dict.fromkeys(map(check_name, columns)))
    except NameInvalid as error:
        raise validation.invalid("columns", str(error)) from error


def begun(
    graph: Edges, asset: int, names: Collection[str], asked: ColumnWalk, call: Call, time: int = FOREVER
) -> tuple[ColumnWalk, ColumnUses]:
    """A walk from columns of a visible asset, all of them where none is named, and what edges said of columns at a time."""
    connection = call.uow.connection
    uses_of = ColumnUses(LineageGraphReader(connection), LineageHistoryReader(connection), time)
    roots = tuple(Column(asset, name) for name in names) or columns_of(graph, asset, asked, uses_of)
    return asked._replace(roots=roots), uses_of


def column_answer(
    told: Telling, graph: Edges, asked: ColumnWalk, uses_of: ColumnUses
) -> pb.TraverseLineageResponse:
    """What columns were made of and what was made of them."""
    telling = _ColumnTelling(told)
    for root in asked.roots:
        telling.add(root, 0, hidden=False)
    ending = ending_of(walk_columns(graph, asked, told.sight, uses_of), telling.add_level)
    return pb.TraverseLineageResponse(
        nodes=telling.nodes(), edges=telling.edges(), truncated_by=ending.truncated_by or ""
    )


class _ColumnTelling:
    """One answer about columns. Like one about assets it tells nothing that follows from ids."""

    def __init__(self, told: Telling) -> None:
        self._told = told
        self._handles: dict[Column, int] = {}
        self._distances: list[int] = []
        self._hidden: list[bool] = []
        self._edges: dict[tuple[int, int, int, int, bool], Evidence] = {}

    def add(self, column: Column, distance: int, *, hidden: bool) -> None:
        """Gives a handle to a column that is met for the first time."""
        self._handles[column] = len(self._handles)
        self._distances.append(distance)
        self._hidden.append(hidden)

    def add_level(self, level: ColumnLevel) -> None:
        """Tells a level: its columns get handles, its edges are told."""
        distance = -level.depth if level.direction is Direction.UPSTREAM else level.depth
        for column in level.visible:
            self.add(column, distance, hidden=False)
        for asset in shuffled(np.array(level.hidden, dtype=np.int32)).tolist():
            self.add(Column(asset, WHOLE), distance, hidden=True)
        for edge in level.edges:
            state, evidence = divmod(edge.standing, 1 << EVIDENCE_BITS)
            ends = self._handles[edge.source], self._handles[edge.target]
            row = (*ends, STATES[State(state)], SUBTYPES[edge.subtype], edge.masking)
            self._edges[row] = min(self._edges.get(row, Evidence.DECLARED), Evidence(evidence))

    def nodes(self) -> pb.LineageNodes:
        """The columns told of, in the order of their handles."""
        assets = np.array([column.asset for column in self._handles], dtype=np.int32)
        distances = np.array(self._distances, dtype=np.int32)
        told = self._told.described(assets, distances, np.array(self._hidden, dtype=bool))
        told.columns.extend(column.name for column in self._handles)
        return told

    def edges(self) -> pb.LineageEdges:
        """The edges told of, each once, with the strongest evidence, in the order of their handles."""
        rows = sorted(self._edges)
        sources, targets, states, subtypes, masking = zip(*rows, strict=True) if rows else ((),) * 5
        return pb.LineageEdges(
            sources=sources,
            targets=targets,
            states=states,
            subtypes=subtypes,
            masking=masking,
            evidence=[EVIDENCE[self._edges[row]] for row in rows],
        )
