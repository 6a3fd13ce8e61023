"""Questions about lineage, answered from the graph in memory within what the caller may see."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterable
from itertools import islice
from typing import Final, cast

from lakewarden.v1 import lineage_graph_pb2 as pb
from lakewarden_policy import KINDS, InvalidName
from lakewarden_policy.kinds import RELATIONS
from lakewarden_policy.records import Securable
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import InvalidArgument, PermissionDenied, Reason
from lakewarden_server.lineage.follower import LineageFollower
from lakewarden_server.lineage.graph import Direction, State
from lakewarden_server.lineage.identities import FOREVER
from lakewarden_server.lineage.names import AssetName, NameInvalid, dataset_name, path_name
from lakewarden_server.lineage.nodes import LineageState, Node
from lakewarden_server.lineage.paths import Between, ways
from lakewarden_server.lineage.placing import name_digest
from lakewarden_server.lineage.traversal import Ending, Level, Walk, walk
from lakewarden_server.lineage.visibility import Sight
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.denials import unseen
from lakewarden_server.storage.repositories.lineage_graph import LineageGraphReader

DEPTH_DEFAULT: Final = 5
DEPTH_MAX: Final = 100
NODES_DEFAULT: Final = 2_000
NODES_MAX: Final = 20_000
PATHS_DEFAULT: Final = 10
PATHS_MAX: Final = 100
PATH_DEPTH_DEFAULT: Final = 20
LINEAGE_SECONDS_MAX: Final = 5.0
"""What is found until then is the answer, which says so."""

_random: Final = random.SystemRandom()
_DIRECTIONS: Final[dict[int, tuple[Direction, ...]]] = {
    pb.LINEAGE_DIRECTION_UNSPECIFIED: (Direction.UPSTREAM, Direction.DOWNSTREAM),
    pb.UPSTREAM: (Direction.UPSTREAM,),
    pb.DOWNSTREAM: (Direction.DOWNSTREAM,),
}
_STATES: Final = {
    State.LIVE: pb.LIVE,
    State.PROVISIONAL: pb.PROVISIONAL,
    State.DROPPED: pb.DROPPED,
}
_STATES_ASKED: Final[dict[int, State]] = {message: state for state, message in _STATES.items()}
"""What an edge is worth, by how a request says it."""
_RELATIONS: Final = ("TABLE", *sorted(RELATIONS - {"TABLE"}))
"""What a table's name may be that of; a refusal speaks of the first."""


class LineageGraphService:
    """Answers about lineage."""

    def __init__(self, follower: LineageFollower) -> None:
        self._follower = follower

    def traverse_lineage(self, request: pb.TraverseLineageRequest, call: Call) -> pb.TraverseLineageResponse:
        """What an asset was made of and what was made of it."""
        depth_max = _limit(request.max_depth, "max_depth", DEPTH_DEFAULT, DEPTH_MAX)
        nodes_max = _limit(request.max_nodes, "max_nodes", NODES_DEFAULT, NODES_MAX)
        told = _Telling(self._follower.at_head(call.uow), call)
        root = told.root(request.root, "root")
        asked = Walk(
            roots=(root,),
            directions=_directions(request.direction),
            depth_max=depth_max,
            nodes_max=nodes_max,
            deadline=_deadline(call),
            states=_states(request.include_states),
            self_edges=request.include_self_edges,
        )
        walking = walk(told.state.graph, asked, told.sight)
        response = pb.TraverseLineageResponse()
        ending = _ending(walking, lambda level: told.add_level(level, response))
        response.nodes.extend(told.nodes)
        response.truncated_by = ending.truncated_by or ""
        return response

    def find_lineage_paths(
        self, request: pb.FindLineagePathsRequest, call: Call
    ) -> pb.FindLineagePathsResponse:
        """The ways from one asset to another."""
        paths_max = _limit(request.max_paths, "max_paths", PATHS_DEFAULT, PATHS_MAX)
        steps_max = _limit(request.max_depth, "max_depth", PATH_DEPTH_DEFAULT, DEPTH_MAX)
        told = _Telling(self._follower.at_head(call.uow), call)
        source, target = told.root(request.source, "source"), told.root(request.target, "target")
        deadline = _deadline(call)
        found = list(
            islice(
                ways(told.state.graph, Between(source, target, steps_max, deadline), told.sight),
                paths_max + 1,
            )
        )
        response = pb.FindLineagePathsResponse(truncated=len(found) > paths_max or monotonic() > deadline)
        for way in found[:paths_max]:
            handles = [told.handle(asset, step) for step, asset in enumerate(way.assets)]
            response.paths.append(pb.LineagePath(nodes=handles))
        response.nodes.extend(told.nodes)
        return response


