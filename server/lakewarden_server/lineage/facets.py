"""What each facet that is understood says, as plain JSON of one spelling. A facet that is wrong is dropped with a reason and
the event kept; one that is not known here stays in the event as it came (OpenLineage spec, facets/; reference/lineage.md 2.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from lakewarden_server.lineage.canonical import Spelt, spelt
from lakewarden_server.lineage.column_facets import column_lineage, dataset_lineage, job_lineage
from lakewarden_server.lineage.events import Dataset, Event
from lakewarden_server.lineage.evidence import Evidence
from lakewarden_server.lineage.facet_values import FacetInvalid, Said, listed, named, need, text
from lakewarden_server.lineage.names import AssetName, NameInvalid, check_name, dataset_name
from lakewarden_server.lineage.remembering import Remembered

SYMLINKS_MAX: Final = 100
"""Other names of one dataset in one event."""
LINKS_MAX: Final = 1_000
"""Symlinks in one event; the facets after them are dropped."""
COLUMNS_MAX: Final = 10_000
"""In one schema facet."""
SQL_CHARACTERS_MAX: Final = 1_048_576
EVIDENCE: Final = "lakewarden_evidence"
"""A facet of our own, in which an export says of a job on what its edges stood."""
LIFECYCLES: Final = frozenset({"ALTER", "CREATE", "DROP", "OVERWRITE", "RENAME", "TRUNCATE"})


class Dropped(NamedTuple):
    """A facet that was not understood: where it stood, which it is, and why."""

    owner: str
    """`run`, `job`, or the name of the dataset."""
    facet: str
    reason: str


class Told(dict[str, Said]):
    """What the facets of one owner say. Of each name either what it says, or None where the event deletes it."""

    def __init__(self) -> None:
        super().__init__()
        self.characters: dict[str, int] = {}
        """How long each is as JSON."""
        self.sources: int | None = None
        """How many sources it says outright, once `statements.sources_said` has counted them."""

    def say(self, name: str, said: Said, characters: int) -> None:
        """Adds what one facet says."""
        self[name], self.characters[name] = said, characters

    def without(self, name: str) -> Told:
        """The rest: what is told is shared by events, and nobody changes it."""
        rest = Told()
        for other, said in self.items():
            if other != name:
                rest.say(other, said, self.characters[other])
        return rest

    @classmethod
    def of(cls, facets: Mapping[str, Said]) -> Told:
        """What facets say that no event came with."""
        told = cls()
        for name, said in facets.items():
            told.say(name, said, len(spelt(said)))
        return told


class Facets(NamedTuple):
    """What the facets of one event say."""

    run: Told
    job: Told
    inputs: tuple[tuple[AssetName, Told], ...]
    outputs: tuple[tuple[AssetName, Told], ...]
    dropped: tuple[Dropped, ...]


class _Understood(NamedTuple):
    """What a facet says, or the reason why it says nothing."""

    said: Said
    reason: str | None
    characters: int = 0


_DatasetTold = tuple[AssetName, Told]

_REMEMBERED: Final = Remembered[_Understood]()
_OF_DATASETS: Final = Remembered[_DatasetTold]()

Reader = Callable[[dict[str, Any], "AssetName | None"], Said]
"""Reads one facet; the second argument is the event's own job. Raises `FacetInvalid`."""


def understand(event: Event) -> Facets:
    """What the facets of an event say; never raises for what a facet holds."""
    dropped: list[Dropped] = []
    run = _read("run", event.run_facets, RUN, event.job, dropped)
    job = _read("job", event.job_facets, JOB, event.job, dropped)
    datasets = [_dataset(dataset, event.job, dropped) for dataset in (*event.inputs, *event.outputs)]
    datasets = _limit_links(datasets, dropped)
    count = len(event.inputs)
    return Facets(run, job, tuple(datasets[:count]), tuple(datasets[count:]), tuple(dropped))


def _limit_links(datasets: list[_DatasetTold], dropped: list[Dropped]) -> list[_DatasetTold]:
    """The same without the symlinks that come after too many."""
    count, found = 0, []
    for name, told in datasets:
        links = len(told.get("symlinks") or ())
        count += links
        if links and count > LINKS_MAX:
            told = told.without("symlinks")
            dropped.append(Dropped(name.name, "symlinks", "TOO_MANY"))
        found.append((name, told))
    return found


