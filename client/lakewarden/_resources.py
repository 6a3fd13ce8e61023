"""What the resources of the client share: calling a service's Create, Get, List, Update and Delete by the noun's name.

The five verbs have the same shape for every noun (a test compares the protos), so they are written once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, ClassVar, Generic, TypeVar

from google.protobuf.field_mask_pb2 import FieldMask

from lakewarden._connection import Connection
from lakewarden._errors import InvalidArgument
from lakewarden._paging import pages

MessageType = TypeVar("MessageType")


class Resource(Generic[MessageType]):
    """One noun of the API over one connection. Methods raise LakewardenError."""

    messages: ClassVar[ModuleType]
    stub_class: ClassVar[type[Any]]
    noun: ClassVar[str]
    plural: ClassVar[str]
    # Field of the requests that holds the object, and of the object that addresses it.
    field: ClassVar[str]
    key: ClassVar[str] = "full_name"

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = self.stub_class(connection.open_channel)

    def get(self, name: str) -> MessageType:
        """Return the object with this full name."""
        reply: MessageType = self._call(f"Get{self.noun}", **{self.key: name})
        return reply

    def _call(self, rpc: str, **fields: Any) -> Any:
        """Call one RPC of the service, its request built from the fields."""
        return self._connection.call(
            getattr(self._stub, rpc), getattr(self.messages, f"{rpc}Request")(**fields)
        )

    def _create(self, values: Mapping[str, Any], **fields: Any) -> MessageType:
        reply: MessageType = self._call(f"Create{self.noun}", **{self.field: values}, **fields)
        return reply

    def _list(self, *, page_size: int, limit: int | None, **fields: Any) -> Iterator[MessageType]:
        return self._pages(
            f"List{self.plural}", self.messages_field, page_size=page_size, limit=limit, **fields
        )

    @property
    def messages_field(self) -> str:
        """Field of the List response that holds the objects."""
        return f"{self.field}s"

    def _pages(
        self, rpc: str, rows: str, *, page_size: int, limit: int | None, **fields: Any
    ) -> Iterator[Any]:
        """All rows of a List RPC, page by page."""

        def fetch(size: int, token: str) -> tuple[list[Any], str]:
            reply = self._call(rpc, page_size=size, page_token=token, **fields)
            return list(getattr(reply, rows)), reply.next_page_token

        return pages(fetch, page_size=page_size, limit=limit)

    def _update(self, name: str, changes: Mapping[str, Any], *, etag: str) -> MessageType:
        """Change the fields whose value is not None; the update mask names exactly those."""
        values = changed(changes)
        reply: MessageType = self._call(
            f"Update{self.noun}",
            **{self.field: {self.key: name, "etag": etag, **values}},
            update_mask=FieldMask(paths=sorted(values)),
        )
        return reply

    def _delete(self, name: str, **fields: Any) -> None:
        self._call(f"Delete{self.noun}", **{self.key: name}, **fields)


def changed(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes really asked for. Raises InvalidArgument when there are none."""
    values = {path: value for path, value in changes.items() if value is not None}
    if not values:
        raise InvalidArgument(
            f"nothing to change: give at least one of {', '.join(sorted(changes))}",
            reason="UPDATE_MASK_INVALID",
        )
    return values


class SecurableResource(Resource[MessageType]):
    """What metastores, workspaces, catalogs, schemas and tables have in common."""

    def update(
        self,
        full_name: str,
        *,
        comment: str | None = None,
        properties: Mapping[str, str] | None = None,
        etag: str = "",
    ) -> MessageType:
        """Change comment or properties (the whole map); what is None stays. A stale `etag` raises Aborted."""
        return self._update(full_name, {"comment": comment, "properties": _map(properties)}, etag=etag)

    def rename(self, full_name: str, new_name: str, *, etag: str = "") -> MessageType:
        """Give it a new own name (without its parents)."""
        return self._update(full_name, {"name": new_name}, etag=etag)

    def set_owner(self, full_name: str, owner: str, *, etag: str = "") -> MessageType:
        """Transfer ownership to a user, group or service principal."""
        return self._update(full_name, {"owner": owner}, etag=etag)


class PrincipalResource(Resource[MessageType]):
    """What users and service principals have in common."""

    key = "name"

    def list(
        self, *, external_id: str = "", page_size: int = 0, limit: int | None = None
    ) -> Iterator[MessageType]:
        """Yield those the caller may see, in the order of their names; only the one with that external id, if given."""
        return self._list(page_size=page_size, limit=limit, external_id=external_id)

    def update(
        self,
        name: str,
        *,
        display_name: str | None = None,
        active: bool | None = None,
        external_id: str | None = None,
        etag: str = "",
    ) -> MessageType:
        """Change the display name or the external id, or switch it on or off; what is None stays."""
        changes = {"display_name": display_name, "active": active, "external_id": external_id}
        return self._update(name, changes, etag=etag)

    def enable(self, name: str, *, etag: str = "") -> MessageType:
        """Let it call again, with new tokens: those it had were revoked."""
        return self.update(name, active=True, etag=etag)

    def disable(self, name: str, *, etag: str = "") -> MessageType:
        """Revoke its tokens, refuse its calls and answer every check about it with no, from now on."""
        return self.update(name, active=False, etag=etag)

    def delete(self, name: str, *, etag: str = "") -> None:
        """Delete it with its memberships and tokens. What it owned and was granted stays, under its id and for nobody."""
        self._delete(name, etag=etag)


def _map(properties: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if properties is None else dict(properties)
