"""Errors as the Databricks API tells them (semantics 9.7): a status, and `error_code`, `message` and `details` in the body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from google.protobuf.json_format import MessageToDict
from google.rpc import status_pb2

from lakewarden_server.http.statuses import code_name, http_status, reason_of, retry_after_seconds

_CODES = {
    "INVALID_ARGUMENT": "INVALID_PARAMETER_VALUE",
    "NOT_FOUND": "RESOURCE_DOES_NOT_EXIST",
    "ALREADY_EXISTS": "RESOURCE_ALREADY_EXISTS",
    "FAILED_PRECONDITION": "INVALID_STATE",
    "UNAVAILABLE": "TEMPORARILY_UNAVAILABLE",
    "INTERNAL": "INTERNAL_ERROR",
}
"""Where the name is another than that of the google.rpc.Code."""
_OF_REASON = {
    "PRINCIPAL_UNKNOWN": (404, "RESOURCE_DOES_NOT_EXIST"),
    # Clients try again what is answered with 429: a quota does not go away by that.
    "QUOTA_EXCEEDED": (400, "QUOTA_EXCEEDED"),
    "MESSAGE_TOO_LARGE": (413, "MAX_REQUEST_SIZE_EXCEEDED"),
    "STORAGE_FULL": (507, "RESOURCE_EXHAUSTED"),
}
_STATUS_OF_CODE = {"FAILED_PRECONDITION": 400}


class Refusal(NamedTuple):
    """What is said to a request that is not done."""

    status: int
    error_code: str
    message: str
    details: list[Any]
    retry_after_seconds: int | None = None

    @property
    def body(self) -> Mapping[str, Any]:
        """The JSON body."""
        return {"error_code": self.error_code, "message": self.message, "details": self.details}


class Refused(Exception):
    """A request that becomes no call, for what it says itself."""

    def __init__(
        self, message: str, *, status: int = 400, error_code: str = "INVALID_PARAMETER_VALUE"
    ) -> None:
        super().__init__(message)
        self.refusal = Refusal(status, error_code, message, [])


def refusal_of(failed: status_pb2.Status) -> Refusal:
    """What is said to a request one of whose calls failed."""
    name = code_name(failed)
    known = (_STATUS_OF_CODE.get(name) or http_status(failed), _CODES.get(name, name))
    status, error_code = _OF_REASON.get(reason_of(failed), known)
    details = [MessageToDict(detail, preserving_proto_field_name=True) for detail in failed.details]
    return Refusal(status, error_code, failed.message, details, retry_after_seconds(failed))
