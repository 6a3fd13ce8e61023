"""Slices as Arrow IPC: one stream for each list, its columns the fields of the records. What the server sends and a replica reads.

Not imported by the package itself: only watching and replicas need pyarrow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import NoneType
from typing import Any, Final, NamedTuple, get_args, get_type_hints

import pyarrow as pa

from lakewarden_policy.slices import RECORDS, SliceDelta

COMPLETE: Final = "complete"
REMOVED: Final = "removed"
ADDED: Final = "added"
_LIST: Final = b"list"
_PART: Final = b"part"
_OPTIONS: Final = pa.ipc.IpcWriteOptions(compression="zstd")
_TEXT: Final = pa.dictionary(pa.int32(), pa.string())
_TYPES: Final[Mapping[Any, pa.DataType]] = {
    str: _TEXT, bool: pa.bool_(), int: pa.int64(), float: pa.float64(), tuple[str, ...]: pa.list_(pa.string()),
}  # fmt: skip


class Unreadable(ValueError):
    """Bytes that are no slice of this release."""


class Part(NamedTuple):
    """One list that was read: all of it, or what it loses or gains."""

    part: str
    name: str
    records: Iterable[Any]
    """To be read once."""


def encode_slice(lists: Mapping[str, Sequence[Any]]) -> bytes:
    """All lists of a slice, the empty ones too: a reader knows by them that it has everything."""
    return _encode((COMPLETE, name, lists[name]) for name in RECORDS)


def encode_delta(delta: SliceDelta) -> bytes:
    """What a slice loses and gains."""
    parts = [(REMOVED, name, found) for name, found in delta.removed.items()]
    parts += [(ADDED, name, found) for name, found in delta.added.items()]
    if delta.principals is not None:
        parts.append((COMPLETE, "principals", delta.principals))
    return _encode(parts)


def decode(encoded: bytes) -> Iterator[Part]:
    """The lists in the bytes, in order. Raises Unreadable."""
    source = pa.BufferReader(encoded)
    while source.tell() < len(encoded):
        try:
            found = _part(pa.ipc.open_stream(source).read_all())
        except (pa.ArrowException, OSError, ValueError, IndexError, TypeError) as error:
            # Arrow says of bytes that are cut or damaged whatever it met first.
            raise Unreadable(f"{type(error).__name__}: {error}") from None
        yield found


def _part(table: pa.Table) -> Part:
    metadata = table.schema.metadata or {}
    name, part = metadata.get(_LIST, b"").decode(), metadata.get(_PART, b"").decode()
    if name not in RECORDS or part not in {COMPLETE, REMOVED, ADDED}:
        raise Unreadable(f"there is no list {name!r}, {part!r}")
    if table.schema.remove_metadata() != _SCHEMAS[name]:
        raise Unreadable(f"the records of {name} are not those of this release")
    return Part(part, name, _records(part, name, table))


def _schema(record: type[Any] | None) -> pa.Schema:
    if record is None:
        return pa.schema([pa.field("id", _TEXT)])
    hints = get_type_hints(record)
    return pa.schema([_field(name, hints[name]) for name in record._fields])


def _field(name: str, hint: Any) -> pa.Field:
    kinds = set(get_args(hint)) - {NoneType} if NoneType in get_args(hint) else {hint}
    (kind,) = kinds
    return pa.field(name, _TYPES[kind])


_SCHEMAS: Final = {name: _schema(record) for name, record in RECORDS.items()}


def _encode(parts: Iterable[tuple[str, str, Sequence[Any]]]) -> bytes:
    sink = pa.BufferOutputStream()
    for part, name, records in parts:
        schema = _SCHEMAS[name].with_metadata({_LIST: name.encode(), _PART: part.encode()})
        columns: Iterable[Any] = zip(*records, strict=True) if RECORDS[name] else [records]
        arrays = [
            _array(list(column), field)
            for field, column in zip(schema, columns if records else [()] * len(schema), strict=True)
        ]
        with pa.ipc.new_stream(sink, schema, options=_OPTIONS) as writer:
            writer.write_batch(pa.record_batch(arrays, schema=schema))
    encoded: bytes = sink.getvalue().to_pybytes()
    return encoded


def _array(values: list[Any], field: pa.Field) -> pa.Array:
    if field.type == _TEXT:
        return pa.array(values, pa.string()).dictionary_encode()
    return pa.array(values, field.type)


def _records(part: str, name: str, table: pa.Table) -> Iterable[Any]:
    columns = [_values(table.column(position)) for position in range(table.num_columns)]
    record = RECORDS[name]
    if record is None:
        return columns[0]
    # All grants may be a million, and are only unpacked: plain tuples of the same order do, and none of them stays.
    if name == "grants" and part == COMPLETE:
        return zip(*columns, strict=True)
    return list(map(record._make, zip(*columns, strict=True)))


def _values(column: pa.ChunkedArray) -> list[Any]:
    """The values of a column; strings of a dictionary are made once and shared."""
    values: list[Any] = []
    for chunk in column.chunks:
        if not isinstance(chunk, pa.DictionaryArray):
            values.extend(chunk.to_pylist() if chunk.null_count < len(chunk) else [None] * len(chunk))
            continue
        known = [*chunk.dictionary.to_pylist(), None]
        # What is null points to the None at the end.
        indices = chunk.indices.fill_null(len(known) - 1)
        positions = memoryview(indices.buffers()[1]).cast("i") if len(indices) else ()
        values.extend(map(known.__getitem__, positions[indices.offset : indices.offset + len(indices)]))
    return values
