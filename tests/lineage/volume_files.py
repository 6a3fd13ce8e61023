"""A lake with an external location and a volume in it, one file of which has many names."""

from __future__ import annotations

from typing import Any

from lakewarden import Client
from lakewarden_server.lineage.registering import Registrar
from lineage.corpus import dataset, event
from lineage.lake import Lake, of, shown

FILE = "/Volumes/main/raw/landing/day/orders.csv"
STORED = "s3://lake/landing/day/orders.csv"
NAMES = [
    ("dbfs", FILE),
    ("file", FILE),
    ("dbfs:/", FILE),
    ("dbfs://workspace.example.com", FILE),
    ("dbfs", "/Volumes/MAIN/Raw/landing/day/orders.csv/dt=2026-01-01/part-0.parquet"),
    ("s3a://lake", "landing/day/orders.csv"),
    ("s3://lake", "/landing/day/orders.csv/dt=2026-01-01/"),
]
ROLE = {"role_arn": "arn:aws:iam::123456789012:role/lake"}


def landing(lake: Lake) -> None:
    """Makes the volume."""
    lake.admin.volumes.create("main.raw.landing", storage_location="s3://lake/landing")


def read_into(lake: Lake, namespace: str, name: str, table: str = "raw.orders", run: int = 1) -> None:
    """A run read a file into a table."""
    lake.record(event(second=run, run=run, inputs=[dataset(name, namespace)], outputs=[of(table)]))


def upstream(client: Client, name: str = "main.raw.orders", **asked: Any) -> set[tuple[str, str]]:
    """The edges that lead to an asset."""
    return shown(client.lineage.traverse(name, direction="upstream", **asked))[1]


def registered(lake: Lake) -> None:
    """Has everything bound that was registered until now."""
    Registrar(lake.server.app.database, lake.server.app.follower, frozenset()).catch_up()


def kinds(client: Client, name: str) -> dict[str, str]:
    """The kinds of the assets around one, by their labels."""
    return {node.label: node.kind for node in client.lineage.traverse(name).nodes}
