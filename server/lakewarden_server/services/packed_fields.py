"""Packed fields of a message straight from arrays: value by value, Python takes longer than all the rest of a large answer.

What is written is a field as the protobuf encoding has it (protobuf.dev/programming-guides/encoding, "Packed repeated fields"); a message
takes it with `MergeFromString`, which checks it like anything else that arrives.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from numpy.typing import NDArray

_LENGTH_DELIMITED = 2
_CONTINUED = 0x80


def packed_fixed(field: FieldDescriptor, values: NDArray[Any]) -> bytes:
    """A `repeated sfixed32` field with these values."""
    return _field(field, values.astype("<i4").tobytes())


def packed_bytes(field: FieldDescriptor, values: NDArray[np.uint8]) -> bytes:
    """A repeated field of bool or an enum with these values, which are less than 128: each is its own varint."""
    return _field(field, values.tobytes())


def _field(field: FieldDescriptor, content: bytes) -> bytes:
    if not content:
        return b""
    tag = field.number << 3 | _LENGTH_DELIMITED
    return bytes((*_varint(tag), *_varint(len(content)))) + content


def _varint(number: int) -> Iterator[int]:
    while number >= _CONTINUED:
        yield number % _CONTINUED | _CONTINUED
        number //= _CONTINUED
    yield number
