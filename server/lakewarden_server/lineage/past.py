"""The graph of lineage as it was at a time, read from the versions of the edges as a walk comes to them (reference/lineage.md 6.3).

Only the edges are of the past: what an asset is called and who sees it follows from what is today.
"""

from __future__ import annotations

from itertools import chain
from typing import Final

import numpy as np

from lakewarden_server.lineage.evidence import Evidence
from lakewarden_server.lineage.graph import Direction, Edge, Hops, Ints, State
from lakewarden_server.storage.errors import deadline_passed
from lakewarden_server.storage.repositories.lineage_history import LineageHistoryReader

EDGES_READ_MAX: Final = 500_000
"""Edges read for one step; of a question that meets more there is no answer."""

_STANDINGS: Final = {
    "dropped": Edge(0, 0, 0, State.DROPPED).standing,
    "parsed": Edge(0, 0, 0, evidence=Evidence.PARSED).standing,
    "declared": Edge(0, 0, 0, evidence=Evidence.DECLARED).standing,
}


class PastGraph:
    """The edges at one time, of which a statement reads those of each step."""

    def __init__(self, reader: LineageHistoryReader, time: int, *, dropped: bool) -> None:
        """`time` in microseconds since 1970; `dropped` is whether edges that were dropped by then are met too."""
        self._reader, self._time, self._dropped = reader, time, dropped
        self.nodes_end, self.edges_end = reader.ends()

    def hops(self, nodes: Ints, direction: Direction) -> Hops:
        """The edges met from nodes when looking in a direction. Raises DeadlineExceeded where they are too many."""
        rows = self._reader.led(
            nodes.tolist(),
            _STANDINGS,
            upstream=direction is Direction.UPSTREAM,
            time=self._time,
            dropped=self._dropped,
            limit=EDGES_READ_MAX + 1,
        )
        if len(rows) > EDGES_READ_MAX:
            raise deadline_passed()
        values = np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=4 * len(rows))
        return Hops(*(np.ascontiguousarray(column) for column in values.reshape(-1, 4).T))
