"""One request of the Databricks API: what it says, read strictly, and the calls it becomes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from google.protobuf.message import Message

from lakewarden.v1 import sessions_pb2
from lakewarden_server.http.calls import Calls
from lakewarden_server.http.requests import WORKSPACE_HEADER
from lakewarden_server.http.rest.errors import Refused

INTEGER_MAX = 2**63 - 1
PAGE_SIZE = 1_000
PAGES_MAX = 100
"""Of a list that this API answers as a whole."""


@dataclass(frozen=True)
class Exchange:
    """What an operation is given."""

    calls: Calls
    session: sessions_pb2.Session
    path: Mapping[str, str]
    """Parameters in the path."""
    query: Mapping[str, str]
    body: Mapping[str, Any]
    named_workspace: str
    """As the request says it, or the one its token is limited to; may be empty."""

    @property
    def workspace(self) -> str:
        """The calling workspace's name. Raises `Refused` where there is none."""
        if not self.named_workspace:
            raise Refused(
                f"say which workspace: its name as the client's `workspace_id` (header {WORKSPACE_HEADER})"
            )
        return self.named_workspace

    def text(self, name: str) -> str:
        """A field of the body; empty where it is not there. Raises `Refused`."""
        return read_text(self.body, name)

    def integer(self, name: str) -> int:
        """A field of the body; 0 where it is not there. Raises `Refused`."""
        value = self.body.get(name)
        if value is None:
            return 0
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > INTEGER_MAX:
            raise Refused(f"{name}: a whole number of at most 64 bits")
        return value

    def records(self, name: str) -> list[Mapping[str, Any]]:
        """A list of objects in the body; empty where it is not there. Raises `Refused`."""
        return read_list(self.body, name, dict, "objects")

    def texts(self, name: str) -> list[str]:
        """A list of strings in the body; empty where it is not there. Raises `Refused`."""
        return read_list(self.body, name, str, "strings")

    def refuse(self, *names: str) -> None:
        """Raises `Refused` for fields that would change what is done and that nobody here heeds."""
        for name in names:
            if self.body.get(name):
                raise Refused(f"{name}: there is no such thing here; leave it out")

    def pages(self, method: str, request: Any, field: str) -> Iterator[Any]:
        """All there is of a List method. Raises `CallFailed`, and `Refused` for more than one answer holds."""
        request.page_size = PAGE_SIZE
        for _ in range(PAGES_MAX):
            reply = self.calls(method, request)
            yield from getattr(reply, field)
            request.page_token = reply.next_page_token
            if not reply.next_page_token:
                return
        raise Refused(f"the list has more than {PAGE_SIZE * PAGES_MAX} entries: use the gRPC API, in pages")


class Operation(NamedTuple):
    """A method and path, and what is done and answered there."""

    method: str
    path: str
    rpc: str
    """The `Service/Method` it is for, whatever else it calls."""
    answer: Callable[[Exchange], Mapping[str, Any]]


def parse_object(body: bytes) -> Mapping[str, Any]:
    """The JSON object in a body, where there is one. Raises `Refused`."""
    if not body.strip():
        return {}
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused("the body is no JSON", error_code="MALFORMED_REQUEST") from None
    if not isinstance(found, dict):
        raise Refused("the body is no JSON object", error_code="MALFORMED_REQUEST")
    return found


def read_text(record: Mapping[str, Any], name: str) -> str:
    """A string of a record; empty where it is not there. Raises `Refused`."""
    value = record.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or not is_text(value):
        raise Refused(f"{name}: a string")
    return value


def read_list(record: Mapping[str, Any], name: str, kind: type, what: str) -> list[Any]:
    """A list of a record whose members are of a kind; empty where it is not there. Raises `Refused`."""
    value = record.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, kind) for each in value):
        raise Refused(f"{name}: a list of {what}")
    if not all(is_text(each) for each in value if isinstance(each, str)):
        raise Refused(f"{name}: a list of {what}")
    return value


def is_text(value: str) -> bool:
    """Whether a string is one outside JSON too, which may hold halves of characters."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def milliseconds(message: Message, field: str) -> int:
    """A time of a message, in milliseconds since 1970, as this API tells times."""
    return int(getattr(message, field).ToMilliseconds())
