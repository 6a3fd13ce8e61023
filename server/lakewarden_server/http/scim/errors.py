"""From the status of a failed call to the status, `scimType` and body of RFC 7644, section 3.12."""

from __future__ import annotations

from google.rpc import status_pb2
from scim2_models import SCIMException

from lakewarden_server.http.statuses import http_status, reason_of

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
        self.reason = reason_of(status)
        self.status = _HTTP_OF_REASON.get(self.reason) or http_status(status)
        self.scim_type = _SCIM_TYPES.get(self.reason, "")


class Busy(SCIMException):
    """More requests wait than the server takes on; this one was not begun."""

    status = 429
    _default_detail = "the server has all it can do: retry later"


class BodyTooLarge(SCIMException):
    """The body is over the limit."""

    status = 413

    def __init__(self, detail: str) -> None:
        super().__init__(detail=detail)
