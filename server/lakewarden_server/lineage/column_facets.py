"""The two facets that say of which columns a column was made: `columnLineage`, and `lineage`, which came in 2026 and also says
which datasets and jobs a dataset or job was made of.

Spark repeats what a filter or join decides under every column; here it is said once, of the whole set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from lakewarden_server.lineage.facet_values import FacetInvalid, Said, listed, mapped, named, need, text
from lakewarden_server.lineage.mapping import WHOLE, ColumnUse, Subtype, said_once
from lakewarden_server.lineage.names import AssetKind, AssetName, check_name, dataset_name, job_name

USES_MAX: Final = 100_000
"""Uses of columns in one facet, as it came."""
ENTRIES_MAX: Final = 1_000
"""Targets of one job's `lineage` facet."""

_OLD_TYPES: Final = {"IDENTITY": (Subtype.IDENTITY, False), "MASKED": (Subtype.TRANSFORMATION, True)}
"""`transformationType`, deprecated and still sent."""
_SUBTYPES: Final = {
    **{subtype.value: subtype for subtype in Subtype},
    "CONDITION": Subtype.CONDITIONAL,
    "ORDER_BY": Subtype.SORT,
}

Use = ColumnUse[AssetName]


def column_lineage(facet: dict[str, Any], _job: AssetName | None) -> Said:
    """The uses a `columnLineage` facet states."""
    fields = mapped(facet, "fields", USES_MAX)
    uses: list[Use] = []
    for target, field in fields.items():
        old = field.get("transformationType") if isinstance(field, dict) else None
        for source in listed(field, "inputFields", USES_MAX):
            _add(uses, check_name(target), _source(source, None), source, old=old)
    for source in listed(facet, "dataset", USES_MAX):
        _add(uses, WHOLE, _source(source, None), source)
    return {"uses": written(uses, fields)}


def dataset_lineage(facet: dict[str, Any], job: AssetName | None) -> Said:
    """What a dataset's `lineage` facet states: its sources, and the uses of their columns."""
    return _entry(facet, job)


def job_lineage(facet: dict[str, Any], job: AssetName | None) -> Said:
    """What a job's `lineage` facet states: targets, each with its sources and uses."""
    need(facet, "entries", list)
    entries = []
    for entry in listed(facet, "entries", ENTRIES_MAX):
        target = _end(entry, job)
        entries.append({"target": list(target), **_entry(entry, job)})
    return sorted(entries, key=lambda entry: entry["target"])


def written(uses: Iterable[Use], fields: Iterable[str]) -> Said:
    """Uses as JSON, in order, each once; what is said of every one of `fields` is said of the whole set."""
    kept = said_once(uses, frozenset(fields))
    return sorted([use.target, *use.source, use.column, use.subtype.value, use.masking] for use in kept)


def read_uses(said: Said) -> list[Use]:
    """The uses that `written` wrote."""
    return [
        ColumnUse(target, AssetName(AssetKind(kind), namespace, name), column, Subtype(subtype), masking)
        for target, kind, namespace, name, column, subtype, masking in said
    ]


def _entry(owner: Any, job: AssetName | None) -> dict[str, Said]:
    sources: set[AssetName] = set()
    uses: list[Use] = []
    fields = mapped(owner, "fields", USES_MAX)
    for given in listed(owner, "inputs", USES_MAX):
        source = _end(given, job)
        sources.add(source)
        if given.get("field") is not None:
            _add(uses, WHOLE, source, given)
    for target, field in fields.items():
        for given in listed(field, "inputs", USES_MAX):
            source = _end(given, job)
            sources.add(source)
            if given.get("field") is not None:
                _add(uses, check_name(target), source, given)
    return {"sources": sorted(map(list, sources)), "uses": written(uses, fields)}


def _end(given: Any, job: AssetName | None) -> AssetName:
    """A dataset or job an entry names; a job without a name is the event's own."""
    kind = text(given, "type").upper()
    if kind == "DATASET":
        return _source(given, job)
    if kind != "JOB":
        raise FacetInvalid("VALUE_UNKNOWN")
    if given.get("namespace") is None and given.get("name") is None:
        if job is None:
            raise FacetInvalid("FIELD_MISSING")
        return job
    return job_name(named(given, "namespace"), named(given, "name"))


def _source(given: Any, _job: AssetName | None) -> AssetName:
    return dataset_name(named(given, "namespace"), named(given, "name"))


def _add(
    uses: list[Use], target: str, source: AssetName, given: Mapping[str, Any], *, old: Any = None
) -> None:
    column = named(given, "field")
    for subtype, masking in _transformations(given, old, whole=target == WHOLE):
        uses.append(ColumnUse(target, source, column, subtype, masking))
        if len(uses) > USES_MAX:
            raise FacetInvalid("TOO_MANY")


def _transformations(given: Mapping[str, Any], old: Any, *, whole: bool) -> list[tuple[Subtype, bool]]:
    """How a column is used. Where it is not said: a value is made of it, or, of a whole set, it chose the rows."""
    found = []
    for each in listed(given, "transformations", USES_MAX):
        kind = text(each, "type").upper()
        if kind not in {"DIRECT", "INDIRECT"}:
            raise FacetInvalid("VALUE_UNKNOWN")
        found.append((_subtype(kind, text(each, "subtype", "").upper()), each.get("masking") is True))
    if found:
        return found
    if isinstance(old, str) and old.upper() in _OLD_TYPES:
        return [_OLD_TYPES[old.upper()]]
    return [(Subtype.FILTER if whole else Subtype.TRANSFORMATION, False)]


def _subtype(kind: str, name: str) -> Subtype:
    """The subtype of a name; one we do not know counts as the most general of its type."""
    found = _SUBTYPES.get(name)
    if found is not None and found.is_direct == (kind == "DIRECT"):
        return found
    return Subtype.TRANSFORMATION if kind == "DIRECT" else Subtype.CONDITIONAL
