"""Every error a caller can meet. Raised where the fact is known, translated to a gRPC status once, in `pipeline/`.

LakewardenError
├── InvalidArgument       the request is wrong whatever the state      INVALID_ARGUMENT
├── Unauthenticated       who is calling could not be established      UNAUTHENTICATED
├── PermissionDenied      known caller, may not                        PERMISSION_DENIED
├── NotFound              absent, told only to those who may know      NOT_FOUND
├── AlreadyExists         a live object has that name                  ALREADY_EXISTS
├── FailedPrecondition    right request, wrong state                   FAILED_PRECONDITION
├── Aborted               lost a race; read again and retry            ABORTED
├── ResourceExhausted     a limit was reached                          RESOURCE_EXHAUSTED
│   ├── RetryLater        the caller asks for too much; retry        RESOURCE_EXHAUSTED
│   └── Overloaded        more calls than the server can take; retry   RESOURCE_EXHAUSTED
├── DeadlineExceeded      the caller's time is up                      DEADLINE_EXCEEDED
├── Unavailable           cannot answer safely now; retry              UNAVAILABLE
└── Internal              a bug; the text stays in the server's log    INTERNAL

`Reason` lists every `google.rpc.ErrorInfo.reason` with the code it travels under.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class Reason(StrEnum):
    """Why a call failed; stable, machine-readable, documented in README's error table."""

    # INVALID_ARGUMENT
    FIELD_INVALID = "FIELD_INVALID"
    NAME_INVALID = "NAME_INVALID"
    PRIVILEGE_UNKNOWN = "PRIVILEGE_UNKNOWN"
    PRIVILEGE_NOT_APPLICABLE = "PRIVILEGE_NOT_APPLICABLE"
    PRINCIPAL_UNKNOWN = "PRINCIPAL_UNKNOWN"
    PAGE_TOKEN_INVALID = "PAGE_TOKEN_INVALID"
    UPDATE_MASK_INVALID = "UPDATE_MASK_INVALID"
    DEFINITION_INVALID = "DEFINITION_INVALID"
    EVENT_INVALID = "EVENT_INVALID"
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    WORKSPACE_REQUIRED = "WORKSPACE_REQUIRED"
    # UNAUTHENTICATED
    TOKEN_MISSING = "TOKEN_MISSING"
    TOKEN_MALFORMED = "TOKEN_MALFORMED"
    TOKEN_CHECKSUM_WRONG = "TOKEN_CHECKSUM_WRONG"
    TOKEN_INVALID = "TOKEN_INVALID"
    TOKEN_EXPIRED = "TOKEN_EXPIRED"
    PRINCIPAL_DISABLED = "PRINCIPAL_DISABLED"
    CERTIFICATE_INVALID = "CERTIFICATE_INVALID"
    # PERMISSION_DENIED
    ACCESS_DENIED = "ACCESS_DENIED"
    PRIVILEGE_MISSING = "PRIVILEGE_MISSING"
    WORKSPACE_DENIED = "WORKSPACE_DENIED"
    TOKENS_DENIED = "TOKENS_DENIED"
    BOOTSTRAP_TOKEN_RESTRICTED = "BOOTSTRAP_TOKEN_RESTRICTED"
    CREDENTIAL_UNSUITABLE = "CREDENTIAL_UNSUITABLE"
    IP_NOT_ALLOWED = "IP_NOT_ALLOWED"
    # NOT_FOUND
    OBJECT_NOT_FOUND = "OBJECT_NOT_FOUND"
    # ALREADY_EXISTS
    NAME_TAKEN = "NAME_TAKEN"
    EXTERNAL_ID_TAKEN = "EXTERNAL_ID_TAKEN"
    # FAILED_PRECONDITION
    NOT_EMPTY = "NOT_EMPTY"
    IN_USE = "IN_USE"
    LOCATION_OVERLAP = "LOCATION_OVERLAP"
    GROUP_CYCLE = "GROUP_CYCLE"
    GROUP_TOO_DEEP = "GROUP_TOO_DEEP"
    LAST_ADMIN = "LAST_ADMIN"
    SYSTEM_OBJECT = "SYSTEM_OBJECT"
    ALREADY_INITIALIZED = "ALREADY_INITIALIZED"
    HISTORY_MISMATCH = "HISTORY_MISMATCH"
    HISTORY_UNAVAILABLE = "HISTORY_UNAVAILABLE"
    FUNCTION_IN_USE = "FUNCTION_IN_USE"
    FUNCTION_UNSUITABLE = "FUNCTION_UNSUITABLE"
    COLUMN_IN_USE = "COLUMN_IN_USE"
    CALLER_LOCKED_OUT = "CALLER_LOCKED_OUT"
    # ABORTED
    ETAG_MISMATCH = "ETAG_MISMATCH"
    CONCURRENT_CHANGE = "CONCURRENT_CHANGE"
    # RESOURCE_EXHAUSTED
    MESSAGE_TOO_LARGE = "MESSAGE_TOO_LARGE"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    STORAGE_FULL = "STORAGE_FULL"
    OVERLOADED = "OVERLOADED"
    TOO_MANY_FAILURES = "TOO_MANY_FAILURES"
    RATE_LIMITED = "RATE_LIMITED"
    # DEADLINE_EXCEEDED
    DEADLINE_PASSED = "DEADLINE_PASSED"
    # UNAVAILABLE
    STORAGE_UNAVAILABLE = "STORAGE_UNAVAILABLE"
    SNAPSHOT_UNAVAILABLE = "SNAPSHOT_UNAVAILABLE"
    TRACING_UNAVAILABLE = "TRACING_UNAVAILABLE"
    # UNIMPLEMENTED / INTERNAL
    INTERNAL_ERROR = "INTERNAL_ERROR"


