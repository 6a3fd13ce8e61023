"""What depends on an asset or on columns of it: by distance, whose it is, when it was last made; and roughly how much of it is hidden."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from typing import Final, NamedTuple, TypeVar, cast

import numpy as np

from lakewarden.v1 import lineage_graph_pb2 as pb
from lakewarden_server.lineage.columns import ColumnLevel, ColumnWalk, assets_of, walk_columns
from lakewarden_server.lineage.graph import Direction, Flags, Ints, distinct
from lakewarden_server.lineage.traversal import Ending, Level, Sight, Truncation, Walk, ending_of, walk
from lakewarden_server.services.call import Call
from lakewarden_server.services.lineage_answers import Telling
from lakewarden_server.services.lineage_columns import begun, said_at
from lakewarden_server.storage.repositories.lineage_graph import LineageGraphReader

AnyLevel = TypeVar("AnyLevel", Level, ColumnLevel)

CONSUMERS_WALKED_MAX: Final = 20_000
"""Assets looked at to count the hidden ones; where there are more, it is said that many are hidden."""
_BUCKETS: Final = (
    (0, pb.NO_HIDDEN_CONSUMERS),
    (5, pb.UP_TO_5_HIDDEN_CONSUMERS),
    (20, pb.UP_TO_20_HIDDEN_CONSUMERS),
    (100, pb.UP_TO_100_HIDDEN_CONSUMERS),
)


class _Step(NamedTuple):
    """Assets met at one distance, some of them perhaps before."""

    depth: int
    visible: Ints
    hidden: Ints


class Impact:
    """One answer. What it tells of single assets follows from what is visible; how much is hidden is told to who owns the root or manages it."""

    def __init__(self, told: Telling, root: int, columns: Sequence[str], within: Walk, call: Call) -> None:
        """``columns`` are those of the visible ``root`` that matter; all that it is where there are none."""
        self._told, self._root, self._columns = told, root, columns
        self._within, self._call = within, call

    def response(self) -> pb.AnalyzeImpactResponse:
        """The whole answer."""
        ending = ending_of(self._steps(self._told.sight, self._within.nodes_max), self._meet)
        response = pb.AnalyzeImpactResponse(
            owners=self._owners(),
            observed_microseconds=self._observed(),
            hidden_consumers=self._hidden_consumers(),
            truncated_by=ending.truncated_by or "",
        )
        self._told.write_nodes(response.nodes)
        for catalog, count in sorted(self._catalogs().items()):
            response.catalogs.add(catalog=catalog, assets=count)
        return response

    def _steps(self, sight: Sight, nodes_max: int) -> Generator[_Step, None, Ending]:
        within = self._within._replace(nodes_max=nodes_max, roots=(self._root,))
        graph = self._told.state.graph
        if not self._columns:
            return (yield from _mapped(walk(graph, within, sight), _of_assets))
        # A column that is gone breaks what filters and joins by it, too.
        uses_of = said_at(self._call, self._told.state)
        asked = ColumnWalk((), within, indirect=True)
        asked = begun(graph, self._root, self._columns, asked, sight, uses_of)
        return (yield from _mapped(walk_columns(graph, asked, sight, uses_of), _of_columns))

    def _meet(self, step: _Step) -> None:
        self._told.meet(self._told.unmet(step.visible), self._told.unmet(step.hidden), step.depth)

    def _visible(self) -> Ints:
        return self._told.assets[~self._told.hidden]

    def _owners(self) -> list[str]:
        hidden = self._told.hidden.tolist()
        return [
            "" if masked else self._owner(asset)
            for asset, masked in zip(self._told.assets.tolist(), hidden, strict=True)
        ]

    def _owner(self, asset: int) -> str:
        securable = self._told.securable(asset)
        return self._call.principal_name(securable.owner_id) if securable else ""

    def _observed(self) -> list[int]:
        """Of each asset the newest run of an edge to it from another one told here."""
        visible = self._visible()
        hops = self._told.state.graph.hops(visible, Direction.DOWNSTREAM)
        hops = self._within.wanted(hops)
        hops = hops.where(np.isin(hops.far, visible))
        times = LineageGraphReader(self._call.uow.connection).last_times(
            set(hops.edges.tolist()), self._call.workspace_id or ""
        )
        newest: dict[int, int] = {}
        for far, edge in zip(hops.far.tolist(), hops.edges.tolist(), strict=True):
            newest[far] = max(newest.get(far, 0), times.get(edge, 0))
        newest[self._root] = 0
        return [newest.get(asset, 0) for asset in self._told.assets.tolist()]

    def _catalogs(self) -> Counter[str]:
        snapshot = self._call.snapshot
        found: Counter[str] = Counter()
        for asset in self._visible().tolist():
            securable = self._told.securable(asset)
            catalog = snapshot.ancestor(securable.id, "CATALOG") if securable else None
            if catalog is not None and asset != self._root:
                found[snapshot.securables[catalog].name] += 1
        return found

    def _hidden_consumers(self) -> pb.LineageHiddenConsumers.ValueType:
        """Roughly how many hidden assets depend on the root, through hidden ones too (reference/lineage.md 6.4, rule 8)."""
        securable, call = self._told.securable(self._root), self._call
        if (
            securable is None
            or not call.decider.privilege(call.caller.id, call.workspace_id, securable.id, "MANAGE").allowed
        ):
            return pb.LINEAGE_HIDDEN_CONSUMERS_UNSPECIFIED
        hidden: set[int] = set()

        def count(step: _Step) -> None:
            hidden.update(step.visible[~self._told.sight(step.visible)].tolist())

        ending = ending_of(self._steps(_everything, CONSUMERS_WALKED_MAX), count)
        if ending.truncated_by in {Truncation.NODES, Truncation.TIME}:
            return pb.OVER_100_HIDDEN_CONSUMERS
        return next(
            (bucket for most, bucket in _BUCKETS if len(hidden) <= most), pb.OVER_100_HIDDEN_CONSUMERS
        )


def _everything(assets: Ints) -> Flags:
    return np.ones(len(assets), dtype=bool)


def _mapped(
    walking: Generator[AnyLevel, None, Ending], step: Callable[[AnyLevel], _Step]
) -> Generator[_Step, None, Ending]:
    while True:
        try:
            level = next(walking)
        except StopIteration as end:
            return cast(Ending, end.value)
        yield step(level)


def _of_assets(level: Level) -> _Step:
    return _Step(level.depth, level.visible, level.hidden)


def _of_columns(level: ColumnLevel) -> _Step:
    return _Step(level.depth, distinct(assets_of(level.visible)), level.hidden)
