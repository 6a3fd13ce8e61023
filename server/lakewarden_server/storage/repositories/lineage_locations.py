"""Reads what is registered where, for the paths that lineage speaks of."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Select, or_, select

from lakewarden_server.entities import Securable, StoragePath
from lakewarden_server.storage.repositories.lineage import LineageStore
from lakewarden_server.storage.repositories.prepared import among


class Lain(NamedTuple):
    """What has its data at a URL."""

    securable_id: str
    kind: str


def data_at(store: LineageStore, urls: Collection[str]) -> dict[str, Lain]:
    """Of storage URLs, those at which a live table or volume is registered."""
    return {row.url: Lain(row.securable_id, row.kind) for row in store.rows_among(_data_at, urls)}


@cache
def _data_at(dialect: str) -> Select[Any]:
    path, securable = StoragePath.__table__.c, Securable.__table__.c
    return (
        select(path.url, path.securable_id, securable.kind)
        .join_from(StoragePath, Securable, securable.id == path.securable_id)
        .where(
            among(path.url, dialect),
            path.use == "DATA",
            or_(securable.kind == "TABLE", securable.kind == "VOLUME"),
        )
    )
