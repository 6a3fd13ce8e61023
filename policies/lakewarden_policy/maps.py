"""Persistent maps: a changed one shares with the one it came from all that stayed, so both are good and neither was copied."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any


def persistent(opened: MutableMapping[Any, Any]) -> Mapping[Any, Any]:
    """The map a plain dict or a mutation of another map became; a mutation ends with it."""
    # Imported here, so that names, kinds and the matrix can be read where only the client is installed.
    from immutables import Map

    if isinstance(opened, dict):
        return Map(opened)
    finished: Mapping[Any, Any] = opened.finish()  # type: ignore[attr-defined]
    return finished
