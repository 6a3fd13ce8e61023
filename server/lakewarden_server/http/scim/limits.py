"""How much of a search or a PATCH is taken apart: filters and paths cost time that grows with their length, and whoever has a token may send them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from scim2_models import (
    InvalidFilterException,
    InvalidPathException,
    InvalidSyntaxException,
    PatchOp,
    PatchOperation,
    Resource,
    TooManyException,
)

SEARCH_CHARACTERS_MAX = 4_096
"""Of everything a search says: filter, attributes, sorting."""
PATH_CHARACTERS_MAX = 1_000
OPERATIONS_MAX = 1_000
NAMES_MAX = 100
"""Of attributes in the value of one operation without a path."""
COMPARISONS_MAX = 20
"""Of one filter or path."""
PATCH_COMPARISONS_MAX = 2_000
"""Of all the paths of a PATCH, with those that the values of its removals stand for."""
MATCHES_MAX = 200_000
"""Of comparisons of one search or PATCH with values of attributes, such as members: 10 to 30 microseconds each."""
PASSES_OF_ONE = 2
"""Over all the values, by one operation with one comparison."""
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_OPERATOR = re.compile(r"(?<![\w$-])(?:eq|ne|co|sw|ew|gt|ge|lt|le|pr)(?![\w$-])", re.IGNORECASE)


def comparisons(said: str) -> int:
    """How many comparisons a filter or path has at most, told before it is parsed (RFC 7644, section 3.4.2.2)."""
    return len(_OPERATOR.findall(_STRING.sub('""', said)))


def values(resource: Resource[Any]) -> int:
    """How many values a filter meets at most: those of the attributes that can have several, and at least one."""
    listed = {name: value for name, value in vars(resource).items() if isinstance(value, list)}
    return max(1, sum(len(value) for name, value in listed.items() if name != "schemas"))


class Matches:
    """What one filter may still cost."""

    def __init__(self, comparisons: int) -> None:
        self._comparisons = comparisons
        self._left = MATCHES_MAX

    def spend(self, values: int) -> None:
        """Takes off that so many values are compared. Raises `TooManyException` when nothing is left."""
        self._left -= self._comparisons * values
        if self._left < 0:
            raise TooManyException(detail="the filter compares too much: ask for less at a time")


def check_search(said: Any) -> None:
    """Raises `InvalidFilterException` for a search that says too much."""
    if isinstance(said, Mapping) and len(str(dict(said))) > SEARCH_CHARACTERS_MAX:
        raise InvalidFilterException(detail=f"a search says at most {SEARCH_CHARACTERS_MAX} characters")
    for said_filter in _values(dict(said), "filter") if isinstance(said, Mapping) else ():
        _check_comparisons(str(said_filter))


def check_patch(body: bytes) -> None:
    """Raises `InvalidSyntaxException` for too many operations, `InvalidPathException` for too long a path,
    `InvalidFilterException` and `TooManyException` for too many comparisons.

    What is no PATCH at all passes: the library tells what is wrong with it.
    """
    try:
        sent = json.loads(body)
    except (ValueError, RecursionError):
        return
    compared = 0
    for operations in _values(sent, "operations"):
        if isinstance(operations, list) and len(operations) > OPERATIONS_MAX:
            raise InvalidSyntaxException(detail=f"send at most {OPERATIONS_MAX} operations in one request")
        for operation in operations if isinstance(operations, list) else ():
            compared += _check_operation(operation)
    if compared > PATCH_COMPARISONS_MAX:
        raise TooManyException(detail=f"send at most {PATCH_COMPARISONS_MAX} comparisons in one request")


def _check_operation(operation: Any) -> int:
    """How many comparisons an operation makes; raises what `check_patch` does."""
    said = _values(operation, "value")
    names = [name for value in said if isinstance(value, dict) for name in value]
    if len(names) > NAMES_MAX:
        raise InvalidSyntaxException(detail=f"name at most {NAMES_MAX} attributes in one operation")
    paths = [str(path) for path in (*_values(operation, "path"), *names)]
    if any(len(path) > PATH_CHARACTERS_MAX for path in paths):
        raise InvalidPathException(detail=f"a path has at most {PATH_CHARACTERS_MAX} characters")
    for path in paths:
        _check_comparisons(path)
    removes = any(str(op).lower() == PatchOperation.Op.remove for op in _values(operation, "op"))
    return sum(_compared(path, value, removes=removes) for path in paths for value in said or [None])


def check_matches(current: Resource[Any], patch_op: PatchOp[Any]) -> None:
    """Raises `TooManyException` for operations that compare too much with what a resource has and what they add.

    Each goes once through all the values, and once more for each comparison. To name one value is never too much.
    """
    passes, present = 0, values(current)
    for operation in patch_op.operations or []:
        removes = operation.op == PatchOperation.Op.remove
        passes += 1 + _compared(str(operation.path or ""), operation.value, removes=removes)
        present += 0 if removes else _listed(operation.value)
    if passes > PASSES_OF_ONE and passes * present > MATCHES_MAX:
        raise TooManyException(detail="the operations compare too much: send fewer in one request")


def _check_comparisons(said: str) -> None:
    if comparisons(said) > COMPARISONS_MAX:
        raise InvalidFilterException(detail=f"a filter has at most {COMPARISONS_MAX} comparisons")


def _compared(path: str, value: Any, *, removes: bool) -> int:
    """How many comparisons an operation makes with each value: its path's, for each attribute that it sets there; and
    one for each attribute in what a removal lists (Microsoft Entra's way, which the library reads as a filter).
    """
    of_path = comparisons(path)
    if of_path:
        return of_path * max(1, len(value) if isinstance(value, dict) else 1)
    return _named(value) if removes else 0


def _named(value: Any) -> int:
    """How many attributes there are in a value, or in the values of a list."""
    parts = value if isinstance(value, list) else [value]
    return sum(len(part) for part in parts if isinstance(part, dict))


def _listed(value: Any) -> int:
    """How many values a value lists, itself or in its attributes."""
    parts = value.values() if isinstance(value, dict) else [value]
    return sum(len(part) for part in parts if isinstance(part, list))


def _values(message: Any, key: str) -> list[Any]:
    """The values under a key, in whatever case it is spelled."""
    return (
        [value for name, value in message.items() if name.lower() == key] if isinstance(message, dict) else []
    )
