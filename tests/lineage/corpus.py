"""Events to record: ours, written for these tests in the way of real producers, and where they are, recorded ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lakewarden_server.lineage.events import Event, read_event
from lakewarden_server.lineage.facets import understand
from lakewarden_server.lineage.folding import Run, fold, run_key

NOW = datetime(2026, 11, 27, tzinfo=UTC)
EVENTS = Path(__file__).parent / "events"
RECORDED = Path(__file__).parents[3] / "shared" / "data" / "openlineage"
DATASET = "DATASET"


def ours(name: str) -> list[bytes]:
    """The events of one of our streams, a line each."""
    return (EVENTS / f"{name}.jsonl").read_bytes().splitlines()


def recorded(scenario: str) -> list[bytes]:
    """The events of a real producer, in the order they were sent; skips where they are not."""
    folder = RECORDED / "scenarios" / scenario / "events"
    if not folder.is_dir():
        pytest.skip(f"the recorded events are not here: {folder}")
    paths = sorted(folder.glob("*.json"), key=lambda path: (len(path.name), path.name))
    return [path.read_bytes() for path in paths]


def facet_examples(facet: str) -> list[dict[str, Any]]:
    """The bodies of one facet that the specification tests itself with; skips where they are not."""
    folder = RECORDED / "facet-examples" / facet
    if not folder.is_dir():
        pytest.skip(f"the specification's examples are not here: {folder}")
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def at(second: float) -> str:
    """An eventTime so many seconds after the beginning of 2026."""
    return datetime.fromtimestamp(1_767_225_600 + second, UTC).isoformat().replace("+00:00", "Z")


def microseconds(second: float) -> int:
    """The same as the recorder counts."""
    return int((1_767_225_600 + second) * 1_000_000)


def run_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def dataset(name: str, namespace: str = "postgres://db", **facets: Any) -> dict[str, Any]:
    return {"namespace": namespace, "name": name, "facets": facets}


def event(
    type_: str = "COMPLETE",
    second: float = 0,
    *,
    run: int = 1,
    job: str = "job",
    inputs: list[Any] | None = None,
    outputs: list[Any] | None = None,
    job_facets: dict[str, Any] | None = None,
    run_facets: dict[str, Any] | None = None,
    **more: Any,
) -> bytes:
    """One event of a run; datasets by name, or as `dataset` makes them."""
    told = {
        "eventType": type_,
        "eventTime": at(second),
        "producer": "https://example.com/tests",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": run_id(run), "facets": run_facets or {}},
        "job": {"namespace": "tests", "name": job, "facets": job_facets or {}},
        "inputs": [dataset(each) if isinstance(each, str) else each for each in inputs or []],
        "outputs": [dataset(each) if isinstance(each, str) else each for each in outputs or []],
    }
    return json.dumps({**told, **more}).encode()


def dataset_event(second: float, about: dict[str, Any]) -> bytes:
    """An event about a dataset, of no run."""
    return json.dumps(
        {
            "eventTime": at(second),
            "producer": "https://example.com/tests",
            "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/DatasetEvent",
            "dataset": about,
        }
    ).encode()


def job_event(second: float, job: str, inputs: list[str], outputs: list[str], **facets: Any) -> bytes:
    """An event about a job, of no run."""
    return json.dumps(
        {
            "eventTime": at(second),
            "producer": "https://example.com/tests",
            "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/JobEvent",
            "job": {"namespace": "tests", "name": job, "facets": facets},
            "inputs": [dataset(each) for each in inputs],
            "outputs": [dataset(each) for each in outputs],
        }
    ).encode()


def symlinks(*names: tuple[str, str]) -> dict[str, Any]:
    return {"identifiers": [{"namespace": one, "name": other, "type": "TABLE"} for one, other in names]}


def lifecycle(state: str, previous: tuple[str, str] | None = None) -> dict[str, Any]:
    told: dict[str, Any] = {"lifecycleStateChange": state}
    if previous:
        told["previousIdentifier"] = {"namespace": previous[0], "name": previous[1]}
    return told


def columns(namespace: str = "postgres://db", /, **fields: list[tuple[str, str, str]]) -> dict[str, Any]:
    """A columnLineage facet: of each field its sources as (dataset, column, subtype)."""
    direct = {"IDENTITY", "TRANSFORMATION", "AGGREGATION"}
    return {
        "fields": {
            field: {
                "inputFields": [
                    {
                        "namespace": namespace,
                        "name": name,
                        "field": column,
                        "transformations": [
                            {"type": "DIRECT" if subtype in direct else "INDIRECT", "subtype": subtype}
                        ],
                    }
                    for name, column, subtype in sources
                ]
            }
            for field, sources in fields.items()
        }
    }


def read(body: bytes) -> Event:
    return read_event(body, now=NOW)


def folded(bodies: list[bytes]) -> dict[str, Run]:
    """The runs of these events, folded in the order given."""
    runs: dict[str, Run] = {}
    for body in bodies:
        told = read(body)
        facets = understand(told)
        key = run_key(told, facets)
        runs[key] = fold(runs.get(key), told, facets)
    return runs
