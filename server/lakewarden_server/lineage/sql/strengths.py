"""How columns depend on leaves, as sets of bits, and what becomes of a set inside an expression.

A leaf is a column of a source, by its number in the binding. A `Deps` maps leaves to bits and is never changed once it is shared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

from lakewarden_server.lineage.mapping import Subtype

Deps = dict[int, int]
EMPTY: Final[Deps] = {}
UNKNOWN: Final = -1
"""The leaf of what could not be resolved. It is in no answer, but what depends on it is not made of nothing."""

_BIT: Final = {subtype: 1 << place for place, subtype in enumerate(Subtype)}
IDENTITY: Final = _BIT[Subtype.IDENTITY]
TRANSFORMATION: Final = _BIT[Subtype.TRANSFORMATION]
AGGREGATION: Final = _BIT[Subtype.AGGREGATION]
FILTER: Final = _BIT[Subtype.FILTER]
JOIN: Final = _BIT[Subtype.JOIN]
GROUP_BY: Final = _BIT[Subtype.GROUP_BY]
SORT: Final = _BIT[Subtype.SORT]
WINDOW: Final = _BIT[Subtype.WINDOW]
CONDITIONAL: Final = _BIT[Subtype.CONDITIONAL]

_MASKING_SHIFT: Final = 16
HASHED: Final = TRANSFORMATION << _MASKING_SHIFT
"""A transformation that hides the value."""

_PLAIN: Final = IDENTITY | TRANSFORMATION | AGGREGATION
DIRECT: Final = _PLAIN | _PLAIN << _MASKING_SHIFT
INDIRECT: Final = sum(_BIT.values()) & ~_PLAIN


@lru_cache(maxsize=4096)
def through(how: int, bits: int) -> int:
    """The bits of a dependency seen from outside an expression that uses it in the one way `how`.

    The outermost indirect use says what an indirect dependency is; of direct ones the strongest does, as in OpenLineage.
    """
    if how & INDIRECT:
        return how
    seen = bits & INDIRECT
    for hidden in (False, True):
        for strength in (IDENTITY, TRANSFORMATION, AGGREGATION):
            if bits & (strength << _MASKING_SHIFT * hidden):
                outer = how if how & _PLAIN else how >> _MASKING_SHIFT
                seen |= max(outer, strength) << _MASKING_SHIFT * (hidden or not how & _PLAIN)
    return seen


def add(into: Deps, deps: Mapping[int, int], how: int = IDENTITY) -> None:
    """Adds to `into` what `deps` says, used in the way `how`."""
    if how == IDENTITY:
        for leaf, bits in deps.items():
            into[leaf] = into.get(leaf, 0) | bits
    else:
        for leaf, bits in deps.items():
            into[leaf] = into.get(leaf, 0) | through(how, bits)


def used(deps: Mapping[int, int], how: int) -> Deps:
    """What `deps` is, used in the way `how`."""
    if how == IDENTITY:
        return dict(deps)
    return {leaf: through(how, bits) for leaf, bits in deps.items()}


def subtypes(bits: int) -> Iterator[tuple[Subtype, bool]]:
    """The subtypes of a set of bits, and whether each hides the value: only where no other direct use shows it."""
    shown = bits & _PLAIN
    for subtype, bit in _BIT.items():
        if bits & bit:
            yield subtype, False
        elif bits & (bit << _MASKING_SHIFT):
            yield subtype, not shown
