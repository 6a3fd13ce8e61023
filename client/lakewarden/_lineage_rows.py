"""Nodes and edges of answers about lineage, from the columns they come as."""

from __future__ import annotations

from lakewarden._rows import Rows
from lakewarden.lineage.model import LineageEdge, LineageNode
from lakewarden.v1 import lineage_graph_pb2

STATES: dict[int, str] = {number: name for name, number in lineage_graph_pb2.LineageState.items()}
EVIDENCE: dict[int, str] = {number: name for name, number in lineage_graph_pb2.LineageEvidence.items()}

SUBTYPES: dict[int, str] = {
    number: name if number else "" for name, number in lineage_graph_pb2.LineageSubtype.items()
}


def nodes_of(told: lineage_graph_pb2.LineageNodes, first: int = 0) -> Rows[LineageNode]:
    """The nodes of a message, whose handles are counted from `first`."""
    handles = range(first, first + len(told.names))
    columns = (told.columns,) if told.columns else ()
    return Rows(
        _node,
        handles,
        told.names,
        told.namespaces,
        told.kinds,
        told.distances,
        told.hidden,
        told.dropped,
        *columns,
    )


def edges_of(told: lineage_graph_pb2.LineageEdges) -> Rows[LineageEdge]:
    """The edges of a message."""
    ends = told.sources, told.targets, told.states, told.evidence
    said = (told.subtypes, told.masking) if told.subtypes else ()
    return Rows(_edge, *ends, *said)


def _node(
    handle: int,
    name: str,
    namespace: str,
    kind: str,
    distance: int,
    hidden: bool,
    dropped: bool,
    column: str = "",
) -> LineageNode:
    named = f"{namespace} {name}" if namespace else name
    return LineageNode(str(handle), named, kind, distance, hidden, dropped, column, namespace)


def _edge(
    source: int, target: int, state: int, evidence: int, subtype: int = 0, masking: bool = False
) -> LineageEdge:
    return LineageEdge(
        str(source), str(target), STATES[state], SUBTYPES[subtype], masking, EVIDENCE[evidence]
    )