def _dataset(dataset: Dataset, job: AssetName | None, dropped: list[Dropped]) -> _DatasetTold:
    """What one dataset's facets say, which is remembered with its text unless it depends on more than that or has a fault to be told."""
    known = _OF_DATASETS.get(dataset.text) if dataset.text is not None else None
    if known is not None:
        return known
    faults: list[Dropped] = []
    known = dataset.name, _read(dataset.name.name, dataset.facets, DATASET, job, faults)
    if dataset.text is not None and not faults and "lineage" not in dataset.facets:
        _OF_DATASETS.keep(dataset.text, known, dataset.text.weight)
    dropped += faults
    return known


def _read(
    owner: str,
    facets: dict[str, Any],
    readers: Mapping[str, Reader],
    job: AssetName | None,
    dropped: list[Dropped],
) -> Told:
    found = Told()
    for name, facet in facets.items():
        reader = readers.get(name)
        if reader is None:
            continue
        understood = _understood(name, facet, reader, job)
        if understood.reason is None:
            found.say(name, understood.said, understood.characters)
        else:
            dropped.append(Dropped(owner, name, understood.reason))
    return found


def _understood(name: str, facet: Any, reader: Reader, job: AssetName | None) -> _Understood:
    """What one facet says, which is remembered with its text: nobody changes what was said."""
    if not isinstance(facet, Spelt):
        return _read_one(facet, reader, job)
    # A job and a dataset may say the same text and mean each its own; of a `lineage` facet it depends on the event's own job besides.
    key = (reader, facet, job if name == "lineage" else None)
    known = _REMEMBERED.get(key)
    if known is None:
        known = _read_one(facet.value, reader, job)
        _REMEMBERED.keep(key, known, facet.weight)
    return known


def _read_one(facet: Any, reader: Reader, job: AssetName | None) -> _Understood:
    try:
        if not isinstance(facet, dict):
            raise FacetInvalid("FACET_NOT_OBJECT")
        said = None if facet.get("_deleted") is True else reader(facet, job)
        return _Understood(said, None, len(spelt(said)))
    except (FacetInvalid, NameInvalid) as error:
        return _Understood(None, str(error))


def _schema(facet: dict[str, Any], _job: AssetName | None) -> Said:
    """Columns with their types, those of structs by dotted names."""
    columns: list[list[str]] = []
    _columns(listed(facet, "fields", COLUMNS_MAX), "", columns)
    return columns


def _columns(fields: Iterable[Any], prefix: str, columns: list[list[str]]) -> None:
    for field in fields:
        name = check_name(prefix + named(field, "name"))
        columns.append([name, text(field, "type", "")])
        if len(columns) > COLUMNS_MAX:
            raise FacetInvalid("TOO_MANY")
        # Deeper than JSON is read no schema can be: the event was refused.
        _columns(listed(field, "fields", COLUMNS_MAX), f"{name}.", columns)


def _symlinks(facet: dict[str, Any], _job: AssetName | None) -> Said:
    names = {
        dataset_name(named(identifier, "namespace"), named(identifier, "name"))[1:]
        for identifier in listed(facet, "identifiers", SYMLINKS_MAX)
    }
    return sorted(map(list, names))


def _lifecycle(facet: dict[str, Any], _job: AssetName | None) -> Said:
    """The change, and of a RENAME the name before it."""
    state = text(facet, "lifecycleStateChange").upper()
    if state not in LIFECYCLES:
        raise FacetInvalid("VALUE_UNKNOWN")
    if state != "RENAME":
        return [state, None]
    previous = need(facet, "previousIdentifier", dict)
    return [state, list(dataset_name(named(previous, "namespace"), named(previous, "name"))[1:])]


def _parent(facet: dict[str, Any], _job: AssetName | None) -> Said:
    """Run and job above this one, and those at the root where they are told."""
    said: dict[str, Said] = _run_and_job(facet)
    root = facet.get("root")
    if root is not None:
        said["root"] = _run_and_job(need(facet, "root", dict))
    return said


