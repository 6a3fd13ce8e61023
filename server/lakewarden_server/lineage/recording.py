"""Events into tables, in one transaction: what is new is folded into its runs, and what follows from those is derived again."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from math import inf
from typing import Any, Final, NamedTuple

from lakewarden_policy import Snapshot
from lakewarden_server.core.clock import microseconds_of
from lakewarden_server.core.errors import InvalidArgument, Reason
from lakewarden_server.entities import LineageEvent, LineageJob, LineageRun
from lakewarden_server.lineage.bindings import Bindings
from lakewarden_server.lineage.compression import compressed
from lakewarden_server.lineage.events import PAIRS_MAX, Code, Event, EventKind
from lakewarden_server.lineage.evidence import Evidence
from lakewarden_server.lineage.facets import Facets
from lakewarden_server.lineage.folding import Run, fold, run_key
from lakewarden_server.lineage.folds import pack, unpack
from lakewarden_server.lineage.names import AssetName
from lakewarden_server.lineage.placing import Places
from lakewarden_server.lineage.rollups import PURGED, RUNS_KEPT, Rollup
from lakewarden_server.lineage.statements import (
    Ending,
    Link,
    Statement,
    endings,
    links,
    meant,
    sources_said,
    statement,
)
from lakewarden_server.lineage.weaving import Weaver
from lakewarden_server.storage.repositories.lineage import LineageStore

CHARACTERS_OF_WEIGHT: Final = 2_000
"""Of JSON, that are read and written in the time of a name or an edge."""


Fresh = bool | None
"""Whether an event was new; None where its run was purged, and it is not recorded."""


class Origin(NamedTuple):
    """Whose events these are, and the state that says what their names stand for."""

    metastore_id: str
    workspace_id: str
    principal_id: str
    snapshot: Snapshot
    own_hosts: frozenset[str] = frozenset()
    """At which `unitycatalog://` names this metastore; any if empty."""


class Received(NamedTuple):
    """A checked event with what its facets say."""

    event: Event
    facets: Facets
    packed: bytes = b""
    """The body as it is stored, where that was made already."""


def packed(received: Received) -> Received:
    """The event with its body as it is stored: made by whoever waits, it takes nothing of the time of who records for all."""
    return received._replace(packed=compressed(received.event.body))


def record(
    store: LineageStore,
    origin: Origin,
    received: Sequence[Received],
    received_time: datetime,
    budget: Budget | None = None,
) -> list[Fresh]:
    """Records events of one origin; of each, whether it was new, None for one that came too late. The store's head must be held.

    Of more than there is a budget for the first are recorded, and the answer is as short. Raises EVENT_INVALID for what is told in the run
    of declared lineage.
    """
    return _Recording(store, origin, received_time).run(received, budget or Budget(inf))


class Budget:
    """What is left of the work one transaction may do: about a tenth of a millisecond for each of its units."""

    def __init__(self, weight_max: float) -> None:
        self._left = weight_max
        self._spent = False

    def spend(self, weight: float) -> bool:
        """Whether there was enough; for whatever comes first there is."""
        if self._spent and weight > self._left:
            self._left = 0
            return False
        self._left -= weight
        self._spent = True
        return True


class _Job(NamedTuple):
    """A job by its name; what was read from SQL or declared under the name of a job that tells of itself is another one.

    So is what a job event says to be either: nobody adds to a declaration by calling a job as it.
    """

    namespace: str
    name: str
    evidence: Evidence
    kind: EventKind

    @property
    def digest(self) -> str:
        """What it is found by."""
        said: tuple[str, ...] = (self.namespace, self.name)
        if self.evidence is not Evidence.OBSERVED:
            said += (self.evidence.name,) if self.kind is EventKind.RUN else (self.evidence.name, self.kind)
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


class _Recording:
    """One transaction's events of one origin."""

    def __init__(self, store: LineageStore, origin: Origin, received_time: datetime) -> None:
        self._store = store
        self._origin = origin
        self._time = received_time
        self._places = Places(store, origin.metastore_id, origin.principal_id)
        self._run_ids: dict[str, int] = {}
        self._stored: dict[str, Any] = {}
        self._stored_keys: set[str] = set()
        self._purged_keys: set[str] = set()
        self._own = {"workspace_id": origin.workspace_id, "principal_id": origin.principal_id}
        """Whose events and runs these are among."""

    def run(self, received: Sequence[Received], budget: Budget) -> list[Fresh]:
        known = self._known(received)
        received = self._affordable(received, known, budget)
        late = self._late(each for each in received if each.event.key not in known)
        new: dict[str, Received] = {}
        fresh: list[Fresh] = []
        for each in received:
            key = each.event.key
            fresh.append(None if key in late else key not in known and key not in new)
            new.setdefault(key, each)
        new = {key: each for key, each in new.items() if key not in known and key not in late}
        if new:
            self._record(list(new.values()))
        return fresh

    def _known(self, received: Sequence[Received]) -> set[str]:
        keys = {each.event.key for each in received}
        return {row.key for row in self._store.find(LineageEvent, "key", keys, only=("key",), **self._own)}

    def _affordable(
        self, received: Sequence[Received], known: set[str], budget: Budget
    ) -> Sequence[Received]:
        """The first events that there is a budget for: each weighs what it says, and with the first of a run what that said before."""
        keys = {run_key(each.event, each.facets) for each in received if each.event.key not in known}
        found = self._store.find(LineageRun, "key", keys, only=("key", "weight", "rollup"), **self._own)
        weights = {row.key: row.weight for row in found}
        self._stored_keys = set(weights)
        self._purged_keys = {row.key for row in found if row.rollup in PURGED}
        for place, each in enumerate(received):
            weight = (
                1
                if each.event.key in known
                else _weight(each) + weights.pop(run_key(each.event, each.facets), 0)
            )
            if not budget.spend(weight):
                return received[:place]
        return received

    def _late(self, received: Iterable[Received]) -> set[str]:
        """The keys of events of runs that were purged: known as such, or not known and from a time up to which runs of its job were.

        Such a run would be counted twice, or change what several that are one row by now said.
        """
        kept_from = microseconds_of(self._time - RUNS_KEPT)
        late: set[str] = set()
        old: dict[str, list[Event]] = defaultdict(list)
        for event, facets, _body in received:
            key = run_key(event, facets)
            if key in self._purged_keys:
                late.add(event.key)
            elif key not in self._stored_keys and event.kind is EventKind.RUN and event.time < kept_from:
                old[_Job(*(event.job or ("", "", ""))[1:], event.evidence, event.kind).digest].append(event)
        if old:
            jobs = self._store.find(LineageJob, "digest", old, workspace_id=self._origin.workspace_id)
            late |= {each.key for job in jobs for each in old[job.digest] if each.time <= job.purged_until}
        return late

    def _record(self, new: list[Received]) -> None:
        runs = self._fold(new)
        by_id = {self._run_ids[key]: run for key, run in runs.items()}
        stated = {run_id: statement(run) for run_id, run in by_id.items()}
        mentions = {run_id: meant(run, stated[run_id].names) for run_id, run in by_id.items()}
        ended = {run_id: endings(run) for run_id, run in by_id.items()}
        told = self._links(new)
        # What was registered after the state that says what names are has to be looked for among them.
        self._store.bound_revision = min(self._store.bound_revision, self._origin.snapshot.head.revision)
        self._places.learn(_all_names(mentions, ended, told))
        self._places.link(told)
        # Of a run that is new nothing can have been said before.
        stored = {row.id for row in self._stored.values()}
        self._places.end(ended, stored)
        self._places.mention(mentions, stored)
        self._places.settle()
        jobs = self._write_runs(by_id, stated)
        edges = {run_id: told.edges for run_id, told in stated.items()}
        Weaver(self._store, self._places, self._origin.metastore_id).weave(
            by_id, edges, mentions, jobs, stored
        )
        self._write_events(new)

    def _fold(self, new: list[Received]) -> dict[str, Run]:
        """The runs these events are of, with them folded in."""
        keys = [run_key(each.event, each.facets) for each in new]
        known = self._stored_keys.intersection(keys)
        rows = self._store.find(LineageRun, "key", known, only=("id", "key", "fold"), **self._own)
        self._stored = {row.key: row for row in rows}
        runs = {key: unpack(row.fold) for key, row in self._stored.items()}
        for key, each in zip(keys, new, strict=True):
            if key in runs and runs[key].kind is EventKind.RUN and runs[key].evidence is Evidence.DECLARED:
                _check_declares(each.event)
            runs[key] = fold(runs.get(key), each.event, each.facets)
        for key in runs:
            row = self._stored.get(key)
            self._run_ids[key] = row.id if row else self._store.new_id("run_id")
        return runs

    def _links(self, new: list[Received]) -> set[Link]:
        """What the events say of names that are one, and what the catalog says of the names in them."""
        told: set[Link] = set()
        times: dict[AssetName, set[int]] = defaultdict(set)
        for event, facets, _body in new:
            found = links(facets, event.time)
            told |= found
            for name, _said in (*facets.inputs, *facets.outputs):
                times[name].add(event.time)
            for link in found:
                times[link.one].add(event.time)
                times[link.other].add(event.time)
        meant = Bindings(
            self._store, self._origin.snapshot, self._origin.metastore_id, self._origin.own_hosts
        )
        heard = microseconds_of(self._time)
        for name, other in meant.of(times).items():
            # What a name will be is known to nobody, however far ahead the clock is of who tells of it.
            told |= {
                Link(min(name, other), max(name, other), min(time, heard))
                for time in (min(times[name]), max(times[name]))
            }
        return told

    def _write_runs(self, runs: Mapping[int, Run], stated: Mapping[int, Statement]) -> dict[int, int]:
        """Writes the folds; the ids of the runs' jobs."""
        said = {run_id: _Job(*run.job[1:], run.evidence, run.kind) for run_id, run in runs.items() if run.job}
        job_ids = self._job_ids(set(said.values()))
        jobs = {run_id: job_ids[said[run_id]] if run_id in said else 0 for run_id in runs}
        rows, heard = [], microseconds_of(self._time)
        for run_id, run in runs.items():
            told, stored = stated[run_id], pack(run)
            rows.append(
                {
                    "id": run_id,
                    "metastore_id": self._origin.metastore_id,
                    "workspace_id": self._origin.workspace_id,
                    "key": run.key,
                    "job_id": jobs[run_id],
                    "principal_id": self._origin.principal_id,
                    "state": run.state.value,
                    "first_time": run.first_time,
                    "last_time": run.last_time,
                    "flags": told.flags,
                    "weight": len(told.names) + len(told.edges) + stored.characters // CHARACTERS_OF_WEIGHT,
                    "fold": stored.fold,
                    "heard_time": max(run.last_time, heard),
                    "rollup": Rollup.RUN.value,
                    "run_count": 1,
                }
            )
        self._store.put(LineageRun, rows)
        return jobs

    def _job_ids(self, jobs: Collection[_Job]) -> dict[_Job, int]:
        digests = {job.digest: job for job in jobs}
        found = self._store.find(
            LineageJob, "digest", digests, only=("id", "digest"), workspace_id=self._origin.workspace_id
        )
        known = {row.digest: row.id for row in found}
        rows = []
        for digest in sorted(digests.keys() - known.keys()):
            known[digest] = self._store.new_id("job_id")
            rows.append(
                {
                    "id": known[digest],
                    "metastore_id": self._origin.metastore_id,
                    "workspace_id": self._origin.workspace_id,
                    "digest": digest,
                    "namespace": digests[digest].namespace,
                    "name": digests[digest].name,
                    "evidence": digests[digest].evidence.name,
                }
            )
        self._store.put(LineageJob, rows)
        return {job: known[digest] for digest, job in digests.items()}

    def _write_events(self, new: list[Received]) -> None:
        self._store.put(
            LineageEvent,
            [
                {
                    **self._own,
                    "key": event.key,
                    "sequence": self._store.sequence,
                    "run_id": self._run_ids[run_key(event, facets)],
                    "time": event.time,
                    "received_time": self._time,
                    "flags": sorted(event.flags),
                    "dropped_facets": [list(dropped) for dropped in facets.dropped],
                    "body": body or compressed(event.body),
                }
                for event, facets, body in new
            ],
        )


