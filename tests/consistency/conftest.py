"""The cluster every consistency test starts from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from consistency.cluster import Cluster, cluster_on


@pytest.fixture
def cluster(database_url: str, tmp_path: Path) -> Iterator[Cluster]:
    """One server on a fresh database of each kind; tests add replicas."""
    with cluster_on(database_url, tmp_path) as one:
        yield one


@pytest.fixture
def postgresql_cluster(make_database_url: Callable[[str], str], tmp_path: Path) -> Iterator[Cluster]:
    """One server on a fresh PostgreSQL database, for what only PostgreSQL can do."""
    with cluster_on(make_database_url("postgresql"), tmp_path) as one:
        yield one
