"""What a run or a query says of columns: of which columns a column was made, and how.

The subtypes are those of OpenLineage's column lineage facet.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Any, Final, Generic, NamedTuple, TypeVar

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

    __hash__ = str.__hash__

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


def mapping_hash(columns: Iterable[Iterable[Any]]) -> str:
    """By what a mapping is found: [target, source, subtype, masking] each, in order."""
    return hashlib.sha256(json.dumps([list(column) for column in columns]).encode()).hexdigest()


def said_once(uses: Iterable[ColumnUse[S]], targets: Collection[str]) -> set[ColumnUse[S]]:
    """The uses, with what is said of every one of the targets said of the whole set instead.

    A value is made of its sources column by column; only what chose or ordered the rows can hold for all of them.
    """
    distinct = set(uses)
    seen = Counter(use._replace(target=WHOLE) for use in distinct if use.target != WHOLE)
    common = {
        use for use, count in seen.items() if count == len(targets) > 0 and not use.subtype.is_direct
    } | {use for use in distinct if use.target == WHOLE}
    return common | {
        use for use in distinct if use.subtype.is_direct or use._replace(target=WHOLE) not in common
    }
