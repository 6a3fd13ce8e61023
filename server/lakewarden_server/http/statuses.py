"""From the status of a failed call to HTTP: what both SCIM and the Databricks API say in the same way."""

from __future__ import annotations

import math

from google.rpc import code_pb2, error_details_pb2, status_pb2

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


def http_status(status: status_pb2.Status) -> int:
    """The HTTP status of a code; 500 for one that tells of no fault of the caller."""
    return _HTTP.get(code_name(status), 500)


def code_name(status: status_pb2.Status) -> str:
    """The name of the code, e.g. `NOT_FOUND`."""
    return str(code_pb2.Code.Name(status.code))


def retry_after_seconds(status: status_pb2.Status) -> int | None:
    """When to try again, in whole seconds as HTTP says it; None where the status says nothing of it."""
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        if detail.Unpack(retry):
            nanoseconds: int = retry.retry_delay.ToNanoseconds()
            return max(1, math.ceil(nanoseconds / 1e9))
    return None


def reason_of(status: status_pb2.Status) -> str:
    """The reason in the status, e.g. `NAME_TAKEN`; empty where there is none."""
    information = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Unpack(information):
            return str(information.reason)
    return ""
