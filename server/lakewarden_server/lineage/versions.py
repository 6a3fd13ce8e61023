"""What an edge was when: a version for every change of it, in whatever order its runs are told of (reference/lineage.md 5).

A version begins when a run that says something else ended, and where the edge goes one begins that says why. What is derived
again are the versions from the first change on, out of what runs said since; those before it are history already.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from enum import StrEnum
from itertools import groupby
from typing import Any, NamedTuple

from lakewarden_server.entities import LineageEdgeVersion
from lakewarden_server.lineage.definitions import Cuts, Span, began, cuts, first_after
from lakewarden_server.lineage.graph import RETRACTED
from lakewarden_server.lineage.identities import BEGINNING, FOREVER
from lakewarden_server.storage.repositories.lineage import LineageStore, values_of

Row = dict[str, Any]


class Change(StrEnum):
    """Why a version began."""

    FIRST = "FIRST"
    CHANGED = "CHANGED"
    """Its columns are made in another way."""
    REOPENED = "REOPENED"
    """It was gone, and a run says it again."""
    DROPPED = "DROPPED"
    """There is no edge any more, as one of its ends was dropped."""
    RETIRED = "RETIRED"
    """There is no edge any more, as what said it says so no longer."""


GONE = frozenset({Change.DROPPED, Change.RETIRED})


class Version(NamedTuple):
    """What an edge is from a time on, until the next one."""

    valid_from: int
    reason: str
    mapping_hash: str = ""
    """Nothing where there is no edge."""


class Observation(NamedTuple):
    """What a run said of an edge, and from when on."""

    since: int
    mapping_hash: str
    until: int = FOREVER
    """When a later definition leaves it out."""


def versions(kept: Iterable[Version], observed: Iterable[Observation], end_time: int) -> list[Version]:
    """The versions of an edge whose ends were both there until `end_time`: those kept, and what was observed after them, in order."""
    found = list(kept)
    holds = FOREVER if found and found[-1].reason not in GONE else BEGINNING
    for since, mapping_hash, until in observed:
        if holds < since:
            _close(found, holds, end_time)
        holds = max(holds, until)
        # What is told of a run that ended after the drop was so just before it.
        since = min(since, end_time - 1)
        if found and found[-1].valid_from >= since:
            since = found.pop().valid_from
        if not found:
            found.append(Version(since, Change.FIRST, mapping_hash))
        elif found[-1].reason in GONE:
            found.append(Version(since, Change.REOPENED, mapping_hash))
        elif found[-1].mapping_hash != mapping_hash:
            found.append(Version(since, Change.CHANGED, mapping_hash))
    _close(found, holds, end_time)
    if end_time != FOREVER and found and found[-1].reason not in GONE:
        found.append(Version(end_time, Change.DROPPED))
    return found


def _close(found: list[Version], time: int, end_time: int) -> None:
    """Ends an edge that is there at a time; not where it was dropped before, or goes on."""
    if found and found[-1].reason not in GONE and time < min(end_time, FOREVER):
        found.append(Version(time, Change.RETIRED))


class History:
    """The versions of one metastore's edges in one transaction."""

    def __init__(self, store: LineageStore, united: Callable[[Collection[str]], str] = max) -> None:
        """`united` gives the hash of what several mappings say together."""
        self._store = store
        self._united = united
        self._since: dict[int, int] = {}
        """Of each edge the time from which on its versions may not be what they were."""
        self._said: dict[int, list[Observation]] = {}
        """What runs say that said nothing of the edge before."""
        self._kept_until: dict[int, int] = {}

    def note(self, before: Row | None, now: Row | None, replaced_time: int | None) -> None:
        """What a run says of two names instead of what it said before; at `replaced_time` where that was true until then."""
        was = before if before and before["live"] else None
        said = now if now and now["live"] else None
        if said is not None and was is None:
            observation = Observation(said["since"], said["mapping_hash"])
            self._said.setdefault(said["edge_id"], []).append(observation)
        elif said is not None and was is not None:
            if _observed(said) == _observed(was):
                return
            self.change(said["edge_id"], began(said))
        if was is None:
            return
        moved = said is not None and said["edge_id"] != was["edge_id"]
        if replaced_time is None or replaced_time <= was["since"] or moved:
            self.change(was["edge_id"], began(was))
            return
        self._kept_until[was["edge_id"]] = replaced_time + (said is None)
        self.change(was["edge_id"], replaced_time)

    def retire(self, edge: Row, time: int) -> None:
        """An edge is no more from a time on, also if its runs say it that ended before."""
        edge |= {"state": RETRACTED, "kept_until": time + 1}
        self.change(edge["id"], time + 1)

    def write(self, before: Mapping[int, Row], rows: Mapping[int, Row], new: Collection[int]) -> None:
        """Writes the versions of edges that are not as before, and into their rows since when the newest holds."""
        for edge_id, row in rows.items():
            if row["end_time"] != before[edge_id]["end_time"]:
                self.change(edge_id, BEGINNING)
            said = self._said.get(edge_id, [])
            if edge_id in new or any(_is_news(before[edge_id], observation) for observation in said):
                self.change(edge_id, min((each.since for each in said), default=BEGINNING))
            row["kept_until"] = max(row["kept_until"], self._kept_until.get(edge_id, 0))
        times = {
            edge_id: max(min(since, rows[edge_id]["end_time"] - 1), rows[edge_id]["kept_until"])
            for edge_id, since in self._since.items()
            if edge_id in rows
        }
        spans = {
            edge_id: Span(rows[edge_id]["source_id"], rows[edge_id]["target_id"], time)
            for edge_id, time in times.items()
        }
        cut = cuts(self._store, spans)
        # What one who told of it leaves out another may state: such an edge is gone through from its beginning.
        times |= {edge_id: max(BEGINNING, rows[edge_id]["kept_until"]) for edge_id in cut}
        left_out = cuts(self._store, {edge_id: spans[edge_id]._replace(since=BEGINNING) for edge_id in cut})
        stored = self._stored(times.keys() - set(new))
        observed = self._observations(times, left_out)
        gone: list[tuple[int, int]] = []
        changed: list[Row] = []
        for edge_id, time in times.items():
            row, was = rows[edge_id], stored.get(edge_id, {})
            kept = [
                Version(each["valid_from"], each["reason"], each["mapping_hash"])
                for each in was.values()
                if each["valid_from"] < time and each["reason"] != Change.DROPPED
            ]
            found = versions(kept, observed.get(edge_id, ()), row["end_time"])
            if row["state"] == RETRACTED and found and found[-1].reason not in GONE:
                # Versions are left where what said so was replaced: then it ended.
                found.append(Version(row["kept_until"] - 1, Change.RETIRED))
            row["changed_time"] = found[-1].valid_from if found else 0
            is_now = {each["valid_from"]: each for each in _rows(row, found)}
            gone += [(edge_id, valid_from) for valid_from in was.keys() - is_now.keys()]
            changed += [each for valid_from, each in is_now.items() if each != was.get(valid_from)]
        self._store.remove(LineageEdgeVersion, gone)
        self._store.put(LineageEdgeVersion, changed)

    def change(self, edge_id: int, since: int) -> None:
        """Has the versions of an edge derived again from a time on."""
        self._since[edge_id] = min(self._since.get(edge_id, FOREVER), since)

    def _stored(self, edge_ids: Collection[int]) -> dict[int, dict[int, Row]]:
        found: dict[int, dict[int, Row]] = {}
        rows = [values_of(row) for row in self._store.find(LineageEdgeVersion, "edge_id", edge_ids)]
        for row in sorted(rows, key=lambda row: row["valid_from"]):
            found.setdefault(row["edge_id"], {})[row["valid_from"]] = row
        return found

    def _observations(
        self, times: Mapping[int, int], left_out: Mapping[int, Cuts]
    ) -> dict[int, list[Observation]]:
        """What each edge's runs said since a time, in order; a run of several names of an asset says it once."""
        found: dict[int, list[Observation]] = {}
        rows = self._store.said_since(times)
        for (edge_id, _run_id, since), of_run in groupby(
            sorted(rows, key=lambda row: row.edge_id), key=lambda row: (row.edge_id, row.run_id, row.since)
        ):
            said = list(of_run)
            hashed = self._united({row.mapping_hash for row in said})
            defines = all(row.defines for row in said)
            teller = (said[0].workspace_id, said[0].principal_id)
            times_out = left_out.get(edge_id, {}).get(teller, ())
            first = min(began(row._mapping) for row in said)
            for time in sorted({time for time in (first, since) if time >= times[edge_id]}):
                until = first_after(times_out, time) if defines else FOREVER
                found.setdefault(edge_id, []).append(Observation(time, hashed, until))
        for of_edge in found.values():
            of_edge.sort(key=lambda observation: observation.since)
        return found


def _observed(row: Row) -> tuple[int, int, str, bool]:
    return row["edge_id"], row["since"], row["mapping_hash"], row["defines"]


def _is_news(edge: Row, observation: Observation) -> bool:
    """Whether what a run says is not what the newest version of an edge says already."""
    holds = edge["state"] == "LIVE" and edge["changed_time"] <= observation.since
    return not holds or observation.mapping_hash != edge["mapping_hash"]


def _rows(edge: Row, found: list[Version]) -> list[Row]:
    ends = [*(version.valid_from for version in found[1:]), FOREVER][: len(found)]
    return [
        {
            "edge_id": edge["id"],
            "valid_from": version.valid_from,
            "valid_to": valid_to,
            "source_id": edge["source_id"],
            "target_id": edge["target_id"],
            "reason": str(version.reason),
            "mapping_hash": version.mapping_hash,
        }
        for version, valid_to in zip(found, ends, strict=True)
    ]
