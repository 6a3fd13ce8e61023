"""Answers about lineage as they are written: nodes and edges as columns, by handles that stand for assets in one answer only."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lakewarden.v1 import lineage_graph_pb2 as pb
from lakewarden_policy import InvalidName
from lakewarden_policy.kinds import RELATIONS
from lakewarden_policy.records import Securable
from lakewarden_server.core.errors import InvalidArgument, PermissionDenied, Reason
from lakewarden_server.lineage.bindings import Bindings
from lakewarden_server.lineage.evidence import Evidence
from lakewarden_server.lineage.graph import (
    EVIDENCE_BITS,
    STANDING_BITS,
    Direction,
    Flags,
    Ints,
    State,
    firsts,
)
from lakewarden_server.lineage.identities import FOREVER
from lakewarden_server.lineage.names import AssetName, NameInvalid, dataset_name, name_digest, path_name
from lakewarden_server.lineage.nodes import LineageState
from lakewarden_server.lineage.traversal import Ending, Level
from lakewarden_server.lineage.visibility import Sights
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.denials import unseen
from lakewarden_server.services.lineage_past import securable_then
from lakewarden_server.services.packed_fields import packed_bytes, packed_fixed
from lakewarden_server.storage.repositories.lineage import LineageStore
from lakewarden_server.storage.repositories.lineage_graph import LineageGraphReader

STATES: Final = {
    State.LIVE: pb.LIVE,
    State.PROVISIONAL: pb.PROVISIONAL,
    State.DROPPED: pb.DROPPED,
}
"""How an answer says what an edge is worth."""
EVIDENCE: Final = {
    Evidence.OBSERVED: pb.OBSERVED,
    Evidence.PARSED: pb.PARSED,
    Evidence.DECLARED: pb.DECLARED,
}
"""How an answer says on what an edge stands."""
STATES_BY_NUMBER: Final = np.array([STATES[state] for state in sorted(State)], dtype=np.uint8)
EVIDENCE_BY_NUMBER: Final = np.array([EVIDENCE[evidence] for evidence in sorted(Evidence)], dtype=np.uint8)
RELATION_KINDS: Final = ("TABLE", *sorted(RELATIONS - {"TABLE"}))
_KINDS: Final[Mapping[str, Sequence[str]]] = {
    "table": RELATION_KINDS,
    "external_metadata": ("EXTERNAL_METADATA",),
    "registered_model": ("REGISTERED_MODEL",),
}
"""What a name may be that of; a refusal speaks of the first."""
_NO_HANDLE: Final = -1


class Root(NamedTuple):
    """What a request begins at: a securable the caller sees, or a name that may mean something."""

    meant: Securable | AssetName
    shown: str
    """As the request says it."""
    time: int = FOREVER
    """When it was called so, in microseconds since 1970; whether the caller sees what was is still to be decided."""
    told: AssetName | None = None
    """The name as it was told of before it was one of the volume that it lies in."""


class NodeRows(NamedTuple):
    """Assets told of, as columns of one length."""

    assets: Ints
    distances: Ints
    hidden: Flags

    def of(self, places: Ints) -> NodeRows:
        """Those at these places."""
        return NodeRows(self.assets[places], self.distances[places], self.hidden[places])


class EdgeRows(NamedTuple):
    """Edges told of, by the handles of their ends, as columns of one length."""

    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    standings: NDArray[np.int64]

    def of(self, places: Ints) -> EdgeRows:
        """Those at these places."""
        return EdgeRows(*(column[places] for column in self))

    def write(self, told: pb.LineageEdges) -> None:
        """Writes them into an empty message."""
        fields = pb.LineageEdges.DESCRIPTOR.fields_by_name
        evidence = EVIDENCE_BY_NUMBER[self.standings & ((1 << EVIDENCE_BITS) - 1)]
        told.MergeFromString(packed_fixed(fields["sources"], self.sources))
        told.MergeFromString(packed_fixed(fields["targets"], self.targets))
        told.MergeFromString(
            packed_bytes(fields["states"], STATES_BY_NUMBER[self.standings >> EVIDENCE_BITS])
        )
        told.MergeFromString(packed_bytes(fields["evidence"], evidence))


class Telling:
    """One answer: the assets it tells of, by the handles that stand for them, the edges between them, and what the caller sees.

    Nothing told follows from the ids of assets and edges, which say what was recorded before them, also of what is hidden.
    """

    def __init__(self, state: LineageState, sights: Sights, call: Call) -> None:
        self.state = state
        self.sight = sights.of(state, call.caller.id, call.workspace_id, call.metastore_id)
        self._call, self._roster = call, sights.roster
        self._handles: Ints = np.full(state.end + 1, _NO_HANDLE, dtype=np.int32)
        self._count = 0
        self._assets: list[Ints] = []
        self._distances: list[Ints] = []
        self._hidden: list[Flags] = []
        self._edges: list[tuple[Ints, Ints, Ints]] = []
        self._unrecorded: Securable | None = None

    def root(self, named: Root) -> int:
        """The asset a request begins at, visible. Raises ACCESS_DENIED for one that is missing or hidden."""
        meant = named.meant
        if isinstance(meant, Securable):
            asset_id = self.state.by_securable.get(meant.id, self.state.end)
            if named.time != FOREVER and not self.sight.sees(asset_id):
                kind = next((kinds[0] for kinds in _KINDS.values() if meant.kind in kinds), "TABLE")
                raise unseen(kind, named.shown)
            self.handle(asset_id, 0)
            if asset_id == self.state.end:
                self._unrecorded = meant
            return asset_id
        found = self._asset_named(meant, named.time)
        if found is None and named.told is not None:
            found = self._asset_told(named.told, named.time)
        if found is None or not self.sight.sees(found):
            raise PermissionDenied(
                Reason.ACCESS_DENIED,
                f"{named.shown} does not exist, or you may not use it from this workspace",
            )
        self.handle(found, 0)
        return found

    def _asset_told(self, name: AssetName, time: int) -> int | None:
        """What a name was told of, though it is another file's today; today only what is no other securable's."""
        found = self._asset_named(name, time)
        node = self.state.nodes.get(found or 0)
        return found if time != FOREVER or (node is not None and node.securable_id is None) else None

    def _asset_named(self, name: AssetName, time: int) -> int | None:
        reader = LineageGraphReader(self._call.uow.connection)
        return reader.asset_named(self._call.metastore_id or "", name_digest(name), time)

    def add_level(self, level: Level) -> None:
        """Tells a level: its nodes get handles, its edges are told."""
        distance = -level.depth if level.direction is Direction.UPSTREAM else level.depth
        self.meet(level.visible, level.hidden, distance)
        self._edges.append((self._handles[level.sources], self._handles[level.targets], level.hops.standings))

    def meet(self, visible: Ints, hidden: Ints, distance: int) -> None:
        """Gives handles to assets, each of which is met for the first time."""
        self._add(visible, distance, hidden=False)
        if len(hidden):
            self._add(shuffled(hidden), distance, hidden=True)

    def unmet(self, assets: Ints) -> Ints:
        """Those of them that have no handle yet."""
        found: Ints = assets[self._handles[assets] == _NO_HANDLE]
        return found

    def handle(self, asset_id: int, distance: int) -> int:
        """The handle of a visible asset, given when it is met first."""
        if self._handles[asset_id] == _NO_HANDLE:
            self._add(np.array([asset_id], dtype=np.int32), distance, hidden=False)
        return int(self._handles[asset_id])

    @property
    def assets(self) -> Ints:
        """The assets told of, in the order of their handles."""
        return np.concatenate([np.zeros(0, dtype=np.int32), *self._assets])

    @property
    def hidden(self) -> Flags:
        """Which of them may not be seen."""
        return np.concatenate([np.zeros(0, dtype=bool), *self._hidden])

    def write_nodes(self, told: pb.LineageNodes) -> None:
        """Writes the assets told of, in the order of their handles, into an empty message."""
        self.describe(told, *self._node_rows())

    def describe(self, told: pb.LineageNodes, assets: Ints, distances: Ints, hidden: Flags) -> None:
        """Writes these assets as nodes, in this order, into an empty message: of one that it is part of, as copying takes longer than all else."""
        roster = self._roster
        roster.groups_of(assets[~hidden], self._call.snapshot)
        columns = [texts[assets] for texts in (roster.names, roster.kinds, roster.namespaces)]
        dropped = roster.dropped[assets] & ~hidden
        for texts in columns:
            texts[hidden] = ""
        if self._unrecorded is not None:
            shown = roster.describe(self._unrecorded, self._call.snapshot)
            for texts, text in zip(columns, shown, strict=False):
                texts[assets == self.state.end] = text
        for field, texts in zip((told.names, told.kinds, told.namespaces), columns, strict=True):
            field.extend(texts.tolist())
        fields = pb.LineageNodes.DESCRIPTOR.fields_by_name
        told.MergeFromString(packed_fixed(fields["distances"], distances))
        told.MergeFromString(packed_bytes(fields["hidden"], hidden.astype(np.uint8)))
        told.MergeFromString(packed_bytes(fields["dropped"], dropped.astype(np.uint8)))

    def securable(self, asset_id: int) -> Securable | None:
        """What a visible asset is, as long as it exists."""
        if asset_id == self.state.end:
            return self._unrecorded
        return self._call.snapshot.securables.get(self.state.nodes[asset_id].securable_id or "")

    def write_edges(self, told: pb.LineageEdges) -> None:
        """Writes the edges told of, each pair and state once, with the strongest evidence, in the order of their handles."""
        self._edge_rows().write(told)

    def take(self) -> tuple[NodeRows, EdgeRows]:
        """What was told since this was asked last, for an answer in parts. All edges between two assets are told at once, so that each part has them once."""
        taken = self._node_rows(), self._edge_rows()
        for told in (self._assets, self._distances, self._hidden, self._edges):
            told.clear()
        return taken

    def _node_rows(self) -> NodeRows:
        distances = np.concatenate([np.zeros(0, dtype=np.int32), *self._distances])
        return NodeRows(self.assets, distances, self.hidden)

    def _edge_rows(self) -> EdgeRows:
        columns = zip(*self._edges, strict=True) if self._edges else [[np.zeros(0, dtype=np.int32)]] * 3
        sources, targets, standings = (np.concatenate(list(parts)) for parts in columns)
        bits = self._count.bit_length()
        keys = np.sort((sources.astype(np.int64) << bits | targets) << STANDING_BITS | standings)
        keys = keys[firsts(keys >> EVIDENCE_BITS)]
        pairs, standings = keys >> STANDING_BITS, keys & ((1 << STANDING_BITS) - 1)
        return EdgeRows(pairs >> bits, pairs & ((1 << bits) - 1), standings)

    def _add(self, assets: Ints, distance: int, *, hidden: bool) -> None:
        self._handles[assets] = np.arange(self._count, self._count + len(assets), dtype=np.int32)
        self._count += len(assets)
        self._assets.append(assets)
        self._distances.append(np.full(len(assets), distance, dtype=np.int32))
        self._hidden.append(np.full(len(assets), hidden))


def new_answer(ending: Ending) -> pb.TraverseLineageResponse:
    """An answer that ended so, with nodes and edges to be written."""
    answer = pb.TraverseLineageResponse(truncated_by=ending.truncated_by or "")
    answer.edges.SetInParent()
    return answer


def root_named(named: pb.LineageAsset, field: str, call: Call, time: int = FOREVER) -> Root:
    """What a request names, or named at a time, before anything of the lineage is read. Raises ACCESS_DENIED for a securable that is missing or hidden."""
    which = named.WhichOneof("asset")
    if which is None:
        raise validation.invalid(field, "it names no asset")
    if which in _KINDS:
        return _securable(_KINDS[which], getattr(named, which), call, time)
    name = _path(named.path) if which == "path" else _dataset(named.dataset)
    shown = named.path if which == "path" else f"{named.dataset.namespace} {named.dataset.name}"
    return _meant(name, shown, call, time)


def _meant(name: AssetName, shown: str, call: Call, time: int) -> Root:
    """What a path or dataset name begins at: the file of a volume that it is today where the caller sees the volume, else what the name was told of.

    A volume that is hidden is as one that is not there, so that which of both it is makes no difference.
    """
    store = LineageStore(call.uow.connection, deadline=call.deadline)
    meant = Bindings(store, call.snapshot, call.metastore_id or "").files((name,)).get(name)
    if meant is None or not call.decider.visible(call.caller.id, call.workspace_id, meant.name):
        return Root(name, shown, time)
    if not meant.namespace:
        return Root(call.snapshot.securables[meant.name], shown)
    return Root(meant, shown, time, name)


def _securable(kinds: Sequence[str], full_name: str, call: Call, time: int) -> Root:
    found = seen_named(kinds, full_name, call)
    if found is not None:
        return Root(found, full_name)
    then = securable_then(call, full_name, time) if kinds[0] == "TABLE" else None
    if then is None:
        raise unseen(kinds[0], full_name)
    return Root(then, full_name, time)


def seen_named(kinds: Sequence[str], full_name: str, call: Call) -> Securable | None:
    """The first of a kind among these that has the name and that the caller sees. Raises NAME_INVALID."""
    for kind in kinds:
        try:
            found = call.snapshot.resolve(kind, full_name, call.metastore_id)
        except InvalidName as error:
            raise InvalidArgument(Reason.NAME_INVALID, str(error), field="name") from error
        if found is not None and call.decider.visible(call.caller.id, call.workspace_id, found.id):
            return found
    return None


def shuffled(assets: Ints) -> Ints:
    """In an order nobody can foresee."""
    return assets[np.argsort(np.frombuffer(os.urandom(8 * len(assets)), dtype=np.uint64))]


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
