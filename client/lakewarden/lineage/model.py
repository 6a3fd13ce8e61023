"""What an answer about lineage says, in the order in which it is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from lakewarden._times import time_text

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
    column: str = ""
    """Of an answer about columns; empty for an asset as a whole."""
    namespace: str = ""
    """Of a dataset of another system, whose `name` begins with it; empty for what is kept here."""

    @property
    def label(self) -> str:
        """What a person reads."""
        if self.hidden:
            return HIDDEN
        named = f"{self.name}.{self.column}" if self.column else self.name
        return f"{named} (dropped)" if self.dropped else named


class LineageEdge(NamedTuple):
    """Data of `source_id` went into `target_id`."""

    source_id: str
    target_id: str
    state: str = "LIVE"
    subtype: str = ""
    """How a column takes part in another one, e.g. AGGREGATION or FILTER; empty for assets, and where nothing is said of it."""
    masking: bool = False
    """Whether the value is hidden on the way, by a hash or a mask."""
    evidence: str = "OBSERVED"
    """On what it stands: OBSERVED, PARSED (from SQL) or DECLARED."""

    @property
    def how(self) -> str:
        """How a column takes part, and that an edge is only declared, as a person reads it."""
        words = (
            self.subtype.lower().replace("_", " "),
            "masked" if self.masking else "",
            "declared" if self.is_declared else "",
        )
        return ", ".join(word for word in words if word)

    @property
    def is_declared(self) -> bool:
        """Whether nothing but that somebody said so stands behind it."""
        return self.evidence == "DECLARED"

    @property
    def is_dashed(self) -> bool:
        """Whether a drawing shows it as one that no run has made, or not yet, or not for what is there now."""
        return self.is_declared or self.state != "LIVE"


class LineagePaths(tuple[tuple[LineageNode, ...], ...]):
    """The ways from one asset to another, each from its first asset to its last."""

    truncated: bool = False
    """Whether there may be more ways than these."""


class LineageLevel(NamedTuple):
    """What is one step further from the root, or a part of it where that is much. Ids of nodes are good for all levels of an answer."""

    distance: int
    """Steps from the root: negative upstream, 0 for the root itself."""
    nodes: Sequence[LineageNode]
    """Those met here for the first time."""
    edges: Sequence[LineageEdge]
    """Those told for the first time, between these nodes and those told before."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON says it."""
        return {
            "distance": self.distance,
            "nodes": [node._asdict() for node in self.nodes],
            "edges": [edge._asdict() for edge in self.edges],
        }


class LineageEnding(NamedTuple):
    """How an answer ended that came level by level."""

    complete: bool
    truncated_by: str
    """DEPTH, NODES or TIME where there is more than was told; empty where that was all."""
    nodes: int
    """How many were told, the roots among them."""
    edges: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON says it."""
        return {"ending": {**self._asdict(), "truncated_by": self.truncated_by or None}}


@dataclass(frozen=True)
class Lineage:
    """The lineage around one or several assets, as far as it was asked for and may be seen."""

    nodes: Sequence[LineageNode]
    edges: Sequence[LineageEdge]
    truncated_by: str = ""
    """DEPTH, NODES or TIME where there is more than this; empty where this is all of it."""
    direction: str = "both"
    """What was asked for: `upstream`, `downstream` or `both`. Of a circle an answer has all edges, whichever way it was found."""

    @property
    def roots(self) -> tuple[LineageNode, ...]:
        """The assets that were asked about."""
        return tuple(node for node in self.nodes if node.distance == 0)

    def ordered(self) -> Lineage:
        """The same, always in the same order, so that two answers can be compared line by line."""
        names = {node.id: _place(node) for node in self.nodes}
        edges = sorted(self.edges, key=lambda edge: (names[edge.source_id], names[edge.target_id], *edge[2:]))
        return replace(self, nodes=tuple(sorted(self.nodes, key=_place)), edges=tuple(edges))

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


def _place(node: LineageNode) -> tuple[int, bool, str, str, str, str]:
    return (node.distance, node.hidden, node.name, node.column, node.kind, node.id)


def plain(label: str, length_max: int) -> str:
    """A label of one line without control characters, shortened in its middle: names come from anybody."""
    shown = "".join(character if character.isprintable() else "�" for character in label)
    if len(shown) <= length_max:
        return shown
    head = (length_max - 1) // 2
    return f"{shown[:head]}…{shown[len(shown) - (length_max - 1 - head) :]}"


class ImpactedAsset(NamedTuple):
    """An asset that depends on another one."""

    name: str
    """Empty for a hidden one."""
    kind: str
    distance: int
    """Steps from what it depends on."""
    owner: str
    """Email, group name or application id; empty where there is none and for a hidden one."""
    observed_time: datetime | None
    """When a run last made it of something else in the answer."""
    hidden: bool = False
    dropped: bool = False


@dataclass(frozen=True)
class Impact:
    """What depends on an asset or on columns of it, the nearest first, as far as it may be seen."""

    assets: Sequence[ImpactedAsset]
    catalogs: Mapping[str, int]
    """How many of them are in each catalog."""
    hidden_consumers: str
    """Roughly how many more there are that may not be seen: 0, 1-5, 6-20, 21-100, more than 100; empty for who does not manage the root."""
    truncated_by: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON says it."""
        return {
            "assets": [
                {**asset._asdict(), "observed_time": asset.observed_time and time_text(asset.observed_time)}
                for asset in self.assets
            ],
            "catalogs": dict(self.catalogs),
            "hidden_consumers": self.hidden_consumers or None,
            "truncated_by": self.truncated_by or None,
        }


def is_path(name: str) -> bool:
    """Whether a name is a path by itself: a URL, or one of a volume."""
    return "://" in name or name.removeprefix("dbfs:").startswith("/Volumes/")
