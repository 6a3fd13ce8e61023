"""What engines reach the outside with: credentials, external locations and connections.

Secrets go in and never come out: no message the server returns has one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, ClassVar

from lakewarden._errors import InvalidArgument
from lakewarden._resources import MessageType, SecurableResource
from lakewarden.v1 import (
    connections_pb2,
    connections_pb2_grpc,
    external_locations_pb2,
    external_locations_pb2_grpc,
    service_credentials_pb2,
    service_credentials_pb2_grpc,
    storage_credentials_pb2,
    storage_credentials_pb2_grpc,
)


class MetastoreResource(SecurableResource[MessageType]):
    """What the kinds directly under a metastore have in common: they are listed without naming a container."""

    def list(self, *, page_size: int = 0, limit: int | None = None) -> Iterator[MessageType]:
        """Yield those the caller may see, in the order of their names."""
        return self._list(page_size=page_size, limit=limit)

    def _common(self, name: str, comment: str, properties: Mapping[str, str] | None) -> dict[str, Any]:
        return {"name": name, "comment": comment, "properties": dict(properties or {})}

    def _change(
        self,
        full_name: str,
        comment: str | None,
        properties: Mapping[str, str] | None,
        etag: str,
        **changes: Any,
    ) -> MessageType:
        common = {"comment": comment, "properties": None if properties is None else dict(properties)}
        return self._update(full_name, {**common, **changes}, etag=etag)


class UnforcedResource(MetastoreResource[MessageType]):
    """Kinds nothing depends on."""

    def delete(self, full_name: str, *, etag: str = "") -> None:
        """Delete it."""
        self._delete(full_name, etag=etag)


class ForcibleResource(MetastoreResource[MessageType]):
    """Kinds that others depend on: deleting one in use takes `force`."""

    def delete(self, full_name: str, *, force: bool = False, etag: str = "") -> None:
        """Delete it; with `force` although something else uses it."""
        self._delete(full_name, force=force, etag=etag)


class StorageCredentials(ForcibleResource[storage_credentials_pb2.StorageCredential]):
    """Storage credentials: what engines reach cloud storage with."""

    messages: ClassVar[ModuleType] = storage_credentials_pb2
    stub_class = storage_credentials_pb2_grpc.StorageCredentialServiceStub
    noun = "StorageCredential"
    plural = "StorageCredentials"
    field = "storage_credential"

    def create(
        self,
        name: str,
        identity: str,
        fields: Mapping[str, str],
        *,
        read_only: bool = False,
        comment: str = "",
        properties: Mapping[str, str] | None = None,
    ) -> storage_credentials_pb2.StorageCredential:
        """Create one. `identity` is its kind, e.g. `aws_iam_role` with the fields `{"role_arn": "arn:…"}`."""
        common = self._common(name, comment, properties)
        return self._create({**common, "read_only": read_only, **_identity(self.messages, identity, fields)})

    def update(
        self,
        full_name: str,
        *,
        identity: str | None = None,
        fields: Mapping[str, str] | None = None,
        read_only: bool | None = None,
        comment: str | None = None,
        properties: Mapping[str, str] | None = None,
        etag: str = "",
    ) -> storage_credentials_pb2.StorageCredential:
        """Change what is not None; an identity is replaced as a whole, with its secret."""
        changes = {} if identity is None else _identity(self.messages, identity, fields or {})
        return self._change(full_name, comment, properties, etag, read_only=read_only, **changes)


class ServiceCredentials(ForcibleResource[service_credentials_pb2.ServiceCredential]):
    """Service credentials: what engines reach outside services with."""

    messages: ClassVar[ModuleType] = service_credentials_pb2
    stub_class = service_credentials_pb2_grpc.ServiceCredentialServiceStub
    noun = "ServiceCredential"
    plural = "ServiceCredentials"
    field = "service_credential"

    def create(
        self,
        name: str,
        identity: str,
        fields: Mapping[str, str],
        *,
        comment: str = "",
        properties: Mapping[str, str] | None = None,
    ) -> service_credentials_pb2.ServiceCredential:
        """Create one. `identity` is its kind, e.g. `secret` with the fields `{"value": "…"}`."""
        common = self._common(name, comment, properties)
        return self._create({**common, **_identity(self.messages, identity, fields)})

    def update(
        self,
        full_name: str,
        *,
        identity: str | None = None,
        fields: Mapping[str, str] | None = None,
        comment: str | None = None,
        properties: Mapping[str, str] | None = None,
        etag: str = "",
    ) -> service_credentials_pb2.ServiceCredential:
        """Change what is not None; an identity is replaced as a whole, with its secret."""
        changes = {} if identity is None else _identity(self.messages, identity, fields or {})
        return self._change(full_name, comment, properties, etag, **changes)


class ExternalLocations(ForcibleResource[external_locations_pb2.ExternalLocation]):
    """External locations: places in cloud storage."""

    messages: ClassVar[ModuleType] = external_locations_pb2
    stub_class = external_locations_pb2_grpc.ExternalLocationServiceStub
    noun = "ExternalLocation"
    plural = "ExternalLocations"
    field = "external_location"

    def create(
        self,
        name: str,
        url: str,
        credential: str,
        *,
        read_only: bool = False,
        comment: str = "",
        properties: Mapping[str, str] | None = None,
    ) -> external_locations_pb2.ExternalLocation:
        """Create one at a URL that no other location overlaps, reached with a storage credential."""
        common = self._common(name, comment, properties)
        return self._create({**common, "url": url, "credential": credential, "read_only": read_only})

    def update(
        self,
        full_name: str,
        *,
        url: str | None = None,
        credential: str | None = None,
        read_only: bool | None = None,
        comment: str | None = None,
        properties: Mapping[str, str] | None = None,
        etag: str = "",
    ) -> external_locations_pb2.ExternalLocation:
        """Change what is not None. A new URL needs the credential named with it, though that one stays."""
        return self._change(
            full_name, comment, properties, etag, url=url, credential=credential, read_only=read_only
        )


class Connections(ForcibleResource[connections_pb2.Connection]):
    """Connections: how engines reach databases and services outside the lakehouse."""

    messages: ClassVar[ModuleType] = connections_pb2
    stub_class = connections_pb2_grpc.ConnectionServiceStub
    noun = "Connection"
    plural = "Connections"
    field = "connection"

    def create(
        self,
        name: str,
        connection_type: str,
        *,
        options: Mapping[str, str] | None = None,
        secret_options: Mapping[str, str] | None = None,
        credential: str = "",
        read_only: bool = False,
        comment: str = "",
        properties: Mapping[str, str] | None = None,
    ) -> connections_pb2.Connection:
        """Create one, e.g. of the type `POSTGRESQL` with the options `{"host": "db.example.com"}`."""
        values = {
            "connection_type": connection_type,
            "options": dict(options or {}),
            "secret_options": dict(secret_options or {}),
            "credential": credential,
            "read_only": read_only,
        }
        return self._create({**self._common(name, comment, properties), **values})

    def update(
        self,
        full_name: str,
        *,
        options: Mapping[str, str] | None = None,
        secret_options: Mapping[str, str] | None = None,
        credential: str | None = None,
        read_only: bool | None = None,
        comment: str | None = None,
        properties: Mapping[str, str] | None = None,
        etag: str = "",
    ) -> connections_pb2.Connection:
        """Change what is not None; both kinds of options are whole maps. New options need the secret ones sent again."""
        changes = {
            "options": None if options is None else dict(options),
            "secret_options": None if secret_options is None else dict(secret_options),
            "credential": credential,
            "read_only": read_only,
        }
        return self._change(full_name, comment, properties, etag, **changes)


def _identity(messages: ModuleType, identity: str, fields: Mapping[str, str]) -> dict[str, Any]:
    """The identity as a field of the credential. Raises InvalidArgument for a kind or field that does not exist."""
    credential = next(name for name in ("StorageCredential", "ServiceCredential") if hasattr(messages, name))
    known = getattr(messages, credential).DESCRIPTOR.oneofs_by_name["identity"].fields
    chosen = {field.name: field.message_type for field in known}.get(identity)
    if chosen is None:
        kinds = ", ".join(field.name for field in known)
        raise InvalidArgument(f"{identity!r} is no identity; there are {kinds}", reason="FIELD_INVALID")
    unknown = sorted(set(fields) - set(chosen.fields_by_name))
    if unknown:
        raise InvalidArgument(
            f"{identity} has no field {unknown[0]}; there are {', '.join(chosen.fields_by_name)}",
            reason="FIELD_INVALID",
        )
    return {identity: dict(fields)}