def _run_and_job(owner: dict[str, Any]) -> dict[str, Said]:
    job = need(owner, "job", dict)
    return {
        "run": named(need(owner, "run", dict), "runId").lower(),
        "job": [named(job, "namespace"), named(job, "name")],
    }


def _job_type(facet: dict[str, Any], _job: AssetName | None) -> Said:
    pattern = facet.get("emissionPattern")
    return {
        "processing": text(facet, "processingType").upper(),
        "integration": text(facet, "integration").upper(),
        "type": text(facet, "jobType", "").upper(),
        "content": text(pattern, "eventContentMode", "").upper() if isinstance(pattern, dict) else "",
    }


def _evidence(facet: dict[str, Any], _job: AssetName | None) -> Said:
    name = text(facet, "evidence").upper()
    if name not in Evidence.__members__:
        raise FacetInvalid("VALUE_UNKNOWN")
    return name


def _sql(facet: dict[str, Any], _job: AssetName | None) -> Said:
    query = text(facet, "query")
    if len(query) > SQL_CHARACTERS_MAX:
        raise FacetInvalid("TOO_LONG")
    return {"query": query, "dialect": text(facet, "dialect", "")}


def _texts(*required: str, optional: tuple[str, ...] = ()) -> Reader:
    """Reads a facet that is texts by name."""

    def read(facet: dict[str, Any], _job: AssetName | None) -> Said:
        said: dict[str, Said] = {name: text(facet, name) for name in required}
        return said | {name: text(facet, name) for name in optional if facet.get(name) is not None}

    return read


def _lists(field: str, *required: str, optional: tuple[str, ...] = ()) -> Reader:
    """Reads a facet that is one list of texts by name, in the order of what they say."""
    read_one = _texts(*required, optional=optional)

    def read(facet: dict[str, Any], job: AssetName | None) -> Said:
        found: list[Any] = []
        for each in listed(facet, field, COLUMNS_MAX):
            if not isinstance(each, dict):
                raise FacetInvalid("FACET_NOT_OBJECT")
            found.append(read_one(each, job))
        return sorted(found, key=lambda said: sorted(said.items()))

    return read


def _dependencies(facet: dict[str, Any], _job: AssetName | None) -> Said:
    return {
        side: sorted(_job_of(each) for each in listed(facet, side, COLUMNS_MAX))
        for side in ("upstream", "downstream")
    }


def _job_of(dependency: Any) -> list[str]:
    if not isinstance(dependency, dict):
        raise FacetInvalid("FACET_NOT_OBJECT")
    job = need(dependency, "job", dict)
    return [named(job, "namespace"), named(job, "name")]


_tags: Final = _lists("tags", "key", "value", optional=("source", "field"))
_owners: Final = _lists("owners", "name", optional=("type",))

RUN: Final[Mapping[str, Reader]] = {
    "parent": _parent,
    "processing_engine": _texts("version", optional=("name", "openlineageAdapterVersion")),
    "errorMessage": _texts("message", optional=("programmingLanguage", "stackTrace")),
    "nominalTime": _texts("nominalStartTime", optional=("nominalEndTime",)),
    "externalQuery": _texts("externalQueryId", "source"),
    "jobDependencies": _dependencies,
    "tags": _tags,
}
JOB: Final[Mapping[str, Reader]] = {
    "lineage": job_lineage,
    "jobType": _job_type,
    EVIDENCE: _evidence,
    "sql": _sql,
    "ownership": _owners,
    "documentation": _texts("description"),
    "sourceCodeLocation": _texts("type", "url", optional=("path", "version", "branch", "tag", "repoUrl")),
    "tags": _tags,
}
DATASET: Final[Mapping[str, Reader]] = {
    "schema": _schema,
    "columnLineage": column_lineage,
    "lineage": dataset_lineage,
    "symlinks": _symlinks,
    "lifecycleStateChange": _lifecycle,
    "dataSource": _texts(optional=("name", "uri")),
    "catalog": _texts("framework", "type", "name", optional=("metadataUri", "warehouseUri", "source")),
    "storage": _texts("storageLayer", optional=("fileFormat",)),
    "version": _texts("datasetVersion"),
    "datasetType": _texts("datasetType", optional=("subType",)),
    "documentation": _texts("description"),
    "ownership": _owners,
    "tags": _tags,
}
