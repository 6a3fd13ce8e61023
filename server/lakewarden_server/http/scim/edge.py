"""From an HTTP request to a SCIM request and back: authenticated first, tried again when it lost a race it did not ask about."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote

from google.rpc import status_pb2
from scim2_models import InvalidValueException, SCIMException
from scim2_server.handler import ScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.routing import Operation, Target
from scim2_server.service import ScimService

from lakewarden.v1 import sessions_pb2
from lakewarden_server.http.calls import GET_SESSION, UPDATE_GRANTS, Calls
from lakewarden_server.http.scim.errors import CallRefused
from lakewarden_server.http.scim.nouns import ENDPOINTS, NOUNS, TYPES
from lakewarden_server.http.scim.resources import provider
from lakewarden_server.http.scim.service import Exchange
from lakewarden_server.http.scim.storage import RpcStorage
from lakewarden_server.http.scim.workspaces import WorkspaceStorage
from lakewarden_server.http.statuses import retry_after_seconds
from lakewarden_server.pipeline import headers
from lakewarden_server.pipeline.errors import CallFailed

TRIES_MAX = 5
"""Of a change without If-Match that meets another one between its read and its write."""
_PUBLIC = frozenset(
    {
        Operation.service_provider_config,
        Operation.resource_types,
        Operation.resource_type,
        Operation.schemas,
        Operation.schema,
    }
)
"""What describes the service and not its data: answered without a token (RFC 7644, section 4)."""
_VERBS = {
    Operation.create: "Create",
    Operation.replace: "Update",
    Operation.patch: "Update",
    Operation.delete: "Delete",
    Operation.query: "Get",
    Operation.search: "List",
    Operation.search_with_body: "List",
}
_NOUN_OF_ENDPOINT = {endpoint.lower(): NOUNS[TYPES[kind]] for kind, endpoint in ENDPOINTS.items()}
logger = logging.getLogger("lakewarden.scim")


class Answer(NamedTuple):
    """Status, headers and body of a response."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Purpose(NamedTuple):
    """What is known of a request before its body is read."""

    rpc: str
    """The `Service/Method` it is for, whatever else it calls."""
    is_open: bool
    """Answered, or refused, without a token."""


def purpose_of(request: ScimRequest, *, of_workspace: bool) -> Purpose:
    """What a request is for, about the account or a workspace."""
    try:
        target = ScimService.match(request)
    except SCIMException:
        # Answered so to everybody.
        return Purpose(GET_SESSION, is_open=True)
    if of_workspace and target.operation is Operation.delete:
        return Purpose(UPDATE_GRANTS, is_open=False)
    return Purpose(_rpc_of(target), is_open=target.operation in _PUBLIC)


class ScimEdge:
    """Answers SCIM requests; shared by all threads, holds no state of a request."""

    def __init__(self) -> None:
        self._provider = provider()
        self._service = ScimService(self._provider)

    def answer(self, request: ScimRequest, calls: Calls, *, of_workspace: bool) -> Answer:
        """The answer to one request, whatever it is, about the account or the calling workspace."""
        try:
            response = self._handle(request, calls, of_workspace=of_workspace)
        except CallFailed as failure:
            return self.refuse_call(failure.status, calls)
        except SCIMException as error:
            response = self._service.error_response(error)
        except Exception:
            logger.exception("a SCIM request failed: %s %s", request.method, request.path)
            response = self._service.error_response(RuntimeError())
        return _answer(response, calls)

    def refuse(self, error: SCIMException) -> Answer:
        """The answer to a request that is not looked at."""
        return _answer(self._service.error_response(error))

    def refuse_call(self, status: status_pb2.Status, calls: Calls) -> Answer:
        """The answer to a request one of whose calls failed."""
        seconds = retry_after_seconds(status)
        more = {} if seconds is None else {"Retry-After": str(seconds)}
        return _answer(self._service.error_response(CallRefused(status)), calls, more)

    def _handle(self, request: ScimRequest, calls: Calls, *, of_workspace: bool) -> ScimResponse:
        workspace, session = "", sessions_pb2.Session()
        if self._service.match(request).operation not in _PUBLIC:
            # Before the body is read as anything: who is nobody learns nothing of how it is read.
            session = calls.session()
            if of_workspace:
                workspace = unquote(calls.metadata.get(headers.WORKSPACE, "")) or session.workspace
                if not workspace:
                    raise InvalidValueException(
                        detail=f"say which workspace in the header {headers.WORKSPACE}"
                    )
        tries = 1 if request.header("If-Match") or request.header("If-None-Match") else TRIES_MAX
        while True:
            tries -= 1
            storage = WorkspaceStorage(calls, session, workspace) if workspace else RpcStorage(calls, session)
            try:
                return ScimHandler(Exchange(self._provider, session, storage), storage).handle(request)
            except CallFailed as failure:
                if tries <= 0 or CallRefused(failure.status).reason != "ETAG_MISMATCH":
                    raise


def _rpc_of(target: Target) -> str:
    # `/Me` is a user or a service principal, whose methods are alike.
    noun = NOUNS["User"] if target.me else _NOUN_OF_ENDPOINT.get((target.endpoint or "").lower())
    verb = _VERBS.get(target.operation)
    return noun.method(verb) if noun and verb else GET_SESSION


def _answer(
    response: ScimResponse, calls: Calls | None = None, more: Mapping[str, str] | None = None
) -> Answer:
    metadata = dict(calls.reply_metadata if calls else ())
    told = {"Cache-Control": "no-store", **response.headers, **metadata, **(more or {})}
    body = b"" if response.body is None else json.dumps(response.body).encode()
    return Answer(int(response.status), told, body)
