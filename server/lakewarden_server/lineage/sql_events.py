"""What a SQL statement was found to do, as an OpenLineage event of the run that did it."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple

from lakewarden_server.lineage.events import Code, Event, EventInvalid, event_of
from lakewarden_server.lineage.evidence import Evidence
from lakewarden_server.lineage.facets import understand
from lakewarden_server.lineage.mapping import WHOLE, ColumnUse
from lakewarden_server.lineage.names import UNITY_CATALOG, NameInvalid, dataset_name, is_path, path_name
from lakewarden_server.lineage.recording import Received
from lakewarden_server.lineage.sql.traced import Path, Reason, Source, Traced

PRODUCER: Final = "urn:lakewarden:record-sql"
SCHEMA_URL: Final = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
JOB_NAMESPACE_DEFAULT: Final = "lakewarden"
_JOB_DIGITS: Final = 16


class Ran(NamedTuple):
    """The run of a text. `metastore_id` stands in the names of tables, so that they are those of that metastore."""

    metastore_id: str
    run_id: str
    namespace: str
    job: str
    time: datetime


class Stated(NamedTuple):
    """One statement as it is told: what is left of it in an event, if anything is."""

    traced: Traced
    reads: tuple[str, ...]
    writes: str
    left_out: tuple[str, ...]
    column_pairs: int
    reason: Reason | None
    received: Received | None


def job_of_text(sql: str, *, dialect: str, catalog: str, schema: str) -> str:
    """A name for a job that nobody named: the same for the same text in the same place."""
    said = "\0".join((dialect, catalog, schema, sql)).encode(errors="replace")
    return f"sql-{hashlib.sha256(said).hexdigest()[:_JOB_DIGITS]}"


def stated(traced: Iterable[Traced], ran: Ran, *, now: datetime) -> list[Stated]:
    """The statements of a run, each with its event. Raises `EventInvalid` where none could be recorded as the run is named."""
    statements = list(traced)
    if len(statements) == 1:
        return [_stated(statements[0], ran, _run(ran), now)]
    return [_stated(each, ran, _part(ran, number), now) for number, each in enumerate(statements, 1)]


def _run(ran: Ran) -> dict[str, Any]:
    return {
        "run": {"runId": ran.run_id, "facets": {}},
        "job": {"namespace": ran.namespace, "name": ran.job, "facets": {}},
    }


def _part(ran: Ran, number: int) -> dict[str, Any]:
    """A run of its own for one of several statements: in a common one each would have read and written what all did."""
    above = {"run": {"runId": ran.run_id}, "job": {"namespace": ran.namespace, "name": ran.job}}
    run_id = str(uuid.uuid5(uuid.UUID(ran.run_id), str(number)))
    return _run(ran._replace(run_id=run_id, job=f"{ran.job}.{number}")) | {
        "run": {"runId": run_id, "facets": {"parent": _facet("ParentRunFacet", above)}}
    }


def _stated(traced: Traced, ran: Ran, run: dict[str, Any], now: datetime) -> Stated:
    sources = [*traced.reads, *([traced.writes] if traced.writes is not None else [])]
    named = {source: name for source in sources if (name := _dataset(source, ran.metastore_id))}
    left_out = tuple(dict.fromkeys(_shown(source) for source in sources if source not in named))
    reads = tuple(_shown(source) for source in traced.reads if source in named)
    writes = _shown(traced.writes) if traced.writes in named else ""
    told = Stated(traced, reads, writes, left_out, 0, traced.reason, None)
    if not named or traced.reason is Reason.SYNTAX:
        return told
    uses = [use for use in traced.uses if use.source in named] if writes else []
    body = run | {
        "eventType": "COMPLETE",
        "eventTime": ran.time.isoformat(),
        "producer": PRODUCER,
        "schemaURL": SCHEMA_URL,
        "inputs": [named[source] for source in traced.reads if source in named],
        "outputs": [named[traced.writes]] if traced.writes in named else [],
    }
    columns, is_whole = _columns(uses, named), traced.reason in _ALL_READS_KNOWN and not left_out
    if traced.defines and is_whole and body["outputs"]:
        body["outputs"] = [body["outputs"][0] | {"facets": _CREATES}]
    event, reason = _event(body, columns, now), traced.reason
    event = event._replace(evidence=Evidence.PARSED)
    facets = understand(event)
    has_columns = any("columnLineage" in of_dataset for _name, of_dataset in facets.outputs)
    if uses and not has_columns:
        # So many or such long names that no event holds them.
        uses, reason = [], Reason.TOO_MANY_USES
    return told._replace(column_pairs=len(uses), reason=reason, received=Received(event, facets))


def _event(body: dict[str, Any], columns: dict[str, Any] | None, now: datetime) -> Event:
    """The event, without its columns where it would be too large with them."""
    if columns is None:
        return event_of(body, now=now, strict=True)
    output = body["outputs"][0]
    output = output | {"facets": output.get("facets", {}) | {"columnLineage": columns}}
    try:
        return event_of(body | {"outputs": [output]}, now=now, strict=True)
    except EventInvalid as error:
        if error.code is not Code.EVENT_TOO_LARGE:
            raise
        return event_of(body, now=now, strict=True)


def _columns(uses: Iterable[ColumnUse[Source]], named: dict[Source, dict[str, str]]) -> dict[str, Any] | None:
    """The `columnLineage` facet of the uses; None of none."""
    fields: dict[str, dict[str, list[dict[str, Any]]]] = {}
    whole: list[dict[str, Any]] = []
    for use in uses:
        kind = "DIRECT" if use.subtype.is_direct else "INDIRECT"
        how = {"type": kind, "subtype": use.subtype.value, "masking": use.masking}
        said = {**named[use.source], "field": use.column, "transformations": [how]}
        if use.target == WHOLE:
            whole.append(said)
        else:
            fields.setdefault(use.target, {"inputFields": []})["inputFields"].append(said)
    if not fields and not whole:
        return None
    return _facet("ColumnLineageDatasetFacet", {"fields": fields, "dataset": whole})


def _facet(name: str, said: dict[str, Any]) -> dict[str, Any]:
    return {
        "_producer": PRODUCER,
        "_schemaURL": f"https://openlineage.io/spec/facets/1-0-0/{name}.json#/$defs/{name}",
        **said,
    }


_CREATES: Final = {
    "lifecycleStateChange": _facet("LifecycleStateChangeDatasetFacet", {"lifecycleStateChange": "CREATE"})
}
_ALL_READS_KNOWN: Final = frozenset(
    {
        None, Reason.TABLE_UNKNOWN, Reason.COLUMN_UNKNOWN, Reason.COLUMN_AMBIGUOUS, Reason.COLUMNS_UNKNOWN,
        Reason.TOO_MANY_USES,
    }
)  # fmt: skip
"""Reasons that leave out columns and no table: of any other, what a statement defines may be made of more than it says."""


def _dataset(source: Source, metastore_id: str) -> dict[str, str] | None:
    """Namespace and name of a dataset; None of a name that is not in full, or a path that is neither a URL nor one of a volume."""
    try:
        if isinstance(source, Path):
            name = path_name(source.url) if is_path(source.url) else None
        else:
            namespace = f"{UNITY_CATALOG}://{metastore_id}"
            name = dataset_name(namespace, ".".join(source)) if all(source) else None
    except NameInvalid:
        return None
    return {"namespace": name.namespace, "name": name.name} if name else None


def _shown(source: Source) -> str:
    return source.url if isinstance(source, Path) else ".".join(part for part in source if part)
