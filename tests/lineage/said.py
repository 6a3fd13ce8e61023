"""What edges say of columns, given by hand, and what a walk tells of columns spelt out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lakewarden_server.lineage.column_book import NOT_TOLD, ColumnBook, how
from lakewarden_server.lineage.columns import NAME_BITS, NAME_MASK, Column, ColumnLevel, Use
from lakewarden_server.lineage.graph import Flags, Ints
from lakewarden_server.lineage.mapping import Subtype


class ColumnEdge(NamedTuple):
    """A column in a column. Without a subtype: nothing is said, or may be told, of how."""

    source: Column
    target: Column
    standing: int
    subtype: Subtype | None = None
    masking: bool = False


class Said:
    """For a walk: what each edge says."""

    def __init__(self, uses: Mapping[int, Sequence[Use]]) -> None:
        self.book = ColumnBook()
        self._numbers = {edge: number for number, edge in enumerate(uses, 1)}
        self.book.keep(0, ())
        for edge, said in uses.items():
            self.book.keep(self._numbers[edge], said)

    def mappings(self, edges: Ints, _seen: Flags) -> Ints:
        """The numbers of what these edges say."""
        return np.array([self._numbers.get(edge, 0) for edge in edges.tolist()], dtype=np.int32)

    def visible(self, level: ColumnLevel) -> list[Column]:
        """The columns of a level."""
        return list(map(self._column, level.visible.tolist()))

    def edges(self, level: ColumnLevel) -> list[ColumnEdge]:
        """The edges of a level."""
        sources, targets, _hows = level.edges
        ends = (map(self._column, keys.tolist()) for keys in (sources, targets))
        standings, kinds = level.edges.standings.tolist(), level.edges.kinds.tolist()
        return [
            ColumnEdge(source, target, standing, *((None, False) if kind == NOT_TOLD else how(kind)))
            for source, target, standing, kind in zip(*ends, standings, kinds, strict=True)
        ]

    def _column(self, key: int) -> Column:
        return Column(key >> NAME_BITS, self.book.name(key & NAME_MASK))
