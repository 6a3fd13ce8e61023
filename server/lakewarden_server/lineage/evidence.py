"""On what an edge stands: what its job is known by (reference/lineage.md 6.1)."""

from __future__ import annotations

from enum import IntEnum


class Evidence(IntEnum):
    """Of what kind what is said is, the strongest first."""

    OBSERVED = 0
    """A run did it, and told."""
    PARSED = 1
    """It was read from SQL."""
    DECLARED = 2
    """Somebody said so."""
