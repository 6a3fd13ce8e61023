"""Runs as they are stored: compressed, and the newest ones remembered, as what ends a run comes soon after what began it."""

from __future__ import annotations

from typing import Final, NamedTuple

from lakewarden_server.lineage.compression import compressed, decompressed
from lakewarden_server.lineage.folding import Run
from lakewarden_server.lineage.remembering import REMEMBERED_BYTES_MAX, Remembered

RUNS_BYTES_MAX: Final = 2 * REMEMBERED_BYTES_MAX
"""What the remembered runs count for; a thousand with a few datasets."""
PART_BYTES: Final = 256
"""That a dataset or a facet of a run counts for beside its text: each is an object of its own, however short that is."""

_RUNS: Final = Remembered[Run](RUNS_BYTES_MAX)


class Packed(NamedTuple):
    """A run as it is stored."""

    fold: bytes
    characters: int
    """Of its text."""


def pack(run: Run) -> Packed:
    """A run that is not changed any more."""
    text = run.to_json()
    fold = compressed(text)
    _RUNS.keep(fold, run, len(text) + PART_BYTES * _parts(run))
    return Packed(fold, len(text))


def unpack(fold: bytes) -> Run:
    """The run, for its caller to change."""
    known = _RUNS.get(fold)
    return known.copy() if known else Run.from_json(decompressed(fold))


def _parts(run: Run) -> int:
    """How many datasets and facets it has."""
    of_datasets = [*run.inputs.values(), *run.outputs.values()]
    return len(of_datasets) + sum(map(len, (run.run_facets, run.job_facets, *of_datasets)))
