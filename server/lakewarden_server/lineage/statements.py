"""What a folded run states: edges between names, what became of datasets, and at which time each name is meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from lakewarden_server.lineage.canonical import spelt
from lakewarden_server.lineage.column_facets import Use, read_uses
from lakewarden_server.lineage.events import PAIRS_MAX, Code, EventKind
from lakewarden_server.lineage.facets import Facets
from lakewarden_server.lineage.folding import FacetsSaid, Run, RunState, said
from lakewarden_server.lineage.mapping import Subtype, mapping_hash
from lakewarden_server.lineage.names import AssetKind, AssetName
from lakewarden_server.lineage.remembering import Remembered

_DEFINING: Final = frozenset({"CREATE", "ALTER", "OVERWRITE"})
_VIEWS: Final = frozenset({"VIEW", "MATERIALIZED_VIEW"})
_WORDS: Final = re.compile(r"[\s_-]+")
NAMED_BYTES: Final = 200
"""That a dataset or an edge is counted for among what is remembered."""

ColumnPair = tuple[str, str, Subtype, bool]
"""Of an edge: target column or WHOLE, source column, subtype, masking."""


class Edge(NamedTuple):
    """`target` was made of `source`. The columns are sorted, each once."""

    source: AssetName
    target: AssetName
    columns: tuple[ColumnPair, ...]
    mapping_hash: str
    """Of the columns."""


class Statement(NamedTuple):
    """The edges of a run in order, every name it mentions in its lists or in what it says, and what of it was too much to keep."""

    edges: list[Edge]
    names: set[AssetName]
    flags: list[Code]


class Ending(NamedTuple):
    """A name that means something else from the microsecond after `time` on: its dataset was dropped, or renamed to `renamed_to`."""

    name: AssetName
    time: int
    renamed_to: AssetName | None


class Link(NamedTuple):
    """Two names of one dataset, as an event said at `time`; the lesser name is `one`."""

    one: AssetName
    other: AssetName
    time: int


def edges(run: Run) -> list[Edge]:
    """The edges of a run, in order. What it says outright beats what its columns say, and that beats inputs × outputs.

    Where a lineage facet speaks of the job nothing is inferred, where it speaks of a dataset nothing about that dataset
    (LineageFacet 1-0-0). An input that no column of the run names feeds every output: `count(*)` uses no column.

    Of more than PAIRS_MAX edges none is inferred, and of those said outright the first in order are kept.
    """
    return list(_stated(run)[0])


def statement(run: Run) -> Statement:
    """All a run states, gone through once."""
    found, is_cut = _stated(run)
    cuts = ((Code.DATASETS_TOO_MANY, run.is_cut), (Code.PAIRS_TOO_MANY, is_cut))
    return Statement(list(found), _names(run, found), [code for code, holds in cuts if holds])


_REMEMBERED: Final = Remembered[tuple[tuple[Edge, ...], bool]]()


def _stated(run: Run) -> tuple[tuple[Edge, ...], bool]:
    """The edges of a run, and whether there would have been more; remembered, as most runs of a job state the same."""
    texts = [_spelt(run.job_facets, "lineage")]
    texts += [_spelt(facets, "lineage") for facets in (*run.inputs.values(), *run.outputs.values())]
    texts += [_spelt(facets, "columnLineage") for facets in run.outputs.values()]
    told = (tuple(run.inputs), tuple(run.outputs), *texts, PAIRS_MAX)
    known = _REMEMBERED.get(told)
    if known is None:
        known = _worked_out(run)
        names = [*run.inputs, *run.outputs]
        characters = sum(len(name.namespace) + len(name.name) for name in names)
        named = NAMED_BYTES * (len(names) + len(known[0]))
        _REMEMBERED.keep(told, known, sum(map(len, texts)) + characters + named)
    return known


def _spelt(facets: FacetsSaid, name: str) -> bytes:
    found = said(facets, name)
    return b"" if found is None else spelt(found)


def _worked_out(run: Run) -> tuple[tuple[Edge, ...], bool]:
    pairs: dict[tuple[AssetName, AssetName], set[ColumnPair]] = {}
    told = said(run.job_facets, "lineage")
    for entry in told or ():
        _add(pairs, _asset(entry["target"]), map(_asset, entry["sources"]), read_uses(entry["uses"]))
    for name, facets in (*run.outputs.items(), *run.inputs.items()):
        explicit = said(facets, "lineage")
        if explicit is not None:
            _add(pairs, name, map(_asset, explicit["sources"]), read_uses(explicit["uses"]))
    inferred = {} if told is not None else _inferred(run, pairs)
    count = len(pairs) + sum(map(len, inferred.values()))
    if count <= PAIRS_MAX:
        for name, sources in inferred.items():
            _add(pairs, name, sources, ())
    kept = sorted(pairs)[:PAIRS_MAX]
    return tuple(_edge(*pair, pairs[pair]) for pair in kept), count > PAIRS_MAX


def _edge(source: AssetName, target: AssetName, columns: Iterable[ColumnPair]) -> Edge:
    ordered = tuple(sorted(columns))
    return Edge(source, target, ordered, mapping_hash(ordered))


def _inferred(
    run: Run, pairs: dict[tuple[AssetName, AssetName], set[ColumnPair]]
) -> dict[AssetName, list[AssetName]]:
    """Adds to the pairs what columns say of the outputs that have no lineage facet; of these the inputs that no column names."""
    uses = {}
    for name, facets in run.outputs.items():
        if said(facets, "lineage") is None:
            columns = said(facets, "columnLineage")
            uses[name] = read_uses(columns["uses"]) if columns else []
            _add(pairs, name, (), uses[name])
    named = _named_in_columns(run.outputs.values())
    unnamed = [source for source in run.inputs if source not in named]
    return {name: unnamed if uses[name] else list(run.inputs) for name in uses}


def _names(run: Run, stated: Iterable[Edge]) -> set[AssetName]:
    found = set(run.inputs) | set(run.outputs)
    for edge in stated:
        found |= {edge.source, edge.target}
    for entry in said(run.job_facets, "lineage") or ():
        found.add(_asset(entry["target"]))
    for _name, facets in (*run.inputs.items(), *run.outputs.items()):
        change = said(facets, "lifecycleStateChange")
        if change and change[1]:
            found.add(AssetName(AssetKind.DATASET, *change[1]))
    return found


def endings(run: Run) -> list[Ending]:
    """The names whose dataset a run dropped or renamed; of a run that did not succeed, none."""
    if run.state is not RunState.LIVE:
        return []
    found = []
    for name, state, previous in _changes(run):
        if state == "DROP":
            found.append(Ending(name, run.end_time, None))
        elif state == "RENAME" and previous is not None and previous != name:
            found.append(Ending(previous, run.end_time, name))
    return sorted(set(found), key=lambda ending: (ending.time, ending.name, ending.renamed_to or ending.name))


def defined(run: Run) -> set[AssetName]:
    """The outputs of which a run says what they are made of from then on, so that older definitions of them count no longer.

    That is what it creates; a view or materialized view also where it is altered or overwritten. Rows that are overwritten define no
    table (reference/lineage.md 5).
    """
    if run.kind is not EventKind.RUN:
        return set()
    return {name for name, facets in run.outputs.items() if _is_defined(facets)}


def _is_defined(facets: FacetsSaid) -> bool:
    change, kind = said(facets, "lifecycleStateChange"), said(facets, "datasetType")
    if not change or change[0] not in _DEFINING:
        return False
    return change[0] == "CREATE" or bool(kind and _WORDS.sub("_", kind["datasetType"].upper()) in _VIEWS)


def meant(run: Run, names: Iterable[AssetName]) -> dict[AssetName, int]:
    """The times at which a run means names: each one for the whole run, so that it speaks of one incarnation.

    What a run drops or renames it means as it was; the new name of what it renames, and what it creates, as it is after. Else
    a name is meant as it was when the run began.
    """
    changes = _changes(run)
    return {name: _meant_at(run, name, changes) for name in names}


def _meant_at(run: Run, name: AssetName, changes: Iterable[tuple[AssetName, str, AssetName | None]]) -> int:
    time = run.first_time
    for changed, state, previous in changes:
        if name == previous or (name == changed and state == "DROP"):
            return run.end_time
        if name == changed and state == "RENAME":
            return run.end_time + 1
        if name == changed and state == "CREATE":
            time = run.last_time
    return time


def links(facets: Facets, time: int) -> set[Link]:
    """The names an event says belong to one dataset."""
    found = set()
    for name, of_dataset in (*facets.inputs, *facets.outputs):
        for symlink in of_dataset.get("symlinks") or ():
            other = AssetName(AssetKind.DATASET, *symlink)
            if other != name:
                found.add(Link(min(name, other), max(name, other), time))
    return found


def sources_said(facets: Facets) -> int:
    """How many sources an event says outright, of each of its targets."""
    total = sum(map(_sources_of, facets.job.get("lineage") or ()))
    for _name, told in (*facets.inputs, *facets.outputs):
        if told.sources is None:
            told.sources = sum(
                _sources_of(told[name]) for name in ("columnLineage", "lineage") if told.get(name)
            )
        total += told.sources
    return total


def _sources_of(entry: Mapping[str, Any]) -> int:
    return len({*map(tuple, entry.get("sources", ())), *(tuple(use[1:4]) for use in entry["uses"])})


def _changes(run: Run) -> list[tuple[AssetName, str, AssetName | None]]:
    found = []
    for name, facets in (*run.inputs.items(), *run.outputs.items()):
        change = said(facets, "lifecycleStateChange")
        if change:
            state, previous = change
            found.append((name, state, AssetName(AssetKind.DATASET, *previous) if previous else None))
    return sorted(found, key=lambda change: (change[0], change[1], change[2] or change[0]))


def _named_in_columns(outputs: Iterable[FacetsSaid]) -> set[AssetName]:
    columns = [said(facets, "columnLineage") for facets in outputs]
    return {use.source for facet in columns if facet for use in read_uses(facet["uses"])}


def _add(
    pairs: dict[tuple[AssetName, AssetName], set[ColumnPair]],
    target: AssetName,
    sources: Iterable[AssetName],
    uses: Iterable[Use],
) -> None:
    for source in sources:
        pairs.setdefault((source, target), set())
    for use in uses:
        columns = pairs.setdefault((use.source, target), set())
        columns.add((use.target, use.column, use.subtype, use.masking))


def _asset(stored: list[str]) -> AssetName:
    kind, namespace, name = stored
    return AssetName(AssetKind(kind), namespace, name)
