"""How much of a search or a PATCH is taken apart: filters and paths cost time that grows with their length, and whoever has a token may send them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from scim2_models import InvalidFilterException, InvalidPathException, InvalidSyntaxException

SEARCH_CHARACTERS_MAX = 4_096
"""Of everything a search says: filter, attributes, sorting."""
PATH_CHARACTERS_MAX = 1_000
OPERATIONS_MAX = 1_000
NAMES_MAX = 100
"""Of attributes in the value of one operation without a path."""


def check_search(said: Any) -> None:
    """Raises `InvalidFilterException` for a search that says too much."""
    if isinstance(said, Mapping) and len(str(dict(said))) > SEARCH_CHARACTERS_MAX:
        raise InvalidFilterException(detail=f"a search says at most {SEARCH_CHARACTERS_MAX} characters")


def check_patch(body: bytes) -> None:
    """Raises `InvalidSyntaxException` for too many operations, `InvalidPathException` for too long a path.

    What is no PATCH at all passes: the library tells what is wrong with it.
    """
    try:
        sent = json.loads(body)
    except (ValueError, RecursionError):
        return
    for operations in _values(sent, "operations"):
        if isinstance(operations, list) and len(operations) > OPERATIONS_MAX:
            raise InvalidSyntaxException(detail=f"send at most {OPERATIONS_MAX} operations in one request")
        for operation in operations if isinstance(operations, list) else ():
            names = [
                name for value in _values(operation, "value") if isinstance(value, dict) for name in value
            ]
            if len(names) > NAMES_MAX:
                raise InvalidSyntaxException(detail=f"name at most {NAMES_MAX} attributes in one operation")
            if any(len(str(path)) > PATH_CHARACTERS_MAX for path in (*_values(operation, "path"), *names)):
                raise InvalidPathException(detail=f"a path has at most {PATH_CHARACTERS_MAX} characters")


def _values(message: Any, key: str) -> list[Any]:
    """The values under a key, in whatever case it is spelled."""
    return (
        [value for name, value in message.items() if name.lower() == key] if isinstance(message, dict) else []
    )
