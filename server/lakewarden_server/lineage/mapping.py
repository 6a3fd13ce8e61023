"""What a run or a query says of columns: of which columns a column was made, and how.

The subtypes are those of OpenLineage's column lineage facet.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Generic, NamedTuple, TypeVar

S = TypeVar("S")


class Subtype(StrEnum):
    """How a source column takes part in a target."""

    IDENTITY = "IDENTITY"
    TRANSFORMATION = "TRANSFORMATION"
    AGGREGATION = "AGGREGATION"
    FILTER = "FILTER"
    JOIN = "JOIN"
    GROUP_BY = "GROUP_BY"
    SORT = "SORT"
    WINDOW = "WINDOW"
    CONDITIONAL = "CONDITIONAL"

    @property
    def is_direct(self) -> bool:
        """Whether the target's values are made of the source's, rather than chosen or ordered by them."""
        return self in DIRECT


DIRECT: Final = frozenset({Subtype.IDENTITY, Subtype.TRANSFORMATION, Subtype.AGGREGATION})

WHOLE: Final = ""
"""As a target column: the whole set, e.g. what a filter decides about every column."""


class ColumnUse(NamedTuple, Generic[S]):
    """One column of a source in one column of the target."""

    target: str
    """A column of the target, or WHOLE."""
    source: S
    """The dataset or table the column is read from."""
    column: str
    subtype: Subtype
    masking: bool = False
    """Whether the value is hidden on the way, by a hash or a mask."""
