"""An answer about lineage as OpenLineage job events, which any server of lineage reads, this one too (OpenLineage spec 2-0-2)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from lakewarden._times import time_text
from lakewarden.lineage.model import Lineage, LineageEdge, LineageNode

PRODUCER = "urn:lakewarden:export"
JOB_NAMESPACE = "lakewarden"
OBSERVED = "OBSERVED"
EVIDENCE_FACET = "lakewarden_evidence"
"""A facet of a job that says on what its edges stand: `{"evidence": "PARSED"}` or DECLARED."""
EVIDENCE_SCHEMA = "urn:lakewarden:facets/1-0-0/EvidenceJobFacet"
DIRECT = frozenset({"IDENTITY", "TRANSFORMATION", "AGGREGATION"})
VOLUMES_NAMESPACE = "dbfs"
"""In which producers name what is in a volume."""
_OF_VOLUMES = frozenset({"PATH", "VOLUME"})
_SPEC = "https://openlineage.io/spec"


class Dataset(NamedTuple):
    """What OpenLineage calls an asset."""

    namespace: str
    name: str

    def to_dict(self) -> dict[str, str]:
        """As JSON says it."""
        return self._asdict()


class _Told(NamedTuple):
    """What one event tells: of what an asset was made, as far as that stands on the same."""

    target: Dataset
    evidence: str

    def job(self) -> dict[str, Any]:
        """A job of its own for each evidence, which other than that of a run stands in a facet."""
        name = f"{self.target.namespace} {self.target.name}"
        if self.evidence == OBSERVED:
            return {"namespace": JOB_NAMESPACE, "name": name}
        facet = {"_producer": PRODUCER, "_schemaURL": EVIDENCE_SCHEMA, "evidence": self.evidence}
        named = f"{name} ({self.evidence.lower()})"
        return {"namespace": JOB_NAMESPACE, "name": named, "facets": {EVIDENCE_FACET: facet}}


def to_open_lineage(
    assets: Lineage, columns: Lineage | None = None, *, host: str, time: datetime
) -> Iterator[dict[str, Any]]:
    """Yield a job event for each asset that was made of others, and for each evidence of that: which those are and, from `columns`, which columns of them.

    Tables are called `unitycatalog://HOST`, files of volumes `dbfs` `/Volumes/…`. Hidden and dropped assets are left out, and what is neither a table nor a file nor a dataset of
    another system (a model, external metadata): `left_out` counts them.
    """
    named = {node.id: _dataset(node, host) for node in assets.nodes}
    fields = {} if columns is None else _fields(columns, host)
    made_of: dict[_Told, list[Dataset]] = {}
    for edge in assets.ordered().edges:
        source, target = named[edge.source_id], named[edge.target_id]
        if edge.state == "LIVE" and source is not None and target is not None:
            made_of.setdefault(_Told(target, edge.evidence), []).append(source)
    # Of several edges between two assets the strongest is told, and weaker ones where they alone say something of columns.
    for told in dict.fromkeys((*made_of, *fields)):
        output: dict[str, Any] = told.target.to_dict()
        if told in fields:
            output["facets"] = {"columnLineage": fields[told]}
        sources = made_of.get(told) or list(_sources(fields[told]))
        yield {
            "eventTime": time_text(time),
            "producer": PRODUCER,
            "schemaURL": f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/JobEvent",
            "job": told.job(),
            "inputs": [source.to_dict() for source in sources],
            "outputs": [output],
        }


def left_out(assets: Lineage) -> int:
    """How many assets of an answer have no name in OpenLineage, or none that the caller may see."""
    return sum(_dataset(node, "") is None for node in assets.nodes)


def _dataset(node: LineageNode, host: str) -> Dataset | None:
    if node.hidden or node.dropped:
        return None
    if node.namespace:
        return Dataset(node.namespace, node.name.removeprefix(f"{node.namespace} "))
    if node.kind in _OF_VOLUMES:
        return Dataset(VOLUMES_NAMESPACE, node.name)
    return Dataset(f"unitycatalog://{host}", node.name) if node.name.count(".") == 2 else None


def _sources(facet: dict[str, Any]) -> dict[Dataset, None]:
    """The datasets that a `columnLineage` facet speaks of, each once."""
    fields = [each for of_field in facet["fields"].values() for each in of_field["inputFields"]]
    return dict.fromkeys(Dataset(each["namespace"], each["name"]) for each in (*fields, *facet["dataset"]))


def _fields(columns: Lineage, host: str) -> dict[_Told, dict[str, Any]]:
    """The `columnLineage` facets, by the dataset whose columns they are of and the evidence."""
    nodes = {node.id: node for node in columns.nodes}
    found: dict[_Told, dict[str, Any]] = {}
    for edge in columns.ordered().edges:
        source, target = nodes[edge.source_id], nodes[edge.target_id]
        made_of, made = _dataset(source, host), _dataset(target, host)
        # Without a subtype nothing is known of the columns of one end.
        if edge.state != "LIVE" or made_of is None or made is None or not (source.column and edge.subtype):
            continue
        facet = found.setdefault(
            _Told(made, edge.evidence),
            {
                "_producer": PRODUCER,
                "_schemaURL": f"{_SPEC}/facets/1-2-0/ColumnLineageDatasetFacet.json#/$defs/ColumnLineageDatasetFacet",
                "fields": {},
                "dataset": [],
            },
        )
        field = {**made_of.to_dict(), "field": source.column, "transformations": [_transformation(edge)]}
        if target.column:
            facet["fields"].setdefault(target.column, {"inputFields": []})["inputFields"].append(field)
        else:
            facet["dataset"].append(field)
    return found


def _transformation(edge: LineageEdge) -> dict[str, Any]:
    kind = "DIRECT" if edge.subtype in DIRECT else "INDIRECT"
    return {"type": kind, "subtype": edge.subtype, "masking": edge.masking}
