"""What it takes to declare lineage between two objects, by the kind of each (semantics 8.2; our choice for views and models)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lakewarden_policy.kinds import RELATIONS

DECLARE_FROM: Final[Mapping[str, str]] = {
    **dict.fromkeys(RELATIONS, "SELECT"),
    "EXTERNAL_LOCATION": "READ_FILES",
    "VOLUME": "READ_VOLUME",
    "REGISTERED_MODEL": "EXECUTE",
    "EXTERNAL_METADATA": "MODIFY",
}
"""The privilege on the source."""
DECLARE_TO: Final[Mapping[str, str]] = {
    **dict.fromkeys(RELATIONS, "MANAGE"),
    "TABLE": "MODIFY",
    "STREAMING_TABLE": "MODIFY",
    "EXTERNAL_LOCATION": "WRITE_FILES",
    "VOLUME": "WRITE_VOLUME",
    "REGISTERED_MODEL": "CREATE_MODEL_VERSION",
    "EXTERNAL_METADATA": "MODIFY",
}
"""The privilege on the target. The rows of a view are nobody's to write, so who may change it."""
