"""A lake with lineage inside a real server: tables, and runs that made them of each other."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from sqlalchemy import func, select

from lakewarden import Client
from lakewarden.lineage import Lineage as Answer
from lakewarden_server.core.clock import monotonic, utc_now
from lakewarden_server.entities import LineageChange
from lakewarden_server.lineage.events import read_event
from lakewarden_server.lineage.facets import understand
from lakewarden_server.lineage.recorder import Recorder
from lakewarden_server.lineage.recording import Origin, Received
from lakewarden_server.storage.repositories.lineage_graph import LineageGraphReader
from lakewarden_server.testing import METASTORE, WORKSPACE, EmbeddedServer
from lineage.corpus import columns, dataset, event

OURS = "unitycatalog://lake.example.com"


class Lake:
    """Tables of `main`, each in a schema named before its dot, and the runs between them."""

    def __init__(
        self, server: EmbeddedServer, tables: Sequence[str] = (), columns: Sequence[str] = ("id",)
    ) -> None:
        self.server = server
        self.admin = server.client()
        self._runs = itertools.count(1)
        self._recorder = Recorder(server.app.database)
        self.admin.catalogs.create("main")
        for schema in sorted({table.partition(".")[0] for table in tables}):
            self.admin.schemas.create(f"main.{schema}")
        for table in tables:
            self.admin.tables.create(
                f"main.{table}", columns=[{"name": name, "type_text": "BIGINT"} for name in columns]
            )

    def made(self, source: str, target: str, *, kind: str = "COMPLETE", second: float | None = None) -> None:
        """A run made one table of another; names with `://` in them are datasets elsewhere."""
        run = next(self._runs)
        self.record(
            event(kind, second or run, run=run, job=f"job {run}", inputs=[of(source)], outputs=[of(target)])
        )

    def made_of_columns(
        self, target: str, *, second: float | None = None, job: str = "", **fields: list[tuple[str, str, str]]
    ) -> None:
        """A run, of a job of its own unless one is named, made columns of one table of others': of each its sources as (table, column, subtype)."""
        run = next(self._runs)
        named = {
            field: [(f"main.{table}", column, how) for table, column, how in sources]
            for field, sources in fields.items()
        }
        tables = sorted({table for sources in fields.values() for table, _, _ in sources})
        made = dataset(f"main.{target}", OURS, columnLineage=columns(OURS, **named))
        about = {"run": run, "job": job or f"job {run}", "inputs": list(map(of, tables)), "outputs": [made]}
        self.record(event(second=second or run, **about))

    def record(self, *bodies: bytes, workspace_id: str = "") -> None:
        """Records events told by the admin, in the tests' workspace unless another is named."""
        snapshot = self.server.app.follower.at_head().snapshot
        metastore = snapshot.locate("METASTORE", METASTORE, None).securable
        workspace = snapshot.locate("WORKSPACE", WORKSPACE, None).securable
        admin = snapshot.principal_named("admin@example.com")
        assert metastore
        assert workspace
        assert admin
        origin = Origin(metastore.id, workspace_id or workspace.id, admin.id, snapshot)
        now = utc_now()
        events = [read_event(body, now=now) for body in bodies]
        received = [Received(event, understand(event)) for event in events]
        self._recorder.record(origin, received, time=now, deadline=monotonic() + 60)

    def sequence(self) -> int:
        """Of the newest change of the lineage."""
        with self.server.app.database.reading() as connection:
            return LineageGraphReader(connection).sequence()

    def changes(self) -> int:
        """How many changes of assets and edges were told to who has the graph in memory."""
        with self.server.app.database.reading() as connection:
            return connection.execute(select(func.count()).select_from(LineageChange)).scalar_one()


def may_use(lake: Lake, name: str, *tables: str) -> Client:
    """A user who may read these tables and nothing else."""
    email = f"{name}@example.com"
    client = lake.server.client_as(name)
    lake.admin.grants.grant("USE CATALOG", "catalog", "main", email)
    for schema in {table.partition(".")[0] for table in tables}:
        lake.admin.grants.grant("USE SCHEMA", "schema", f"main.{schema}", email)
    for table in tables:
        lake.admin.grants.grant("SELECT", "table", f"main.{table}", email)
    return client


def of(name: str) -> dict[str, object]:
    """The dataset of a table of `main`, or elsewhere: `namespace|name`."""
    if "://" in name:
        namespace, _, rest = name.partition("|")
        return dataset(rest, namespace)
    return dataset(f"main.{name}", OURS)


def shown(answer: Answer) -> tuple[set[str], set[tuple[str, str]]]:
    """The labels of an answer, and its edges between them."""
    labels = {node.id: node.label.removeprefix("main.") for node in answer.nodes}
    return set(labels.values()), {(labels[edge.source_id], labels[edge.target_id]) for edge in answer.edges}
