"""The one translation of an error into a google.rpc.Status with ErrorInfo and RequestInfo."""

from __future__ import annotations

import logging
from typing import NoReturn

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from lakewarden_server.core.errors import Internal, LakewardenError, Reason
from lakewarden_server.pipeline.redaction import redacted_text

DOMAIN = "lakewarden"
MESSAGE_CHARACTERS_MAX = 2_000
MESSAGE_HEADER_BYTES_MAX = 3_600
METADATA_BYTES_MAX = 300
"""A status travels in trailers of at most 8 KiB; past that the client would lose the real code."""

logger = logging.getLogger("lakewarden.errors")


class CallFailed(Exception):
    """A call that ends with a status instead of a reply."""

    def __init__(self, status: status_pb2.Status) -> None:
        super().__init__(status.message)
        self.status = status


def fail(error: Exception, *, method: str, request_id: str) -> NoReturn:
    """Raises `CallFailed` with the status of an error; an unexpected one is logged and becomes INTERNAL without its text."""
    if not isinstance(error, LakewardenError) or isinstance(error, Internal):
        logger.error("%s failed (request_id=%s)", method, request_id, exc_info=error)
        _let_go(error)
        error = Internal(
            Reason.INTERNAL_ERROR, f"internal error; tell the operator the request id {request_id}"
        )
    _let_go(error)
    raise CallFailed(status_of(error, request_id)) from error


def _let_go(error: BaseException) -> None:
    """Takes the frames from an error and from what it came of.

    A frame that has a name for the error it raises holds itself, and with it the call, whose stream counts as open until
    the cyclic collector comes: a connection has only so many.
    """
    cause: BaseException | None = error
    while cause is not None:
        cause.__traceback__ = None
        cause = cause.__cause__ or cause.__context__


def status_of(error: LakewardenError, request_id: str) -> status_pb2.Status:
    """The status of one of our errors."""
    information = error_details_pb2.ErrorInfo(
        reason=error.reason,
        domain=DOMAIN,
        metadata={key: _begin(redacted_text(value)) for key, value in error.metadata.items()},
    )
    message = _fitting(redacted_text(error.message))
    status = status_pb2.Status(code=code_pb2.Code.Value(error.code), message=message)
    details: list[Message] = [information, error_details_pb2.RequestInfo(request_id=request_id)]
    if error.retry_seconds is not None:
        delay = Duration()
        delay.FromMicroseconds(round(error.retry_seconds * 1e6))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _fitting(message: str) -> str:
    """The beginning of a message that fits its header, where each byte but of printable ASCII is written as three."""
    is_plain = message.isascii() and message.isprintable() and "%" not in message
    if is_plain and len(message) <= MESSAGE_CHARACTERS_MAX:
        return message
    taken = 0
    for position, character in enumerate(message):
        plain = " " <= character <= "~" and character != "%"
        taken += 1 if plain else 3 * len(character.encode())
        if position == MESSAGE_CHARACTERS_MAX or taken > MESSAGE_HEADER_BYTES_MAX:
            return message[:position]
    return message


def _begin(value: str) -> str:
    """The beginning of a metadata value, cut between characters."""
    return value.encode()[:METADATA_BYTES_MAX].decode(errors="ignore")
