"""The token endpoint of OAuth 2.0 (RFC 6749, RFC 8693) over HTTP: a form becomes one call of CreateAccessToken, and nothing is decided here."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import parse_qsl, quote

from google.rpc import code_pb2
from starlette.requests import Request
from starlette.responses import JSONResponse

from lakewarden.v1 import tokens_pb2
from lakewarden_policy import ACCOUNT_ID
from lakewarden_server.http.calls import Calls
from lakewarden_server.http.requests import OPEN_BODY_BYTES_MAX, BodyTooLarge, NotArrived, read_body
from lakewarden_server.http.statuses import reason_of, retry_after_seconds
from lakewarden_server.pipeline.errors import CallFailed

PATHS: Final = ("/oidc/v1/token", f"/oidc/accounts/{ACCOUNT_ID}/v1/token")
CREATE_ACCESS_TOKEN: Final = "TokenService/CreateAccessToken"
CLIENT_CREDENTIALS: Final = "client_credentials"
TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:access_token"
SUBJECT_TYPES: Final = frozenset(
    {"urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token", ACCESS_TOKEN_TYPE}
)
SCOPE: Final = "all-apis"
"""The one there is: an access token does what its principal may."""
_NEVER_KEPT: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_OF_THE_CALLER: Final = {"TOO_MANY_FAILURES", "RATE_LIMITED"}
_SERVER_CODES: Final = {code_pb2.UNAVAILABLE, code_pb2.RESOURCE_EXHAUSTED, code_pb2.DEADLINE_EXCEEDED}


class Refused(Exception):
    """A request that is refused with an error of RFC 6749 section 5.2."""

    def __init__(
        self, error: str, description: str, status: int = 400, retry_after_seconds: int | None = None
    ) -> None:
        super().__init__(description)
        self.error, self.description, self.status = error, description, status
        self.retry_after_seconds = retry_after_seconds


def answer(calls: Calls, form: bytes, authorization: str) -> JSONResponse:
    """What the endpoint says to a form that came with an `Authorization` header, empty for none."""
    try:
        fields = _fields(form)
        calls.show(_credential(fields, authorization))
        made = calls(CREATE_ACCESS_TOKEN, tokens_pb2.CreateAccessTokenRequest())
    except Refused as refused:
        return refuse(refused)
    except CallFailed as failed:
        return refuse_call(failed, by_client=_is_by_client(fields))
    told = {
        "access_token": made.access_token,
        "token_type": "Bearer",
        "expires_in": made.expires_in,
        "scope": SCOPE,
    }
    if not _is_by_client(fields):
        told["issued_token_type"] = ACCESS_TOKEN_TYPE
    return JSONResponse(told, headers=_NEVER_KEPT)


def refuse(refused: Refused) -> JSONResponse:
    """The body of an error."""
    more = {"WWW-Authenticate": 'Basic realm="lakewarden"'} if refused.status == 401 else {}
    if refused.retry_after_seconds is not None:
        more["Retry-After"] = str(refused.retry_after_seconds)
    told = {"error": refused.error, "error_description": refused.description}
    return JSONResponse(told, refused.status, headers={**_NEVER_KEPT, **more})


def refuse_call(failed: CallFailed, *, by_client: bool = False) -> JSONResponse:
    """The body of the error of a call."""
    return refuse(_translated(failed, by_client=by_client))


async def read_form(request: Request) -> bytes:
    """The form of a request. Raises `Refused` for one that is too large, late, or no form."""
    if (
        request.headers.get("content-type", "").partition(";")[0].strip()
        != "application/x-www-form-urlencoded"
    ):
        raise Refused("invalid_request", "send application/x-www-form-urlencoded")
    try:
        return await read_body(request, bytes_max=OPEN_BODY_BYTES_MAX)
    except BodyTooLarge as error:
        raise Refused("invalid_request", str(error), 413) from None
    except NotArrived:
        raise Refused("invalid_request", "the request did not arrive", 408) from None


def _fields(form: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(form.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        raise Refused("invalid_request", "the form cannot be read") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Refused("invalid_request", "a parameter stands there twice")
    if fields.get("scope", SCOPE) != SCOPE:
        raise Refused("invalid_scope", f"the one scope is {SCOPE}")
    return fields


def _is_by_client(fields: Mapping[str, str]) -> bool:
    return fields.get("grant_type") == CLIENT_CREDENTIALS


def _credential(fields: Mapping[str, str], authorization: str) -> str:
    """What the call is made with, by the kind of grant."""
    grants: dict[str, Callable[[], str]] = {
        CLIENT_CREDENTIALS: lambda: _of_client(fields, authorization),
        TOKEN_EXCHANGE: lambda: _of_subject(fields),
    }
    if "grant_type" not in fields:
        raise Refused("invalid_request", "grant_type is missing")
    chosen = grants.get(fields["grant_type"])
    if chosen is None:
        raise Refused("unsupported_grant_type", f"say {CLIENT_CREDENTIALS} or {TOKEN_EXCHANGE}")
    return chosen()


def _of_client(fields: Mapping[str, str], authorization: str) -> str:
    """A client shows its secret in the header or in the form, not in both (section 2.3)."""
    if authorization:
        if "client_secret" in fields or not authorization.lower().startswith("basic "):
            raise Refused("invalid_request", "show the client secret once: as Basic, or in the form")
        return authorization
    if not fields.get("client_id") or not fields.get("client_secret"):
        raise Refused("invalid_client", "client_id and client_secret are missing", 401)
    pair = f"{quote(fields['client_id'], safe='')}:{quote(fields['client_secret'], safe='')}"
    return f"Basic {b64encode(pair.encode()).decode()}"


def _of_subject(fields: Mapping[str, str]) -> str:
    if fields.get("subject_token_type") not in SUBJECT_TYPES or not fields.get("subject_token"):
        raise Refused(
            "invalid_request", "subject_token and its subject_token_type (jwt, id_token) are missing"
        )
    return f"Bearer {fields['subject_token']}"


def _translated(failed: CallFailed, *, by_client: bool) -> Refused:
    code = failed.status.code
    if code in _SERVER_CODES:
        # Of what the caller has too much, it learns so; what the server has too much of is the server's.
        status = 429 if reason_of(failed.status) in _OF_THE_CALLER else 503
        seconds = retry_after_seconds(failed.status)
        return Refused("temporarily_unavailable", failed.status.message, status, seconds)
    if code == code_pb2.INTERNAL:
        return Refused("server_error", failed.status.message, 500)
    if by_client:
        return Refused("invalid_client", failed.status.message, 401)
    return Refused("invalid_grant", failed.status.message)
