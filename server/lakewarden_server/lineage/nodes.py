"""The lineage at one sequence number: the graph, and what its nodes stand for."""

from __future__ import annotations

from typing import NamedTuple

from immutables import Map

from lakewarden_server.lineage.graph import Graph
from lakewarden_server.lineage.mapping_numbers import MappingNumbers
from lakewarden_server.lineage.names import AssetKind


class Node(NamedTuple):
    """What an asset of the graph is: one incarnation of a dataset, or a job that takes part in lineage itself."""

    id: int
    metastore_id: str
    kind: AssetKind
    namespace: str
    name: str
    """One it has or had; a securable is shown by the name it has now."""
    dropped: bool
    securable_id: str | None
    parent_id: str | None
    """The container of the securable, also when that is gone: who browses it sees what was dropped from it."""
    recorder_id: str | None
    """Who told first of each of its names; nobody where that was not always the same principal."""
    file_path: str = ""
    """Which file of the securable, a volume then; empty for the securable itself."""
    of_volume: bool = False
    """Whether the securable is or was a volume."""
    other_paths: tuple[str, ...] = ()
    """Where it lies by its other names, as canonical URLs; only of what is in no catalog."""
    other_names: bool = False
    """Whether it has other names that are no such paths; only of what is in no catalog."""


class LineageState(NamedTuple):
    """One per process at a time; replaced by a later one, never changed."""

    epoch: str
    """Of the history of the database it was read from."""
    sequence: int
    graph: Graph
    nodes: Map[int, Node]
    by_securable: Map[str, int]
    """The node of a securable, by the securable's id."""
    end: int
    """One more than the highest id of a node."""
    mappings: MappingNumbers
    """By which the edges of the graph say what they do of columns."""
