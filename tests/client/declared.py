"""For every RPC of declared lineage: the client method that calls it, and the command that does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lakewarden import Client

_SERVICE = "ExternalLineageService"
METHODS: dict[str, Callable[[Client], Any]] = {
    f"{_SERVICE}/CreateExternalLineage": lambda client: client.external_lineage.create("a.b.c", "a.b.d"),
    f"{_SERVICE}/UpdateExternalLineage": lambda client: client.external_lineage.update(
        "a.b.c", "a.b.d", columns=[("x", "y")]
    ),
    f"{_SERVICE}/DeleteExternalLineage": lambda client: client.external_lineage.delete("a.b.c", "a.b.d"),
    f"{_SERVICE}/ListExternalLineage": lambda client: list(client.external_lineage.list("a.b.c")),
}
COMMANDS = (
    (f"{_SERVICE}/CreateExternalLineage", "lineage declare a.b.c a.b.d --column x=y"),
    (f"{_SERVICE}/UpdateExternalLineage", "lineage declare a.b.c a.b.d --replace"),
    (f"{_SERVICE}/DeleteExternalLineage", "lineage undeclare a.b.c a.b.d"),
    (f"{_SERVICE}/ListExternalLineage", "lineage declared a.b.c"),
)
