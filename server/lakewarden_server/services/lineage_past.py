"""Questions about the lineage of an earlier time, within what the caller may see today."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any, Final

from lakewarden.v1 import lineage_graph_pb2 as pb
from lakewarden_policy import InvalidName
from lakewarden_policy.kinds import RELATIONS
from lakewarden_policy.records import Securable
from lakewarden_server.core.clock import microseconds_of, monotonic, time_at
from lakewarden_server.core.errors import FailedPrecondition
from lakewarden_server.lineage.events import AHEAD_SECONDS_MAX
from lakewarden_server.lineage.folding import run_id_of
from lakewarden_server.lineage.graph import RETRACTED, State
from lakewarden_server.lineage.identities import FOREVER
from lakewarden_server.lineage.past import PastGraph
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call
from lakewarden_server.storage.repositories.lineage_history import LineageHistoryReader

JOBS_MAX: Final = 100
"""Jobs that made one asset of another, of which the history tells."""
VERSIONS_MAX: Final = 1_000
"""Versions of one edge, the newest of them."""
DAYS_MAX: Final = 400
"""Days of runs that the history of an edge tells (reference/lineage.md 5)."""
DAYS_READ_MAX: Final = 100_000
"""What runs said of an edge that is read for its days, the newest of it; with more, the oldest of these days is left out."""

_STATES: Final = {"LIVE": pb.LIVE, "PROVISIONAL": pb.PROVISIONAL, "DROPPED": pb.DROPPED}


def time_of(request: Any, call: Call) -> int:
    """The time a request asks about in microseconds since 1970, FOREVER for now.

    Raises FIELD_INVALID for one that is further ahead than an event may be.
    """
    time = validation.optional_time(request, "as_of_time")
    if time is not None and time > call.now + timedelta(seconds=AHEAD_SECONDS_MAX):
        raise validation.invalid("as_of_time", f"{time.isoformat()} is still to come")
    return FOREVER if time is None else microseconds_of(time)


def past_graph(call: Call, time: int, states: Collection[State]) -> PastGraph:
    """The graph at a time. Raises FIELD_INVALID where runs are asked for that had not ended then, which is not kept."""
    if State.PROVISIONAL in states:
        raise validation.invalid("include_states", "which runs had not ended at an earlier time is not kept")
    return PastGraph(LineageHistoryReader(call.uow.connection), time, dropped=State.DROPPED in states)


def securable_then(call: Call, full_name: str, time: int) -> Securable | None:
    """The table or view that the catalog called so at a time; None where there was none, and for now.

    What the caller may see of it is still to be decided. Before the catalog's own history nothing had another name.
    """
    if time == FOREVER:
        return None
    try:
        past = call.follower.past
        moment = past.moment(call.uow, time=time_at(time))
        snapshot = past.decider(call.uow, moment).snapshot
        found = (snapshot.resolve(kind, full_name, call.metastore_id) for kind in sorted(RELATIONS))
        return next((securable for securable in found if securable is not None), None)
    except (FailedPrecondition, InvalidName):
        return None


def days_of(request: pb.GetLineageHistoryRequest) -> int:
    """How many days a request asks about. Raises FIELD_INVALID."""
    if not 0 <= request.days <= DAYS_MAX:
        raise validation.invalid("days", f"{request.days} is not from 0 to {DAYS_MAX}")
    return request.days


def history_between(
    call: Call, source_id: int, target_id: int, *, days: int, deadline: float
) -> pb.GetLineageHistoryResponse:
    """What the edges between two visible assets were when, those of the caller's workspace with what made them, lately also day by day.

    After the deadline, in monotonic seconds, no more days are told.
    """
    first_day = call.now.date() - timedelta(days=days - 1) if days else None
    reader = LineageHistoryReader(call.uow.connection)
    rows = reader.edges_between(
        source_id, target_id, workspace_id=call.workspace_id or "", limit=JOBS_MAX + 1
    )
    told, truncated = [], len(rows) > JOBS_MAX
    for row in rows[:JOBS_MAX]:
        edge = pb.LineageEdgeHistory(state=_STATES.get(row.state, pb.LINEAGE_STATE_UNSPECIFIED))
        versions = reader.versions(row.id, VERSIONS_MAX)
        if not versions and row.state == RETRACTED:
            continue
        edge.versions.extend(_versions(versions))
        if row.workspace_id == call.workspace_id:
            edge.job_namespace, edge.job_name = row.namespace, row.name
            edge.run_count, edge.last_run = row.run_count, run_id_of(reader.last_run(row.id))
            edge.first_time.FromMicroseconds(row.first_time)
            edge.last_time.FromMicroseconds(row.last_time)
            if first_day is not None and monotonic() > deadline:
                truncated = True
            elif first_day is not None:
                found = reader.days(row.id, first_day, DAYS_READ_MAX + 1)
                is_cut = bool(found) and found[0].read > DAYS_READ_MAX
                edge.days.extend(map(_day, found[1:] if is_cut else found))
                truncated = truncated or is_cut
        told.append(edge)
    # By what is told, as ids tell of what was recorded before.
    told.sort(
        key=lambda edge: (edge.job_namespace, edge.job_name, edge.SerializeToString(deterministic=True))
    )
    return pb.GetLineageHistoryResponse(edges=told, truncated=truncated)


def _day(row: Any) -> pb.LineageEdgeDay:
    date = time_at(row.last_time).date().isoformat()
    told = pb.LineageEdgeDay(date=date, run_count=row.run_count, last_run=run_id_of(row.key))
    told.first_time.FromMicroseconds(row.first_time)
    told.last_time.FromMicroseconds(row.last_time)
    return told


def _versions(rows: Sequence[Any]) -> list[pb.LineageEdgeVersion]:
    told = []
    for row in reversed(rows):
        version = pb.LineageEdgeVersion(reason=pb.LineageEdgeVersion.Reason.Value(row.reason))
        version.from_time.FromMicroseconds(row.valid_from)
        if row.valid_to != FOREVER:
            version.until_time.FromMicroseconds(row.valid_to)
        told.append(version)
    return told
