"""Declared lineage: relationships that people state (reference/lineage.md 1.3). Each is kept as a row, and its edge as what a run of its own states.

Ends are securables by their ids, so a rename changes nothing, or paths. A relationship that changes gets another run, and the one before is
taken back: what it said is gone, not added to.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from lakewarden_server.core.clock import microseconds_of
from lakewarden_server.core.errors import AlreadyExists, NotFound, Reason, ResourceExhausted
from lakewarden_server.entities import LineageDeclaration
from lakewarden_server.lineage.bindings import VOLUME
from lakewarden_server.lineage.column_facets import written
from lakewarden_server.lineage.events import event_of, time_text
from lakewarden_server.lineage.evidence import Evidence
from lakewarden_server.lineage.facets import Facets, Told
from lakewarden_server.lineage.mapping import ColumnUse, Subtype
from lakewarden_server.lineage.names import AssetName, path_name, securable_name
from lakewarden_server.lineage.recorder import Recorder
from lakewarden_server.lineage.recording import Origin, Received, record
from lakewarden_server.storage.repositories.lineage import LineageStore, values_of

RELATIONSHIPS_MAX: Final = 1_000_000
"""In one metastore; ten times what the closed Unity Catalog takes."""
PRODUCER: Final = "urn:lakewarden:declared-lineage"
SCHEMA_URL: Final = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
JOB_NAMESPACE: Final = "lakewarden"
_PATH: Final = "PATH:"

Columns = Sequence[tuple[str, str]]
"""Source and target column."""


class End(NamedTuple):
    """One end of a relationship, as it is stored: `PATH:` and a canonical URL, or a kind, an id and behind a slash a version or the file of a volume."""

    key: str

    @classmethod
    def of_path(cls, url: str) -> End:
        """The end a canonical URL is."""
        return cls(_PATH + url)

    @classmethod
    def of_securable(cls, kind: str, securable_id: str, version: int = 0) -> End:
        """The end a securable is, or a version of it."""
        return cls(f"{kind}:{securable_id}" + (f"/{version}" if version else ""))

    @classmethod
    def of_file(cls, volume_id: str, file_path: str) -> End:
        """The end a file of a volume is, by its path below it; the volume itself without one."""
        return cls(f"{VOLUME}:{volume_id}" + (f"/{file_path}" if file_path else ""))

    @property
    def digest(self) -> str:
        """What it is found by."""
        return hashlib.sha256(self.key.encode()).hexdigest()

    @property
    def kind(self) -> str:
        """The kind of a securable; `PATH` for a path."""
        return self.key.partition(":")[0]

    @property
    def path(self) -> str:
        """The URL of a path; empty for a securable."""
        return self.key.removeprefix(_PATH) if self.key.startswith(_PATH) else ""

    @property
    def securable_id(self) -> str:
        """The id of a securable; empty for a path."""
        return "" if self.path else self.key.partition(":")[2].partition("/")[0]

    @property
    def version(self) -> int:
        """The version of a model; 0 where there is none."""
        return 0 if self.path or self.kind == VOLUME else int(self.key.partition("/")[2] or 0)

    @property
    def file_path(self) -> str:
        """The path below a volume; empty for the volume itself, and for what is none."""
        return self.key.partition("/")[2] if self.kind == VOLUME else ""

    @property
    def name(self) -> AssetName:
        """What stands for it in the graph."""
        return path_name(self.path) if self.path else securable_name(self.securable_id, self.file_path)


class Declared(NamedTuple):
    """What is said of a relationship."""

    source: End
    target: End
    columns: Columns
    properties: Mapping[str, str]


class Declarations:
    """Writes relationships, each in a transaction of lineage with its edge."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def create(self, origin: Origin, said: Declared, *, time: datetime, deadline: float) -> Any:
        """The new row. Raises NAME_TAKEN for ends that are declared already, QUOTA_EXCEEDED."""

        def work(store: LineageStore) -> dict[str, Any]:
            if _found(store, origin, said.source, said.target) is not None:
                raise AlreadyExists(
                    Reason.NAME_TAKEN,
                    "the lineage from that source to that target is declared already: update it (lakewarden lineage declare --replace)",
                )
            _check_quota(store, origin)
            row = {
                "id": str(uuid.uuid4()),
                "metastore_id": origin.metastore_id,
                "source_key": said.source.key,
                "target_key": said.target.key,
                "source_digest": said.source.digest,
                "target_digest": said.target.digest,
                "run_time": 0,
                "created_by": origin.principal_id,
                "create_time": time,
            }
            return _state(store, origin, row, said, time)

        return self._recorder.transact(work, deadline=deadline)

    def replace(
        self,
        origin: Origin,
        source: End,
        target: End,
        change: Callable[[Declared], Declared],
        *,
        time: datetime,
        deadline: float,
    ) -> Any:
        """The row after a change, of which nothing it said before is left. Raises OBJECT_NOT_FOUND."""

        def work(store: LineageStore) -> dict[str, Any]:
            row = _required(store, origin, source, target)
            before = Declared(
                source, target, [(one, other) for one, other in row["columns"]], row["properties"]
            )
            row = _take_back(store, origin, row, time)
            return _state(store, origin, row, change(before), time)

        return self._recorder.transact(work, deadline=deadline)

    def delete(self, origin: Origin, source: End, target: End, *, time: datetime, deadline: float) -> None:
        """Takes a relationship back. Raises OBJECT_NOT_FOUND."""

        def work(store: LineageStore) -> None:
            row = _required(store, origin, source, target)
            _take_back(store, origin, row, time)
            store.remove(LineageDeclaration, [(row["id"],)])

        self._recorder.transact(work, deadline=deadline)


