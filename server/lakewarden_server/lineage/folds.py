"""Runs as they are stored: compressed, and the newest ones remembered, as what ends a run comes soon after what began it."""

from __future__ import annotations

import zlib
from typing import Final, NamedTuple

from lakewarden_server.lineage.folding import Run
from lakewarden_server.lineage.remembering import Remembered

ZLIB_LEVEL: Final = 3

_RUNS: Final = Remembered[Run]()


class Packed(NamedTuple):
    """A run as it is stored."""

    fold: bytes
    characters: int
    """Of its text."""


def pack(run: Run) -> Packed:
    """A run that is not changed any more."""
    text = run.to_json()
    fold = zlib.compress(text, ZLIB_LEVEL)
    _RUNS.keep(fold, run, len(text))
    return Packed(fold, len(text))


def unpack(fold: bytes) -> Run:
    """The run, for its caller to change."""
    known = _RUNS.get(fold)
    return known.copy() if known else Run.from_json(zlib.decompress(fold))
