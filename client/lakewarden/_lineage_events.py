"""Events of lineage, as a client sees them: telling the server which data was made of which, in OpenLineage."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import ModuleType
from typing import Any, ClassVar
from uuid import uuid4

from lakewarden._errors import InvalidArgument
from lakewarden._resources import Resource
from lakewarden.v1 import lineage_pb2 as pb
from lakewarden.v1 import lineage_pb2_grpc

BATCH_EVENTS = 500
BATCH_BYTES = 900_000
"""Below what a server takes of few calls at a time only."""
Event = bytes | str | Mapping[str, Any]
"""An OpenLineage event: JSON as it was written, or an object to write as JSON."""


class LineageEvents(Resource[pb.LineageEventOutcome]):
    """Recording of lineage. For producers of lineage and query engines of the workspace."""

    messages: ClassVar[ModuleType] = pb
    stub_class = lineage_pb2_grpc.LineageServiceStub
    noun = "Lineage"
    plural = "Lineage"
    field = "event"

    def record(self, event: Event, *, strict: bool = False) -> pb.LineageEventOutcome:
        """Record one event; one that cannot be recorded raises InvalidArgument with the `code` of what is wrong in its metadata."""
        reply: pb.LineageEventOutcome = self._call(
            "RecordOpenLineage", event=event_bytes(event), strict=strict
        )
        return reply

    def record_batch(self, events: Iterable[Event], *, strict: bool = False) -> list[pb.LineageEventOutcome]:
        """Record up to 1,000 events together; return what became of each, in order."""
        reply: pb.RecordOpenLineageBatchResponse = self._call(
            "RecordOpenLineageBatch", events=[event_bytes(event) for event in events], strict=strict
        )
        return list(reply.outcomes)

    def record_sql(
        self,
        sql: str,
        *,
        dialect: str = "",
        catalog: str = "",
        schema: str = "",
        job_namespace: str = "",
        job_name: str = "",
        run_id: str = "",
        event_time: datetime | None = None,
        dry_run: bool = False,
    ) -> pb.RecordSqlResponse:
        """Record what SQL that was run read and wrote; return it statement by statement. With `dry_run` nothing is recorded.

        Names of fewer than three parts are completed from `catalog` and `schema`. Columns are followed through tables that you may
        see. With the same `run_id` and `event_time` it is recorded once, however often it is sent.
        """
        reply: pb.RecordSqlResponse = self._call(
            "RecordSql",
            sql=sql,
            dialect=dialect,
            catalog=catalog,
            schema=schema,
            job_namespace=job_namespace,
            job_name=job_name,
            run_id=run_id or str(uuid4()),
            event_time=event_time,
            dry_run=dry_run,
        )
        return reply

    def ingest(self, events: Iterable[Event], *, strict: bool = False) -> Iterator[pb.LineageEventOutcome]:
        """Record any number of events, many at a time; yield what became of each, in order."""
        for batch in batches(events):
            yield from self.record_batch(batch, strict=strict)


def event_bytes(event: Event) -> bytes:
    """An event as JSON."""
    if isinstance(event, bytes):
        return event
    return (event if isinstance(event, str) else json.dumps(event)).encode()


def batches(events: Iterable[Event]) -> Iterator[Sequence[bytes]]:
    """Events in portions that fit a call."""
    batch: list[bytes] = []
    size = 0
    for event in map(event_bytes, events):
        if batch and (len(batch) == BATCH_EVENTS or size + len(event) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += len(event)
    if batch:
        yield batch


def read_events(text: str) -> Iterator[str]:
    """The events in a file: one, a JSON array of them, or one after another; each as it was written. Raises InvalidArgument."""
    decode = json.JSONDecoder().raw_decode
    at = _next(text, 0, "[]")
    while at < len(text):
        try:
            _event, end = decode(text, at)
        except (ValueError, RecursionError):
            line = text.count("\n", 0, at) + 1
            raise InvalidArgument(f"line {line}: this is not JSON") from None
        yield text[at:end]
        at = _next(text, end, ",]")


def _next(text: str, at: int, passed: str) -> int:
    """Where the next event begins, past white space and what stands between events."""
    while at < len(text) and (text[at].isspace() or text[at] in passed):
        at += 1
    return at
