"""Who makes credentials with what, and how long those live."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from lakewarden_server.authn.tokens import SHORT_LIVED, TokenKind
from lakewarden_server.core.errors import PermissionDenied, Reason
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call

LASTING_LEFT_MIN = timedelta(days=1)
"""How long a token must live on that makes what lives on by itself."""


def check_makes_credentials(call: Call) -> None:
    """Asked by all that makes a credential, so that nothing of what a client secret or a provider's token led to outlives that.

    Raises CREDENTIAL_UNSUITABLE for an access token and a client certificate.
    """
    if call.caller.token_kind in SHORT_LIVED:
        raise PermissionDenied(
            Reason.CREDENTIAL_UNSUITABLE,
            "an access token or a client certificate makes no other credentials: use a personal access token for this",
        )


def remaining(call: Call) -> timedelta:
    """How long the credential of the call lives on."""
    return datetime.fromtimestamp(call.caller.token_expire_time, UTC) - call.now


def lifetime(seconds: int, call: Call, *, default: timedelta, longest: timedelta) -> timedelta:
    """The lifetime asked for, 0 for the default: none outlives the credential of the call, but what a bootstrap token is there to make.

    Raises FIELD_INVALID, CREDENTIAL_UNSUITABLE.
    """
    check_makes_credentials(call)
    if seconds < 0 or seconds > longest.total_seconds():
        raise validation.invalid(
            "lifetime_seconds", f"{seconds} is not between 1 and {int(longest.total_seconds())}"
        )
    wanted = timedelta(seconds=seconds) if seconds else min(default, longest)
    if call.caller.token_kind is TokenKind.BOOTSTRAP:
        return wanted
    left = remaining(call)
    if seconds and wanted > left:
        raise validation.invalid(
            "lifetime_seconds",
            f"longer than the token of this call lives ({int(left.total_seconds())} seconds)",
        )
    return min(wanted, left)
