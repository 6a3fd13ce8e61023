"""From the status of a failed call to the status, `scimType` and body of RFC 7644, section 3.12."""

from __future__ import annotations

from google.rpc import code_pb2, error_details_pb2, status_pb2
from scim2_models import SCIMException

_HTTP = {
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "FAILED_PRECONDITION": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "DEADLINE_EXCEEDED": 504,
    "UNAVAILABLE": 503,
}
_HTTP_OF_REASON = {
    "ETAG_MISMATCH": 412,
    "MESSAGE_TOO_LARGE": 413,
    "STORAGE_FULL": 507,
    "GROUP_CYCLE": 400,
    "GROUP_TOO_DEEP": 400,
    "SYSTEM_OBJECT": 400,
}
_SCIM_TYPES = {
    "NAME_INVALID": "invalidValue",
    "FIELD_INVALID": "invalidValue",
    "PRINCIPAL_UNKNOWN": "invalidValue",
    "GROUP_CYCLE": "invalidValue",
    "GROUP_TOO_DEEP": "invalidValue",
    "SYSTEM_OBJECT": "mutability",
    "NAME_TAKEN": "uniqueness",
    "EXTERNAL_ID_TAKEN": "uniqueness",
}


class CallRefused(SCIMException):
    """A call of an RPC that failed, in SCIM's words."""

    def __init__(self, status: status_pb2.Status) -> None:
        super().__init__(detail=status.message)
        self.reason = _reason(status)
        code = code_pb2.Code.Name(status.code)
        self.status = _HTTP_OF_REASON.get(self.reason) or _HTTP.get(code, 500)
        self.scim_type = _SCIM_TYPES.get(self.reason, "")


class Busy(SCIMException):
    """More requests wait than the server takes on; this one was not begun."""

    status = 429
    _default_detail = "the server has all it can do: retry later"


class BodyTooLarge(SCIMException):
    """The body is over the limit."""

    status = 413

    def __init__(self, bytes_max: int) -> None:
        super().__init__(detail=f"at most {bytes_max} bytes are read: split the request")


def _reason(status: status_pb2.Status) -> str:
    information = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Unpack(information):
            return str(information.reason)
    return ""
