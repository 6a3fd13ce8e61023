"""Times on their way to the wire and to who reads them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from lakewarden._errors import InvalidArgument

_AWARE = "an aware datetime, say datetime.now(UTC) - timedelta(days=7)"


def to_timestamp(moment: datetime) -> Timestamp:
    """The time as a message. Raises InvalidArgument for what is no time, or one without a zone: guessing it would be wrong by hours."""
    if not isinstance(moment, datetime):
        raise InvalidArgument(f"{moment!r} is no time: give {_AWARE}", reason="FIELD_INVALID")
    if moment.tzinfo is None:
        raise InvalidArgument(f"{moment} has no time zone: give {_AWARE}", reason="FIELD_INVALID")
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def time_text(moment: datetime) -> str:
    """The time as answers have it: RFC 3339 in UTC with a `Z`, the fraction in three or six digits where there is one.

    Raises InvalidArgument for a time without a zone.
    """
    return to_timestamp(moment).ToJsonString()


def as_of_fields(moment: datetime | str | int | None) -> dict[str, Any]:
    """The fields of a request that name an earlier state: a time, or a revision or its number."""
    if isinstance(moment, datetime):
        return {"as_of_time": to_timestamp(moment)}
    return {} if moment is None else {"as_of_revision": str(moment)}