def _check_declares(event: Event) -> None:
    """Raises EVENT_INVALID for an event that is no declaration, in the run of one: it would be told as declared, by who may not.

    Nobody knows the run of a declaration before it, so what is recorded does not hang on which came first.
    """
    if event.evidence is not Evidence.DECLARED:
        raise InvalidArgument(
            Reason.EVENT_INVALID,
            f"{Code.RUN_ID_INVALID}: run {event.run_id} is that of declared lineage, and no event adds to it",
            code=Code.RUN_ID_INVALID,
            retriable="false",
        )


def _weight(received: Received) -> int:
    """What an event costs at most, as it is alone."""
    event, facets, _body = received
    datasets = (*facets.inputs, *facets.outputs)
    links = sum(len(of_dataset.get("symlinks") or ()) for _name, of_dataset in datasets)
    pairs = len(facets.inputs) * len(facets.outputs)
    pairs = (0 if pairs > PAIRS_MAX else pairs) + min(sources_said(facets), PAIRS_MAX)
    return 1 + len(datasets) + links + pairs + len(event.body) // CHARACTERS_OF_WEIGHT


def _all_names(
    mentions: Mapping[int, Mapping[AssetName, int]],
    ended: Mapping[int, Iterable[Ending]],
    told: Iterable[Link],
) -> set[AssetName]:
    found = {name for of_run in mentions.values() for name in of_run}
    for of_run in ended.values():
        for ending in of_run:
            found |= {ending.name, ending.renamed_to or ending.name}
    for link in told:
        found |= {link.one, link.other}
    return found
