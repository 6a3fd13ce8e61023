"""All events of one run as one state, whatever order they came in and however often (reference/lineage.md 5, Idempotency).

Every part of a `Run` is a join-semilattice: sets are united, times are the least or the greatest, a facet is the one of the
latest event by (time, key). So folding is commutative, associative and idempotent, and so is what is derived from it. Of too
many datasets the first by name are kept, which are the same whenever the others came.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, NamedTuple

from lakewarden_server.lineage.canonical import read_spelt, spelt
from lakewarden_server.lineage.events import DATASETS_MAX, Event, EventKind, EventType
from lakewarden_server.lineage.evidence import Evidence
from lakewarden_server.lineage.facet_values import Said
from lakewarden_server.lineage.facets import EVIDENCE, Facets, Told
from lakewarden_server.lineage.names import AssetKind, AssetName

KEY_CHARACTERS_MAX: Final = 1_000
"""Of the key of a run; PostgreSQL indexes no more than 2,704 bytes of a row."""
RUN_CHARACTERS_MAX: Final = 8_388_608
"""What is said of the datasets of one run, as JSON."""

Stamp = tuple[int, str]
"""Of what an event said: its time, and its key where two have the same."""


class Stamped(NamedTuple):
    """What the latest event with this facet said, None where it deleted it."""

    time: int
    key: str
    value: Said
    characters: int
    """Of the longest value that any event gave it, so that what there is room for only shrinks."""


FacetsSaid = dict[str, Stamped]


class RunState(StrEnum):
    """What the edges of a run are worth."""

    PROVISIONAL = "PROVISIONAL"
    """It has not ended."""
    LIVE = "LIVE"
    DROPPED = "DROPPED"
    """It failed or was aborted: nothing was written that stays."""


_ENDS = frozenset({EventType.COMPLETE, EventType.ABORT, EventType.FAIL})
_ENDLESS = frozenset({"STREAMING", "SERVICE"})


@dataclass
class Run:
    """The fold of the events with one key. What has no run (a job event, a dataset event) is one that is replaced, not added to."""

    key: str
    kind: EventKind
    first_time: int
    last_time: int
    newest: Stamp
    job: AssetName | None = None
    job_stamp: Stamp = (0, "")
    evidence: Evidence = Evidence.OBSERVED
    """That of the event that said the job."""
    end: tuple[int, str, str] | None = None
    """Time, key and type of the terminal event; of several the latest."""
    running: bool = False
    """Whether a RUNNING event has come."""
    run_facets: FacetsSaid = field(default_factory=dict)
    job_facets: FacetsSaid = field(default_factory=dict)
    inputs: dict[AssetName, FacetsSaid] = field(default_factory=dict)
    outputs: dict[AssetName, FacetsSaid] = field(default_factory=dict)
    is_cut: bool = False
    """It spoke of more datasets than are kept."""

    @property
    def state(self) -> RunState:
        """What its edges are worth.

        A stream has no end to wait for: what it says while it runs is so, and stays so when it is stopped.
        """
        if self.kind is not EventKind.RUN or (self.running and self._is_endless):
            return RunState.LIVE
        if self.end is None:
            return RunState.PROVISIONAL
        return RunState.LIVE if self.end[2] == EventType.COMPLETE else RunState.DROPPED

    @property
    def end_time(self) -> int:
        """When what it did was done: at its end, or before there is one at its last event."""
        return self.end[0] if self.end else self.last_time

    @property
    def since(self) -> int:
        """When what it states became so: at its end; of a stream that runs when it began, and what is replaced when it was said."""
        if self.kind is not EventKind.RUN:
            return self.newest[0]
        return self.first_time if self.running and self._is_endless else self.end_time

    @property
    def _is_endless(self) -> bool:
        job_type = said(self.job_facets, "jobType")
        return bool(job_type) and job_type["processing"] in _ENDLESS

    def copy(self) -> Run:
        """One of its own: what it says of its facets is never changed, only what it has of them."""
        return replace(
            self,
            run_facets=dict(self.run_facets),
            job_facets=dict(self.job_facets),
            inputs={name: dict(facets) for name, facets in self.inputs.items()},
            outputs={name: dict(facets) for name, facets in self.outputs.items()},
        )

    def to_json(self) -> bytes:
        """As text that `from_json` reads; of equal runs the same."""
        return spelt(
            {
                "key": self.key,
                "kind": self.kind,
                "first_time": self.first_time,
                "last_time": self.last_time,
                "newest": self.newest,
                "job": self.job,
                "job_stamp": self.job_stamp,
                "evidence": self.evidence.name,
                "end": self.end,
                "running": self.running,
                "is_cut": self.is_cut,
                "run_facets": self.run_facets,
                "job_facets": self.job_facets,
                "inputs": [[name, self.inputs[name]] for name in sorted(self.inputs)],
                "outputs": [[name, self.outputs[name]] for name in sorted(self.outputs)],
            }
        )

    @classmethod
    def from_json(cls, text: bytes) -> Run:
        """The run that `to_json` wrote."""
        stored = read_spelt(text)
        return cls(
            key=stored["key"],
            kind=EventKind(stored["kind"]),
            first_time=stored["first_time"],
            last_time=stored["last_time"],
            newest=tuple(stored["newest"]),
            job=_asset(stored["job"]) if stored["job"] else None,
            job_stamp=tuple(stored["job_stamp"]),
            evidence=Evidence[stored.get("evidence", Evidence.OBSERVED.name)],
            end=tuple(stored["end"]) if stored["end"] else None,
            running=stored["running"],
            is_cut=stored["is_cut"],
            run_facets=_facets_of(stored["run_facets"]),
            job_facets=_facets_of(stored["job_facets"]),
            inputs={_asset(name): _facets_of(facets) for name, facets in stored["inputs"]},
            outputs={_asset(name): _facets_of(facets) for name, facets in stored["outputs"]},
        )


def run_key(event: Event, facets: Facets) -> str:
    """Which events fold into one state.

    Those of a run by its id. Job events, and dataset events, by what they are about: the newest replaces the others, except
    that a dataset's lifecycle happens once each time it is told.
    """
    if event.kind is EventKind.RUN:
        return f"run:{event.run_id}"
    about = event.job if event.kind is EventKind.JOB else facets.outputs[0][0]
    if event.kind is EventKind.DATASET and "lifecycleStateChange" in facets.outputs[0][1]:
        return f"event:{event.key}"
    assert about is not None
    key = f"{event.kind.lower()}:{json.dumps(about[1:], separators=(',', ':'))}"
    # Names can be longer than an index takes.
    if len(key) <= KEY_CHARACTERS_MAX:
        return key
    return f"{event.kind.lower()}:{hashlib.sha256(key.encode()).hexdigest()}"


def run_id_of(key: str) -> str:
    """The runId in the key of a run; empty for that of a job or dataset event, which no run told."""
    kind, _, run_id = key.partition(":")
    return run_id if kind == "run" else ""


def fold(run: Run | None, event: Event, facets: Facets) -> Run:
    """The run with one more event; `run` is changed and returned, or a new one where there was none."""
    stamp = (event.time, event.key)
    if run is None:
        run = Run(run_key(event, facets), event.kind, event.time, event.time, stamp)
    elif event.kind is not EventKind.RUN and stamp > run.newest:
        run.run_facets, run.job_facets, run.inputs, run.outputs = {}, {}, {}, {}
        run.is_cut = False
    older = event.kind is not EventKind.RUN and stamp < run.newest
    run.first_time = min(run.first_time, event.time)
    run.last_time = max(run.last_time, event.time)
    run.newest = max(run.newest, stamp)
    if older:
        return run
    if event.job is not None and stamp >= run.job_stamp:
        run.job, run.job_stamp, run.evidence = event.job, stamp, _evidence(event, facets)
    if event.type in _ENDS:
        end = (event.time, event.key, event.type.value)
        run.end = end if run.end is None else max(run.end, end)
    run.running = run.running or event.type is EventType.RUNNING
    _join(run.run_facets, facets.run, stamp)
    _join(run.job_facets, facets.job, stamp)
    for datasets, told in ((run.inputs, facets.inputs), (run.outputs, facets.outputs)):
        for name, of_dataset in told:
            _join(datasets.setdefault(name, {}), of_dataset, stamp)
    _cut(run)
    return run


def _cut(run: Run) -> None:
    """Keeps the datasets that are first by name. One that did not fit never will: those before it only become more and longer."""
    sides = (run.inputs, run.outputs)
    sizes = {
        (name, side): sum(stamped.characters for stamped in facets.values())
        for side, datasets in enumerate(sides)
        for name, facets in datasets.items()
    }
    if len(sizes) <= DATASETS_MAX and sum(sizes.values()) <= RUN_CHARACTERS_MAX:
        return
    characters = 0
    for place, (name, side) in enumerate(sorted(sizes)):
        characters += sizes[name, side]
        if place >= DATASETS_MAX or characters > RUN_CHARACTERS_MAX:
            del sides[side][name]
            run.is_cut = True


def _evidence(event: Event, facets: Facets) -> Evidence:
    """On what it stands: of a job event from outside what that says, as it is no run; a run that tells was observed, whatever it says."""
    told = facets.job.get(EVIDENCE) if event.kind is EventKind.JOB else None
    return Evidence[told] if isinstance(told, str) else event.evidence


def said(facets: Mapping[str, Stamped], name: str) -> Said:
    """What a facet says; None where it is absent or deleted."""
    found = facets.get(name)
    return found.value if found else None


def _join(known: FacetsSaid, told: Told, stamp: Stamp) -> None:
    for name, value in told.items():
        before, characters = known.get(name), told.characters[name]
        if before is None:
            known[name] = Stamped(*stamp, value, characters)
            continue
        characters = max(before.characters, characters)
        # What one event says twice of one dataset has an order too.
        if stamp > before[:2] or (stamp == before[:2] and spelt(value) > spelt(before.value)):
            known[name] = Stamped(*stamp, value, characters)
        elif characters > before.characters:
            known[name] = before._replace(characters=characters)


def _asset(stored: Any) -> AssetName:
    kind, namespace, name = stored
    return AssetName(AssetKind(kind), namespace, name)


def _facets_of(stored: Mapping[str, Any]) -> FacetsSaid:
    return {name: Stamped(*stamped) for name, stamped in stored.items()}
