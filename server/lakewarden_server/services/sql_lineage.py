"""Reading SQL for `RecordSql`: traced in a process of its own, with the columns of what its caller may see."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Final

from lakewarden.v1 import lineage_pb2 as pb
from lakewarden_policy import RELATIONS, InvalidName
from lakewarden_server.core.dialects import DIALECT_DEFAULT, DIALECTS
from lakewarden_server.core.errors import Overloaded, Reason, Unavailable
from lakewarden_server.lineage.sql.traced import TEXT_BYTES_MAX, Source, TableName, Traced
from lakewarden_server.lineage.sql.traced import Reason as Less
from lakewarden_server.lineage.sql.tracer import Tracer
from lakewarden_server.lineage.sql_events import JOB_NAMESPACE_DEFAULT, Ran, Stated, job_of_text, stated
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call, SnapshotBehind
from lakewarden_server.storage.repositories import columns as column_rows

TRACING_MAX: Final = 4
"""Texts that are traced or wait for it: half of the threads that record, so that events are recorded meanwhile."""


def read_sql(request: pb.RecordSqlRequest, call: Call, tracer: Tracer) -> tuple[str, list[Stated]]:
    """The run and what each statement does. Raises FIELD_INVALID, OVERLOADED, TRACING_UNAVAILABLE, `EventInvalid`."""
    ran = _ran(request, call)
    traced = tracer.trace(
        request.sql,
        dialect=_dialect(request),
        columns_of=lambda source: _columns_of(source, call),
        catalog=request.catalog,
        schema=request.schema,
    )
    if call.uow.newest_revision > call.snapshot.head.revision:
        # Before anything is recorded, not after.
        raise SnapshotBehind
    _check(traced)
    return ran.run_id, stated(traced, ran, now=call.now)


def _check(traced: Sequence[Traced]) -> None:
    reasons = {each.reason for each in traced}
    if Less.BUSY in reasons:
        raise Overloaded(Reason.OVERLOADED, "more SQL waits to be read than this server takes: retry")
    if Less.WORKER_FAILED in reasons:
        raise Unavailable(
            Reason.TRACING_UNAVAILABLE, "the process that reads SQL ended, nothing was recorded: retry"
        )


def _columns_of(source: Source, call: Call) -> Sequence[str] | None:
    """The columns of a table that the caller may see: lineage of columns it may not see would tell of them."""
    if not isinstance(source, TableName) or not all(source):
        return None
    for kind in sorted(RELATIONS):
        try:
            found = call.snapshot.resolve(kind, ".".join(source), call.metastore_id)
        except InvalidName:
            return None
        if found is not None and call.decider.visible(call.caller.id, call.workspace_id, found.id):
            return [column.name for column in column_rows.of_table(call.uow.session, found.id)] or None
    return None


def _ran(request: pb.RecordSqlRequest, call: Call) -> Ran:
    dialect = _dialect(request)
    if not request.sql.strip():
        raise validation.invalid("sql", "it is empty")
    if len(request.sql.encode(errors="replace")) > TEXT_BYTES_MAX:
        raise validation.invalid("sql", f"it has more than {TEXT_BYTES_MAX:,} bytes")
    job = request.job_name or job_of_text(
        request.sql, dialect=dialect, catalog=request.catalog, schema=request.schema
    )
    time = call.now
    if request.HasField("event_time"):
        time = validation.time(request.event_time, "event_time")
    namespace = request.job_namespace or JOB_NAMESPACE_DEFAULT
    return Ran(call.metastore_id or "", _run_id(request), namespace, job, time)


def _dialect(request: pb.RecordSqlRequest) -> str:
    dialect = request.dialect.lower() or DIALECT_DEFAULT
    if dialect not in DIALECTS:
        raise validation.invalid("dialect", f"it is none of {', '.join(DIALECTS)}")
    return dialect


def _run_id(request: pb.RecordSqlRequest) -> str:
    try:
        return str(uuid.UUID(request.run_id)) if request.run_id else str(uuid.uuid4())
    except ValueError as error:
        raise validation.invalid("run_id", "it is no UUID") from error
