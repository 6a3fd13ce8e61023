"""Random histories of runs, as they would be told of over years, and what lineage answers about them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from lakewarden_server.core.clock import monotonic
from lakewarden_server.entities import LineageAsset, LineageEdge, LineageJob
from lakewarden_server.lineage.facets import understand
from lakewarden_server.lineage.recording import Received
from lakewarden_server.storage.repositories.lineage import LineageStore
from lakewarden_server.storage.repositories.lineage_history import LineageHistoryReader
from lineage.corpus import NOW, columns, dataset, dataset_event, event, lifecycle, read, symlinks
from lineage.stored import Lineage

DAY = 86_400
DB = "postgres://db"
YEAR = datetime(2026, 1, 1, tzinfo=NOW.tzinfo)


class Delivery(NamedTuple):
    """Events that came at a second of 2026, or so long before it."""

    second: float
    bodies: list[bytes]

    @property
    def time(self) -> datetime:
        return YEAR + timedelta(seconds=self.second)


class Past(Lineage):
    """A lineage whose events come when they say."""

    def receive(self, delivery: Delivery) -> list[bool | None]:
        received = [Received(told, understand(told)) for told in map(read, delivery.bodies)]
        return self.recorder.record(self.origin, received, time=delivery.time, deadline=monotonic() + 60)

    def answers(self, now: datetime, days: int = 400) -> dict[str, Any]:
        """All that is told of edges: what they are, were, and on which days they were made."""
        lines = [
            line for line in self.export().splitlines() if not line.startswith((b'{"event', b'{"first": '))
        ]
        return {"export": lines, "history": self.history(), "days": self.days(now, days)}

    def days(self, now: datetime, days: int) -> dict[tuple[str, str, str], list[tuple[Any, ...]]]:
        """Of each edge the runs of each of the last days."""
        with self.database.reading() as connection:
            store, reader = LineageStore(connection), LineageHistoryReader(connection)
            names = {row.id: f"{row.name}@{row.end_time}" for row in store.all(LineageAsset)}
            jobs = {row.id: row.name for row in store.all(LineageJob)}
            first = (now - timedelta(days=days - 1)).date()
            found: dict[tuple[str, str, str], list[tuple[Any, ...]]] = {}
            for edge in store.all(LineageEdge, metastore_id=self.origin.metastore_id):
                ends = names[edge.source_id], names[edge.target_id], jobs.get(edge.job_id, "")
                for row in reader.days(edge.id, first, 100_000):
                    told = (row.day, row.run_count, row.first_time, row.last_time, row.key)
                    found.setdefault(ends, []).append(told)
            return {ends: sorted(days) for ends, days in found.items()}


class Job(NamedTuple):
    """What the runs of a job may say."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    defines: bool
    per_day: float


def history(seed: int, days: int = 700, end: float = 0) -> Iterator[Delivery]:
    """A history until a second of 2026, delivery by delivery: late, doubled, failing, redefined, dropped, renamed."""
    chance = random.Random(seed)
    jobs = [
        Job("load", ("a", "b"), ("t",), False, 2),
        Job("view", ("a", "b", "c"), ("v",), True, 1),
        Job("other view", ("a", "c"), ("v",), True, 0.2),
        Job("mixed", ("x", "y", "t"), ("t", "w"), False, 1),
        Job("temporary", ("t",), ("tmp",), False, 0.3),
    ]
    said: dict[str, tuple[tuple[str, ...], str]] = {}
    run = seed * 100_000
    for day in range(days):
        start = end - (days - day) * DAY
        bodies: list[bytes] = []
        for job in jobs:
            for _ in range(_times(chance, job.per_day)):
                run += 1
                if job.name not in said or chance.random() < 0.1:
                    inputs = tuple(sorted(chance.sample(job.inputs, chance.randint(1, len(job.inputs)))))
                    said[job.name] = inputs, chance.choice(["IDENTITY", "TRANSFORMATION"])
                bodies += _run(chance, run, job, *said[job.name], start + chance.uniform(0, DAY - 7_200))
        bodies += chance.choices(bodies, k=len(bodies) // 10) if bodies else []
        chance.shuffle(bodies)
        late = chance.choice([0, 0, 0, 3 * DAY])
        yield Delivery(start + DAY + late, bodies)


def _times(chance: random.Random, per_day: float) -> int:
    return chance.choice([1, 2, 3]) if per_day >= 2 else int(chance.random() < per_day)


def _run(
    chance: random.Random, run: int, job: Job, inputs: tuple[str, ...], subtype: str, second: float
) -> list[bytes]:
    outputs = []
    for name in job.outputs[: chance.choice([1, len(job.outputs)])]:
        facets: dict[str, Any] = {"columnLineage": columns(k=[(inputs[0], "k", subtype)])}
        if job.defines:
            facets["lifecycleStateChange"] = lifecycle("CREATE")
        outputs.append(dataset(name, **facets))
    told = {"run": run, "job": job.name, "inputs": list(inputs), "outputs": outputs}
    end = chance.choices(["COMPLETE", "FAIL", ""], [20, 1, 1])[0]
    found = [event("START", second, run=run, job=job.name)]
    if end:
        found.append(event(end, second + chance.uniform(1, 7_000), **told))
    else:
        found[0] = event("START", second, **told)
    if job.name == "temporary" and chance.random() < 0.5:
        kind = chance.choice(["DROP", "RENAME"])
        gone = lifecycle("DROP") if kind == "DROP" else lifecycle("RENAME", (DB, "tmp"))
        name = "tmp" if kind == "DROP" else f"kept_{run}"
        found.append(
            event(
                "COMPLETE", second + 7_100, run=10_000_000_000 + run, job="ending",
                outputs=[dataset(name, lifecycleStateChange=gone)],
            )
        )  # fmt: skip
    return found


def late_links(second: float) -> Delivery:
    """Long after, names are said to have been one all the time."""
    pairs = [("x", "y"), ("a", "c"), ("b", "b2")]
    return Delivery(
        second,
        [
            dataset_event(second - 10 + number, dataset(one, symlinks=symlinks((DB, other))))
            for number, (one, other) in enumerate(pairs)
        ],
    )
