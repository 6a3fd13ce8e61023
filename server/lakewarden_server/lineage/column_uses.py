"""What the edges of a question say of columns, read a level at a time; what several say alike once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from lakewarden_server.lineage.columns import Use
from lakewarden_server.lineage.graph import Ints
from lakewarden_server.lineage.identities import FOREVER
from lakewarden_server.lineage.mapping import Subtype
from lakewarden_server.storage.errors import deadline_passed
from lakewarden_server.storage.repositories.lineage_graph import LineageGraphReader
from lakewarden_server.storage.repositories.lineage_history import LineageHistoryReader

USES_READ_MAX: Final = 500_000
"""Pairs of columns read for one question; of one that meets more there is no answer."""


class ColumnUses:
    """Of one question, within its transaction, as edges were at one time."""

    def __init__(self, reader: LineageGraphReader, past: LineageHistoryReader, time: int) -> None:
        """`time` is in microseconds since 1970, FOREVER for now."""
        self._reader, self._past, self._time = reader, past, time
        self._count = 0
        self._hashes: dict[int, str] = {}
        self._uses: dict[str, Sequence[Use]] = {}

    def __call__(self, edges: Ints) -> Mapping[int, Sequence[Use]]:
        """What edges say of columns; those that say nothing are left out. Raises DeadlineExceeded where it is too much."""
        edge_ids = set(edges.tolist())
        self._hashes |= self._read(edge_ids - self._hashes.keys())
        hashes = {edge_id: self._hashes[edge_id] for edge_id in edge_ids & self._hashes.keys()}
        for mapping_hash, columns in self._reader.mappings(set(hashes.values()) - self._uses.keys()):
            self._count += len(columns)
            if self._count > USES_READ_MAX:
                raise deadline_passed()
            self._uses[mapping_hash] = [
                Use(target, source, Subtype(subtype), masking) for target, source, subtype, masking in columns
            ]
        return {
            edge_id: self._uses[mapping_hash]
            for edge_id, mapping_hash in hashes.items()
            if self._uses.get(mapping_hash)
        }

    def _read(self, edge_ids: Collection[int]) -> dict[int, str]:
        if self._time == FOREVER:
            return self._reader.mapping_hashes(edge_ids)
        return self._past.mapping_hashes(edge_ids, self._time)
