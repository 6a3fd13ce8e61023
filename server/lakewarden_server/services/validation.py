"""Limits and shapes of request fields, checked after authorization (AIP-211) and before anything is stored."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from lakewarden_policy import InvalidName
from lakewarden_server.core.errors import InvalidArgument, Reason

COMMENT_BYTES_MAX = 4_096
DISPLAY_NAME_BYTES_MAX = 255
EXTERNAL_ID_BYTES_MAX = 255
PROPERTIES_MAX = 100
PROPERTY_KEY_BYTES_MAX = 255
PROPERTY_VALUE_BYTES_MAX = 4_096
REPEATED_MAX = 1_000


def comment(text: str) -> str:
    """A comment of at most `COMMENT_BYTES_MAX` bytes."""
    return bounded(text, "comment", COMMENT_BYTES_MAX)


def display_name(text: str) -> str:
    """A display name of at most `DISPLAY_NAME_BYTES_MAX` bytes."""
    return bounded(text, "display_name", DISPLAY_NAME_BYTES_MAX)


def external_id(text: str) -> str:
    """An identifier at an identity provider of at most `EXTERNAL_ID_BYTES_MAX` bytes, compared byte by byte."""
    return bounded(text, "external_id", EXTERNAL_ID_BYTES_MAX)


def properties(pairs: Mapping[str, str], *, field: str = "properties") -> dict[str, str]:
    """Free properties or options within their limits, as a plain dict."""
    if len(pairs) > PROPERTIES_MAX:
        raise invalid(field, f"{len(pairs)} pairs; at most {PROPERTIES_MAX} are kept")
    for key, value in pairs.items():
        if not key:
            raise invalid(field, "a pair has an empty key")
        bounded(key, field, PROPERTY_KEY_BYTES_MAX)
        bounded(value, f"{field}[{key[:40]}]", PROPERTY_VALUE_BYTES_MAX)
    return dict(sorted(pairs.items()))


def repeated(
    values: Collection[Any], field: str, *, required: bool = False, count_max: int = REPEATED_MAX
) -> None:
    """A list of at most `count_max`; not empty when `required`."""
    if len(values) > count_max:
        raise invalid(field, f"{len(values)} values; send at most {count_max} in one call")
    if required and not values:
        raise invalid(field, "it is empty")


def named(check: Callable[..., str], *arguments: str) -> str:
    """Runs a name rule of the policy engine and tells its refusal as NAME_INVALID."""
    try:
        return check(*arguments)
    except InvalidName as error:
        raise InvalidArgument(Reason.NAME_INVALID, str(error), field="name") from None


def mask_paths(paths: Collection[str], allowed: Collection[str]) -> list[str]:
    """The paths of an update mask, each once. Raises UPDATE_MASK_INVALID naming the paths that can change."""
    chosen = list(dict.fromkeys(paths))
    unknown = [path for path in chosen if path not in allowed]
    if unknown or not chosen:
        problem = f"cannot change {', '.join(repr(path) for path in unknown)}" if unknown else "it is empty"
        raise InvalidArgument(
            Reason.UPDATE_MASK_INVALID,
            f"update_mask: {problem}; name some of: {', '.join(sorted(allowed))}",
            field="update_mask",
        )
    return chosen


def time(value: Timestamp, field: str) -> datetime:
    """A timestamp as an aware time. Raises FIELD_INVALID for one that no calendar has."""
    try:
        return value.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise invalid(field, "it is no time between the years 1 and 9999") from None


def optional_time(request: Any, field: str) -> datetime | None:
    """The timestamp in a field, None when it is not set. Raises FIELD_INVALID."""
    return time(getattr(request, field), field) if request.HasField(field) else None


def invalid(field: str, problem: str) -> InvalidArgument:
    """A FIELD_INVALID error for one field."""
    return InvalidArgument(Reason.FIELD_INVALID, f"{field}: {problem}", field=field)


def bounded(text: str, field: str, bytes_max: int) -> str:
    """A text of at most `bytes_max` bytes without NUL. Raises FIELD_INVALID."""
    if len(text.encode()) > bytes_max:
        raise invalid(field, f"longer than {bytes_max} bytes")
    if "\0" in text:
        raise invalid(field, "holds a NUL character")
    return text
