"""What edges say of columns, given by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lakewarden_server.lineage.column_book import ColumnBook, Numbers, Pairs, together
from lakewarden_server.lineage.columns import Use
from lakewarden_server.lineage.graph import Ints


class Said:
    """For a walk: what each edge says."""

    def __init__(self, uses: Mapping[int, Sequence[Use]]) -> None:
        self.book = ColumnBook()
        self._mappings = {edge: self.book.numbered(said) for edge, said in uses.items() if said}

    def sizes(self, edges: Ints) -> Numbers:
        """How much these edges say."""
        sizes = [pairs.shape[1] if pairs is not None else 0 for pairs in self._said(edges)]
        return np.array(sizes, dtype=np.int64)

    def pairs(self, edges: Ints) -> Pairs:
        """What these edges say."""
        return together(self._said(edges))

    def _said(self, edges: Ints) -> list[Ints | None]:
        return [self._mappings.get(edge) for edge in edges.tolist()]
