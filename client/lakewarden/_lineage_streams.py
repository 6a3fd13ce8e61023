"""An answer about lineage that comes level by level: what was found is there while the rest is looked for."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Self

from lakewarden._errors import Unavailable
from lakewarden._lineage_rows import edges_of, nodes_of
from lakewarden.lineage.model import LineageEnding, LineageLevel
from lakewarden.v1 import lineage_graph_pb2


class LineageStream(Iterator[LineageLevel]):
    """The levels of one answer, the root alone first; a large level comes in several parts of the same distance.

    `ending` is there once all of them were. Iterating raises LakewardenError, Unavailable where the stream ends before its
    ending. Whoever stops before the last closes it, or leaves the `with` block it was made for: the server then stops, too.
    """

    def __init__(self, parts: Generator[lineage_graph_pb2.StreamLineageResponse, None, None]) -> None:
        self._parts = parts
        self._nodes = 0
        self.ending: LineageEnding | None = None

    def __next__(self) -> LineageLevel:
        part = next(self._parts, None)
        if part is None:
            if self.ending is None:
                raise Unavailable("the answer broke off: ask again", reason="STREAM_INCOMPLETE")
            raise StopIteration
        if part.HasField("ending"):
            told = part.ending
            self.ending = LineageEnding(told.complete, told.truncated_by, told.nodes, told.edges)
            return next(self)
        nodes = nodes_of(part.nodes, self._nodes)
        self._nodes += len(nodes)
        return LineageLevel(part.distance, nodes, edges_of(part.edges))

    def close(self) -> None:
        """Give up what has not come yet."""
        self._parts.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
