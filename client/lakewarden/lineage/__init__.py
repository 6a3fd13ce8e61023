"""An answer about lineage, and how it is shown: a tree in the terminal, DOT, Mermaid, JSON, a drawing in SVG, OpenLineage."""

from lakewarden.lineage.dot import to_dot
from lakewarden.lineage.history import LineageEdgeDay, LineageEdgeHistory, LineageEdgeVersion, LineageHistory
from lakewarden.lineage.lines import to_tree
from lakewarden.lineage.mermaid import to_mermaid
from lakewarden.lineage.model import (
    Impact,
    ImpactedAsset,
    Lineage,
    LineageEdge,
    LineageEnding,
    LineageLevel,
    LineageNode,
    LineagePaths,
)
from lakewarden.lineage.open_lineage import to_open_lineage
from lakewarden.lineage.svg import to_svg

__all__ = [
    "Impact",
    "ImpactedAsset",
    "Lineage",
    "LineageEdge",
    "LineageEdgeDay",
    "LineageEdgeHistory",
    "LineageEdgeVersion",
    "LineageEnding",
    "LineageHistory",
    "LineageLevel",
    "LineageNode",
    "LineagePaths",
    "to_dot",
    "to_mermaid",
    "to_open_lineage",
    "to_svg",
    "to_tree",
]
