"""Questions about lineage: what data was made of, what was made of it, and on which ways."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from lakewarden._errors import InvalidArgument
from lakewarden._lineage_events import LineageEvents
from lakewarden._resources import Resource
from lakewarden._rows import Rows
from lakewarden._times import to_timestamp
from lakewarden.lineage.model import (
    Impact,
    ImpactedAsset,
    Lineage,
    LineageEdge,
    LineageEdgeHistory,
    LineageEdgeVersion,
    LineageNode,
)
from lakewarden.v1 import lineage_graph_pb2, lineage_graph_pb2_grpc, lineage_pb2

DIRECTIONS = {"both": 0, "upstream": 1, "downstream": 2}
STATES: dict[int, str] = {number: name for name, number in lineage_graph_pb2.LineageState.items()}
EVIDENCE: dict[int, str] = {number: name for name, number in lineage_graph_pb2.LineageEvidence.items()}

SUBTYPES: dict[int, str] = {
    number: name if number else "" for name, number in lineage_graph_pb2.LineageSubtype.items()
}
CONSUMERS: dict[int, str] = {
    lineage_graph_pb2.LINEAGE_HIDDEN_CONSUMERS_UNSPECIFIED: "",
    lineage_graph_pb2.NO_HIDDEN_CONSUMERS: "0",
    lineage_graph_pb2.UP_TO_5_HIDDEN_CONSUMERS: "1-5",
    lineage_graph_pb2.UP_TO_20_HIDDEN_CONSUMERS: "6-20",
    lineage_graph_pb2.UP_TO_100_HIDDEN_CONSUMERS: "21-100",
    lineage_graph_pb2.OVER_100_HIDDEN_CONSUMERS: "more than 100",
}


class LineageQuestions(Resource[Any]):
    """Answers show what the caller may see; what it may not is met as a hidden node and never looked behind."""

    messages: ClassVar[Any] = lineage_graph_pb2
    stub_class: ClassVar[type[Any]] = lineage_graph_pb2_grpc.LineageGraphServiceStub

    def traverse(
        self,
        name: str,
        *,
        asset_type: str = "",
        namespace: str = "",
        direction: str = "both",
        max_depth: int = 0,
        max_nodes: int = 0,
        include_states: Iterable[str] = (),
        include_self_edges: bool = False,
        evidence: Iterable[str] = (),
        as_of: datetime | None = None,
    ) -> Lineage:
        """Return the lineage around an asset, at most `max_depth` steps (5) and `max_nodes` nodes (2,000) of it.

        `direction` is upstream, downstream or both. Without `asset_type` a URL is a path and any other name a table's (or a
        view's); with `namespace` the name is that of a dataset as OpenLineage has it. `evidence` leaves edges out that stand on none of
        OBSERVED, PARSED and DECLARED given. `as_of` is a time: the edges that were there then, from
        what had the name then; who sees what is decided as of now.
        """
        return self._traverse(
            name,
            asset_type,
            namespace,
            direction=DIRECTIONS[direction],
            max_depth=max_depth,
            max_nodes=max_nodes,
            include_states=_values(include_states, STATES, "include_states"),
            include_self_edges=include_self_edges,
            evidence=_values(evidence, EVIDENCE, "evidence"),
            as_of_time=to_timestamp(as_of) if as_of else None,
        )

    def columns(
        self,
        name: str,
        *columns: str,
        asset_type: str = "",
        namespace: str = "",
        direction: str = "both",
        max_depth: int = 0,
        max_nodes: int = 0,
        include_states: Iterable[str] = (),
        include_indirect: bool = False,
        evidence: Iterable[str] = (),
        as_of: datetime | None = None,
    ) -> Lineage:
        """Return the lineage around columns of an asset, or of all that anything is known of; else like `traverse`.

        A node is a column; one without is an asset as a whole. With `include_indirect` also what filters, joins and orders by them.
        """
        return self._traverse(
            name,
            asset_type,
            namespace,
            level=lineage_graph_pb2.COLUMN,
            columns=columns,
            direction=DIRECTIONS[direction],
            max_depth=max_depth,
            max_nodes=max_nodes,
            include_states=_values(include_states, STATES, "include_states"),
            include_indirect=include_indirect,
            evidence=_values(evidence, EVIDENCE, "evidence"),
            as_of_time=to_timestamp(as_of) if as_of else None,
        )

    def impact(
        self,
        name: str,
        *columns: str,
        asset_type: str = "",
        namespace: str = "",
        max_depth: int = 0,
        max_nodes: int = 0,
    ) -> Impact:
        """Return what depends on an asset, or on columns of it, at most `max_depth` steps (100) and `max_nodes` nodes (2,000) of it."""
        reply: lineage_graph_pb2.AnalyzeImpactResponse = self._call(
            "AnalyzeImpact",
            root=asset(name, asset_type=asset_type, namespace=namespace),
            columns=columns,
            max_depth=max_depth,
            max_nodes=max_nodes,
        )
        assets = [
            ImpactedAsset(
                node.name, node.kind, node.distance, owner, _moment(observed), node.hidden, node.dropped
            )
            for node, owner, observed in zip(
                _nodes(reply.nodes), reply.owners, reply.observed_microseconds, strict=True
            )
        ]
        counts = {found.catalog: found.assets for found in reply.catalogs}
        return Impact(assets[1:], counts, CONSUMERS[reply.hidden_consumers], reply.truncated_by)

    def _traverse(self, name: str, asset_type: str, namespace: str, **asked: Any) -> Lineage:
        root = asset(name, asset_type=asset_type, namespace=namespace)
        reply: lineage_graph_pb2.TraverseLineageResponse = self._call("TraverseLineage", root=root, **asked)
        edges = reply.edges
        ends = edges.sources, edges.targets, edges.states, edges.evidence
        said = (edges.subtypes, edges.masking) if edges.subtypes else ()
        return Lineage(_nodes(reply.nodes), Rows(_edge, *ends, *said), reply.truncated_by)

    def record_sql(self, sql: str, **said: Any) -> lineage_pb2.RecordSqlResponse:
        """Record what SQL that was run read and wrote: `lineage_events.record_sql`, which says what can be told beside the text."""
        return LineageEvents(self._connection).record_sql(sql, **said)

    def paths(
        self, source: str, target: str, *, max_paths: int = 0, max_depth: int = 0
    ) -> tuple[tuple[LineageNode, ...], ...]:
        """Return the ways from one asset to another, the shortest first, at most `max_paths` (10)."""
        reply: lineage_graph_pb2.FindLineagePathsResponse = self._call(
            "FindLineagePaths",
            source=asset(source),
            target=asset(target),
            max_paths=max_paths,
            max_depth=max_depth,
        )
        nodes = _nodes(reply.nodes)
        return tuple(tuple(nodes[handle] for handle in path.nodes) for path in reply.paths)

    def history(
        self, source: str, target: str, *, as_of: datetime | None = None
    ) -> tuple[LineageEdgeHistory, ...]:
        """Return what the edges from one asset to another were when, one for each job; `as_of` is when they had these names."""
        reply: lineage_graph_pb2.GetLineageHistoryResponse = self._call(
            "GetLineageHistory",
            source=asset(source),
            target=asset(target),
            as_of_time=to_timestamp(as_of) if as_of else None,
        )
        return tuple(map(_history, reply.edges))


def asset(name: str, *, asset_type: str = "", namespace: str = "") -> lineage_graph_pb2.LineageAsset:
    """The message that names an asset."""
    named = lineage_graph_pb2.LineageAsset()
    if namespace:
        named.dataset.namespace, named.dataset.name = namespace, name
    else:
        setattr(named, asset_type or ("path" if "://" in name else "table"), name)
    return named


def _values(names: Iterable[str], known: Mapping[int, str], field: str) -> list[Any]:
    """The enum values of names. Raises InvalidArgument."""
    values = {name: number for number, name in known.items() if number}
    found = [values.get(name.upper(), name) for name in names]
    for value in found:
        if isinstance(value, str):
            raise InvalidArgument(
                f"{field}: {value!r} is none of {', '.join(values)}", reason="FIELD_INVALID"
            )
    return found


def _moment(microseconds: int) -> datetime | None:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=microseconds) if microseconds else None


def _nodes(told: lineage_graph_pb2.LineageNodes) -> Rows[LineageNode]:
    handles = range(len(told.names))
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


def _history(edge: lineage_graph_pb2.LineageEdgeHistory) -> LineageEdgeHistory:
    reasons = lineage_graph_pb2.LineageEdgeVersion.Reason
    return LineageEdgeHistory(
        edge.job_namespace,
        edge.job_name,
        lineage_graph_pb2.LineageState.Name(edge.state) if edge.state else "",
        edge.run_count,
        _time(edge, "first_time"),
        _time(edge, "last_time"),
        edge.last_run,
        tuple(
            LineageEdgeVersion(
                reasons.Name(version.reason), _time(version, "from_time"), _time(version, "until_time")
            )
            for version in edge.versions
        ),
    )


def _time(message: Any, field: str) -> datetime | None:
    return getattr(message, field).ToDatetime(UTC) if message.HasField(field) else None
