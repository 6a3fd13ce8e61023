"""Columns for the graph of a million edges, ten million pairs of them, and what questions about them cost."""

from __future__ import annotations

import random
from collections.abc import Iterator
from time import perf_counter
from typing import Any, Final

from bench.figures import Figure, median_of, percentile
from bench.worlds import SEED
from lakewarden import Client
from lakewarden_server.lineage.mapping import Subtype, mapping_hash

COLUMNS: Final = 30
"""Of a table."""
PAIRS: Final = 10
"""That an edge says."""
MAPPINGS: Final = 50_000
"""Ways to say it; many runs say the same of columns."""
DEPTH: Final = 10
CALLS: Final = 200
MILLISECONDS: Final = 1_000


def mappings() -> Iterator[dict[str, Any]]:
    """The rows of what edges can say of columns."""
    rng = random.Random(SEED)
    for _ in range(MAPPINGS):
        targets = rng.sample(range(COLUMNS), PAIRS)
        pairs = sorted(
            [f"c{target}", f"c{rng.randrange(COLUMNS)}", Subtype.IDENTITY.value, False] for target in targets
        )
        yield {"hash": mapping_hash(pairs), "columns": pairs}


def column_figures(admin: Client, tables: list[str], calls: int = CALLS) -> Iterator[Figure]:
    """Ten steps downstream of one column, as many columns as a question is answered by when none is said."""
    rng = random.Random(SEED)
    milliseconds, nodes, edges = [], [], []
    for _ in range(calls):
        started = perf_counter()
        found = admin.lineage.columns(
            rng.choice(tables), f"c{rng.randrange(COLUMNS)}", direction="downstream", max_depth=DEPTH
        )
        milliseconds.append(MILLISECONDS * (perf_counter() - started))
        nodes.append(len(list(found.nodes)))
        edges.append(len(list(found.edges)))
    told = {
        "nodes": median_of(nodes),
        "edges_told": median_of(edges),
        "p95_ms": percentile(milliseconds, 0.95),
        "max_ms": max(milliseconds),
    }
    yield Figure("lineage_columns_depth10_p50_ms", median_of(milliseconds), told)
