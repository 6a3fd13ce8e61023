"""What is given to and taken from the outside: shares, recipients, providers, and external metadata of other systems."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import ClassVar

from lakewarden._places import UnforcedResource
from lakewarden.v1 import (
    external_metadata_pb2,
    external_metadata_pb2_grpc,
    providers_pb2,
    providers_pb2_grpc,
    recipients_pb2,
    recipients_pb2_grpc,
    shares_pb2,
    shares_pb2_grpc,
)


class Shares(UnforcedResource[shares_pb2.Share]):
    """Shares: tables and views given to recipients outside the metastore."""

    messages: ClassVar[ModuleType] = shares_pb2
    stub_class = shares_pb2_grpc.ShareServiceStub
    noun = "Share"
    plural = "Shares"
    field = "share"

    def create(
        self, name: str, *, comment: str = "", properties: Mapping[str, str] | None = None
    ) -> shares_pb2.Share:
        """Create a share with nothing in it."""
        return self._create(self._common(name, comment, properties))

    def objects(
        self, full_name: str, *, page_size: int = 0, limit: int | None = None
    ) -> Iterator[shares_pb2.ShareObject]:
        """Yield what is in a share, as far as the caller may see it."""
        return self._pages(
            "ListShareObjects", "objects", page_size=page_size, limit=limit, full_name=full_name
        )

    def update_objects(
        self, full_name: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()
    ) -> shares_pb2.Share:
        """Add tables and views by their full names, and remove others."""
        reply: shares_pb2.Share = self._call(
            "UpdateShareObjects", full_name=full_name, add=list(add), remove=list(remove)
        )
        return reply

    def recipients(self, full_name: str, *, page_size: int = 0, limit: int | None = None) -> Iterator[str]:
        """Yield the names of those who are given the share, as far as the caller may see them."""
        return self._pages(
            "ListShareRecipients", "recipients", page_size=page_size, limit=limit, full_name=full_name
        )

    def add_recipient(self, full_name: str, recipient: str) -> shares_pb2.Share:
        """Give the share to a recipient."""
        reply: shares_pb2.Share = self._call("CreateShareRecipient", full_name=full_name, recipient=recipient)
        return reply

    def remove_recipient(self, full_name: str, recipient: str) -> None:
        """Take the share from a recipient."""
        self._call("DeleteShareRecipient", full_name=full_name, recipient=recipient)


class Recipients(UnforcedResource[recipients_pb2.Recipient]):
    """Recipients: who is given shares."""

    messages: ClassVar[ModuleType] = recipients_pb2
    stub_class = recipients_pb2_grpc.RecipientServiceStub
    noun = "Recipient"
    plural = "Recipients"
    field = "recipient"

    def create(
        self,
        name: str,
        *,
        global_metastore_id: str = "",
        comment: str = "",
        properties: Mapping[str, str] | None = None,
    ) -> recipients_pb2.Recipient:
        """Create one, known by a token, or by the id of its metastore where that is given."""
        return self._create({**self._common(name, comment, properties), **_known_by(global_metastore_id)})


class Providers(UnforcedResource[providers_pb2.Provider]):
    """Providers: who gives us shares."""

    messages: ClassVar[ModuleType] = providers_pb2
    stub_class = providers_pb2_grpc.ProviderServiceStub
    noun = "Provider"
    plural = "Providers"
    field = "provider"

    def create(
        self,
        name: str,
        *,
        recipient_profile: str = "",
        global_metastore_id: str = "",
        comment: str = "",
        properties: Mapping[str, str] | None = None,
    ) -> providers_pb2.Provider:
        """Create one from the text of the profile file it handed out, or from the id of its metastore."""
        known = {**_known_by(global_metastore_id), "recipient_profile": recipient_profile}
        return self._create({**self._common(name, comment, properties), **known})

    def update(
        self,
        full_name: str,
        *,
        recipient_profile: str | None = None,
        comment: str | None = None,
        properties: Mapping[str, str] | None = None,
        etag: str = "",
    ) -> providers_pb2.Provider:
        """Change what is not None."""
        return self._change(full_name, comment, properties, etag, recipient_profile=recipient_profile)


class ExternalMetadata(UnforcedResource[external_metadata_pb2.ExternalMetadata]):
    """External metadata: stands in lineage for something in an outside system."""

    messages: ClassVar[ModuleType] = external_metadata_pb2
    stub_class = external_metadata_pb2_grpc.ExternalMetadataServiceStub
    noun = "ExternalMetadata"
    plural = "ExternalMetadata"
    field = "external_metadata"
    messages_field = "external_metadata"

    def create(
        self,
        name: str,
        system_type: str,
        entity_type: str,
        *,
        url: str = "",
        columns: Iterable[str] = (),
        comment: str = "",
        properties: Mapping[str, str] | None = None,
    ) -> external_metadata_pb2.ExternalMetadata:
        """Create one, e.g. of the system `TABLEAU` and the type `dashboard`."""
        values = {
            "system_type": system_type,
            "entity_type": entity_type,
            "url": url,
            "columns": list(columns),
        }
        return self._create({**self._common(name, comment, properties), **values})

    def update(
        self,
        full_name: str,
        *,
        system_type: str | None = None,
        entity_type: str | None = None,
        url: str | None = None,
        columns: Iterable[str] | None = None,
        comment: str | None = None,
        properties: Mapping[str, str] | None = None,
        etag: str = "",
    ) -> external_metadata_pb2.ExternalMetadata:
        """Change what is not None; `columns` replaces all of them."""
        changes = {
            "system_type": system_type,
            "entity_type": entity_type,
            "url": url,
            "columns": None if columns is None else list(columns),
        }
        return self._change(full_name, comment, properties, etag, **changes)


def _known_by(global_metastore_id: str) -> dict[str, str]:
    """How both sides know each other: by metastore where its id is given, else by token."""
    if not global_metastore_id:
        return {"authentication_type": "TOKEN"}
    return {"authentication_type": "METASTORE", "global_metastore_id": global_metastore_id}
