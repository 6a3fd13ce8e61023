"""Recording lineage: reads the events, and hands them to the recorder, which commits beside the authorization head."""

from __future__ import annotations

from collections.abc import Sequence

from lakewarden.v1 import lineage_pb2 as pb
from lakewarden_server.core.errors import Internal, InvalidArgument, Reason
from lakewarden_server.lineage.events import EventInvalid, read_event
from lakewarden_server.lineage.facets import understand
from lakewarden_server.lineage.recorder import Recorder
from lakewarden_server.lineage.recording import Origin, Received
from lakewarden_server.services.call import Call

BATCH_EVENTS_MAX = 1_000


class LineageService:
    """Implements `lakewarden.v1.LineageService`."""

    def __init__(self, recorder: Recorder | None) -> None:
        """Without a recorder it only says what there is to call."""
        self._recorder = recorder

    def record_open_lineage(self, request: pb.RecordOpenLineageRequest, call: Call) -> pb.LineageEventOutcome:
        """Records one event, or raises for it."""
        (outcome,) = self._record([request.event], call, strict=request.strict)
        if not outcome.accepted:
            raise InvalidArgument(
                Reason.EVENT_INVALID,
                outcome.message,
                code=outcome.code,
                retriable=str(outcome.retriable).lower(),
            )
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
        origin = _origin(call)
        outcomes, received, accepted = [], [], []
        for body in bodies:
            try:
                event = read_event(body, now=call.now, strict=strict)
            except EventInvalid as error:
                outcomes.append(
                    pb.LineageEventOutcome(code=error.code, message=str(error), retriable=error.retriable)
                )
                continue
            facets = understand(event)
            outcome = pb.LineageEventOutcome(key=event.key, accepted=True, flags=sorted(event.flags))
            for dropped in facets.dropped:
                outcome.dropped_facets.add(owner=dropped.owner, facet=dropped.facet, code=dropped.reason)
            outcomes.append(outcome)
            accepted.append(outcome)
            received.append(Received(event, facets))
        if self._recorder is None:
            raise Internal(Reason.INTERNAL_ERROR, "this server records no lineage")
        fresh = self._recorder.record(origin, received, time=call.now, deadline=call.deadline)
        for outcome, is_new in zip(accepted, fresh, strict=True):
            outcome.is_new = is_new
        return outcomes


def _origin(call: Call) -> Origin:
    """Whose events these are. Raises WORKSPACE_REQUIRED where no workspace, or one without a metastore, was named."""
    if call.workspace_id is None or call.metastore_id is None:
        raise InvalidArgument(
            Reason.WORKSPACE_REQUIRED,
            "Lineage belongs to the metastore of a workspace: name one that has one.",
        )
    return Origin(call.metastore_id, call.workspace_id, call.caller.id, call.snapshot)
