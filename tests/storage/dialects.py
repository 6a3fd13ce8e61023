"""The kinds of database a test runs on where not both can tell it something."""

from __future__ import annotations

import pytest

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For tests whose proof does not depend on the dialect, above all controls: what is broken in them is broken above it."""