class OperatorError(Exception):
    """What an operator can mend before anything is served: told in a line, without a traceback."""


class LakewardenError(Exception):
    """An error with a canonical code, a reason and small string metadata (never secrets, never driver text).

    `code` is the name of a google.rpc.Code; `message` says what, which and what to do.
    """

    code: ClassVar[str] = "INTERNAL"
    retry_seconds: float | None = None
    """When to try again, for the caller; None where nothing is said about it."""

    def __init__(self, reason: Reason, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = metadata


class InvalidArgument(LakewardenError):
    """The request is wrong whatever the state of the server."""

    code = "INVALID_ARGUMENT"


class Unauthenticated(LakewardenError):
    """Who is calling could not be established."""

    code = "UNAUTHENTICATED"


class PermissionDenied(LakewardenError):
    """A known caller may not; the same words for a missing and for an invisible object."""

    code = "PERMISSION_DENIED"


class NotFound(LakewardenError):
    """The object does not exist; told only to a caller to whom its container's list would show it."""

    code = "NOT_FOUND"


class AlreadyExists(LakewardenError):
    """A live object of that name stands in the same namespace."""

    code = "ALREADY_EXISTS"


class FailedPrecondition(LakewardenError):
    """The request is well formed but the state does not allow it."""

    code = "FAILED_PRECONDITION"


class Aborted(LakewardenError):
    """The call lost against a concurrent change; read again, then retry."""

    code = "ABORTED"


class ResourceExhausted(LakewardenError):
    """A stated limit was reached."""

    code = "RESOURCE_EXHAUSTED"


class Overloaded(ResourceExhausted):
    """More calls wait than the server takes on; this one was not begun."""

    retry_seconds = 0.5


class RetryLater(ResourceExhausted):
    """The caller asked for too much; it says after how many seconds to ask again."""

    def __init__(self, reason: Reason, message: str, *, retry_seconds: float, **metadata: str) -> None:
        super().__init__(reason, message, **metadata)
        self.retry_seconds = retry_seconds


class DeadlineExceeded(LakewardenError):
    """The caller's time ran out before the work was committed."""

    code = "DEADLINE_EXCEEDED"


class Unavailable(LakewardenError):
    """The server cannot answer safely now; the same call may be retried."""

    code = "UNAVAILABLE"


class Internal(LakewardenError):
    """A bug of ours; the text goes to the log, the client gets the request id."""

    code = "INTERNAL"
