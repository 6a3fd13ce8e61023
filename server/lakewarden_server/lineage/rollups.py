"""Runs that nobody has told of for long are purged; what they said stays, as one row of all that said the same with nothing between.

What is kept is still what runs say of names: a row of one such run, the newest, that stands for several. So whatever is worked out of
what runs say (edges, counts, versions, definitions) and whatever moves it (a link of two names, however late) goes on as before.

Runs are one where they are of the same job and principal, state the same pairs of names with the same columns between the same assets,
and no other run of the job that speaks of any of these names lies between, and no other definition of a target that they define. Then
every version that began with one of them began with the first.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from lakewarden_server.core.clock import microseconds_of, monotonic
from lakewarden_server.entities import (
    LineageAlias,
    LineageContribution,
    LineageEdge,
    LineageEnding,
    LineageJob,
    LineageMention,
    LineageRun,
)
from lakewarden_server.lineage.definitions import Teller, began
from lakewarden_server.lineage.evidence import Evidence
from lakewarden_server.lineage.folds import unpack
from lakewarden_server.storage.engine import Database
from lakewarden_server.storage.repositories.lineage import LineageStore, values_of
from lakewarden_server.storage.repositories.lineage_history import DAY
from lakewarden_server.storage.repositories.lineage_rollups import LineageRollups

Row = dict[str, Any]

RUNS_KEPT: Final = timedelta(days=90)
"""Runs since they were last heard of (reference/lineage.md 5); then those of a day that say the same are one …"""
DAYS_KEPT: Final = timedelta(days=400)
"""… and after this those that say the same whatever day they are of: one for each version."""

RUNS_DUE_MAX: Final = 100
"""Of one step; recorders wait while it lasts."""
WEIGHT_MAX: Final = 1_000
"""Names, edges and pages of text of the runs of one step, for where runs are large; a single one may be more."""
NEIGHBOURS_MAX: Final = 1_000
"""Runs of its job looked at on each side of one, to be one with it."""
STEP_SECONDS_MAX: Final = 10.0
BEGINNING: Final = 0


class Rollup(StrEnum):
    """What a stored run is."""

    RUN = "RUN"
    WHOLE = "WHOLE"
    """It is not purged, however old: it is declared, replaced by the next that is told, or runs without an end."""
    DAY = "DAY"
    """Purged: one run, or several of one day that say the same."""
    VERSION = "VERSION"
    """Purged: one run, or several that say the same."""


DUE: Final = {Rollup.DAY: Rollup.RUN, Rollup.VERSION: Rollup.DAY}
"""Of what each is made."""
PURGED: Final = frozenset({Rollup.DAY.value, Rollup.VERSION.value})


@dataclass
class _Told:
    """A stored run with what it says."""

    row: Row
    says: list[Row] = field(default_factory=list)
    mentions: list[tuple[int, int]] = field(default_factory=list)
    """Names, and the time after which each means what is meant."""
    defines: set[int] = field(default_factory=set)
    """The targets that it defines."""
    is_apart: bool = False
    """It is never one with others."""
    absorbed: list[int] = field(default_factory=list)

    @property
    def id(self) -> int:
        return int(self.row["id"])

    @property
    def since(self) -> int:
        return int(self.says[0]["since"] if self.says else self.row["last_time"])

    @property
    def began(self) -> int:
        return began(self.says[0]) if self.says else self.since

    @property
    def names(self) -> set[int]:
        """Of what it makes versions: nothing where it does not count."""
        if self.row["state"] != "LIVE":
            return set()
        return {said[end] for said in self.says for end in ("source_name_id", "target_name_id")}

    @property
    def teller(self) -> Teller:
        return self.row["workspace_id"], self.row["principal_id"]

    def sameness(self, *, of_day: bool) -> Hashable:
        """What runs have in common that can be one."""
        keys = ("source_name_id", "target_name_id", "edge_id", "live", "mapping_hash", "defines")
        said = sorted(tuple(each[key] for key in keys) for each in self.says)
        about = (self.row["job_id"], *self.teller, self.row["state"], json.dumps(self.row["flags"]))
        day = self.row["last_time"] // DAY if of_day else 0
        return (about, day, tuple(said), tuple(sorted(self.mentions)))

    def absorb(self, earlier: _Told) -> None:
        """Stands for an earlier run too."""
        self.absorbed += [*earlier.absorbed, earlier.id]
        first = earlier.began
        for column, least in (("first_time", min), ("last_time", max)):
            self.row[column] = least(self.row[column], earlier.row[column])
            for said in self.says:
                said[column] = least(said[column], earlier.row[column])
        for said in self.says:
            said["first_since"] = first
        self.row["run_count"] += earlier.row["run_count"]
        self.row["heard_time"] = max(self.row["heard_time"], earlier.row["heard_time"])


def roll_up(database: Database, now: datetime, rollup: Rollup) -> int:
    """Takes a step in making runs that are due the DAYs, or DAYs the VERSIONs, of what they say; how many runs it settled, 0 at the end."""
    before = microseconds_of(now - (RUNS_KEPT if rollup is Rollup.DAY else DAYS_KEPT))
    with database.reading() as connection:
        if not LineageRollups(connection).due(DUE[rollup], before, 1):
            return 0
    deadline = monotonic() + STEP_SECONDS_MAX
    with database.transaction(deadline=deadline) as connection:
        store = LineageStore(connection, deadline=deadline)
        store.take()
        settled = _Step(LineageRollups(connection), store, before, rollup).run()
        connection.commit()
    return settled


class _Step:
    """One transaction's rolling up."""

    def __init__(self, rollups: LineageRollups, store: LineageStore, before: int, rollup: Rollup) -> None:
        self._rollups, self._store, self._before, self._rollup = rollups, store, before, rollup

    def run(self) -> int:
        told = self._read()
        whole = {each.id for each in told if self._is_due(each.row)} & self._endless(told)
        self._rollups.mark(whole, Rollup.WHOLE)
        by_job: dict[int, list[_Told]] = defaultdict(list)
        for each in told:
            each.is_apart = each.is_apart or each.id in whole
            by_job[each.row["job_id"]].append(each)
        cuts = self._definitions(told)
        kept = [each for of_job in by_job.values() for each in self._united(of_job, cuts)]
        changed = [
            each for each in kept if each.absorbed or (self._is_due(each.row) and each.id not in whole)
        ]
        self._write(changed)
        return len(whole) + sum(1 + len(each.absorbed) for each in changed)

    def _is_due(self, row: Row) -> bool:
        silent_since = max(row["heard_time"], row["last_time"])
        return bool(row["rollup"] == DUE[self._rollup] and silent_since < self._before)

    def _read(self) -> list[_Told]:
        """Runs that are due, with those of their jobs around them."""
        rows: dict[int, Row] = {}
        seen: set[tuple[int, int]] = set()
        weight = 0
        for run in self._rollups.due(DUE[self._rollup], self._before, RUNS_DUE_MAX):
            day = run.last_time // DAY if self._rollup is Rollup.DAY else 0
            if (run.job_id, day) in seen:
                continue
            if rows and weight >= WEIGHT_MAX:
                break
            seen.add((run.job_id, day))
            first, until = (
                (day * DAY, (day + 1) * DAY) if self._rollup is Rollup.DAY else (BEGINNING, self._before)
            )
            around = self._rollups.around(run, first, until, NEIGHBOURS_MAX)
            for row in _nearest(list(map(values_of, around)), run, max(1, WEIGHT_MAX - weight)):
                rows[row["id"]] = row
                weight += row["weight"]
        return self._told(rows)

    def _told(self, rows: Mapping[int, Row]) -> list[_Told]:
        told = {run_id: _Told(row) for run_id, row in rows.items()}
        for row in map(values_of, self._store.find(LineageContribution, "run_id", told)):
            told[row["run_id"]].says.append(row)
        mentions = self._store.find(LineageMention, "run_id", told)
        aliases: dict[int, list[Any]] = defaultdict(list)
        for row in self._store.find(LineageAlias, "name_id", {row.name_id for row in mentions}):
            aliases[row.name_id].append(row)
        for row in mentions:
            meant = (alias.after for alias in aliases[row.name_id] if alias.after < row.time <= alias.until)
            told[row.run_id].mentions.append((row.name_id, next(meant, -1)))
        ending = {row.run_id for row in self._store.find(LineageEnding, "run_id", told, only=("run_id",))}
        for each in told.values():
            is_purged = each.row["rollup"] in PURGED
            moved_on = each.since // DAY != each.row["last_time"] // DAY
            each.is_apart = (
                each.id in ending or bool(each.says and moved_on) or not (is_purged or self._is_due(each.row))
            )
        defined = {said["edge_id"] for each in told.values() for said in each.says if said["defines"]}
        targets = {
            row.id: row.target_id
            for row in self._store.find(LineageEdge, "id", defined, only=("id", "target_id"))
        }
        for each in told.values():
            each.defines = {targets[said["edge_id"]] for said in each.says if said["defines"]}
        return list(told.values())

    def _endless(self, told: Collection[_Told]) -> set[int]:
        """Runs that are kept whole."""
        fresh = [each for each in told if each.row["rollup"] == Rollup.RUN]
        jobs = self._store.find(
            LineageJob, "id", {each.row["job_id"] for each in fresh}, only=("id", "evidence")
        )
        declared = {row.id for row in jobs if row.evidence == Evidence.DECLARED.name}
        found = {
            each.id
            for each in fresh
            if not each.row["key"].startswith("run:") or each.row["job_id"] in declared
        }
        # What a stream says is so since it began; another run can look like it, with one event.
        streams = [
            each.id
            for each in fresh
            if each.row["state"] == "LIVE" and each.says and each.since == each.row["first_time"]
        ]
        for row in self._store.find(LineageRun, "id", streams, only=("id", "fold")):
            if unpack(row.fold).end is None:
                found.add(row.id)
        return found

    def _definitions(self, told: Collection[_Told]) -> Mapping[tuple[int, Teller], set[int]]:
        """When the targets that runs define were defined, by any job."""
        found: dict[tuple[int, Teller], set[int]] = defaultdict(set)
        defining = [each for each in told if each.defines]
        if defining:
            targets = {target_id for each in defining for target_id in each.defines}
            first, last = min(each.began for each in defining), max(each.since for each in defining)
            for target_id, workspace_id, principal_id, time in self._rollups.definitions(
                targets, first, last
            ):
                found[target_id, (workspace_id, principal_id)].add(time)
        return found

    def _united(
        self, told: Iterable[_Told], cuts: Mapping[tuple[int, Teller], set[int]]
    ) -> Collection[_Told]:
        """Those of one job that stand for themselves and for others."""
        newest: dict[int, _Told] = {}
        silent: dict[Hashable, _Told] = {}
        kept: dict[int, _Told] = {}
        for each in sorted(told, key=lambda each: (each.since, each.row["last_time"], each.row["key"])):
            kept[each.id] = each
            names = each.names
            same = each.sameness(of_day=self._rollup is Rollup.DAY)
            before = {id(found): found for found in map(newest.get, names) if found is not None}
            earlier = silent.get(same) if not names else None
            if len(before) == 1 and all(name in newest for name in names):
                (earlier,) = before.values()
            if earlier is not None and self._may_be_one(earlier, each, same, cuts):
                each.absorb(earlier)
                del kept[earlier.id]
            newest |= dict.fromkeys(names, each)
            if not names and not each.is_apart:
                silent[same] = each
        return kept.values()

    def _may_be_one(
        self, earlier: _Told, later: _Told, same: Hashable, cuts: Mapping[tuple[int, Teller], set[int]]
    ) -> bool:
        if earlier.is_apart or later.is_apart or earlier.row["last_time"] > later.row["last_time"]:
            return False
        if earlier.sameness(of_day=self._rollup is Rollup.DAY) != same:
            return False
        return not any(
            earlier.since < time < later.began
            for target_id in later.defines
            for time in cuts.get((target_id, later.teller), ())
        )

    def _write(self, changed: Sequence[_Told]) -> None:
        self._rollups.delete([run_id for each in changed for run_id in each.absorbed])
        self._store.put(
            LineageContribution, [said for each in changed if each.absorbed for said in each.says]
        )
        until: dict[int, int] = defaultdict(int)
        for each in changed:
            until[each.row["job_id"]] = max(until[each.row["job_id"]], each.row["last_time"])
        self._rollups.purged(until)
        self._rollups.update(
            {
                each.id: {
                    "rollup": self._rollup.value if self._is_due(each.row) else each.row["rollup"],
                    "fold": b"",
                    "weight": 1 + len(each.says) + len(each.mentions),
                    **{
                        name: each.row[name]
                        for name in ("first_time", "last_time", "heard_time", "run_count")
                    },
                }
                for each in changed
            }
        )


def _nearest(rows: list[Row], run: Any, weight_max: int) -> list[Row]:
    """The run and those next to it on both sides, as far as they are light enough together."""
    earlier = [row for row in rows if (row["last_time"], row["id"]) <= (run.last_time, run.id)]
    later = [row for row in rows if (row["last_time"], row["id"]) > (run.last_time, run.id)]
    found = earlier[:1]
    weight = sum(row["weight"] for row in found)
    for side in (earlier[1:], later):
        for row in side:
            weight += row["weight"]
            if weight > weight_max:
                break
            found.append(row)
    return found
