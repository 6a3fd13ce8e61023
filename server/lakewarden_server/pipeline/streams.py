"""Answers of several messages: found while they are sent, each from what was decided when the call began."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.message import Message

from lakewarden_server.pipeline.errors import fail
from lakewarden_server.pipeline.headers import Headers
from lakewarden_server.pipeline.rules import Method


def guarded(messages: Iterator[Message], method: Method, arrived: Headers) -> Iterator[Message]:
    """The same messages. Raises `CallFailed` for whatever goes wrong on the way."""
    try:
        yield from messages
    except Exception as error:  # noqa: BLE001 - as in the pipeline, which has returned by now
        fail(error, method=method.full_name, request_id=arrived.request_id)
