"""What a call can fail with: one exception class for each canonical code, made from gRPC errors in one place.

LakewardenError
├── InvalidArgument ── ConfigurationError (found by the client itself, before any call)
├── Unauthenticated
├── PermissionDenied
├── NotFound
├── AlreadyExists
├── FailedPrecondition
├── Aborted
├── ResourceExhausted
├── DeadlineExceeded
├── Unavailable
└── Internal
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import grpc

ERROR_DOMAIN = "lakewarden"


class LakewardenError(Exception):
    """A call that failed.

    `code` is the canonical code's name, `reason` the stable machine-readable cause (empty when the error did not come
    from Lakewarden), `metadata` its small string details, `request_id` what to look for in the server's log.
    """

    default_code: ClassVar[str] = "UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        request_id: str = "",
        retry_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.request_id = request_id
        self.retry_seconds = retry_seconds

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.message!r}, reason={self.reason!r}, request_id={self.request_id!r})"
        )


class InvalidArgument(LakewardenError):
    """The request is wrong whatever the state of the server."""

    default_code = "INVALID_ARGUMENT"


class ConfigurationError(InvalidArgument):
    """The client's own settings are wrong or unsafe; nothing was sent."""


class Unauthenticated(LakewardenError):
    """The server could not establish who is calling."""

    default_code = "UNAUTHENTICATED"


class PermissionDenied(LakewardenError):
    """The caller may not, or may not know whether the object exists."""

    default_code = "PERMISSION_DENIED"


class NotFound(LakewardenError):
    """The object does not exist, and the caller may know that."""

    default_code = "NOT_FOUND"


class AlreadyExists(LakewardenError):
    """The name is taken."""

    default_code = "ALREADY_EXISTS"


class FailedPrecondition(LakewardenError):
    """The request is right but the state does not allow it."""

    default_code = "FAILED_PRECONDITION"


class Aborted(LakewardenError):
    """Lost against a concurrent change: read again, then retry."""

    default_code = "ABORTED"


class ResourceExhausted(LakewardenError):
    """A stated limit was reached."""

    default_code = "RESOURCE_EXHAUSTED"


class DeadlineExceeded(LakewardenError):
    """No answer in time. A mutation may have happened or not."""

    default_code = "DEADLINE_EXCEEDED"


class Unavailable(LakewardenError):
    """The server cannot be reached or cannot answer safely now."""

    default_code = "UNAVAILABLE"


class Internal(LakewardenError):
    """A bug in the server; its log has the details under the request id."""

    default_code = "INTERNAL"


_CLASSES: Mapping[str, type[LakewardenError]] = {
    error_class.default_code: error_class
    for error_class in (
        InvalidArgument,
        Unauthenticated,
        PermissionDenied,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
        Aborted,
        ResourceExhausted,
        DeadlineExceeded,
        Unavailable,
        Internal,
    )
}


def from_rpc_error(error: grpc.RpcError, *, request_id: str, endpoint: str) -> LakewardenError:
    """Translate a gRPC error: canonical code to class, google.rpc.ErrorInfo to reason and metadata.

    `request_id` is the one that was sent; the server's own RequestInfo wins over it.
    """
    code = error.code().name
    message = error.details() or code
    reason, metadata, answered_id, retry_seconds = _details(error)
    if not reason and code == "CANCELLED":
        # Nothing here cancels a call: a server that stops drops those that still wait for a thread.
        code = "UNAVAILABLE"
    if not reason and code == "UNAVAILABLE":
        message = f"no answer from {endpoint}: {message}"
    elif not reason and code == "DEADLINE_EXCEEDED":
        message = f"no answer from {endpoint} in time"
    return _CLASSES.get(code, LakewardenError)(
        message,
        code=code,
        reason=reason,
        metadata=metadata,
        request_id=answered_id or request_id,
        retry_seconds=retry_seconds,
    )


def _details(error: grpc.RpcError) -> tuple[str, dict[str, str], str, float | None]:
    """Reason, metadata, request id and pause before a retry, each empty or None where the server sent none."""
    from google.rpc import error_details_pb2
    from grpc_status import rpc_status

    try:
        status = rpc_status.from_call(error)
    except ValueError:
        # The details contradict the status itself; the plain status is still worth raising.
        status = None
    reason, metadata, request_id, retry_seconds = "", {}, "", None
    for detail in status.details if status is not None else ():
        error_info, request_info = error_details_pb2.ErrorInfo(), error_details_pb2.RequestInfo()
        retry_info = error_details_pb2.RetryInfo()
        if detail.Unpack(error_info) and error_info.domain == ERROR_DOMAIN:
            reason, metadata = error_info.reason, dict(error_info.metadata)
        elif detail.Unpack(request_info):
            request_id = request_info.request_id
        elif detail.Unpack(retry_info):
            retry_seconds = retry_info.retry_delay.seconds + retry_info.retry_delay.nanos / 1e9
    return reason, metadata, request_id, retry_seconds
