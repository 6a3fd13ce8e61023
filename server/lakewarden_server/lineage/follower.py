"""Keeps the process's lineage at the head of its log: read whole once, then change by change, in the order of commits."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from immutables import Map

from lakewarden_policy import Decider, Snapshot
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.collector import collector_paused
from lakewarden_server.core.errors import LakewardenError
from lakewarden_server.lineage.evidence import Evidence
from lakewarden_server.lineage.graph import RETRACTED, Edge, Graph, State
from lakewarden_server.lineage.mapping_numbers import MappingNumbers, digests_of
from lakewarden_server.lineage.names import VOLUMES_SCHEME, AssetKind
from lakewarden_server.lineage.nodes import LineageState, Node
from lakewarden_server.lineage.roster import Roster
from lakewarden_server.lineage.visibility import Sights
from lakewarden_server.storage.engine import Database
from lakewarden_server.storage.repositories.lineage_graph import LineageGraphReader
from lakewarden_server.storage.unit_of_work import UnitOfWork

logger = logging.getLogger("lakewarden.lineage")

WARM_SECONDS_MAX: Final = 60.0
STATES: Final = {state.name: Edge(0, 0, 0, state).standing for state in State}
EVIDENCE: Final = {evidence.name: evidence.value for evidence in Evidence}
"""What stored edges add to their standing."""
_KINDS: Final = {kind.value: kind for kind in AssetKind}


class LineageFollower:
    """One per process; safe to share between threads."""

    def __init__(self) -> None:
        self._state: LineageState | None = None
        self._roster: Roster | None = None
        self._sights: Sights | None = None
        self._reading = threading.Lock()
        self.rebuilds = 0

    def at_head(self, uow: UnitOfWork) -> LineageState:
        """The lineage as the transaction sees it, or later: whatever was acknowledged before the question is in it."""
        reader = LineageGraphReader(uow.connection)
        sequence = reader.sequence()
        held = self._state
        if held is not None and held.epoch == uow.head.epoch and held.sequence >= sequence:
            return held
        with self._reading:
            held = self._state
            if held is not None and held.epoch == uow.head.epoch and held.sequence >= sequence:
                return held
            if (
                held is not None
                and held.epoch == uow.head.epoch
                and held.sequence + 1 >= reader.changes_from()
                and not held.mappings.are_many
            ):
                later = _brought(held, reader, sequence)
            else:
                with collector_paused():
                    later = self._read(reader, uow.head.epoch, sequence)
            self._state = later
            return later

    def roster(self, state: LineageState, snapshot: Snapshot) -> Roster:
        """What the assets of a state stand for; the same one for all who ask until it changes."""
        roster = self._roster
        if roster is None or not roster.is_of(state, snapshot):
            roster = self._roster = Roster(state, snapshot)
        return roster

    def sights(self, state: LineageState, decider: Decider) -> Sights:
        """What callers see of a state as a decider decides; the same for all who ask until either changes."""
        roster, sights = self.roster(state, decider.snapshot), self._sights
        if sights is None or not sights.is_of(decider, roster):
            sights = self._sights = Sights(decider, roster)
        return sights

    def warm(self, database: Database) -> None:
        """Reads what there is, so that the first question need not; without an answer from the database it will."""
        try:
            with database.read(deadline=monotonic() + WARM_SECONDS_MAX) as uow:
                self.at_head(uow)
        except LakewardenError as error:
            logger.warning("lineage was not read: %s", error.message)

    def _read(self, reader: LineageGraphReader, epoch: str, sequence: int) -> LineageState:
        started = monotonic()
        chunks, digests = [np.zeros((4, 0), dtype=np.int32)], []
        for rows in reader.edges(STATES, EVIDENCE):
            *numbers, hashes = zip(*rows, strict=True)
            chunks.append(np.array(numbers, dtype=np.int32))
            digests.append(digests_of(hashes))
        ids, sources, targets, standings = np.concatenate(chunks, axis=1)
        mappings, said = MappingNumbers.of(digests)
        graph = Graph.from_arrays(sequence, ids, sources, targets, standings, said)
        empty = LineageState(epoch, sequence, graph, Map(), Map(), 0, mappings)
        state = _with_nodes(empty, reader.nodes(None), reader.other_names(None))
        self.rebuilds += 1
        logger.info("read %d edges of lineage in %.2f s", len(ids), monotonic() - started)
        return state


def _brought(held: LineageState, reader: LineageGraphReader, sequence: int) -> LineageState:
    edges, asset_ids = reader.changes(held.sequence)
    live = [
        Edge(edge_id, source, target, State[state], Evidence[evidence], held.mappings.number(mapping_hash))
        for edge_id, source, target, state, evidence, mapping_hash in edges
        if state != RETRACTED
    ]
    gone = [edge_id for edge_id, _source, _target, state, *_ in edges if state == RETRACTED]
    graph = held.graph.changed(sequence, live, gone)
    later = held._replace(sequence=sequence, graph=graph)
    if not asset_ids:
        # The maps stay the same ones, and what was worked out of them good.
        return later
    rows = list(reader.nodes(asset_ids))
    kept = _without(later, asset_ids - {row.id for row in rows})
    return _with_nodes(kept, rows, reader.other_names(asset_ids))


def _without(state: LineageState, asset_ids: Iterable[int]) -> LineageState:
    """A state that has forgotten assets that are no more."""
    nodes = state.nodes.mutate()
    for asset_id in asset_ids:
        nodes.pop(asset_id, None)
    return state._replace(nodes=nodes.finish())


def _with_nodes(state: LineageState, rows: Iterable[Any], other_names: Iterable[Any]) -> LineageState:
    end = max(state.end, state.graph.nodes_end)
    lying: dict[int, set[str | None]] = defaultdict(set)
    for asset_id, location in other_names:
        lying[asset_id].add(location if location and not location.startswith(VOLUMES_SCHEME) else None)
    nodes, by_securable = state.nodes.mutate(), state.by_securable.mutate()
    for (
        asset_id,
        metastore,
        kind,
        namespace,
        name,
        told,
        securable,
        parent,
        recorder,
        path,
        of_volume,
    ) in rows:
        lies = lying.get(asset_id, ())
        nodes[asset_id] = Node(
            asset_id,
            metastore,
            _KINDS[kind],
            namespace,
            name,
            told != "LIVE",
            securable,
            parent,
            recorder,
            path,
            bool(of_volume),
            tuple(sorted(filter(None, lies))),
            None in lies,
        )
        if securable is not None and not path and told != "MERGED":
            by_securable[securable] = asset_id
        end = max(end, asset_id + 1)
    return state._replace(nodes=nodes.finish(), by_securable=by_securable.finish(), end=end)
