"""Installations that a server of several workers is started on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from durability.processes import Installation, install


@pytest.fixture
def installed(database_url: str, tmp_path: Path) -> Installation:
    """A set-up database of each kind."""
    return install(database_url, tmp_path / "data")


@pytest.fixture
def installed_once(make_database_url: Callable[[str], str], tmp_path: Path) -> Installation:
    """A set-up SQLite database, for what does not depend on the database."""
    return install(make_database_url("sqlite"), tmp_path / "data")
