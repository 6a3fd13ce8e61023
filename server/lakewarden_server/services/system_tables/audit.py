"""What was done and what was refused, as the rows an exported audit has, for whoever may read the audit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lakewarden._audit_export import for_arrow, row_of
from lakewarden_policy import explain_operation
from lakewarden_server.services.audit import limited_to
from lakewarden_server.services.audit_messages import read, record_message, written
from lakewarden_server.services.denials import privilege_missing
from lakewarden_server.services.system_tables.reading import Part, Reading
from lakewarden_server.storage.repositories import audit_records
from lakewarden_server.storage.repositories.audit_records import Wanted

OPERATION: Final = "audit.list"
RECORDS_CHUNK: Final = 500


def audit_rows(reading: Reading) -> Iterator[Part]:
    """Both logs as one, the oldest first; a metastore admin's is about its metastore. Raises PRIVILEGE_MISSING."""
    call = reading.call
    asked = (call.caller.id, call.workspace_id, OPERATION, call.objects)
    if not call.decider.operation(*asked).allowed:
        raise privilege_missing(explain_operation(call.decider, *asked))
    metastore_id = limited_to(call)
    after = read(reading.after[0]) if reading.after else None
    while True:
        wanted = Wanted(
            start_time=reading.start_time,
            end_time=reading.end_time,
            metastore_id=metastore_id,
            oldest_first=True,
            after=after,
        )
        rows = audit_records.find(call.uow.connection, wanted, limit=RECORDS_CHUNK)
        for row in rows:
            after = audit_records.position(row)
            yield Part((written(after),), [for_arrow(row_of(record_message(row, call)))])
        if len(rows) < RECORDS_CHUNK:
            return
