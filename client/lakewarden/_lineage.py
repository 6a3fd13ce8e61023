"""Questions about lineage: what data was made of, what was made of it, and on which ways."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from lakewarden._errors import InvalidArgument
from lakewarden._lineage_events import LineageEvents
from lakewarden._lineage_rows import EVIDENCE, STATES, edges_of, nodes_of
from lakewarden._lineage_streams import LineageStream
from lakewarden._resources import Resource
from lakewarden._times import to_timestamp
from lakewarden.lineage.history import LineageEdgeDay, LineageEdgeHistory, LineageEdgeVersion, LineageHistory
from lakewarden.lineage.model import Impact, ImpactedAsset, Lineage, LineagePaths, is_path
from lakewarden.v1 import lineage_graph_pb2, lineage_graph_pb2_grpc, lineage_pb2

DIRECTIONS: dict[str, Any] = {"both": 0, "upstream": 1, "downstream": 2}
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

        `direction` is upstream, downstream or both. Without `asset_type` a URL or `/Volumes/…` is a path and any other name a table's (or a
        view's); with `namespace` the name is that of a dataset as OpenLineage has it. `evidence` leaves edges out that stand on none of
        OBSERVED, PARSED and DECLARED given. `as_of` is a time: the edges that were there then, from
        what had the name then; who sees what is decided as of now.
        """
        return self._traverse(
            name,
            asset_type,
            namespace,
            direction=direction,
            max_depth=max_depth,
            max_nodes=max_nodes,
            include_states=include_states,
            include_self_edges=include_self_edges,
            evidence=evidence,
            as_of=as_of,
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
            direction=direction,
            max_depth=max_depth,
            max_nodes=max_nodes,
            include_states=include_states,
            include_indirect=include_indirect,
            evidence=evidence,
            as_of=as_of,
        )

    def stream(
        self,
        name: str,
        *,
        columns: Iterable[str] | None = None,
        asset_type: str = "",
        namespace: str = "",
        **asked: Any,
    ) -> LineageStream:
        """Return what `traverse` returns, level by level while it is found, and at most 250,000 `max_nodes`.

        With `columns`, an empty list of them for all, what the method of that name returns. `asked` is what else the two take.
        """
        if columns is not None:
            asked.update(level=lineage_graph_pb2.COLUMN, columns=columns)
        traversal = _traversal(name, asset_type, namespace, **asked)
        request = lineage_graph_pb2.StreamLineageRequest(traversal=traversal)
        return LineageStream(self._connection.stream(self._stub.StreamLineage, request))

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
                nodes_of(reply.nodes), reply.owners, reply.observed_microseconds, strict=True
            )
        ]
        counts = {found.catalog: found.assets for found in reply.catalogs}
        return Impact(assets[1:], counts, CONSUMERS[reply.hidden_consumers], reply.truncated_by)

    def _traverse(self, name: str, asset_type: str, namespace: str, **asked: Any) -> Lineage:
        request = _traversal(name, asset_type, namespace, **asked)
        reply: lineage_graph_pb2.TraverseLineageResponse = self._connection.call(
            self._stub.TraverseLineage, request
        )
        return Lineage(
            nodes_of(reply.nodes), edges_of(reply.edges), reply.truncated_by, str(asked["direction"])
        )

    def record_sql(self, sql: str, **said: Any) -> lineage_pb2.RecordSqlResponse:
        """Record what SQL that was run read and wrote: `lineage_events.record_sql`, which says what can be told beside the text."""
        return LineageEvents(self._connection).record_sql(sql, **said)

    def paths(
        self,
        source: str,
        target: str,
        *,
        source_type: str = "",
        target_type: str = "",
        source_namespace: str = "",
        target_namespace: str = "",
        max_paths: int = 0,
        max_depth: int = 0,
    ) -> LineagePaths:
        """Return the ways from one asset to another, the shortest first, at most `max_paths` (10).

        What an end is the name of is said as in `traverse`, by its type or its namespace. `truncated` says that there may be more.
        """
        reply: lineage_graph_pb2.FindLineagePathsResponse = self._call(
            "FindLineagePaths",
            source=asset(source, asset_type=source_type, namespace=source_namespace),
            target=asset(target, asset_type=target_type, namespace=target_namespace),
            max_paths=max_paths,
            max_depth=max_depth,
        )
        nodes = nodes_of(reply.nodes)
        found = LineagePaths(tuple(nodes[handle] for handle in path.nodes) for path in reply.paths)
        found.truncated = reply.truncated
        return found

    def history(
        self,
        source: str,
        target: str,
        *,
        source_type: str = "",
        target_type: str = "",
        source_namespace: str = "",
        target_namespace: str = "",
        as_of: datetime | None = None,
        days: int = 0,
    ) -> LineageHistory:
        """Return what the edges from one asset to another were when, one for each job; `as_of` is when they had these names.

        What an end is the name of is said as in `traverse`, by its type or its namespace.
        With `days` also how many runs made them on each of the last so many days, at most 400. `truncated` says that this is not all.
        """
        reply: lineage_graph_pb2.GetLineageHistoryResponse = self._call(
            "GetLineageHistory",
            source=asset(source, asset_type=source_type, namespace=source_namespace),
            target=asset(target, asset_type=target_type, namespace=target_namespace),
            as_of_time=to_timestamp(as_of) if as_of else None,
            days=days,
        )
        found = LineageHistory(map(_history, reply.edges))
        found.truncated = reply.truncated
        return found


def asset(name: str, *, asset_type: str = "", namespace: str = "") -> lineage_graph_pb2.LineageAsset:
    """The message that names an asset."""
    named = lineage_graph_pb2.LineageAsset()
    if namespace:
        named.dataset.namespace, named.dataset.name = namespace, name
    else:
        setattr(named, asset_type or ("path" if is_path(name) else "table"), name)
    return named


def _traversal(
    name: str,
    asset_type: str,
    namespace: str,
    *,
    direction: str = "both",
    include_states: Iterable[str] = (),
    evidence: Iterable[str] = (),
    as_of: datetime | None = None,
    **asked: Any,
) -> lineage_graph_pb2.TraverseLineageRequest:
    """The request that asks so. Raises InvalidArgument."""
    return lineage_graph_pb2.TraverseLineageRequest(
        root=asset(name, asset_type=asset_type, namespace=namespace),
        direction=DIRECTIONS[direction],
        include_states=_values(include_states, STATES, "include_states"),
        evidence=_values(evidence, EVIDENCE, "evidence"),
        as_of_time=to_timestamp(as_of) if as_of else None,
        **asked,
    )


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
        tuple(
            LineageEdgeDay(
                day.date, day.run_count, _time(day, "first_time"), _time(day, "last_time"), day.last_run
            )
            for day in edge.days
        ),
    )


def _time(message: Any, field: str) -> datetime | None:
    return getattr(message, field).ToDatetime(UTC) if message.HasField(field) else None
