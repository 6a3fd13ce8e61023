"""What an answer about lineage says, in the order in which it is shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

HIDDEN = "(hidden)"
"""In place of the name of what the caller may not see."""


class LineageNode(NamedTuple):
    """An asset; `id` is of this answer alone where it is hidden."""

    id: str
    name: str
    """Empty for a hidden one."""
    kind: str
    distance: int
    """Steps from the nearest root: negative upstream, positive downstream, 0 for a root."""
    hidden: bool = False
    dropped: bool = False

    @property
    def label(self) -> str:
        """What a person reads."""
        if self.hidden:
            return HIDDEN
        return f"{self.name} (dropped)" if self.dropped else self.name


class LineageEdge(NamedTuple):
    """Data of `source_id` went into `target_id`."""

    source_id: str
    target_id: str
    state: str = "LIVE"


class LineageEdgeVersion(NamedTuple):
    """What an edge was from one time until another."""

    reason: str
    """FIRST, CHANGED or REOPENED; from DROPPED or RETIRED on there was no edge."""
    from_time: datetime | None
    until_time: datetime | None
    """None for the newest."""


class LineageEdgeHistory(NamedTuple):
    """What one job's edge between two assets was when. Of a job of another workspace there are only the state and the versions."""

    job_namespace: str
    job_name: str
    state: str
    """Empty where it is no more."""
    run_count: int
    first_time: datetime | None
    last_time: datetime | None
    last_run: str
    versions: tuple[LineageEdgeVersion, ...]


@dataclass(frozen=True)
class Lineage:
    """The lineage around one or several assets, as far as it was asked for and may be seen."""

    nodes: Sequence[LineageNode]
    edges: Sequence[LineageEdge]
    truncated_by: str = ""
    """DEPTH, NODES or TIME where there is more than this; empty where this is all of it."""

    @property
    def roots(self) -> tuple[LineageNode, ...]:
        """The assets that were asked about."""
        return tuple(node for node in self.nodes if node.distance == 0)

    def ordered(self) -> Lineage:
        """The same, always in the same order, so that two answers can be compared line by line."""
        names = {node.id: _place(node) for node in self.nodes}
        edges = sorted(
            self.edges, key=lambda edge: (names[edge.source_id], names[edge.target_id], edge.state)
        )
        return Lineage(tuple(sorted(self.nodes, key=_place)), tuple(edges), self.truncated_by)

    def around(self, node_id: str, *, upstream: bool) -> Iterator[LineageEdge]:
        """The edges that lead on from a node, in order."""
        yield from (self._to if upstream else self._from).get(node_id, ())

    @cached_property
    def _from(self) -> dict[str, list[LineageEdge]]:
        found: dict[str, list[LineageEdge]] = {}
        for edge in self.edges:
            found.setdefault(edge.source_id, []).append(edge)
        return found

    @cached_property
    def _to(self) -> dict[str, list[LineageEdge]]:
        found: dict[str, list[LineageEdge]] = {}
        for edge in self.edges:
            found.setdefault(edge.target_id, []).append(edge)
        return found

    def to_dict(self) -> dict[str, Any]:
        """As JSON says it."""
        ordered = self.ordered()
        return {
            "nodes": [node._asdict() for node in ordered.nodes],
            "edges": [edge._asdict() for edge in ordered.edges],
            "truncated_by": self.truncated_by or None,
        }


def _place(node: LineageNode) -> tuple[int, bool, str, str, str]:
    return (node.distance, node.hidden, node.name, node.kind, node.id)


def plain(label: str, length_max: int) -> str:
    """A label of one line without control characters, shortened in its middle: names come from anybody."""
    shown = "".join(character if character.isprintable() else "�" for character in label)
    if len(shown) <= length_max:
        return shown
    head = (length_max - 1) // 2
    return f"{shown[:head]}…{shown[len(shown) - (length_max - 1 - head) :]}"
