"""What a scheduler does with OpenLineage's own client: one run of a job, told by START and COMPLETE. Prints how each was answered.

Run with `openlineage-python` and nothing of ours, by its HTTP transports as they are: `sync` or `asynchronous`.
"""

import json
import os
import sys
from datetime import UTC, datetime

from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import column_lineage_dataset, parent_run, schema_dataset, sql_job
from openlineage.client.transport.async_http import AsyncHttpConfig, AsyncHttpTransport
from openlineage.client.transport.http import HttpConfig, HttpTransport
from openlineage.client.uuid import generate_new_uuid

NAMESPACE = os.environ["TABLES"]
RAW, REPORT = os.environ["RAW"], os.environ["REPORT"]


def main(kind):
    config = {
        "url": os.environ["URL"],
        "auth": {"type": "api_key", "apiKey": os.environ["TOKEN"]},
        "compression": os.environ.get("COMPRESSION") or None,
        "custom_headers": {"Lakewarden-Workspace": os.environ["WORKSPACE"]}
        if os.environ.get("WORKSPACE")
        else {},
        "retry": {"total": 5, "backoff_factor": 0.1},
    }
    if kind == "sync":
        client = OpenLineageClient(transport=HttpTransport(HttpConfig.from_dict(config)))
    else:
        client = OpenLineageClient(transport=AsyncHttpTransport(AsyncHttpConfig.from_dict(config)))
    answers = [client.transport.emit(event) for event in events()]
    finished = client.close(30)
    if kind == "sync":
        print(
            json.dumps([[each.status_code, each.request.headers.get("Content-Encoding")] for each in answers])
        )
    else:
        print(json.dumps([finished, client.transport.get_stats()]))


def events():
    run = Run(
        str(generate_new_uuid()),
        {
            "parent": parent_run.ParentRunFacet(
                run=parent_run.Run(str(generate_new_uuid())), job=parent_run.Job("scheduler", "nightly")
            )
        },
    )
    query = f"INSERT INTO {REPORT} SELECT sum(amount) FROM {RAW}"
    job = Job("scheduler", "nightly.report", {"sql": sql_job.SQLJobFacet(query)})
    source = InputDataset(NAMESPACE, RAW, facets={"schema": _schema("id", "amount")})
    columns = column_lineage_dataset.ColumnLineageDatasetFacet(
        {
            "total": column_lineage_dataset.Fields(
                [
                    column_lineage_dataset.InputField(
                        NAMESPACE,
                        RAW,
                        "amount",
                        [column_lineage_dataset.Transformation("DIRECT", "AGGREGATION")],
                    )
                ]
            )
        }
    )
    target = OutputDataset(NAMESPACE, REPORT, facets={"schema": _schema("total"), "columnLineage": columns})
    for state in (RunState.START, RunState.COMPLETE):
        told = [source], [target] if state is RunState.COMPLETE else []
        yield RunEvent(
            eventType=state,
            eventTime=datetime.now(UTC).isoformat(),
            run=run,
            job=job,
            producer="https://example.com/scheduler",
            inputs=told[0],
            outputs=told[1],
        )


def _schema(*names):
    fields = [schema_dataset.SchemaDatasetFacetFields(name, "BIGINT") for name in names]
    return schema_dataset.SchemaDatasetFacet(fields)


main(sys.argv[1])