class _Telling:
    """One answer: its nodes by the handles that stand for them, and what the caller sees."""

    def __init__(self, state: LineageState, call: Call) -> None:
        self.state = state
        self.nodes: list[pb.LineageNode] = []
        self.sight = Sight(call.decider, call.caller.id, call.workspace_id, call.metastore_id, state)
        self._call = call
        self._handles: dict[int, int] = {}
        self._edges: set[tuple[int, int, int]] = set()
        self._prefixes: dict[str, str] = {}

    def root(self, named: pb.LineageAsset, field: str) -> int:
        """The asset a request begins at, visible. Raises ACCESS_DENIED for one that is missing or hidden."""
        which = named.WhichOneof("asset")
        if which is None:
            raise validation.invalid(field, "it names no asset")
        if which == "table":
            return self._table_root(named.table)
        name = _path(named.path) if which == "path" else _dataset(named.dataset)
        reader = LineageGraphReader(self._call.uow.connection)
        asset_id = reader.asset_named(self._call.metastore_id or "", name_digest(name), FOREVER)
        if asset_id is None or not self.sight.sees(asset_id):
            shown = named.path if which == "path" else f"{named.dataset.namespace} {named.dataset.name}"
            raise PermissionDenied(
                Reason.ACCESS_DENIED, f"{shown} does not exist, or you may not use it from this workspace"
            )
        self.handle(asset_id, 0)
        return asset_id

    def add_level(self, level: Level, response: pb.TraverseLineageResponse) -> None:
        """Tells a level: its nodes get handles, its edges are written.

        Nothing told follows from the ids of assets and edges, which say what was recorded before them, also of what is hidden.
        """
        distance = -level.depth if level.direction is Direction.UPSTREAM else level.depth
        for asset in level.visible.tolist():
            self.handle(asset, distance)
        hidden = level.hidden.tolist()
        _random.shuffle(hidden)
        for asset in hidden:
            self._add(asset, distance).hidden = True
        columns = (level.sources, level.targets, level.hops.states)
        edges = {
            (self._handles[source], self._handles[target], state)
            for source, target, state in zip(*(column.tolist() for column in columns), strict=True)
        }
        for source, target, state in sorted(edges - self._edges):
            response.edges.append(pb.LineageEdge(source=source, target=target, state=_STATES[State(state)]))
        self._edges |= edges

    def handle(self, asset_id: int, distance: int) -> int:
        """The handle of a visible asset, given when it is met first."""
        if asset_id not in self._handles:
            self._describe(self._add(asset_id, distance), self.state.nodes[asset_id])
        return self._handles[asset_id]

    def _add(self, asset_id: int, distance: int) -> pb.LineageNode:
        self._handles[asset_id] = len(self._handles)
        node = pb.LineageNode(handle=self._handles[asset_id], distance=distance)
        self.nodes.append(node)
        return node

    def _table_root(self, full_name: str) -> int:
        call = self._call
        for kind in _RELATIONS:
            try:
                found = call.snapshot.resolve(kind, full_name, call.metastore_id)
            except InvalidName as error:
                raise InvalidArgument(Reason.NAME_INVALID, str(error)) from error
            if found is not None and call.decider.visible(call.caller.id, call.workspace_id, found.id):
                asset_id = self.state.by_securable.get(found.id, self.state.end)
                self._describe_securable(self._add(asset_id, 0), found)
                return asset_id
        raise unseen(_RELATIONS[0], full_name)

    def _describe(self, node: pb.LineageNode, asset: Node) -> None:
        """The name an asset has today; of one that is gone, the last it had."""
        securable = self._call.snapshot.securables.get(asset.securable_id or "")
        if securable is not None:
            self._describe_securable(node, securable)
            return
        node.name = asset.name
        node.dropped = asset.dropped or asset.securable_id is not None
        node.kind = "TABLE" if asset.securable_id else asset.kind.value
        node.namespace = "" if asset.securable_id else asset.namespace

    def _describe_securable(self, node: pb.LineageNode, securable: Securable) -> None:
        parent_id = securable.parent_id or ""
        if KINDS[securable.kind].name_parts > 1:
            prefix = self._prefixes.get(parent_id)
            if prefix is None:
                prefix = self._prefixes[parent_id] = f"{self._call.snapshot.full_name(parent_id)}."
            node.name = prefix + securable.name
        else:
            node.name = securable.name
        node.kind = securable.kind
        node.dropped = securable.kind == "DELETED_TABLE"


def _ending(walking: Generator[Level, None, Ending], tell: Callable[[Level], None]) -> Ending:
    """Tells every level and returns how the walk ended."""
    while True:
        try:
            tell(next(walking))
        except StopIteration as end:
            return cast(Ending, end.value)


def _limit(asked: int, field: str, default: int, largest: int) -> int:
    if not 0 <= asked <= largest:
        raise validation.invalid(field, f"{asked} is not from 1 to {largest:,}")
    return asked or default


def _deadline(call: Call) -> float:
    return min(call.deadline, monotonic() + LINEAGE_SECONDS_MAX)


def _directions(direction: int) -> tuple[Direction, ...]:
    if direction not in _DIRECTIONS:
        raise validation.invalid("direction", f"{direction} is none")
    return _DIRECTIONS[direction]


def _states(asked: Iterable[int]) -> frozenset[State]:
    states = {State.LIVE}
    for state in asked:
        if state not in _STATES_ASKED:
            raise validation.invalid("include_states", f"{state} is none")
        states.add(_STATES_ASKED[state])
    return frozenset(states)


def _dataset(named: pb.LineageDataset) -> AssetName:
    try:
        return dataset_name(named.namespace, named.name)
    except NameInvalid as error:
        raise validation.invalid("dataset", str(error)) from error


def _path(url: str) -> AssetName:
    try:
        return path_name(url)
    except NameInvalid as error:
        raise validation.invalid("path", str(error)) from error
