"""Times on their way to the wire."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from lakewarden._errors import InvalidArgument


def to_timestamp(moment: datetime) -> Timestamp:
    """The time as a message. Raises InvalidArgument for one without a zone: guessing it would be wrong by hours."""
    if moment.tzinfo is None:
        raise InvalidArgument(f"{moment} has no time zone", reason="FIELD_INVALID")
    message = Timestamp()
    message.FromDatetime(moment)
    return message