def _found(store: LineageStore, origin: Origin, source: End, target: End) -> dict[str, Any] | None:
    ends = {"metastore_id": origin.metastore_id, "target_digest": target.digest}
    rows = store.find(LineageDeclaration, "source_digest", [source.digest], **ends)
    return values_of(rows[0]) if rows else None


def _required(store: LineageStore, origin: Origin, source: End, target: End) -> dict[str, Any]:
    row = _found(store, origin, source, target)
    if row is None:
        raise NotFound(Reason.OBJECT_NOT_FOUND, "no lineage from that source to that target is declared")
    return row


def _check_quota(store: LineageStore, origin: Origin) -> None:
    if store.count(LineageDeclaration, metastore_id=origin.metastore_id) >= RELATIONSHIPS_MAX:
        raise ResourceExhausted(
            Reason.QUOTA_EXCEEDED,
            f"the metastore has {RELATIONSHIPS_MAX:,} declared relationships: delete some first",
        )


def _state(
    store: LineageStore, origin: Origin, row: dict[str, Any], said: Declared, time: datetime
) -> dict[str, Any]:
    """Records what is said as a run that has completed, and writes the row."""
    row = row | {
        "columns": [list(pair) for pair in said.columns],
        "properties": dict(said.properties),
        "run_id": str(uuid.uuid4()),
        "run_time": _after(row["run_time"], time),
        "run_workspace_id": origin.workspace_id,
        "run_principal_id": origin.principal_id,
        "update_time": time,
    }
    source, target = said.source.name, said.target.name
    uses = [ColumnUse(other, source, one, Subtype.TRANSFORMATION, False) for one, other in said.columns]
    facets = {"columnLineage": {"uses": written(uses, {use.target for use in uses})}} if uses else {}
    _record(store, origin, row, "COMPLETE", [(source, {})], [(target, facets)], time)
    store.put(LineageDeclaration, [row])
    return row


def _take_back(store: LineageStore, origin: Origin, row: dict[str, Any], time: datetime) -> dict[str, Any]:
    """Lets the run of a relationship have failed after all, as whoever told of it."""
    row = row | {"run_time": _after(row["run_time"], time)}
    teller = origin._replace(workspace_id=row["run_workspace_id"], principal_id=row["run_principal_id"])
    _record(store, teller, row, "ABORT", [], [], time)
    return row


def _record(
    store: LineageStore,
    origin: Origin,
    row: Mapping[str, Any],
    state: str,
    inputs: Iterable[tuple[AssetName, dict[str, Any]]],
    outputs: Iterable[tuple[AssetName, dict[str, Any]]],
    time: datetime,
) -> None:
    event = event_of(
        {
            "eventType": state,
            "eventTime": time_text(row["run_time"]),
            "producer": PRODUCER,
            "schemaURL": SCHEMA_URL,
            "run": {"runId": row["run_id"]},
            "job": {"namespace": JOB_NAMESPACE, "name": f"declared/{row['id']}"},
        },
        now=time,
        strict=True,
    )
    # Ends that are securables have no name that an event could say.
    event = event._replace(evidence=Evidence.DECLARED)
    read, written = (tuple((name, Told.of(said)) for name, said in side) for side in (inputs, outputs))
    record(store, origin, [Received(event, Facets(Told(), Told(), read, written, ()))], time)


def _after(microseconds: int, time: datetime) -> int:
    """The time, but later than what was said before, so that the later one counts."""
    return max(microseconds_of(time), microseconds + 1)
