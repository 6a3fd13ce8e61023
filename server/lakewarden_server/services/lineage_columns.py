"""Answers about columns as they are written: nodes and edges as columns of numbers, a node for each column."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import numpy as np

from lakewarden.v1 import lineage_graph_pb2 as pb
from lakewarden_server.lineage.column_book import NOT_TOLD, ColumnBook, how
from lakewarden_server.lineage.column_uses import ColumnUses
from lakewarden_server.lineage.columns import (
    KIND_BITS,
    KIND_MASK,
    NAME_BITS,
    NAME_MASK,
    Column,
    ColumnEdges,
    ColumnLevel,
    ColumnWalk,
    Keys,
    assets_of,
    columns_of,
    key_of,
    walk_columns,
)
from lakewarden_server.lineage.graph import EVIDENCE_BITS, Direction, Flags, Ints, firsts
from lakewarden_server.lineage.identities import FOREVER
from lakewarden_server.lineage.mapping import Subtype
from lakewarden_server.lineage.mapping_numbers import MappingNumbers
from lakewarden_server.lineage.names import NameInvalid, check_name
from lakewarden_server.lineage.nodes import LineageState
from lakewarden_server.lineage.traversal import Edges, Sight, ending_of
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call, SnapshotBehind
from lakewarden_server.services.lineage_answers import (
    EVIDENCE_BY_NUMBER,
    STATES_BY_NUMBER,
    Telling,
    new_answer,
    shuffled,
)
from lakewarden_server.services.packed_fields import packed_bytes, packed_fixed
from lakewarden_server.storage.repositories.lineage_graph import LineageGraphReader
from lakewarden_server.storage.repositories.lineage_history import LineageHistoryReader

COLUMNS_MAX: Final = 1_000
"""Columns of the root that a question names."""
SUBTYPES: Final[dict[Subtype | None, int]] = {
    None: pb.LINEAGE_SUBTYPE_UNSPECIFIED,
    **{subtype: pb.LineageSubtype.Value(subtype.value) for subtype in Subtype},
}
"""How an answer says how a column takes part in another."""
_SUBTYPE_BITS: Final = 4
_SAID_BITS: Final = _SUBTYPE_BITS + 1
_SAID: Final = np.array(
    [SUBTYPES[subtype] << 1 | masking for subtype, masking in map(how, range(NOT_TOLD))] + [0]
)
"""By kind, subtype and masking as an answer says them, as one number."""
_STATE_BITS: Final = 2


def names_of(columns: Sequence[str]) -> list[str]:
    """The columns a request names, each once. Raises FIELD_INVALID."""
    if len(columns) > COLUMNS_MAX:
        raise validation.invalid("columns", f"{len(columns):,} are more than {COLUMNS_MAX:,}")
    try:
        return list(dict.fromkeys(map(check_name, columns)))
    except NameInvalid as error:
        raise validation.invalid("columns", str(error)) from error


def said_at(call: Call, state: LineageState, time: int = FOREVER) -> ColumnUses:
    """What the edges of a state, or those of a time, say of columns."""
    connection = call.uow.connection
    reader = LineageGraphReader(connection)

    def read(hashes: Collection[str]) -> Iterable[Any]:
        """Raises SnapshotBehind for a state that is newer than what the transaction sees."""
        if state.sequence > reader.sequence():
            raise SnapshotBehind
        return reader.mappings(hashes)

    if time == FOREVER:
        return ColumnUses(state, read, deadline=call.deadline)
    past = LineageHistoryReader(connection)
    # What edges said once has numbers of its own: among those of the state it would stay for good.
    later = state._replace(mappings=MappingNumbers())
    return ColumnUses(later, read, lambda edges: past.mapping_hashes(edges, time), deadline=call.deadline)


def begun(
    graph: Edges, asset: int, names: Collection[str], asked: ColumnWalk, sight: Sight, uses_of: ColumnUses
) -> ColumnWalk:
    """A walk from columns of a visible asset, all of them where none is named."""
    roots = tuple(Column(asset, name) for name in names) or columns_of(graph, asset, asked, sight, uses_of)
    return asked._replace(roots=roots)


def column_answer(
    told: Telling, graph: Edges, asked: ColumnWalk, uses_of: ColumnUses
) -> pb.TraverseLineageResponse:
    """What columns were made of and what was made of them."""
    telling = _ColumnTelling(told, asked.roots, uses_of.book)
    ending = ending_of(walk_columns(graph, asked, told.sight, uses_of), telling.add_level)
    answer = new_answer(ending)
    telling.write_nodes(answer.nodes)
    telling.write_edges(answer.edges)
    return answer


class _ColumnTelling:
    """One answer about columns. Like one about assets it tells nothing that follows from ids: columns have handles in the order they are told in."""

    def __init__(self, told: Telling, roots: Collection[Column], book: ColumnBook) -> None:
        self._told, self._book = told, book
        self._keys: list[Keys] = []
        self._distances: list[Ints] = []
        self._hidden: list[Flags] = []
        self._edges: list[ColumnEdges] = []
        self._add(np.array([key_of(root, book) for root in roots], dtype=np.int64), 0, hidden=False)

    def add_level(self, level: ColumnLevel) -> None:
        """Tells a level: its columns get handles, its edges are told."""
        distance = -level.depth if level.direction is Direction.UPSTREAM else level.depth
        self._add(level.visible, distance, hidden=False)
        if len(level.hidden):
            self._add(shuffled(level.hidden).astype(np.int64) << NAME_BITS, distance, hidden=True)
        self._edges.append(level.edges)

    def write_nodes(self, told: pb.LineageNodes) -> None:
        """Writes the columns told of, in the order of their handles."""
        keys = np.concatenate(self._keys)
        self._told.describe(
            told, assets_of(keys), np.concatenate(self._distances), np.concatenate(self._hidden)
        )
        told.columns.extend(self._book.names((keys & NAME_MASK).tolist()))

    def write_edges(self, told: pb.LineageEdges) -> None:
        """Writes the edges told of, each once, with the strongest evidence, in the order of their handles."""
        if not self._edges:
            return
        sources, targets, hows = (np.concatenate(part) for part in zip(*self._edges, strict=True))
        keys = np.concatenate(self._keys)
        handles = np.argsort(keys)
        ordered, bits = keys[handles], len(keys).bit_length()
        ends = [handles[np.searchsorted(ordered, end)] for end in (sources, targets)]
        standings = hows >> KIND_BITS
        said = STATES_BY_NUMBER[standings >> EVIDENCE_BITS].astype(np.int64) << _SAID_BITS
        said |= _SAID[hows & KIND_MASK]
        rows = ends[0] << bits | ends[1]
        rows = (rows << _STATE_BITS + _SAID_BITS | said) << EVIDENCE_BITS
        rows = np.sort(rows | standings & ((1 << EVIDENCE_BITS) - 1))
        _write(told, rows[firsts(rows >> EVIDENCE_BITS)], bits)

    def _add(self, keys: Keys, distance: int, *, hidden: bool) -> None:
        self._keys.append(keys)
        self._distances.append(np.full(len(keys), distance, dtype=np.int32))
        self._hidden.append(np.full(len(keys), hidden))


def _write(told: pb.LineageEdges, rows: Keys, bits: int) -> None:
    """Writes edges from numbers: of so many bits each end, then state, subtype, masking and evidence."""
    fields = pb.LineageEdges.DESCRIPTOR.fields_by_name

    def cut(width: int) -> Keys:
        nonlocal rows
        low = rows & ((1 << width) - 1)
        rows = rows >> width
        return low

    evidence, masking, subtypes, states, targets = map(
        cut, (EVIDENCE_BITS, 1, _SUBTYPE_BITS, _STATE_BITS, bits)
    )
    for field, values in (("sources", rows), ("targets", targets)):
        told.MergeFromString(packed_fixed(fields[field], values))
    small = {"states": states, "subtypes": subtypes, "masking": masking}
    for field, values in small.items():
        told.MergeFromString(packed_bytes(fields[field], values.astype(np.uint8)))
    told.MergeFromString(packed_bytes(fields["evidence"], EVIDENCE_BY_NUMBER[evidence]))
