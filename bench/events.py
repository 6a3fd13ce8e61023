"""OpenLineage events as Spark tells them: START and COMPLETE of jobs that run again and again, with schemas and columns, some 8 kB each."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bench.worlds import Size

CATALOG: Final = "unitycatalog://bench.example.com"
LANDING: Final = "s3://landing"
COLUMNS: Final = 8
PRODUCER: Final = "https://github.com/OpenLineage/OpenLineage/tree/1.40.0/integration/spark"
FACETS: Final = "https://openlineage.io/spec/facets"
RUN, TIME, PARENT = "@run", "@time", "@parent"
"""Stand in a job's event for what differs from run to run."""
AGO: Final = timedelta(days=1)
"""Of the first run."""
EVERY: Final = timedelta(minutes=1)
TAKES: Final = timedelta(seconds=30)


def events(size: Size, jobs: int) -> Iterator[bytes]:
    """Without end: all jobs start, then all complete, and again a minute later in runs of their own. Each feeds two others."""
    templates = [(_template(size, job, "START"), _template(size, job, "COMPLETE")) for job in range(jobs)]
    time = datetime.now(UTC) - AGO
    while True:
        parent = str(uuid.uuid4())
        runs = [str(uuid.uuid4()) for _ in range(jobs)]
        for phase, when in enumerate((time, time + TAKES)):
            for job, run in enumerate(runs):
                at = when + timedelta(milliseconds=job)
                yield _filled(templates[job][phase], {RUN: run, TIME: at.isoformat(), PARENT: parent})
        time += EVERY


def _filled(template: bytes, values: dict[str, str]) -> bytes:
    for name, value in values.items():
        template = template.replace(name.encode(), value.encode())
    return template


def _template(size: Size, job: int, event_type: str) -> bytes:
    upstream, landed, made = (job + 1) // 2, f"orders/part_{job}", job + 1
    sources = [(CATALOG, _table(size, upstream)), (LANDING, landed)]
    event = {
        "eventType": event_type,
        "eventTime": TIME,
        "producer": PRODUCER,
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": RUN, "facets": _run_facets()},
        "job": {"namespace": "bench", "name": f"nightly.job_{job}", "facets": _job_facets()},
        "inputs": [_dataset(*source) for source in sources],
        "outputs": [_dataset(CATALOG, _table(size, made), columnLineage=_columns(sources))],
    }
    return json.dumps(event).encode()


def _table(size: Size, number: int) -> str:
    """One of the world's tables; neighbours are of different catalogs."""
    rest, catalog = divmod(number, size.catalogs)
    table, schema = divmod(rest, size.schemas_per_catalog)
    return f"catalog_{catalog}.schema_{schema}.table_{table % size.tables_per_schema}"


def _run_facets() -> dict[str, Any]:
    engine = {"name": "spark", "version": "3.5.1", "openlineageAdapterVersion": "1.40.0"}
    return {
        "parent": _facet(
            "1-0-0/ParentRunFacet", run={"runId": PARENT}, job={"namespace": "bench", "name": "nightly"}
        ),
        "processing_engine": _facet("1-1-1/ProcessingEngineRunFacet", **engine),
    }


def _job_facets() -> dict[str, Any]:
    job_type = {"processingType": "BATCH", "integration": "SPARK", "jobType": "SQL_JOB"}
    return {"jobType": _facet("2-0-3/JobTypeJobFacet", **job_type)}


def _dataset(namespace: str, name: str, **more: Any) -> dict[str, Any]:
    fields = [{"name": f"column_{number}", "type": "decimal(18,2)"} for number in range(COLUMNS)]
    facets = {
        "dataSource": _facet("1-0-1/DatasourceDatasetFacet", name=namespace, uri=namespace),
        "schema": _facet("1-1-1/SchemaDatasetFacet", fields=fields),
    }
    return {"namespace": namespace, "name": name, "facets": {**facets, **more}}


def _columns(sources: list[tuple[str, str]]) -> dict[str, Any]:
    """Each column is made of the same one of every source; the first column of the first decides which rows there are."""
    fields = {
        f"column_{number}": {
            "inputFields": [_used(source, number, "DIRECT", "TRANSFORMATION") for source in sources]
        }
        for number in range(COLUMNS)
    }
    dataset = [_used(sources[0], 0, "INDIRECT", "FILTER")]
    return _facet("1-2-0/ColumnLineageDatasetFacet", fields=fields, dataset=dataset)


def _used(source: tuple[str, str], column: int, how: str, subtype: str) -> dict[str, Any]:
    namespace, name = source
    transformation = {"type": how, "subtype": subtype, "description": "", "masking": False}
    return {
        "namespace": namespace,
        "name": name,
        "field": f"column_{column}",
        "transformations": [transformation],
    }


def _facet(schema: str, **body: Any) -> dict[str, Any]:
    name = schema.partition("/")[2]
    return {"_producer": PRODUCER, "_schemaURL": f"{FACETS}/{schema}.json#/$defs/{name}", **body}
