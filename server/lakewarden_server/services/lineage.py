"""Recording lineage: reads the events, and hands them to the recorder, which commits beside the authorization head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lakewarden.v1 import lineage_pb2 as pb
from lakewarden_server.core.errors import Internal, InvalidArgument, Reason
from lakewarden_server.lineage.events import Code, EventInvalid, read_event
from lakewarden_server.lineage.facets import understand
from lakewarden_server.lineage.names import hosts_of
from lakewarden_server.lineage.recorder import Recorder
from lakewarden_server.lineage.recording import Fresh, Origin, Received
from lakewarden_server.lineage.rollups import RUNS_KEPT
from lakewarden_server.lineage.sql.tracer import Tracer
from lakewarden_server.lineage.sql_events import Stated
from lakewarden_server.lineage.turns import TURN_BYTES_MAX
from lakewarden_server.services.call import Call
from lakewarden_server.services.sql_lineage import read_sql

BATCH_EVENTS_MAX = 1_000
READ_TOGETHER = 50
"""Events of a call that are read before another one has its turn."""
TOO_OLD = (
    f"{Code.EVENT_TOO_OLD}: the run was last heard of more than {RUNS_KEPT.days} days ago and is purged, or others of its job from then are;"
    " what it said before still counts"
)

_Read = tuple[pb.LineageEventOutcome, Received | None]


class LineageService:
    """Implements `lakewarden.v1.LineageService`."""

    def __init__(
        self, recorder: Recorder | None, tracer: Tracer | None = None, own_hosts: frozenset[str] = frozenset()
    ) -> None:
        """Without a recorder and a tracer it only says what there is to call."""
        self._recorder = recorder
        self._tracer = tracer
        self._own_hosts = own_hosts

    def record_open_lineage(self, request: pb.RecordOpenLineageRequest, call: Call) -> pb.LineageEventOutcome:
        """Records one event, or raises for it."""
        (outcome,) = self._record([request.event], call, strict=request.strict)
        if not outcome.accepted:
            raise _refused(outcome.code, outcome.message, retriable=outcome.retriable)
        return outcome

    def record_open_lineage_batch(
        self, request: pb.RecordOpenLineageBatchRequest, call: Call
    ) -> pb.RecordOpenLineageBatchResponse:
        """Records the events that can be, and tells of the others."""
        if len(request.events) > BATCH_EVENTS_MAX:
            raise InvalidArgument(
                Reason.FIELD_INVALID, f"events: at most {BATCH_EVENTS_MAX} in one call", field="events"
            )
        return pb.RecordOpenLineageBatchResponse(
            outcomes=self._record(request.events, call, strict=request.strict)
        )

    def _record(self, bodies: Sequence[bytes], call: Call, *, strict: bool) -> list[pb.LineageEventOutcome]:
        recorder = self._able()
        origin = origin_of(call, self._own_hosts)
        read: list[_Read] = []
        for some in _in_turns(bodies):
            with recorder.turns.reading(sum(map(len, some)), call.caller.id, call.deadline):
                read += [_read(body, call, strict=strict) for body in some]
        outcomes = [outcome for outcome, _received in read]
        accepted = [outcome for outcome in outcomes if outcome.accepted]
        received = [each for _outcome, each in read if each is not None]
        for outcome, is_new in zip(accepted, self._commit(origin, received, call), strict=True):
            if is_new is None:
                outcome.Clear()
                outcome.code, outcome.message = Code.EVENT_TOO_OLD, TOO_OLD
            else:
                outcome.is_new = is_new
        return outcomes

    def record_sql(self, request: pb.RecordSqlRequest, call: Call) -> pb.RecordSqlResponse:
        """Records what the statements of a text do."""
        if self._tracer is None:
            raise unable()
        origin = origin_of(call, self._own_hosts)
        try:
            run_id, statements = read_sql(request, call, self._tracer)
        except EventInvalid as error:
            raise _refused(error.code, str(error), retriable=error.retriable) from error
        response = pb.RecordSqlResponse(run_id=run_id, statements=map(_statement, statements))
        recorded = [
            (message, statement.received)
            for message, statement in zip(response.statements, statements, strict=True)
            if statement.received is not None and not request.dry_run
        ]
        fresh = self._commit(origin, [received for _message, received in recorded], call)
        for (message, _received), is_new in zip(recorded, fresh, strict=True):
            if is_new is None:
                raise _refused(Code.EVENT_TOO_OLD, TOO_OLD, retriable=False)
            message.recorded, message.is_new = True, is_new
        return response

    def _commit(self, origin: Origin, received: Sequence[Received], call: Call) -> list[Fresh]:
        return self._able().record(origin, received, time=call.now, deadline=call.deadline)

    def _able(self) -> Recorder:
        if self._recorder is None:
            raise unable()
        return self._recorder


def _in_turns(bodies: Sequence[bytes]) -> Iterator[list[bytes]]:
    """The events of a call in order, as many at a time as are read in one turn, or one that is larger."""
    some: list[bytes] = []
    size = 0
    for body in bodies:
        if some and (len(some) == READ_TOGETHER or size + len(body) > TURN_BYTES_MAX):
            yield some
            some, size = [], 0
        some.append(body)
        size += len(body)
    if some:
        yield some


def _read(body: bytes, call: Call, *, strict: bool) -> _Read:
    """One event, and what is told of it before it is recorded."""
    try:
        event = read_event(body, now=call.now, strict=strict)
    except EventInvalid as error:
        return pb.LineageEventOutcome(code=error.code, message=str(error), retriable=error.retriable), None
    facets = understand(event)
    outcome = pb.LineageEventOutcome(key=event.key, accepted=True, flags=sorted(event.flags))
    for dropped in facets.dropped:
        outcome.dropped_facets.add(owner=dropped.owner, facet=dropped.facet, code=dropped.reason)
    return outcome, Received(event, facets)


def unable() -> Internal:
    """For a server that only says what there is to call."""
    return Internal(Reason.INTERNAL_ERROR, "this server records no lineage")


def _refused(code: str, message: str, *, retriable: bool) -> InvalidArgument:
    return InvalidArgument(Reason.EVENT_INVALID, message, code=code, retriable=str(retriable).lower())


def _statement(stated: Stated) -> pb.SqlStatementLineage:
    return pb.SqlStatementLineage(
        kind=stated.traced.kind,
        reads=stated.reads,
        writes=stated.writes,
        left_out=stated.left_out,
        column_pairs=stated.column_pairs,
        reason=stated.reason or "",
    )


def origin_of(call: Call, own_hosts: frozenset[str] = frozenset()) -> Origin:
    """Whose lineage a call tells. Raises WORKSPACE_REQUIRED where no workspace, or one without a metastore, was named."""
    if call.workspace_id is None or call.metastore_id is None:
        raise InvalidArgument(
            Reason.WORKSPACE_REQUIRED,
            "Lineage belongs to the metastore of a workspace: name one that has one.",
        )
    hosts = hosts_of(own_hosts, call.metastore_id)
    return Origin(call.metastore_id, call.workspace_id, call.caller.id, call.snapshot, hosts)
