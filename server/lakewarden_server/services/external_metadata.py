"""External metadata: what stands in lineage for something in an outside system."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import external_metadata_pb2 as pb
from lakewarden_policy import ACCOUNT_USERS_ID
from lakewarden_server.entities import ExternalMetadata
from lakewarden_server.services import securables, validation
from lakewarden_server.services.call import Call
from lakewarden_server.storage.repositories import grants

ENTITY_TYPE_BYTES_MAX = 255
COLUMN_NAME_BYTES_MAX = 255
WEB_URL_BYTES_MAX = 2_048
_SYSTEM_TYPE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_WEB_URL = re.compile(r"https?://[^\s@]+", re.IGNORECASE)
"""For people to open; without `@`, behind which a password or another host could hide."""


class ExternalMetadataService:
    """Implements `lakewarden.v1.ExternalMetadataService`."""

    def create_external_metadata(
        self, request: pb.CreateExternalMetadataRequest, call: Call
    ) -> pb.ExternalMetadata:
        """Creates the object, which every user of the account may then see (semantics 2.5)."""
        message = request.external_metadata
        made = securables.create(
            call,
            ExternalMetadata,
            message,
            metastore_id=call.metastore_id,
            system_type=_system_type(message.system_type),
            entity_type=_entity_type(message.entity_type),
            url=_web_url(message.url),
            columns=_columns(message.columns),
        )
        grants.give(
            call.uow.session, made.id, ACCOUNT_USERS_ID, ("BROWSE",), by=call.caller.id, time=call.now
        )
        call.uow.session.flush()
        return to_message(made, call)

    def get_external_metadata(
        self, request: pb.GetExternalMetadataRequest, call: Call
    ) -> pb.ExternalMetadata:
        """Returns one object."""
        return to_message(call.row(ExternalMetadata, call.self_id), call)

    def list_external_metadata(
        self, request: pb.ListExternalMetadataRequest, call: Call
    ) -> pb.ListExternalMetadataResponse:
        """Lists the objects the caller may see."""
        page, token = securables.page(call, ExternalMetadata, "EXTERNAL_METADATA", call.metastore_id, request)
        return pb.ListExternalMetadataResponse(
            external_metadata=[to_message(row, call) for row in page], next_page_token=token
        )

    def update_external_metadata(
        self, request: pb.UpdateExternalMetadataRequest, call: Call
    ) -> pb.ExternalMetadata:
        """Changes what the mask names."""
        changed = securables.update(
            call, ExternalMetadata, request.external_metadata, request.update_mask.paths, _SETTERS
        )
        call.uow.session.flush()
        return to_message(changed, call)

    def delete_external_metadata(self, request: pb.DeleteExternalMetadataRequest, call: Call) -> Empty:
        """Deletes the object."""
        securables.delete(call, force=False, sent_etag=request.etag)
        return Empty()


def to_message(row: ExternalMetadata, call: Call) -> pb.ExternalMetadata:
    """The message of a row."""
    message = pb.ExternalMetadata(
        metastore_id=row.metastore_id or "",
        system_type=row.system_type,
        entity_type=row.entity_type,
        url=row.url,
        columns=row.columns,
    )
    securables.fill(message, row, call)
    return message


def _system_type(text: str) -> str:
    if _SYSTEM_TYPE.fullmatch(text.upper()) is None:
        raise validation.invalid("system_type", "write letters, digits and _, at most 64, e.g. TABLEAU")
    return text.upper()


def _entity_type(text: str) -> str:
    if not text.strip():
        raise validation.invalid("entity_type", "it is empty")
    return validation.bounded(text, "entity_type", ENTITY_TYPE_BYTES_MAX)


def _web_url(text: str) -> str:
    if text and _WEB_URL.fullmatch(text) is None:
        raise validation.invalid("url", "write an http or https URL without user or spaces")
    return validation.bounded(text, "url", WEB_URL_BYTES_MAX)


def _columns(names: Sequence[str]) -> list[str]:
    validation.repeated(names, "columns")
    if not all(names) or len(set(names)) != len(names):
        raise validation.invalid("columns", "a name is empty or stands there twice")
    return [validation.bounded(name, "columns", COLUMN_NAME_BYTES_MAX) for name in names]


def _set_system_type(row: Any, message: Any, call: Call) -> None:
    row.system_type = _system_type(message.system_type)


def _set_entity_type(row: Any, message: Any, call: Call) -> None:
    row.entity_type = _entity_type(message.entity_type)


def _set_url(row: Any, message: Any, call: Call) -> None:
    row.url = _web_url(message.url)


def _set_columns(row: Any, message: Any, call: Call) -> None:
    row.columns = _columns(message.columns)


_SETTERS = {
    **securables.SETTERS,
    "system_type": _set_system_type,
    "entity_type": _set_entity_type,
    "url": _set_url,
    "columns": _set_columns,
}
