"""Turns protobuf messages into plain data for printing: snake_case, every field always there, int64 as a number.

`google.protobuf.json_format` is not used: below protobuf 7 it cannot print int64 as a number, and it leaves fields out.
"""

from __future__ import annotations

import base64
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp


def to_plain(message: Message) -> dict[str, Any]:
    """Return the message's fields in the order of their numbers; an unset message field is None."""
    fields: Any = message.DESCRIPTOR.fields
    descriptors: list[FieldDescriptor] = sorted(fields, key=lambda descriptor: descriptor.number)
    return {descriptor.name: _field(message, descriptor) for descriptor in descriptors}


def _field(message: Message, descriptor: FieldDescriptor) -> Any:
    value = getattr(message, descriptor.name)
    kind = descriptor.message_type
    if kind is not None and kind.GetOptions().map_entry:
        return dict(sorted(value.items()))
    if _is_repeated(descriptor):
        return [_single(element, descriptor) for element in value]
    if kind is not None and not message.HasField(descriptor.name):
        return None
    return _single(value, descriptor)


def _is_repeated(descriptor: FieldDescriptor) -> bool:
    # protobuf 7 has `is_repeated` and warns about `label`; protobuf 6.31 has only `label`.
    repeated = getattr(descriptor, "is_repeated", None)
    if repeated is None:
        untyped: Any = descriptor
        repeated = untyped.label == FieldDescriptor.LABEL_REPEATED
    return bool(repeated)


def _single(value: Any, descriptor: FieldDescriptor) -> Any:
    """One value; times in RFC 3339, enums by name, bytes in base64."""
    if isinstance(value, Timestamp):
        return value.ToJsonString()
    if isinstance(value, Message):
        return to_plain(value)
    if descriptor.enum_type is not None:
        known = descriptor.enum_type.values_by_number.get(value)
        return known.name if known is not None else value
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value
