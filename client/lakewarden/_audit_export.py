"""Writes audit records to a file with the columns of Unity Catalog's system table `system.access.audit`.

JSON lines need nothing; Parquet needs pyarrow, which the client does not bring: it is the extra `audit`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from lakewarden._errors import ConfigurationError
from lakewarden.v1 import audit_pb2

FORMATS = ("jsonl", "parquet")
ROWS_PER_GROUP = 10_000
VERSION = "1.0"
"""Of the meaning of these columns here; it changes when one of them comes to mean something else."""
SERVICE = "lakewarden"
NO_WORKSPACE = "0"
_STATUS = {audit_pb2.AuditRecord.DENIED: 403}


def export(records: Iterable[audit_pb2.AuditRecord], path: Path, *, file_format: str) -> int:
    """Write the records and return how many they were; the file appears when it is whole.

    Raises ConfigurationError where pyarrow is needed and missing.
    """
    write = {"jsonl": write_jsonl, "parquet": write_parquet}[file_format]
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        with unfinished.open("wb") as file:
            count = write(records, file)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def write_jsonl(records: Iterable[audit_pb2.AuditRecord], file: BinaryIO) -> int:
    """One JSON object to a line; times in ISO 8601."""
    count = 0
    for row in map(row_of, records):
        text = json.dumps(row, ensure_ascii=False, default=datetime.isoformat)
        file.write(f"{text}\n".encode())
        count += 1
    return count


def write_parquet(records: Iterable[audit_pb2.AuditRecord], file: BinaryIO) -> int:
    """One Parquet file, a row group for each 10,000 records, so that memory does not grow with the log."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ConfigurationError(
            "Parquet needs pyarrow: pip install 'lakewarden[audit]' (or export --format jsonl, which needs nothing)"
        ) from None
    schema, rows, count = arrow_schema(), map(row_of, records), 0
    with pq.ParquetWriter(file, schema) as writer:
        for group in iter(lambda: [*islice(rows, ROWS_PER_GROUP)], []):
            writer.write_table(pa.Table.from_pylist([for_arrow(row) for row in group], schema=schema))
            count += len(group)
    return count


def row_of(record: audit_pb2.AuditRecord) -> dict[str, Any]:
    """One record as a row of `system.access.audit`. What this server does not record is None."""
    time = record.event_time.ToDatetime()
    subject = record.subject or record.actor
    denied = record.outcome == audit_pb2.AuditRecord.DENIED
    return {
        "account_id": None,
        "workspace_id": record.workspace_id or NO_WORKSPACE,
        "version": VERSION,
        "event_time": f"{time.isoformat(timespec='microseconds')}Z",
        "event_date": time.date().isoformat(),
        "source_ip_address": None,
        "user_agent": None,
        "session_id": None,
        "user_identity": {"email": record.actor, "subject_name": subject},
        "service_name": SERVICE,
        "action_name": _action(record.method),
        "request_id": record.request_id,
        "request_params": dict(_parameters(record)),
        "response": {
            "status_code": _STATUS.get(record.outcome, 200),
            "error_message": record.reason if denied else None,
            "result": audit_pb2.AuditRecord.Outcome.Name(record.outcome),
        },
        "audit_level": "WORKSPACE_LEVEL" if record.workspace_id else "ACCOUNT_LEVEL",
        "event_id": record.event_id,
        "identity_metadata": {"run_by": record.actor, "run_as": subject, "acting_resource": None},
    }


def arrow_schema() -> Any:
    """The columns and their Arrow types."""
    import pyarrow as pa

    text, texts = pa.string(), pa.map_(pa.string(), pa.string())
    types = {
        "event_time": pa.timestamp("us", tz="UTC"),
        "event_date": pa.date32(),
        "user_identity": pa.struct({"email": text, "subject_name": text}),
        "request_params": texts,
        "response": pa.struct({"status_code": pa.int32(), "error_message": text, "result": text}),
        "identity_metadata": pa.struct({"run_by": text, "run_as": text, "acting_resource": text}),
    }
    columns = row_of(audit_pb2.AuditRecord())
    return pa.schema({name: types.get(name, text) for name in columns})


def for_arrow(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with values that fit `arrow_schema`."""
    time = datetime.fromisoformat(row["event_time"])
    parameters = [*row["request_params"].items()]
    return {**row, "event_time": time, "event_date": time.date(), "request_params": parameters}


def _action(method: str) -> str:
    """`lakewarden.v1.TableService/CreateTable` is `createTable`; a command of the server stays as it is."""
    rpc = method.rpartition("/")[2]
    return rpc[:1].lower() + rpc[1:] if "/" in method else method


def _parameters(record: audit_pb2.AuditRecord) -> Iterator[tuple[str, str]]:
    """What the call was about, and the facts of a change, as texts."""
    parts = {
        "operation": record.operation,
        "securable_type": record.object_kind,
        "securable_id": record.object_id,
        "full_name_arg": record.object_name,
        "privilege": record.privilege,
        "revision": str(record.revision),
        "sequence": str(record.sequence or ""),
        "hash": record.hash,
    }
    yield from ((name, value) for name, value in parts.items() if value)
    yield from ((name, value) for name, value in sorted(record.detail.items()) if name not in parts)
